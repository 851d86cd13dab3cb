"""What a report says of the errors of a run."""

from __future__ import annotations

from collections.abc import Mapping

from textclf.documents.document import Block, Cell, Column, Details, Heading, Link, Paragraph, Picture, Table
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.analysis_plots import shown_slices
from textclf.evaluation.attributions import signed
from textclf.evaluation.proportions import percent
from textclf.evaluation.threshold_words import threshold_blocks

MOST_CHARACTERS = 400
FIRST_MISTAKES = 5
"""Mistakes that are not folded away."""
ATTRIBUTIONS_PAGE = "attributions.html"


def error_blocks(analysis: Analysis, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the section on errors, under its own headings of level 3.

    Args:
        analysis: What was found.
        pictures: The run's pictures by name, such as `reliability`.
    """

    def drawn(name: str) -> list[Block]:
        return [pictures[name]] if name in pictures else []

    return [
        Heading(3, "Calibration"),
        Paragraph(calibration_words(analysis)),
        *drawn("reliability"),
        Heading(3, "Most confident mistakes"),
        *_mistakes(analysis),
        Heading(3, "Most confused pairs of classes"),
        *_pairs(analysis),
        *drawn("confusion_matrix"),
        Heading(3, "Slices"),
        *_slices(analysis),
        *drawn("slices"),
        Heading(3, "Thresholds"),
        *threshold_blocks(analysis),
        *drawn("coverage"),
        Heading(3, "Words that predictions hang on"),
        *_attributions(analysis),
    ]


def calibration_words(analysis: Analysis) -> str:
    """Return what the calibration error says, in sentences."""
    own, effect, bins = analysis.calibration, analysis.temperature, len(analysis.calibration.bins)
    said = (
        f"Expected calibration error {own.ece:.3f} over {bins} bins of the top probability, Brier score "
        f"{own.brier:.3f}, log loss {own.log_loss:.3f}. On {analysis.accuracy.total:,} examples perfectly calibrated "
        f"probabilities would show up to {own.by_chance:.3f} by chance (19 times in 20)"
    )
    if own.ece <= own.by_chance:
        said += ", so no miscalibration is shown."
    else:
        said += f": these are too {'sure' if own.overconfident else 'cautious'}."
    before, after = effect.before, effect.after
    if effect.is_applied:
        said += (
            f" The logits are divided by {effect.temperature:.2f}, fitted on validation; without it the error was "
            f"{before.ece:.3f}, and the log loss {before.log_loss:.3f}."
        )
    elif after.log_loss < before.log_loss:
        said += (
            f" Dividing the logits by {effect.temperature:.2f}, fitted on validation, would give an error of "
            f"{after.ece:.3f} and a log loss of {after.log_loss:.3f}"
        )
        helps = own.ece > own.by_chance and after.ece < before.ece
        said += ": model.calibration=temperature does it." if helps else "."
    else:
        said += f" A temperature fitted on validation ({effect.temperature:.2f}) would not lower the log loss here."
    return said


def _mistakes(analysis: Analysis) -> list[Block]:
    """Return the surest mistakes: a few in sight, the others folded away."""
    if not analysis.num_mistakes:
        return [Paragraph("There is no mistake on the test split.")]
    columns = (
        Column("row", numeric=True, hint="of the source's own split"),
        Column("text"),
        Column("true class"),
        Column("prediction"),
        Column("probability", numeric=True, hint="of the prediction"),
    )
    rows = tuple(
        (
            Cell(str(one.example), one.example),
            _cut(one.text if one.text_pair is None else f"{one.text} ⇒ {one.text_pair}"),
            one.label,
            one.prediction,
            f"{one.probability:.3f}",
        )
        for one in analysis.mistakes
    )
    said = f"{analysis.num_mistakes:,} of {analysis.accuracy.total:,} test examples are wrong"
    if not rows:
        return [Paragraph(said + ".")]
    blocks: list[Block] = [
        Paragraph(
            said + "; a mistake that the classifier is sure of is often a wrong label or a text without the words."
        ),
        Table(columns, rows[:FIRST_MISTAKES], "The surest mistakes"),
    ]
    if len(rows) > FIRST_MISTAKES:
        blocks.append(Details(f"The next {len(rows) - FIRST_MISTAKES}", (Table(columns, rows[FIRST_MISTAKES:]),)))
    return blocks


def _pairs(analysis: Analysis) -> list[Block]:
    """Return the table of classes that were taken for each other."""
    shown = analysis.pairs[: max(1, analysis.options.mistakes)]
    if not shown:
        return [Paragraph("No class was taken for another.")]
    columns = (
        Column("true class"),
        Column("taken for"),
        Column("examples", numeric=True),
        Column("of the true class", numeric=True),
    )
    rows = tuple(
        (one.label, one.prediction, Cell(f"{one.count:,}", one.count), Cell(percent(one.share), one.share))
        for one in shown
    )
    more = len(analysis.pairs) - len(shown)
    table = Table(columns, rows)
    return [table, Paragraph(f"{more:,} more pairs are in confused_pairs.csv.")] if more else [table]


def _slices(analysis: Analysis) -> list[Block]:
    """Return the table of slices, and which of them are worse than the rest."""
    fewest = analysis.options.fewest_examples
    shown = shown_slices(analysis)
    if not shown:
        return [Paragraph(f"No part of the test split has {fewest} examples or more.")]
    worse = [f"{one.by} {one.value}" for one in shown if one.is_worse]
    said = (
        f"Worse than the rest beyond chance: {', '.join(worse)}."
        if worse
        else "No slice is worse than the rest beyond chance; that is no proof that all are equal."
    )
    columns = (
        Column("slice"),
        Column("examples", numeric=True),
        Column("accuracy", numeric=True, hint="with Wilson's 95 % interval"),
        Column("of the rest", numeric=True, hint="accuracy on all other examples"),
        Column("p", numeric=True, hint="Fisher's exact test against the rest, corrected for all slices (Holm)"),
    )
    rows = tuple(
        (
            Cell(f"{one.by}: {one.value}" + (" (worse)" if one.is_worse else ""), strong=one.is_worse),
            Cell(f"{one.right.total:,}", one.right.total),
            Cell(str(one.right), one.right.value),
            Cell(percent(one.rest.value or 0.0), one.rest.value),
            Cell("< 0.001" if one.p < 0.001 else f"{one.p:.3f}", one.p),
        )
        for one in shown
    )
    left = len(analysis.slices) - len(shown)
    blocks: list[Block] = [Paragraph(said), Table(columns, rows, f"Slices of {fewest} test examples or more")]
    return [*blocks, Paragraph(f"{left:,} more slices are in slices.csv.")] if left else blocks


def _attributions(analysis: Analysis) -> list[Block]:
    """Return the words of each example that matter most, and where all of them are."""
    if not analysis.attributions:
        return [Paragraph("None were weighed.")]
    columns = (
        Column("row", numeric=True, hint="of the source's own split"),
        Column("true class"),
        Column("prediction"),
        Column(
            "strongest words", hint="by how much the log-odds of the prediction fall without each; below 0, it rises"
        ),
    )
    rows = tuple(
        (
            Cell(str(one.example), one.example),
            one.label,
            Cell(one.prediction, strong=one.prediction != one.label),
            ", ".join(f"{_cut(word, 40)} {signed(weight)}" for word, weight in one.strongest(6)) or "none",
        )
        for one in analysis.attributions
    )
    return [
        Paragraph(
            "Each word was left out in turn and the text predicted again. A word that matters here need not matter "
            "elsewhere, and words that say the same cover for each other."
        ),
        Table(columns, rows, "Wrong predictions stand out"),
        Link("The texts, with every word coloured by what it counts for", ATTRIBUTIONS_PAGE),
    ]


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
