"""The report of a run with sets of labels, from its verdict to how to run it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    Tile,
    Tiles,
)
from textclf.documents.wording import decimals, percent, points
from textclf.evaluation.label_sets.analysis import SetAnalysis
from textclf.evaluation.metric_names import metric_label
from textclf.experiment.report import common_blocks, warning_blocks
from textclf.tracking.record import RunRecord

MOST_SHOWN = 20
"""Mistakes and pairs that the report shows."""


@dataclass(frozen=True)
class ReportedSets:
    """A run as its report tells of it."""

    record: RunRecord
    label_counts: Mapping[str, Mapping[str, int]]
    """Texts with each label, by split."""
    analysis: SetAnalysis
    figures: Path
    """The folder of the pictures."""


def set_report_blocks(run: ReportedSets) -> list[Block]:
    """Return the report of a run."""
    record, analysis = run.record, run.analysis
    drawn = [Picture(path, "", path.stem.replace("_", " ")) for path in sorted(run.figures.glob("*.png"))]
    return [
        Heading(1, record.name),
        Quote(_verdict(run)),
        _tiles(run),
        *warning_blocks(record),
        Heading(2, "Each label"),
        _labels(analysis),
        *_choice(analysis),
        Heading(2, "Mistakes"),
        *_mistakes(analysis),
        *common_blocks(record, run.label_counts, drawn),
    ]


def _verdict(run: ReportedSets) -> str:
    """Return the answer in a few sentences: how good, beside what, and which label is worst."""
    record, analysis = run.record, run.analysis
    micro = record.metrics.get("test/micro_f1")
    usual = " + ".join(analysis.usual_set) or "no label"
    said = (
        f"{record.model} gives exactly the right labels to {percent(analysis.exact.value or 0.0)} of "
        f"{analysis.exact.total:,} test texts of {record.dataset}; always giving {usual} would be right on "
        f"{percent(analysis.usual.value or 0.0)}."
    )
    if micro is not None:
        precision, recall = (record.metrics.get(f"test/micro_{name}") for name in ("precision", "recall"))
        said += f" Of the labels it gives {percent(precision or 0.0)} are right"
        said += f", and it finds {percent(recall or 0.0)} of those there are (micro F1 {micro:.3f})."
    scored = [one for one in analysis.labels if one.f1 is not None]
    if len(scored) > 1:
        worst = min(scored, key=lambda one: one.f1 or 0.0)
        said += f" Its hardest label is {worst.label}: F1 {worst.f1:.3f} on {worst.support:,} texts."
    return said


def _tiles(run: ReportedSets) -> Tiles:
    metrics, analysis = run.record.metrics, run.analysis
    low, high = analysis.exact.interval
    tiles = [
        Tile(
            "Exactly right",
            percent(analysis.exact.value or 0.0),
            f"95 % interval {percent(low)[:-2]} to {percent(high)}",
        )
    ]
    for name, hint in (
        ("micro_f1", "all labels together"),
        ("macro_f1", "each label counts the same"),
        ("hamming_loss", "share of wrong yes or no"),
        ("ranking_precision", "1 ranks every true label first"),
    ):
        if (value := metrics.get(f"test/{name}")) is not None:
            label = metric_label(name)
            tiles.append(Tile(label[:1].upper() + label[1:], decimals(value), hint))
    speed = f"{run.record.costs['test_examples_per_second']:,.0f}"
    return Tiles((*tiles, Tile("Speed", speed, f"texts a second, on {run.record.fit['device']}")))


def _labels(analysis: SetAnalysis) -> Table:
    """Return the scores of each label with its threshold, the most frequent first."""
    columns = (
        Column("label"),
        *(Column(name, numeric=True) for name in ("F1", "precision", "recall")),
        Column("texts", numeric=True, hint="of the test split that have it"),
        Column("given", numeric=True, hint="test texts that it is given"),
        Column("threshold", numeric=True, hint="probability from which on it is given"),
        Column("chosen on", numeric=True, hint="validation texts with the label that its threshold was chosen on"),
    )
    rows = [
        (
            one.label,
            *(decimals(value) for value in (one.f1, one.precision, one.recall)),
            Cell(f"{one.support:,}", one.support),
            Cell(f"{one.given:,}", one.given),
            decimals(one.threshold, 2),
            "" if one.chosen_on is None else Cell(f"{one.chosen_on:,}", one.chosen_on),
        )
        for one in sorted(analysis.labels, key=lambda one: -one.support)
    ]
    return Table(columns, tuple(rows), "On the test split")


def _choice(analysis: SetAnalysis) -> list[Block]:
    """Return how far the choice of thresholds flatters validation."""
    if analysis.optimism is None:
        return []
    return [
        Paragraph(
            f"The thresholds were chosen on validation, which flatters the F-score there by about "
            f"{points(max(analysis.optimism, 0.0))}; test was not looked at for them."
        )
    ]


def _mistakes(analysis: SetAnalysis) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            f"{analysis.num_mistakes:,} of {analysis.exact.total:,} test texts are not given exactly their labels."
        )
    ]
    if analysis.mistakes:
        columns = (Column("text"), Column("missed"), Column("added"), Column("off by", numeric=True))
        rows = tuple(
            (one.text, ", ".join(one.missed), ", ".join(one.added), decimals(one.surprise, 2))
            for one in analysis.mistakes[:MOST_SHOWN]
        )
        blocks.append(Table(columns, rows, "Those it was surest of"))
    if analysis.swapped:
        said = tuple(
            f"{one.missed} is missed where {one.added} is added: {one.count:,}" for one in analysis.swapped[:MOST_SHOWN]
        )
        blocks.append(Bullets(said))
    return blocks
