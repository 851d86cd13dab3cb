"""Parts of reports on sets of labels: each label's scores, and the labels that are missed or added."""

from __future__ import annotations

from collections.abc import Sequence

from textclf.documents.document import Block, Bullets, Cell, Column, Paragraph, Table
from textclf.documents.wording import decimals, points
from textclf.evaluation.label_sets.set_analysis import LabelScore, SetAnalysis, SetMistake, SwappedPair
from textclf.evaluation.label_sets.set_calibration import set_trust_words

MOST_SHOWN = 20
"""Mistakes and pairs that a report shows."""


def label_table(labels: Sequence[LabelScore], caption: str = "On the test split") -> Table:
    """Return the scores of each label with its threshold, the most frequent first."""
    columns = (
        Column("label"),
        *(Column(name, numeric=True) for name in ("F1", "precision", "recall")),
        Column("texts", numeric=True, hint="of the test split that have it"),
        Column("given", numeric=True, hint="test texts that it is given"),
        Column("threshold", numeric=True, hint="probability from which on it is given"),
        Column("calibration error", numeric=True, hint="mean distance of its probability and the share that has it"),
        Column("chosen on", numeric=True, hint="validation texts with the label that its threshold was chosen on"),
    )
    rows = [
        (
            one.label,
            *(decimals(value) for value in (one.f1, one.precision, one.recall)),
            Cell(f"{one.support:,}", one.support),
            Cell(f"{one.given:,}", one.given),
            decimals(one.threshold, 2),
            decimals(one.ece),
            "" if one.chosen_on is None else Cell(f"{one.chosen_on:,}", one.chosen_on),
        )
        for one in sorted(labels, key=lambda one: -one.support)
    ]
    return Table(columns, tuple(rows), caption)


def choice_blocks(analysis: SetAnalysis) -> list[Block]:
    """Return how far the choice of thresholds flatters validation."""
    if analysis.optimism is None:
        return []
    return [
        Paragraph(
            f"The thresholds were chosen on validation, which flatters the F-score there by about "
            f"{points(max(analysis.optimism, 0.0))}; test was not looked at for them."
        )
    ]


def set_calibration_blocks(analysis: SetAnalysis) -> list[Block]:
    """Return how far the probabilities of labels are to be believed."""
    own = analysis.calibration
    if own is None:
        return [Paragraph("Labels were named without probabilities, so there is nothing to calibrate.")]
    said = f"Over all labels the calibration error is {own.ece:.3f}; up to {own.by_chance:.3f} is chance."
    words = set_trust_words(own)
    return [Paragraph(f"{said} {words[:1].upper()}{words[1:]}{'.' * bool(words)}".strip())]


def set_mistake_blocks(
    mistakes: Sequence[SetMistake], count: int, total: int, swapped: Sequence[SwappedPair] = ()
) -> list[Block]:
    """Return the texts that are not given exactly their labels.

    Args:
        mistakes: Those to show.
        count: How many there are.
        total: Of how many texts.
        swapped: Labels that are missed where others are added.
    """
    blocks: list[Block] = [Paragraph(f"{count:,} of {total:,} texts are not given exactly their labels.")]
    if mistakes:
        columns = (Column("text"), Column("what is wrong"), Column("off by", numeric=True))
        rows = tuple((one.text, _wrong(one), decimals(one.surprise, 2)) for one in mistakes[:MOST_SHOWN])
        blocks.append(Table(columns, rows, "Those it was surest of; off by: of the label that is most wrong"))
    if swapped:
        said = tuple(
            f"{one.missed} is missed where {one.added} is added: {one.count:,}" for one in swapped[:MOST_SHOWN]
        )
        blocks.append(Bullets(said))
    return blocks


def _wrong(one: SetMistake) -> str:
    """Return what is wrong with the labels that a text is given."""
    parts = (("missed", one.missed), ("added", one.added))
    return "; ".join(f"{what} {', '.join(names)}" for what, names in parts if names)
