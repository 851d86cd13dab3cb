"""Keep `index.html` below the folder of all runs: one page from which every run and every comparison is found.

Whatever goes wrong with the page costs no run anything. When several processes end at once, one of them writes the page
for all: each leaves a mark, then the one that has the lock writes until there is no mark left.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from textclf.documents.document import (
    Block,
    Cell,
    Choice,
    Column,
    Heading,
    Link,
    Paragraph,
    Table,
    count_cell,
    to_html,
)
from textclf.documents.wording import MISSING, duration, in_milliseconds, in_seconds, interval, megabytes, spread
from textclf.errors import listed
from textclf.evaluation.metric_names import higher_is_better, metric_label
from textclf.experiment.leaderboard.entries import (
    LOG_FILE,
    REPORT_PAGE,
    Entries,
    FinishedEntry,
    OpenEntry,
    SweepEntry,
    read_entries,
)
from textclf.experiment.leaderboard.ranking import Ranking, Row, rankings
from textclf.experiment.sweep.status import COMPARISON
from textclf.system.files import write_text
from textclf.tracking.find_runs import OUTPUTS

log = logging.getLogger(__name__)

PAGE = "index.html"
MARK = ".index.stale"
LOCK = ".index.lock"
ROUNDS = 10
"""The most times that a process writes the page for others that end meanwhile."""
MOST_ROWS = 150
"""Setups that a table shows."""
MOST_TOTAL = 600
"""Setups that the page shows."""
MOST_SWEEPS = 50
MOST_OPEN = 50
"""Runs that are named which have not finished."""
MOST_TRENDS = 3
"""Test sets whose trend is drawn, those with the newest runs: each costs every run about 0.15 s at its end."""
MOST_NAMED = 8
"""Running jobs of a sweep that are named."""
MOST_LINKS = 12
"""Runs of a setup that are linked."""
STATES = ("running", "failed", "interrupted", "unreadable")


def update_home(folder: Path, outputs: Path = OUTPUTS) -> None:
    """Write the page anew where a run or sweep lies below the folder of all runs; a fault is logged and no more.

    Args:
        folder: The folder of the run or sweep.
        outputs: The folder of all runs.
    """
    try:
        if outputs.is_dir() and outputs.resolve() in folder.resolve().parents:
            _write_in_turn(outputs)
    except Exception as error:
        log.warning("%s could not be written: %s", outputs / PAGE, error)


def _write_in_turn(outputs: Path) -> None:
    """Leave a mark that the page is old, and write it unless another process does and will see the mark."""
    mark = outputs / MARK
    mark.touch()
    lock = FileLock(outputs / LOCK, timeout=0, thread_local=False)
    for _ in range(ROUNDS):
        try:
            with lock:
                mark.unlink(missing_ok=True)
                write_home(outputs)
        except Timeout:
            return
        if not mark.exists():  # left while the lock was held by this process
            return


def write_home(outputs: Path) -> Path:
    """Write the page of all runs below a folder, and return its path."""
    blocks = home_blocks(read_entries(outputs))
    write_text(outputs / PAGE, to_html("Runs", blocks))
    return outputs / PAGE


def home_blocks(found: Entries) -> list[Block]:
    """Return the page: sweeps, a ranking for each test set, and what has not finished."""
    tests = rankings(found.finished, found.sweeps)
    blocks: list[Block] = [Heading(1, "Runs"), Paragraph(_summary(found, tests))]
    live = [sweep for sweep in found.sweeps if sweep.live]
    if live:
        blocks += [Heading(2, "Under way"), _sweeps_table(live, found)]
        for sweep in live:
            blocks += _running_blocks(sweep, found)
    if tests:
        blocks += [Heading(2, "Leaderboard"), Paragraph(RANKED), *_rankings(tests, found.sweeps)]
    rest = sorted((sweep for sweep in found.sweeps if not sweep.live), key=lambda sweep: -sweep.began)
    if rest:
        blocks += [Heading(2, "Sweeps"), _sweeps_table(rest[:MOST_SWEEPS], found)]
        blocks += _more(len(rest) - MOST_SWEEPS, "sweeps")
    if found.open:
        blocks += [Heading(2, "Failed and unfinished"), *_open_blocks(found.open)]
    return blocks


RANKED = (
    "Each table has the setups that were tested on the same examples, ranked by their mean test score; scores of "
    "different tables cannot be compared. Neighbours may differ by chance alone: a comparison says which do not."
)


def _summary(found: Entries, tests: Sequence[Ranking]) -> str:
    setups = sum(len(ranking.rows) for ranking in tests)
    said = [f"{_count(len(found.finished), 'finished run')} of {_count(setups, 'setup')}"]
    said[0] += f" on {_count(len(tests), 'test set')}"
    states = Counter(entry.state for entry in found.open)
    said += [f"{states[state]:,} {state}" for state in STATES if states[state]]
    return f"{', '.join(said)}, as of {_when(found.written)}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _more(number: int, what: str) -> list[Block]:
    return [Paragraph(f"{number:,} older {what} are not shown.")] if number > 0 else []


def _running_blocks(sweep: SweepEntry, found: Entries) -> list[Block]:
    """Return what is running of a sweep now, and how that does on validation so far as it is recorded."""
    from textclf.experiment.leaderboard.trend import live_drawing  # matplotlib is loaded where there is a picture

    running = [run for run in found.open if run.state == "running" and run.folder.startswith(f"{sweep.folder}/")]
    if not running:
        return []
    names = listed([f"{run.name} ({run.folder.rpartition('/')[2]})" for run in running], MOST_NAMED)
    drawing = live_drawing(sweep.name, running)
    return [Paragraph(f"{sweep.name}, running now: {names}."), *([drawing] if drawing else [])]


def _rankings(tests: Sequence[Ranking], sweeps: Sequence[SweepEntry]) -> list[Block]:
    compared = {sweep.folder for sweep in sweeps if sweep.comparison}
    parts: list[tuple[str, tuple[Block, ...]]] = []
    left = MOST_TOTAL
    for number, ranking in enumerate(tests):
        if left <= 0:
            break
        shown = min(left, MOST_ROWS)
        parts.append((ranking.dataset, _ranking_blocks(ranking, shown, compared, number < MOST_TRENDS)))
        left -= min(shown, len(ranking.rows))
    return [Choice("Data set", tuple(parts)), *_more(len(tests) - len(parts), "test sets")]


def _ranking_blocks(ranking: Ranking, most: int, compared: set[str], trend: bool) -> tuple[Block, ...]:
    label = metric_label(ranking.metric)
    examples = f"{ranking.examples:,} examples"
    tested = f"cross-validated, {ranking.folds} of {examples}" if ranking.folds else f"{examples} to test on"
    order = "the highest first" if higher_is_better(ranking.metric) else "the lowest first"
    notes = [_note(row) for row in ranking.rows[:most]]
    columns = (
        Column("Setup", hint="the model, with the options that tell it from others of the same model"),
        Column(f"Test {label}", True, "mean over seeds ± standard deviation over them"),
        *(Column(_heading(name), True) for name in _beside(ranking)),
        Column("95 % interval", True, f"of the {_exact(ranking)}, for the draw of the test examples (Wilson)"),
        Column("Reports", hint="of each run, by its seed; and the comparison of its sweep"),
        Column("Seeds", True),
        Column("Training", True, "mean time of a run's training; of all fits of a cross-validation"),
        Column("A text", True, "median time to predict one text"),
        Column("Size", True, "of the saved classifier"),
        Column("Date", hint="of the newest run"),
        *((Column("Note"),) if any(notes) else ()),
    )
    best = next((row for row in ranking.rows if row.score is not None), None)
    rows = tuple(
        (*_cells(row, row is best, _beside(ranking), compared), *((note,) if any(notes) else ()))
        for row, note in zip(ranking.rows, notes, strict=False)
    )
    table = Table(columns, rows, f"By test {label}, {order}")
    blocks: list[Block] = [Heading(3, f"{ranking.dataset}: {tested}"), table]
    if len(ranking.rows) > most:
        blocks.append(Paragraph(f"{len(ranking.rows) - most:,} setups with lower ranks are not shown."))
    if trend and sum(len(row.runs) for row in ranking.rows) > 1:
        from textclf.experiment.leaderboard.trend import trend_drawing  # matplotlib is loaded where there is a picture

        drawing = trend_drawing(ranking)
        blocks += [drawing] if drawing else []
    return tuple(blocks)


def _exact(ranking: Ranking) -> str:
    """Return the share of texts that are right, as it is called: of one class each, or of sets of labels."""
    return metric_label("subset_accuracy" if ranking.has_sets else "accuracy")


def _heading(metric: str) -> str:
    label = metric_label(metric)
    return label[0].upper() + label[1:]


def _beside(ranking: Ranking) -> list[str]:
    """Return the metrics that stand beside the one that setups are ranked by."""
    shown = ("micro_f1", "macro_f1", "subset_accuracy") if ranking.has_sets else ("accuracy",)
    return [metric for metric in shown if metric != ranking.metric]


def _cells(row: Row, is_best: bool, beside: Sequence[str], compared: set[str]) -> tuple[str | Cell, ...]:
    score = (
        MISSING if row.score is None else spread(row.score, row.deviation, 4 if row.deviation != row.deviation else 3)
    )
    others = {metric: row.accuracy if metric == "accuracy" else row.of_test(metric) for metric in beside}
    newest = row.newest
    train, latency, size = (row.mean(name) for name in ("train_seconds", "latency_seconds", "size_bytes"))
    shown = [Link(_called(row, run), f"{run.folder}/{REPORT_PAGE}") for run in row.runs if run.report][:MOST_LINKS]
    sweeps = {above for run in row.runs for above in _above(run) if above in compared}
    shown += [Link("comparison", f"{sweep}/{COMPARISON}/{REPORT_PAGE}") for sweep in sorted(sweeps)[-2:]]
    return (
        Cell(row.name, strong=is_best),
        Cell(score, row.score, is_best),
        *(Cell(MISSING if value is None else f"{value:.4f}", value) for value in others.values()),
        Cell(interval(*row.interval) if row.interval else MISSING, row.accuracy),
        Cell(MISSING, links=tuple(shown)),
        count_cell(row.seeds),
        Cell(MISSING if train is None else duration(train) if train >= 60 else in_seconds(train), train),
        Cell(in_milliseconds(latency), latency),
        Cell(megabytes(size), size),
        Cell(newest.started[:10], _seconds(newest.started)),
    )


def _seconds(started: str) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError):
        return None


def _called(row: Row, run: FinishedEntry) -> str:
    return f"seed {run.seed}" if len(row.runs) > 1 else "report"


def _above(run: FinishedEntry) -> list[str]:
    parts = run.folder.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def _note(row: Row) -> str:
    collapsed = sum(run.collapsed for run in row.runs)
    repeats = len(row.runs) - row.seeds
    said = [
        f"best on validation of {_count(row.trials, 'trial')} of a search" if row.trials else "",
        "" if not collapsed else "collapsed" if collapsed == len(row.runs) else f"{collapsed:,} collapsed",
        f"{_count(repeats, 'repeat')} of a seed not counted" if repeats else "",
    ]
    return "; ".join(part for part in said if part)


def _sweeps_table(sweeps: Sequence[SweepEntry], found: Entries) -> Table:
    finished, states = _jobs(found)
    columns = (
        Column("Sweep"),
        Column("State"),
        Column("Comparison"),
        Column("Finished", True),
        Column("Failed", True),
        Column("Running", True),
        Column("To come", True),
        Column("Time left", True),
        Column("Began"),
    )
    rows = []
    for sweep in sweeps:
        done, own = finished[sweep.folder], states[sweep.folder]
        failed, running = own["failed"] + own["unreadable"], own["running"]
        to_come = None if sweep.total is None else max(0, sweep.total - done - failed - running)
        left = f"{'more than' if sweep.left[1] else 'about'} {duration(sweep.left[0])}" if sweep.left else MISSING
        state = "search" if sweep.search and not sweep.live else "over"
        if sweep.live:
            state = "under way"
        elif to_come:
            state = "stopped"
        report = f"{sweep.folder}/{COMPARISON}/{REPORT_PAGE}"
        rows.append(
            (
                sweep.name,
                state,
                Cell(MISSING, links=(Link("comparison", report),) if sweep.comparison else ()),
                count_cell(done),
                count_cell(failed),
                count_cell(running),
                Cell(MISSING if to_come is None else f"{to_come:,}", to_come),
                Cell(left, sweep.left[0] if sweep.left else None),
                Cell(_when(sweep.began), sweep.began),
            )
        )
    return Table(columns, tuple(rows))


def _jobs(found: Entries) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Return how many runs finished below each sweep, and how many of the others are in each state."""
    finished: Counter[str] = Counter()
    states: dict[str, Counter[str]] = {sweep.folder: Counter() for sweep in found.sweeps}
    for entry in (*found.finished, *found.open):
        parts = entry.folder.split("/")
        for above in ("/".join(parts[:n]) for n in range(1, len(parts))):
            if above in states and isinstance(entry, FinishedEntry):
                finished[above] += 1
            elif above in states and isinstance(entry, OpenEntry):
                states[above][entry.state] += 1
    return finished, states


def _open_blocks(entries: Sequence[OpenEntry]) -> list[Block]:
    newest = sorted(entries, key=lambda entry: (entry.state != "running", -entry.when, entry.folder))
    columns = (Column("Run"), Column("State"), Column("Log"), Column("Why"), Column("When"), Column("Folder"))
    rows = tuple(
        (
            entry.name,
            entry.state,
            Cell(MISSING, links=(Link(LOG_FILE, f"{entry.folder}/{LOG_FILE}"),) if entry.log else ()),
            entry.why or MISSING,
            Cell(_when(entry.when), entry.when),
            entry.folder,
        )
        for entry in newest[:MOST_OPEN]
    )
    advice = "What failed or was interrupted is resumed by its own command with resume=true."
    return [Table(columns, rows), *_more(len(newest) - MOST_OPEN, "runs"), Paragraph(advice)]


def _when(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return MISSING
