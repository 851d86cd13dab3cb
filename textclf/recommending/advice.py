"""The advice that a climb ends in: three lines for a person, and the report behind them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from itertools import groupby
from pathlib import Path

from textclf.compare.compare_runs import PAGE as COMPARISON_PAGE
from textclf.compare.compare_runs import compare
from textclf.compare.options import CompareOptions
from textclf.compare.runs import FinishedRun, best_on_validation, read_run
from textclf.compare.scores import Level
from textclf.compare.verdicts import format_difference, format_interval
from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Heading,
    Link,
    Paragraph,
    Quote,
    Table,
    to_html,
    to_markdown,
)
from textclf.documents.wording import MISSING, decimals, duration, in_seconds, interval, megabytes, thousands, times
from textclf.errors import ConfigError, listed
from textclf.evaluation.metric_names import is_in_points, metric_label
from textclf.recommending.climb import Climb, climb, verdict
from textclf.recommending.judge import FEWER_FOLDS, FOLDS, level_of
from textclf.system.files import filled, write_text
from textclf.tracking.record import predict_command

REPORT = "recommendation.md"
PAGE = "recommendation.html"
RUNS = "runs"
COMPARISON = "comparison"
PAYS = 0.01
"""A gain by the second half of the labels from which more of them are said to be worth a thought."""


def recommend(
    overrides: Sequence[str], output: Path, minutes: float = 5.0, whole: bool = False, command: str = ""
) -> tuple[str, ...]:
    """Find the model to use for some data, write the report, and return the answer in three lines.

    Args:
        overrides: The dataset and what else the runs have in common, such as `dataset=imdb`.
        output: The folder to write to, which must not hold anything yet.
        minutes: The time that may be spent.
        whole: Climb the ladder on where rungs are not shown to gain.
        command: What a person types to do it again.

    Raises:
        ConfigError: If the folder holds something, or the minutes are none.
        TextclfError: If the data cannot be had, or are too few to learn from.
    """
    refuse_used(output)
    if not minutes > 0:
        raise ConfigError(f"--minutes {minutes:g}: the time must be more than 0 minutes, such as --minutes 5.")
    found = climb(overrides, output / RUNS, minutes, whole)
    chosen = best_on_validation(found.kept.runs)
    test = level_of([read_run(chosen.folder)], found.metric)  # the one look at test
    lines = (_what(found, chosen), _why(found, chosen, test), _what_else(found))
    compared = [folder for rung in found.tried for folder in rung.folders]
    with redirect_stdout(io.StringIO()):
        compare(compared, CompareOptions(metric=found.metric), output / COMPARISON, f"Rungs on {found.name}", command)
    blocks = _blocks(found, lines, test, minutes, command)
    with filled(output, REPORT, partial(_refuse_written, output)) as made:
        write_text(made / PAGE, to_html(f"Which model for {found.name}?", blocks))
        write_text(made / REPORT, to_markdown(blocks, made))
    return lines


def refuse_used(output: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        ConfigError: If it does, or is a file.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(
            f"--output {output}: it is there already, and a recommendation needs a folder of its own. Name another, or "
            f"leave --output out for one below outputs/recommendations."
        )


def _refuse_written(output: Path) -> None:
    if (output / REPORT).exists():
        raise ConfigError(f"{output} holds a recommendation, which is never overwritten; name another with --output.")


def _predict(run: FinishedRun) -> str:
    folder = os.path.relpath(run.folder)
    shown = str(run.folder) if folder.startswith(os.pardir) else folder
    return predict_command(shown, bool(run.record.data.get("pairs")))


def _is_floor(found: Climb) -> bool:
    """Whether nothing was shown to beat the most frequent class."""
    return found.kept is found.tried[0]


def _what(found: Climb, chosen: FinishedRun) -> str:
    """Return what to use, and the command for it."""
    if not _is_floor(found):
        return f"Use {found.kept.model}: {_predict(chosen)}"
    best = max(found.tried, key=lambda rung: rung.level.mean)
    said = f"Use none of them yet: no model is shown to beat always answering {found.majority_class!r}."
    if best is found.kept:
        return said
    return f"{said} The highest score {_where(found)} has {best.model}: {_predict(best_on_validation(best.runs))}"


def _why(found: Climb, chosen: FinishedRun, test: Level) -> str:
    """Return the scores, the verdicts and the costs."""
    kept, metric = found.kept, found.metric
    said = [
        f"Why: on {found.facts.sizes[2]:,} test texts, which had no part in the choice, its {metric_label(metric)} is "
        f"{decimals(test.mean)} (95 % {interval(test.low, test.high, 3)})"
    ]
    if kept.judged is not None:
        pair = kept.judged.pair
        said.append(
            f"{_where(found)} it beats {kept.kept_before} by {format_difference(pair.difference, metric)} "
            f"({_unit(format_interval(pair.low, pair.high, metric), metric)})"
        )
    after = found.tried[found.tried.index(kept) + 1 :]
    if after:
        gaps = [rung.judged.pair.smallest_detectable for rung in after if rung.judged is not None]
        said.append(
            f"{listed([rung.model for rung in after])} {'was' if len(after) == 1 else 'were'} not shown to gain "
            f"(a gap of about {format_difference(max(gaps), metric)} would be found 8 times in 10)"
        )
    return f"{'; '.join(said)}. It {_costs(found, chosen)}."


def _where(found: Climb) -> str:
    return "in cross-validation" if found.folds else "on validation"


def _compared_on(found: Climb) -> str:
    """Return which texts the rungs were compared on."""
    train, validation, _ = found.facts.sizes
    if not found.folds:
        return f"on the {validation:,} validation texts"
    return (
        f"on the {train + validation:,} texts of train and validation, each predicted by a classifier that was fitted "
        f"to other folds of them ({FOLDS} folds, {FEWER_FOLDS} of models with an encoder: "
        f"cross-validation, since validation alone is small; the classifiers share most of "
        f"their training texts, so the tests are approximate, and copies of a text in two folds flatter)"
    )


def _unit(said: str, metric: str) -> str:
    return f"95 % {said} points" if is_in_points(metric) else f"95 % {said}"


def _costs(found: Climb, chosen: FinishedRun) -> str:
    """Return what the chosen model costs, beside the dearest that was tried or the one that it beat."""
    costs = chosen.record.costs
    speed = costs.get("test_examples_per_second")
    said = [f"trains in {in_seconds(costs.get('train_seconds'))}"]
    if speed is not None:
        said.append(f"predicts {thousands(speed)} texts a second{_beside(found, speed)}")
    return f"{', '.join(said)} and takes {megabytes(costs.get('size_bytes'))} on disk"


def _beside(found: Climb, speed: float) -> str:
    """Return how its speed compares with that of the dearest other rung."""
    others = [rung for rung in found.tried[1:] if rung is not found.kept]
    if not others:
        return ""
    other = others[-1]
    theirs = other.runs[0].record.costs.get("test_examples_per_second")
    return f" ({times(speed / theirs)} the speed of {other.model})" if theirs else ""


def _what_else(found: Climb) -> str:
    """Return what was not tried and why, what more labels may do, and what else a person should know."""
    said = []
    for reason, same in groupby(found.skipped, key=lambda skipped: skipped.reason):
        said.append(f"{listed([skipped.model for skipped in same])}: {reason}")
    return " ".join([f"Not tried: {'; '.join(said) or 'nothing'}.", _labels(found), *_notes(found)])


def _notes(found: Climb) -> list[str]:
    return [f"{note[0].upper()}{note[1:]}." if note.startswith("the ") else f"{note}." for note in found.notes]


def _labels(found: Climb) -> str:
    """Return what more labels may do."""
    measure = "python -m textclf.run study=data_efficiency measures it"
    if found.half is None:
        return f"Whether more labels would help was not tried; {measure}."
    gain = found.kept.level.mean - found.half
    scores = f"{decimals(found.half)} {_where(found)}, and with all {decimals(found.kept.level.mean)}"
    if gain >= (found.kept.level.high - found.kept.level.low) / 2:  # beyond what other texts would have made of it
        hint = "more labels are likely to help"
    else:
        hint = "more labels may help" if gain >= PAYS else "more labels alone may not help much"
    return f"With half of the labels {found.kept.model} scores {scores}: {hint}."


def _blocks(found: Climb, lines: Sequence[str], test: Level, minutes: float, command: str) -> list[Block]:
    """Return the report."""
    blocks: list[Block] = [
        Heading(1, f"Which model for {found.name}?"),
        *(Quote(line) for line in lines),
        Heading(2, "The data"),
        Paragraph(f"{found.facts.describe(found.name)}."),
        Heading(2, "The rungs"),
        Paragraph(
            f"Each is an ordinary run. Rungs were compared by {metric_label(found.metric)} "
            f"{_compared_on(found)}, by a paired test, at a level that is corrected for the length "
            f"of the ladder (5 % over all of it); of two that it cannot tell apart, the cheaper is kept. The test "
            f"split chose nothing: the model that is kept scores {decimals(test.mean)} on it."
        ),
        _table(found),
    ]
    if found.skipped:
        blocks += [
            Heading(2, "Not tried"),
            Bullets(tuple(f"{skipped.model}: {skipped.reason}." for skipped in found.skipped)),
        ]
    flattered = (
        "The scores on validation are a little flattered for what training chose by it: epochs, the strength of a head."
    )
    remarks = [
        *_notes(found),
        *([] if found.folds else [flattered]),
        "The comparison of the runs shows their scores on test; choosing by those would spend the test split.",
    ]
    blocks += [Heading(2, "To know"), Bullets(tuple(remarks))]
    blocks.append(Paragraph(f"It took {duration(found.seconds)} of {minutes:g} min."))
    blocks.append(Link("The comparison of these runs on test", f"{COMPARISON}/{COMPARISON_PAGE}"))
    return [*blocks, Code(command)] if command else blocks


def _table(found: Climb) -> Table:
    """Return a row for each rung that was run."""
    columns = (
        Column("rung"),
        Column(metric_label(found.metric), numeric=True, hint=f"{_where(found)}, mean over seeds"),
        Column("95 %", hint="interval over examples, and over seeds where there are several"),
        Column("seeds", numeric=True),
        Column("training", numeric=True),
        Column("texts a second", numeric=True, hint="predicted"),
        Column("size", numeric=True, hint="on disk"),
        Column("whole rung", numeric=True, hint="all its runs, with evaluation and reports"),
        Column("expected", numeric=True, hint="before it was begun"),
        Column("verdict", hint="against the rung that was kept before"),
    )
    rows = []
    for rung in found.tried:
        costs = rung.runs[0].record.costs
        speed, size, trained = (costs.get(k) for k in ("test_examples_per_second", "size_bytes", "train_seconds"))
        rows.append(
            (
                Cell(rung.model, strong=rung is found.kept),
                Cell(decimals(rung.level.mean), rung.level.mean, strong=rung is found.kept),
                interval(rung.level.low, rung.level.high, 3),
                Cell(str(len(rung.runs)), len(rung.runs)),
                Cell(in_seconds(trained), trained),
                Cell(thousands(speed), speed),
                Cell(megabytes(size), size),
                Cell(in_seconds(rung.seconds), rung.seconds),
                Cell(MISSING if rung.estimate is None else in_seconds(rung.estimate), rung.estimate),
                verdict(rung, found.metric),
            )
        )
    return Table(columns, tuple(rows))
