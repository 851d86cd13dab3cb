"""Compare results of others: a table of their scores, or of their predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from textclf.compare.compare_runs import (
    FIGURES,
    PAGE,
    REPORT,
    Outcome,
    file_prefixes,
    new_folder,
    opening_blocks,
    print_verdicts,
    refuse_written,
    verdict_lines,
    without_nan,
    write_comparisons,
    write_latex,
)
from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import MOST_PAIRS, pairs_table
from textclf.compare.figures import DATA
from textclf.compare.options import CompareOptions, TableOptions
from textclf.compare.plots import marks, plot_scores
from textclf.compare.report import MOST_QUOTES, levels_paragraph
from textclf.compare.results_file import Group, Guess, known_metric, read_results
from textclf.compare.runs import FinishedRun
from textclf.compare.score_table import ScoreTable
from textclf.compare.scores import TestScores
from textclf.compare.setups import Setup, SharedTest
from textclf.compare.statistics import OF_CONFUSIONS, confusions
from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Heading,
    Paragraph,
    Picture,
    Quote,
    Table,
    to_html,
    to_markdown,
)
from textclf.documents.escape import csv_table
from textclf.documents.wording import MISSING, interval, p_value, spread
from textclf.errors import ConfigError, DataError, did_you_mean, listed
from textclf.evaluation.metric_names import metric_label
from textclf.system.files import filled, plain, write_json, write_text
from textclf.tracking.record import RunRecord

METHOD = (
    "A draw is one sample of training examples, or one seed. Setups that share three draws or more are compared draw "
    "by draw (Student's t of the differences); setups with draws of their own by Student's t with Satterthwaite's "
    "degrees of freedom. That allows for other draws, on these very test examples.",
    "Where the scores are accuracies and the number of test examples is known, the most that other test examples may "
    "change is added to the variance: the table does not say on which examples setups err, so they are taken to err "
    "independently of each other. Such a verdict claims less than predictions of single examples would.",
    "With fewer than three draws nothing is said of setups; where the number of test examples is known, one draw of "
    "each is compared, as a claim about these classifiers.",
    "Verdicts: better and worse where Holm's corrected p-value is below the accepted chance of a false claim; "
    "equivalent where two one-sided tests, corrected too, put the difference within the margin; otherwise the table "
    "cannot tell.",
)
ALWAYS_SCORED = ("accuracy", "macro_f1")
"""Metrics of predictions that are shown whatever is asked for."""


def compare_table(
    path: Path | str,
    table: TableOptions | None = None,
    options: CompareOptions | None = None,
    output: Path | str | None = None,
    title: str = "Which claims survive",
    command: str = "",
    latex: bool = False,
) -> Outcome:
    """Say which differences hold in a table of results, print the verdicts and write the report.

    Args:
        path: CSV, TSV or JSON Lines: scores of setups over draws, or predictions of single examples.
        table: What its columns are called, and what it does not say; none where names and columns say it all.
        options: How to compare; its metric is that of `table`.
        output: The folder to write to, as of `textclf.compare.compare_runs.compare`.
        title: Heading of the report.
        command: What a person types to make the report again.
        latex: Write the table of setups as `setups.tex` too.

    Returns:
        The verdicts, and what could not be compared.

    Raises:
        DataError: If the table cannot be read, or there is nothing to compare in it.
        ConfigError: If an option names no column, or predictions have no such metric.
        ArtifactError: If the folder holds a comparison.
    """
    path, table, options = Path(path), table or TableOptions(), options or CompareOptions()
    output = new_folder(output)
    results = read_results(path, table)
    problems = list(results.notes)
    kept: list[Group] = []
    for group in results.groups:
        rows = group.scores or group.guesses
        names = dict.fromkeys(row.setup for row in rows)
        if len(names) > 1:
            kept.append(group)
        else:
            problems.append(f"{group.dataset}: there is one setup only ({next(iter(names))}).")
    if not kept:
        raise DataError(
            f"{path}: there is nothing to compare: {problems[-1]} A comparison needs two setups on one data set; if "
            f"another column tells them apart, name it with --column setup=NAME."
        )
    if kept[0].guesses:
        metric = None if table.metric is None else _of_predictions(table.metric)
        options = CompareOptions(**{**asdict(options), "claim": options.claim, "metric": metric})
        comparisons = [Comparison(TestScores(_shared_test(path, group, metric)), options) for group in kept]
        return write_comparisons(comparisons, problems, options, output, title, command, latex)
    tables = [ScoreTable(group, options, table.lower_is_better, results.draws_are_folds) for group in kept]
    return _write_scores(tables, problems, options, output, title, command, latex)


def _of_predictions(asked: str) -> str:
    """Return the metric of predictions that is asked for."""
    metric = known_metric(asked)
    if metric not in OF_CONFUSIONS:
        raise ConfigError(
            f"--metric {asked}: of predictions without probabilities, differences can be tested in "
            f"{listed(OF_CONFUSIONS)}.{did_you_mean(metric, OF_CONFUSIONS)}"
        )
    return metric


def _shared_test(path: Path, group: Group, metric: str | None) -> SharedTest:
    """Return the setups of a table of predictions, each with its draws, on the same test examples."""
    runs: dict[str, dict[str, list[Guess]]] = defaultdict(dict)
    for guess in group.guesses:
        runs[guess.setup].setdefault(guess.draw or "1", []).append(guess)
    examples = list(dict.fromkeys(guess.example for guess in group.guesses))
    truth = {guess.example: guess.label for guess in group.guesses}
    classes = sorted({guess.label for guess in group.guesses} | {guess.prediction for guess in group.guesses})
    labels = np.array([classes.index(truth[example]) for example in examples], dtype=np.int64)
    drawn: list[str] = [draw for own in runs.values() for draw in own]
    numbers: dict[str, int] = {draw: number for number, draw in enumerate(sorted(set(drawn)), 1)}
    if all(draw.isdecimal() for draw in numbers):
        numbers = {draw: int(draw) for draw in numbers}
    index = {name: number for number, name in enumerate(classes)}
    setups = []
    for name, own in runs.items():
        finished = []
        for draw, guesses in sorted(own.items(), key=lambda item: numbers[item[0]]):
            found = {guess.example: index[guess.prediction] for guess in guesses}
            if missing := [example for example in examples if example not in found]:
                raise DataError(
                    f"{path}: setup {name}, draw {draw}, has no prediction of {len(missing):,} of the "
                    f"{len(examples):,} examples of {group.dataset}, such as {missing[0]}. All setups must have "
                    f"predicted the same examples; take those out that some have not."
                )
            predicted = np.array([found[example] for example in examples], dtype=np.int64)
            record = _record(group.dataset, name, numbers[draw], classes, labels, predicted, metric)
            finished.append(FinishedRun(path, record, labels, predicted, np.zeros(len(labels), np.float32), "", None))
        setups.append(Setup(name, tuple(finished), {}))
    setups.sort(key=lambda setup: setup.name)
    notes = (
        "The table has no scores on validation: where a verdict is about classifiers, it is the first draw of each "
        "setup, not the best.",
        "The draws of a setup count as its own. Where setups share draws, the verdicts on setups claim a little less "
        "than they could.",
    )
    return SharedTest(group.dataset, tuple(setups), notes)


def _record(
    dataset: str,
    name: str,
    seed: int,
    classes: Sequence[str],
    labels: np.ndarray,
    predicted: np.ndarray,
    metric: str | None,
) -> RunRecord:
    """Return the record of a run of which nothing is known but its predictions."""
    counts = confusions(labels, predicted, len(classes))
    wanted = {*ALWAYS_SCORED, metric or "accuracy"}
    return RunRecord(
        name=f"{dataset}/{name}/{seed}",
        experiment="",
        dataset=dataset,
        model=name,
        trainer="none",
        seed=seed,
        objective="validation/accuracy",
        metrics={f"test/{one}": float(OF_CONFUSIONS[one](counts)) for one in sorted(wanted)},
        costs={},
        data={"label_names": list(classes), "examples": {"train": 0, "test": len(labels)}},
        fit={},
        config={},
        config_fingerprint="",
        command="",
        environment={},
        started="",
        seconds=0.0,
    )


def _write_scores(
    tables: Sequence[ScoreTable],
    problems: Sequence[str],
    options: CompareOptions,
    output: Path,
    title: str,
    command: str,
    latex: bool,
) -> Outcome:
    """Write the report of a table of scores and print its verdicts."""
    scores = sum(len(own) for table in tables for own in table.scores.values())
    setups = sum(len(table.rows) for table in tables)
    blocks = opening_blocks(title, f"{scores:,} scores of {setups:,} setups", len(tables), options, command)
    with filled(output, REPORT, partial(refuse_written, output)) as made:
        for table, prefix in zip(tables, file_prefixes([table.dataset for table in tables]), strict=True):
            blocks += _section(table, _draw(table, made / FIGURES, prefix))
        blocks += [Heading(2, "Left out"), Bullets(tuple(problems))] if problems else []
        blocks += [Heading(2, "How it was tested"), Bullets(METHOD), levels_paragraph(options)]
        write_text(made / PAGE, to_html(title, blocks))
        _write_tables(tables, problems, made)
        if latex:
            write_latex([_scores_table(table) for table in tables], made)
        write_text(made / REPORT, to_markdown(blocks, made))
    written = []
    for table in tables:
        sentences = [table.summary, *table.sentences(table.leading_pairs[:MOST_QUOTES])]
        print_verdicts(_heading(table), _scores_table(table), sentences, table.caveats)
        written += verdict_lines(table.dataset, sentences)
    print(f"the report: {output / PAGE}")
    return Outcome("\n".join(written), tuple(problems))


def _heading(table: ScoreTable) -> str:
    known = f", {table.stated_examples:,} test examples" if table.stated_examples else ""
    return f"{table.dataset}: {metric_label(table.metric)}{known}"


def _section(table: ScoreTable, picture: Picture | None) -> list[Block]:
    """Return the section of a report on one data set."""
    leading = table.leading_pairs
    blocks: list[Block] = [Heading(2, table.dataset), Paragraph(table.summary)]
    blocks += [Quote(sentence) for sentence in table.sentences(leading[:MOST_QUOTES])]
    if len(table.pairs) > min(len(leading), MOST_QUOTES):
        blocks.append(Paragraph(f"All {len(table.pairs)} pairs are in the table of pairs."))
    blocks += [Heading(3, "Caveats"), Bullets(tuple(table.caveats))]
    blocks += [Heading(3, "Scores"), _scores_table(table), *([picture] if picture else [])]
    tested = [pair for pair in table.pairs if pair.tested]
    if not tested:
        return blocks
    draws = Column("draws", numeric=True, hint="that the test rests on")
    more = {draws: [Cell(_counts(pair.seeds, pair.shared), min(pair.seeds)) for pair in tested]}
    if table.num_examples:
        here = Column("p on these examples", numeric=True, hint="over draws alone, corrected by Holm")
        more[here] = [Cell(p_value(pair.p_here), pair.p_here) for pair in tested]
    needed = Column("it would take", numeric=True, hint="draws to find the difference seen 8 times in 10")
    more[needed] = [Cell(MISSING) if pair.needed is None else Cell(str(pair.needed), pair.needed) for pair in tested]
    blocks += [Heading(3, "Every pair"), pairs_table(tested, table.options.margin, "draws", more)]
    if len(tested) > MOST_PAIRS:
        blocks.append(Paragraph(f"{len(tested) - MOST_PAIRS:,} more pairs are in pairs.csv."))
    return blocks


def _counts(draws: tuple[int, int], shared: bool) -> str:
    if shared:
        return f"{draws[0]} shared"
    return str(draws[0]) if draws[0] == draws[1] else f"{draws[0]}, {draws[1]}"


def _scores_table(table: ScoreTable) -> Table:
    """Return the table of the setups' scores, the best first."""
    over = "draws and test examples" if table.num_examples else "draws"
    columns = (
        Column("setup"),
        Column("draws", numeric=True),
        Column(f"{metric_label(table.metric)}, mean ± sd", numeric=True, hint="mean and deviation over draws"),
        Column("95 % interval", numeric=True, hint=f"over {over}"),
    )
    rows = []
    for row in table.rows:
        level = row.levels[table.metric]
        ends = MISSING if level.low != level.low else interval(level.low, level.high)
        rows.append(
            (
                Cell(row.name, strong=row is table.rows[0]),
                Cell(str(row.num_seeds), row.num_seeds),
                Cell(spread(level.mean, level.deviation), level.mean),
                Cell(ends, None if ends == MISSING else level.low),
            )
        )
    return Table(columns, tuple(rows), f"Scores on {table.dataset}")


def _frame(table: ScoreTable) -> pd.DataFrame:
    """Return each draw's score beside its setup's, the best setup first."""
    rows = [
        (row.name, draw, value, level.mean, level.low, level.high)
        for row in table.rows
        for level in [row.levels[table.metric]]
        for draw, value in table.scores[row.name].items()
    ]
    return pd.DataFrame(rows, columns=["setup", "draw", "score", "mean", "low", "high"])


def _draw(table: ScoreTable, folder: Path, prefix: str) -> Picture | None:
    """Draw the scores, with the table they were drawn from beside them."""
    frame = _frame(table)
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}scores.png"
    colours = marks(row.name for row in table.rows)
    if not plot_scores(frame, table.metric, colours, f"{table.dataset}: {metric_label(table.metric)}", path):
        return None
    csv_table(frame).to_csv(folder / DATA / f"{prefix}scores.csv", index=False)
    caption = "Mean and 95 % interval of each setup; the faint marks are its draws."
    alt = f"{metric_label(table.metric)} of each setup with its interval; the same figures are in the table of scores."
    return Picture(path, caption, alt)


def _write_tables(tables: Sequence[ScoreTable], problems: Sequence[str], output: Path) -> None:
    """Write every figure as CSV and JSON."""
    setups, pairs, scores = [], [], []
    for table in tables:
        own = {"dataset": table.dataset, "metric": table.metric}
        for row in table.rows:
            setups.append({**own, "setup": row.name, "draws": row.num_seeds, **asdict(row.levels[table.metric])})
        for pair in table.pairs:
            content = plain(asdict(pair))
            counts = " and ".join(map(str, content.pop("seeds")))
            content["due_to_draws"] = content.pop("seed_share")
            pairs.append({"dataset": table.dataset, **content, "draws": counts})
        frame = _frame(table)[["setup", "draw", "score"]]
        scores += [{**own, **row} for row in frame.to_dict("records")]
    for name, rows in (("setups", setups), ("pairs", pairs), ("scores", scores)):
        csv_table(pd.DataFrame(rows)).to_csv(output / f"{name}.csv", index=False)
    content = {
        "setups": setups,
        "pairs": pairs,
        "scores": scores,
        "verdicts": {table.dataset: table.sentences(table.pairs) for table in tables},
        "caveats": {table.dataset: table.caveats for table in tables},
        "problems": list(problems),
    }
    write_json(output / "comparison.json", without_nan(content))
