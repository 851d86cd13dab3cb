"""The report of a comparison: verdicts first, then tables, pictures, examples, and how it was tested."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from textclf.compare.answer import answer
from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import (
    MOST_PAIRS,
    costs_table,
    languages_table,
    outlook_table,
    pairs_table,
    scores_table,
)
from textclf.compare.crossings import crossings
from textclf.compare.curves import forecast_sentence, forecasts
from textclf.compare.examples import disagreements
from textclf.compare.label_differences import label_difference_blocks, label_difference_data
from textclf.compare.options import CompareOptions
from textclf.compare.outlook import next_steps
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.runs import LOG_FILE, FailedRun
from textclf.documents.document import (
    Answer,
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Heading,
    Link,
    Matrix,
    Paragraph,
    Picture,
    Quote,
    Table,
)
from textclf.documents.wording import decimals, excerpt, interval, spread
from textclf.errors import listed
from textclf.evaluation.metric_names import metric_label
from textclf.tracking.record import PREDICTIONS_FILE

MOST_QUOTES = 8
"""Verdicts that stand out; the others are in the table of pairs."""
REVERSED = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
MOST_OUTLOOKS = 5
"""Pairs that cannot be told apart of which the report says what it would take; the others are in `comparison.json`."""
OUTLYING = 3.5
"""Standard deviations from the median from which a seed lies far from the others (Iglewicz & Hoaglin 1993)."""
FEWEST_FOR_OUTLIERS = 5
"""Seeds below which nobody can say what is far."""
MOST_FAILED = 5
"""Failed runs with the same error that are named."""
MOST_EXAMPLES = 20
MOST_CHARACTERS = 400


def failure_blocks(failed: Sequence[FailedRun], num_finished: int, folder: Path) -> list[Block]:
    """Return what failed, gathered by error, with a way to a log of each; nothing where nothing did.

    Args:
        failed: The runs that left no record.
        num_finished: Number of those that did.
        folder: Where the report is written.
    """
    if not failed:
        return []
    by_error: dict[str, list[FailedRun]] = {}
    for run in failed:
        by_error.setdefault(run.error or "it never finished", []).append(run)
    blocks: list[Block] = [Heading(2, f"{len(failed):,} of {len(failed) + num_finished:,} runs failed")]
    for error, runs in sorted(by_error.items(), key=lambda item: -len(item[1])):
        names = [f"{run.folder.name} ({run.options})" if run.options else run.folder.name for run in runs]
        left = f" and {len(names) - MOST_FAILED:,} more" if len(names) > MOST_FAILED else ""
        blocks.append(Paragraph(f"{', '.join(names[:MOST_FAILED])}{left}: {error}"))
        log = os.path.relpath(runs[0].folder / LOG_FILE, folder)
        blocks.append(Link(f"{runs[0].folder.name}/{LOG_FILE}", Path(log).as_posix()))
    return blocks


def comparison_blocks(comparison: Comparison, pictures: Mapping[str, Picture], folder: Path) -> list[Block]:
    """Return the section of a report on one test set.

    Args:
        comparison: The setups of the test set.
        pictures: The pictures by what they show.
        folder: Where the report is written.
    """
    blocks: list[Block] = [Heading(2, comparison.test.dataset), *_verdicts(comparison)]
    if comparison.outlooks:
        blocks += [Heading(3, "What it would take"), *_outlook_blocks(comparison)]
    if comparison.caveats:
        blocks += [Heading(3, "Caveats"), Bullets(tuple(comparison.caveats))]
    blocks += [Heading(3, "Scores"), scores_table(comparison, folder)]
    blocks += [pictures["scores"]] if "scores" in pictures else []
    blocks += [Heading(3, "How many labels")] if (crossed := crossing_blocks(comparison)) else []
    blocks += [pictures["learning_curve"]] if "learning_curve" in pictures else []
    blocks += crossed
    blocks += forecast_blocks(comparison)
    if (by_language := languages_table(comparison)) is not None:
        blocks += [Heading(3, "By language"), by_language]
    if any(row.costs for row in comparison.rows):
        blocks += [Heading(3, "Costs"), costs_table(comparison)]
    costs = ("score_by_training_time", "score_by_prediction_time", "score_by_price")
    blocks += [pictures[name] for name in costs if name in pictures]
    if comparison.pairs:
        blocks += [Heading(3, "Every pair"), *_pair_blocks(comparison)]
        wheres = ("class_differences", "label_differences", "confusion_difference", "agreement")
        blocks += [Heading(3, "Where they differ"), *_label_blocks(comparison)]
        blocks += [pictures[name] for name in wheres if name in pictures]
        if (comparison.test.setups[0].runs[0].folder / PREDICTIONS_FILE).is_file():  # tables of others have no texts
            blocks += _examples(comparison, comparison.leading_pairs[0])
    return blocks


def _verdicts(comparison: Comparison) -> list[Block]:
    """Return the sentences that answer the question."""
    if not comparison.pairs:
        if len(comparison.rows) == 1:
            return [Quote(f"There is one setup only, so there is nothing to compare it with. {one_setup(comparison)}")]
        return [Quote("No two setups were trained on the same number of examples; see the learning curve.")]
    leading = comparison.leading_pairs or comparison.pairs
    found = answer(comparison)
    blocks: list[Block] = [] if found is None else [Answer(found.title, found.reasons)]
    if len(comparison.pairs) > 1:
        blocks.append(pairs_matrix(comparison))
    return [*blocks, Bullets(tuple(comparison.sentences(leading[:MOST_QUOTES])))]


def one_setup(comparison: Comparison) -> str:
    """Return how one setup scored: its mean, and how far its seeds lie apart."""
    (row,), metric = comparison.rows, comparison.metric
    level = row.levels.get(metric)
    if level is None:
        return ""
    label = metric_label(metric)
    runs = {run.record.seed: run.record.metrics[f"test/{metric}"] for run in comparison.setup(row.name).runs}
    if len(runs) < 2 or not row.draws_seed:
        return f"{row.name}: {label} {decimals(level.mean)} (95 % {interval(level.low, level.high)})."
    scores = np.array(list(runs.values()))
    middle = float(np.median(scores))
    spread_of = 1.4826 * float(np.median(np.abs(scores - middle)))  # the standard deviation, of normal scores
    apart = [
        f"{seed} ({decimals(score)})" for seed, score in runs.items() if abs(score - middle) > OUTLYING * spread_of
    ]
    said = (
        f"{row.name}: {label} {spread(level.mean, level.deviation)} over {len(runs)} seeds, from "
        f"{decimals(scores.min())} to {decimals(scores.max())}."
    )
    if apart and len(runs) >= FEWEST_FOR_OUTLIERS:
        said += f" Far from the others: seed {listed(apart, 8)}."
    return said


def pairs_matrix(comparison: Comparison) -> Matrix:
    """Return the verdicts on all pairs, the best setup first."""
    names = [row.name for row in comparison.rows]
    verdicts: dict[tuple[str, str], str] = {}
    for pair in comparison.pairs:
        verdicts[pair.first, pair.second] = pair.verdict.value
        verdicts[pair.second, pair.first] = REVERSED.get(pair.verdict, pair.verdict).value
    cells = tuple(tuple(verdicts.get((first, second), "") for second in names) for first in names)
    return Matrix(tuple(names), cells, "Each row against each column: + better, − worse, = equivalent, ? cannot tell")


def _outlook_blocks(comparison: Comparison) -> list[Block]:
    """Return what it would take to tell the first pairs apart that the runs cannot."""
    shown = comparison.outlooks[:MOST_OUTLOOKS]
    blocks: list[Block] = [Paragraph(str(shown[0]))]
    if len(shown) > 1:
        blocks.append(outlook_table(shown))
    for step in next_steps(shown):
        blocks += [Paragraph(str(step)), *([Code(step.command)] if step.command else [])]
    return blocks


def crossing_blocks(comparison: Comparison) -> list[Block]:
    """Return from how many labels on training is as good as what takes no more labels, where learning curves tell."""
    found = crossings(comparison)
    if not found:
        return []
    return [
        Paragraph(
            "How many labels until a trained model is at least as good as one that takes none, or a few for its "
            "prompt? Labels of train are counted, those of validation are not. An interval begins with the last number "
            "tried at which the trained one is shown to be worse, and ends with the first from which on it is shown to "
            "be better; each is a 95 % interval by itself:"
        ),
        Bullets(tuple(map(str, found))),
    ]


def forecast_blocks(comparison: Comparison) -> list[Block]:
    """Return what twice the labels would give, where learning curves tell."""
    said = [forecast_sentence(name, found, comparison.metric) for name, found in forecasts(comparison).items()]
    if not said:
        return []
    return [
        Paragraph(
            "Read from a power law through each learning curve; the intervals allow for other seeds and test examples:"
        ),
        Bullets(tuple(said)),
    ]


def _pair_blocks(comparison: Comparison) -> list[Block]:
    """Return the tables of all pairs, by each metric."""
    margin = comparison.options.margin
    blocks: list[Block] = [pairs_table(comparison.pairs, margin)]
    if len(comparison.pairs) > MOST_PAIRS:
        left = len(comparison.pairs) - MOST_PAIRS
        blocks.append(Paragraph(f"{left:,} more pairs are in pairs.csv."))
    for metric, pairs in comparison.other_pairs.items():
        blocks.append(Details(f"The same by {metric_label(metric)}", (pairs_table(pairs, margin),)))
    return blocks


def _label_blocks(comparison: Comparison) -> list[Block]:
    """Return the labels of the leading pair, where each text has a set of them."""
    if not comparison.test.has_sets:
        return []
    pair = (comparison.leading_pairs or comparison.pairs)[0]
    frame = label_difference_data(comparison.test, comparison.setup(pair.first), comparison.setup(pair.second))
    return label_difference_blocks(frame, pair)


def _examples(comparison: Comparison, pair: Pair) -> list[Block]:
    """Return the examples on which the two leading setups disagree."""
    first, second = comparison.setup(pair.first), comparison.setup(pair.second)
    found = disagreements(first, second)
    if not found:
        return [Paragraph(f"There is no test example on which {first.name} and {second.name} disagree.")]
    won = sum(example.right == first.name for example in found)
    columns = (
        Column("row", numeric=True),
        Column("text"),
        Column("labels" if comparison.test.has_sets else "label"),
        Column("right"),
        Column("the other predicted"),
    )
    rows = tuple(
        (
            Cell(str(example.example), example.example),
            excerpt(example.text, MOST_CHARACTERS),
            example.label,
            example.right,
            f"{example.wrong}: {example.prediction}",
        )
        for example in found[:MOST_EXAMPLES]
    )
    lost = len(found) - won
    is_right, is_wrong = "is right", "and that of the other wrong"
    if comparison.test.has_sets:
        is_right, is_wrong = "gives exactly the labels", "and that of the other does not"
    summary = (
        f"On {len(found):,} of {len(comparison.test.labels):,} test examples the majority of seeds of one setup "
        f"{is_right} {is_wrong}: {first.name} is right on {won:,} of them, {second.name} on {lost:,}."
    )
    shown = f"The {min(len(found), MOST_EXAMPLES)} clearest of them" if len(found) > 1 else "The example"
    return [Paragraph(summary), Details(shown, (Table(columns, rows),))]


METHOD = (
    "A claim about setups (three seeds or more on both sides) says that the better one would still be better if both "
    "were trained again with other seeds and tested on other examples of the same kind. It is tested with Student's t "
    "and Satterthwaite's degrees of freedom; the variance is that of each setup over its seeds plus that over the "
    "test examples, which for scores that are not means over examples (macro F1) comes from a bootstrap over them.",
    "A claim about classifiers is about one trained classifier of each setup, the one that is best on validation. "
    "Accuracy is tested with McNemar's test; intervals and other metrics use a paired bootstrap over the examples.",
    "Verdicts: better and worse where Holm's corrected p-value is below the accepted chance of a false claim; "
    "equivalent where two one-sided tests, corrected too, put the difference within the margin; otherwise the runs "
    "cannot tell.",
)
METHOD_OF_FOLDS = (
    "A cross-validation makes a claim about setups with one seed already: each fold is a training of its own. The "
    "variance is 1.5 times that over the examples, each of which is trained on too, and what the scores of folds vary "
    "more than their examples explain."
)
METHOD_OF_SETS = (
    "Of sets of labels, subset accuracy (exactly the labels), Hamming loss and log loss are means over the examples. "
    "Micro and macro F1 are ratios of sums; they are tested as means of what each example contributes to them (the "
    "delta method). Subset accuracy of single classifiers is tested with McNemar's test. The thresholds from which on "
    "labels are given were chosen on validation in every run, so they vary with the seeds."
)


def closing_blocks(comparisons: Sequence[Comparison], problems: Sequence[str]) -> list[Block]:
    """Return what a report closes with: what was left out, how it was tested, and with what."""
    blocks: list[Block] = []
    if problems:
        blocks += [Heading(2, "Left out"), Bullets(tuple(problems))]
    records = [run.record for one in comparisons for setup in one.test.setups for run in setup.runs]
    versions = sorted({f"{key} {value}" for record in records for key, value in record.environment.items()})
    method = (*METHOD, METHOD_OF_FOLDS) if any(one.test.folds for one in comparisons) else METHOD
    method = (*method, METHOD_OF_SETS) if any(one.test.has_sets for one in comparisons) else method
    blocks += [Heading(2, "How it was tested"), Bullets(method), levels_paragraph(comparisons[0].options)]
    return blocks + ([Heading(2, "Versions"), Bullets(tuple(versions))] if versions else [])


def levels_paragraph(options: CompareOptions) -> Paragraph:
    """Return the level of significance and the margin of equivalence."""
    return Paragraph(
        f"Significance level over all pairs of a test set: {options.alpha:g}. Margin of equivalence: "
        f"{options.margin:g}."
    )
