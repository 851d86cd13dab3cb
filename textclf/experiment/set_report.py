"""The report of a run with sets of labels, from its verdict to how to run it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textclf.documents.document import (
    Block,
    Heading,
    Picture,
    Quote,
    Tile,
    Tiles,
)
from textclf.documents.wording import decimals, percent
from textclf.evaluation.label_sets.analysis import SetAnalysis
from textclf.evaluation.label_sets.report import (
    choice_blocks,
    label_table,
    set_calibration_blocks,
    set_mistake_blocks,
)
from textclf.evaluation.metric_names import metric_label
from textclf.evaluation.report import slice_blocks
from textclf.experiment.report import common_blocks, warning_blocks
from textclf.tracking.record import RunRecord

PICTURES = {
    "label_scores": "Scores of each label",
    "slices": "Exactly right, by part of the test split",
    "loss_curve": "The course of training",
}


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
    pictures = {
        path.stem: Picture(path, PICTURES.get(path.stem, ""), path.stem.replace("_", " "))
        for path in sorted(run.figures.glob("*.png"))
    }
    curves = [pictures[name] for name in ("loss_curve",) if name in pictures]
    return [
        Heading(1, record.name),
        Quote(_verdict(run)),
        _tiles(run),
        *warning_blocks(record),
        Heading(2, "Each label"),
        label_table(analysis.labels),
        *choice_blocks(analysis),
        *([pictures["label_scores"]] if "label_scores" in pictures else []),
        Heading(2, "Mistakes"),
        *set_mistake_blocks(analysis.mistakes, analysis.num_mistakes, analysis.exact.total, analysis.swapped),
        Heading(2, "Weak spots"),
        *slice_blocks(analysis, pictures, "exactly right"),
        Heading(2, "Calibration"),
        *set_calibration_blocks(analysis),
        *common_blocks(record, run.label_counts, curves),
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
