"""The report of a comparison: verdicts first, then tables, pictures, examples, and how it was tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textclf.compare.comparison import Comparison
from textclf.compare.examples import disagreements
from textclf.compare.pairs import Pair
from textclf.compare.report_tables import MOST_PAIRS, costs_table, languages_table, pairs_table, scores_table
from textclf.compare.verdicts import words
from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Details,
    Heading,
    Paragraph,
    Picture,
    Quote,
    Table,
)

MOST_QUOTES = 8
"""Verdicts that stand out; the others are in the table of pairs."""
MOST_EXAMPLES = 20
MOST_CHARACTERS = 400


def comparison_blocks(comparison: Comparison, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return what a report says of one test set."""
    blocks: list[Block] = [Heading(2, comparison.test.dataset), *_verdicts(comparison)]
    if comparison.cautions:
        blocks += [Paragraph("Before quoting:"), Bullets(tuple(comparison.cautions))]
    blocks += [Heading(3, "Scores"), scores_table(comparison)]
    blocks += [pictures[name] for name in ("scores", "learning_curve") if name in pictures]
    if (by_language := languages_table(comparison)) is not None:
        blocks += [Heading(3, "By language"), by_language]
    blocks += [Heading(3, "Costs"), costs_table(comparison)]
    costs = ("score_by_training_time", "score_by_prediction_time")
    blocks += [pictures[name] for name in costs if name in pictures]
    if comparison.pairs:
        blocks += [Heading(3, "Every pair"), *_pair_blocks(comparison)]
        wheres = ("class_differences", "confusion_difference", "agreement")
        blocks += [Heading(3, "Where they differ"), *(pictures[name] for name in wheres if name in pictures)]
        blocks += _examples(comparison, comparison.leading_pairs[0])
    return blocks


def _verdicts(comparison: Comparison) -> list[Block]:
    """Return the sentences that answer the question."""
    if not comparison.pairs:
        only = comparison.rows[0]
        reason = (
            "There is one system only, so there is nothing to compare it with."
            if len(comparison.rows) == 1
            else "No two systems were trained on the same number of examples; see the learning curve."
        )
        level = only.levels.get(comparison.metric)
        score = f" {only.name}: {words(comparison.metric)} {level.mean:.3f}." if level else ""
        return [Quote(reason + score)]
    leading = comparison.leading_pairs or comparison.pairs
    blocks: list[Block] = [Quote(said) for said in comparison.sentences(leading[:MOST_QUOTES])]
    if len(comparison.pairs) > min(len(leading), MOST_QUOTES):
        blocks.append(Paragraph(f"All {len(comparison.pairs)} pairs are in the table of pairs."))
    return blocks


def _pair_blocks(comparison: Comparison) -> list[Block]:
    """Return the tables of all pairs, by each metric."""
    blocks: list[Block] = [pairs_table(comparison, comparison.pairs)]
    if len(comparison.pairs) > MOST_PAIRS:
        left = len(comparison.pairs) - MOST_PAIRS
        blocks.append(Paragraph(f"{left:,} more pairs are in pairs.csv."))
    for metric, pairs in comparison.other_pairs.items():
        blocks.append(Details(f"The same by {words(metric)}", (pairs_table(comparison, pairs),)))
    return blocks


def _examples(comparison: Comparison, pair: Pair) -> list[Block]:
    """Return the examples on which the two leading systems part."""
    first, second = comparison.system(pair.first), comparison.system(pair.second)
    found = disagreements(first, second)
    if not found:
        return [Paragraph(f"There is no test example on which {first.name} and {second.name} part.")]
    won = sum(example.right == first.name for example in found)
    columns = (Column("row", numeric=True), Column("text"), Column("label"), Column("right"), Column("the other said"))
    rows = tuple(
        (
            Cell(str(example.example), example.example),
            _cut(example.text),
            example.label,
            example.right,
            f"{example.wrong}: {example.prediction}",
        )
        for example in found[:MOST_EXAMPLES]
    )
    lost = len(found) - won
    said = (
        f"On {len(found):,} of {len(comparison.test.labels):,} test examples the majority of seeds of one system is "
        f"right and that of the other wrong: {first.name} is right on {won:,} of them, {second.name} on {lost:,}."
    )
    shown = f"The {min(len(found), MOST_EXAMPLES)} clearest of them" if len(found) > 1 else "The example"
    return [Paragraph(said), Details(shown, (Table(columns, rows),))]


METHOD = (
    "A claim about recipes (three seeds or more on both sides) says that the better one would still be better if both "
    "were trained again with other seeds and tested on other examples of the same kind. It is tested with Student's t "
    "and Satterthwaite's degrees of freedom; the variance is that of each system over its seeds plus that over the "
    "test examples, which for scores that are no means over examples (macro F1) comes from a bootstrap over them.",
    "A claim about checkpoints is about one trained classifier of each system, the one that is best on validation. "
    "Accuracy is tested with McNemar's test; intervals and other metrics use a paired bootstrap over the examples.",
    "Verdicts: better and worse where Holm's corrected p-value is below the accepted chance of a false claim; "
    "equivalent where two one-sided tests, corrected too, put the difference within the margin; else the runs cannot "
    "tell.",
)


def closing_blocks(comparisons: Sequence[Comparison], problems: Sequence[str]) -> list[Block]:
    """Return what a report ends with: what was left out, how it was tested, and with what."""
    blocks: list[Block] = []
    if problems:
        blocks += [Heading(2, "Left out"), Bullets(tuple(problems))]
    records = [run.record for one in comparisons for system in one.test.systems for run in system.runs]
    versions = sorted({f"{key} {value}" for record in records for key, value in record.environment.items()})
    options = comparisons[0].options
    blocks += [
        Heading(2, "How it was tested"),
        Bullets(METHOD),
        Paragraph(
            f"Accepted chance of a false claim over all pairs of a test set: {options.alpha:g}. Margin of equivalence: "
            f"{options.margin:g}."
        ),
        Heading(2, "What was run"),
        Bullets(tuple(versions)),
    ]
    return blocks


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
