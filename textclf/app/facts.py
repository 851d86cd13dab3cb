"""Tables and sentences on one run for its page: scores, costs, failures, and the files that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.documents.document import Cell, Column, Table
from textclf.documents.wording import (
    decimals,
    excerpt,
    in_seconds,
    megabytes,
    money,
    percent,
    rounded_percent,
    thousands,
)
from textclf.errors import ArtifactError, listed
from textclf.evaluation.calibration import trust_of_run
from textclf.evaluation.label_sets.label_blocks import label_table
from textclf.evaluation.label_sets.set_analysis import LabelScore
from textclf.evaluation.metric_names import METRICS, metric_label
from textclf.evaluation.proportions import Proportion
from textclf.tracking.record import ANALYSIS_FILE, FIGURES, RunRecord, currency_of, refuse_changed

REPORT_PAGE = "report.html"
MOST_BYTES = 50_000_000
"""Largest report that is offered."""
EXACT = "subset_accuracy"
"""The share of texts that are given exactly their labels."""
MOST_MISTAKES = 5
MOST_PAIRS = 8
MOST_CHARACTERS = 300
FIGURE_WORDS = {
    "confusion_matrix": "Confusion matrix: true classes against predicted ones",
    "loss_curve": "Loss and validation score over training",
    "roc_curve": "ROC curve",
    "precision_recall_curve": "Precision against recall",
    "reliability": "Reliability: how often the classifier is right, by how sure it is",
    "coverage": "Accuracy by the share of texts that are answered",
    "slices": "Accuracy on parts of the test split",
}
"""Titles of a run's figures; others are titled by their file."""
COST_WORDS = {
    "num_parameters": "Parameters",
    "num_trainable_parameters": "Parameters that were trained",
    "size_bytes": "Size on disk",
    "train_seconds": "Training time",
    "train_examples_per_second": "Examples trained per second",
    "test_examples_per_second": "Examples predicted per second",
    "latency_median_seconds": "One text alone, median",
    "latency_p95_seconds": "One text alone, 95 % within",
    "peak_memory_bytes": "Peak memory",
    "peak_gpu_memory_bytes": "Peak memory of the GPU",
    "input_tokens": "Tokens of input, on the test split",
    "cached_input_tokens": "Of these cached by the server",
    "output_tokens": "Tokens of output, on the test split",
    "price_per_1000_texts": "Price of predicting 1,000 texts",
    "price_of_training": "Price of training",
    "paid": "Paid by the run itself",
}


@dataclass(frozen=True)
class Figure:
    """A picture of a run."""

    path: Path
    title: str


def metrics_table(record: RunRecord) -> Table:
    """Return a run's scores on test and validation, those it was selected by first."""
    selected = record.objective.partition("/")[2]
    known = [selected, *(("micro_f1", EXACT) if record.data.get("sets") else ()), *METRICS]
    names = dict.fromkeys(name.partition("/")[2] for name in record.metrics)
    order = sorted(names, key=lambda name: known.index(name) if name in known else len(known))
    rows = []
    for name in order:
        label = f"{metric_label(name)}{' (exactly right)' if name == EXACT else ''}"
        label += " (selected by)" if name == selected else ""
        cells = [record.metrics.get(f"{split}/{name}") for split in ("test", "validation")]
        rows.append((Cell(label, strong=name == selected), *(Cell(decimals(v), v) for v in cells)))
    columns = (Column("metric"), Column("test", numeric=True), Column("validation", numeric=True))
    return Table(columns, tuple(rows), "Scores")


def costs_table(record: RunRecord) -> Table:
    """Return what a run cost."""
    rows = [
        (label, format_cost(name, record.costs[name], currency_of(record)))
        for name, label in COST_WORDS.items()
        if name in record.costs
    ]
    return Table((Column("cost"), Column("amount", numeric=True)), tuple(rows), "Costs")


def introduction(record: RunRecord) -> str:
    """Return what a run's classifier is and how good, in a sentence or two."""
    names, sizes = record.data.get("label_names", []), record.data.get("examples", {})
    has_sets = bool(record.data.get("sets"))
    trained = f", trained on {sizes['train']:,} examples" if sizes.get("train") else ""
    apart = f"{', '.join(map(str, names[:-1]))} and {names[-1]}" if 1 < len(names) <= 6 else listed(map(str, names), 6)
    does = "gives each text a set of labels, out of" if has_sets else "tells apart"
    said = f"{record.model}{trained} of {record.dataset}, {does} {apart}."
    metric = f"test/{EXACT}" if has_sets else "test/accuracy"
    accuracy, tested = record.metrics.get(metric), sizes.get("test")
    if accuracy is not None and tested:
        share = Proportion(round(accuracy * tested), tested)
        how = "in a cross-validation of" if record.folds else "on"
        right = "exactly right" if has_sets else "right"
        said += f" It was {right} in {share} {how} {tested:,} test examples."
    if has_sets and (micro := record.metrics.get("test/micro_f1")) is not None:
        said += f" Its {metric_label('micro_f1')} is {decimals(micro)}."
    return said


def about_table(record: RunRecord) -> Table:
    """Return what was run, when and where."""
    sizes = ", ".join(f"{count:,} {split}" for split, count in record.data.get("examples", {}).items())
    rows = [
        ("Run", record.name),
        ("Dataset", f"{record.dataset} ({sizes})" if sizes else record.dataset),
        ("Model", record.model),
        ("Trained by", record.trainer),
        ("Seed", str(record.seed)),
        ("Device", str(record.fit.get("device", "unknown"))),
        ("Machine", record.environment.get("machine", "unknown")),
        ("Started", record.started),
    ]
    return Table((Column("what"), Column("value")), tuple(rows), "About this run")


def format_cost(name: str, value: float, currency: str = "") -> str:
    """Return a cost with its unit."""
    if name == "paid" or name.startswith("price_"):
        return money(value, currency)
    if name.endswith("_bytes"):
        return megabytes(value)
    return in_seconds(value) if name.endswith("_seconds") else thousands(value)


def figures(folder: Path) -> list[Figure]:
    """Return the pictures of a run folder."""
    found = sorted(path for path in (folder / FIGURES).glob("*.png") if path.is_file())
    order = list(FIGURE_WORDS)
    found.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    return [Figure(path, FIGURE_WORDS.get(path.stem, path.stem.replace("_", " "))) for path in found]


def changed(folder: Path) -> str | None:
    """Return in a sentence what of the report, the analysis or the figures of a run is not as the run left it."""
    try:
        refuse_changed(folder, ANALYSIS_FILE, REPORT_PAGE, FIGURES)
    except ArtifactError as error:
        return str(error)
    return None


def report_page(folder: Path) -> bytes | None:
    """Return the run's report as one HTML page; nothing where there is none, or it is too large to send."""
    path = folder / REPORT_PAGE
    try:
        return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError:
        return None


def read_analysis(folder: Path) -> dict[str, Any]:
    """Return what `analysis.json` of a run says; nothing where there is none or it is damaged."""
    try:
        content = json.loads((folder / ANALYSIS_FILE).read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


def trust(folder: Path) -> str:
    """Return in words how far a run's probabilities are to be believed; empty if they are, or it cannot be told."""
    return trust_of_run(_vouched_analysis(folder))


def thresholds_of(folder: Path) -> list[Threshold]:
    """Return the thresholds of a run; none where its analysis is not as the run left it."""
    return thresholds(_vouched_analysis(folder))


def _vouched_analysis(folder: Path) -> dict[str, Any]:
    """Return what `analysis.json` of a run says; nothing where it is not as the run left it."""
    try:
        refuse_changed(folder, ANALYSIS_FILE)
    except ArtifactError:
        return {}
    return read_analysis(folder)


@dataclass(frozen=True)
class Threshold:
    """A probability below which a prediction counts as unsure."""

    value: float
    """0 to 1."""
    reason: str
    """What it was chosen for, and what it reaches on test."""

    def __str__(self) -> str:
        return f"below {decimals(self.value)}: {self.reason}"


def thresholds(analysis: Mapping[str, Any]) -> list[Threshold]:
    """Return the thresholds of the probability that a run chose on validation, that for a wanted coverage first."""
    purposes = {
        "coverage": "{} of the texts answered",
        "promised precision": "{} of the answers right, surely",
        "precision": "{} of the answers right",
    }
    found: dict[float, Threshold] = {}
    try:
        for wanted, purpose in purposes.items():
            for one in analysis.get("answers", ()):
                if one["wanted"] != wanted or one["threshold"] is None:
                    continue
                reached, right = one["test"]["answered"], one["test"]["right"]
                said = f"{purpose.format(rounded_percent(one['share']))} on validation; on test "
                said += f"{rounded_percent(reached['count'] / reached['total'])} answered"
                if right["total"]:
                    said += f" and {rounded_percent(right['count'] / right['total'])} of these right"
                found.setdefault(float(one["threshold"]), Threshold(float(one["threshold"]), said))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return []
    return list(found.values())


def failing(analysis: Mapping[str, Any]) -> list[str]:
    """Return where a run fails, a sentence each; what the analysis does not hold is left out."""
    sentences = []
    if exact := analysis.get("exact"):
        sentences.append(
            f"{exact['total'] - exact['count']:,} of {exact['total']:,} test examples are not given exactly their "
            f"labels."
        )
        if usual := analysis.get("usual"):
            named = " + ".join(analysis.get("usual_set") or ()) or "no label"
            sentences[0] += f" Always giving {named} would get {usual['total'] - usual['count']:,} wrong."
    accuracy, majority = analysis.get("accuracy"), analysis.get("majority")
    if accuracy:
        sentence = f"{accuracy['total'] - accuracy['count']:,} of {accuracy['total']:,} test examples are wrong."
        if majority:
            sentence += (
                f" Always naming the most frequent class would get {majority['total'] - majority['count']:,} wrong."
            )
        sentences.append(sentence)
    worse = [f"{one['by']} {one['value']}" for one in analysis.get("slices", ()) if one.get("is_worse")]
    if "slices" in analysis:
        beyond = f"Worse than the rest beyond chance: {', '.join(worse)}."
        sentences.append(beyond if worse else "No part of the test split is worse than the rest beyond chance.")
    calibration = analysis.get("calibration")
    if calibration:
        shown = calibration["ece"] > calibration["by_chance"]
        verdict = "these are miscalibrated" if shown else "no miscalibration is shown"
        sentences.append(
            f"Expected calibration error {decimals(calibration['ece'])}; perfectly calibrated probabilities would show "
            f"up to {decimals(calibration['by_chance'])} by chance, so {verdict}."
        )
    return sentences


def labels_table(analysis: Mapping[str, Any]) -> Table | None:
    """Return the scores and the threshold of each label of sets; nothing where the analysis has none."""
    try:
        scores = [LabelScore(**one) for one in analysis.get("labels", ())]
    except TypeError:
        return None
    return label_table(scores, "Each label on the test split") if scores else None


def confused_table(analysis: Mapping[str, Any]) -> Table | None:
    """Return the classes most often confused; nothing where none were."""
    if swapped := analysis.get("swapped"):
        found = tuple((one["missed"], one["added"], thousands(one["count"])) for one in swapped[:MOST_PAIRS])
        heads = (Column("missed"), Column("given instead"), Column("examples", numeric=True))
        return Table(heads, found, "Labels that are missed where others are given")
    rows = tuple(
        (one["label"], one["prediction"], thousands(one["count"]), percent(one["share"]))
        for one in analysis.get("pairs", ())[:MOST_PAIRS]
    )
    columns = (
        Column("true class"),
        Column("confused with"),
        Column("examples", numeric=True),
        Column("of the true class", numeric=True),
    )
    return Table(columns, rows, "Classes most often confused") if rows else None


def mistakes_table(analysis: Mapping[str, Any]) -> Table | None:
    """Return the mistakes that the classifier was surest of; nothing where there are none."""
    if "exact" in analysis:
        found = tuple(
            (
                _excerpt(one["text"], one.get("text_pair")),
                ", ".join(one["missed"]),
                ", ".join(one["added"]),
                decimals(one["surprise"]),
            )
            for one in analysis.get("mistakes", ())[:MOST_MISTAKES]
        )
        hint = "distance of the probability of the label that is most wrong from the truth"
        heads = (Column("text"), Column("missed"), Column("added"), Column("off by", numeric=True, hint=hint))
        return Table(heads, found, "The surest mistakes") if found else None
    rows = tuple(
        (_excerpt(one["text"], one.get("text_pair")), one["label"], one["prediction"], decimals(one["probability"]))
        for one in analysis.get("mistakes", ())[:MOST_MISTAKES]
    )
    columns = (Column("text"), Column("true class"), Column("prediction"), Column("probability", numeric=True))
    return Table(columns, rows, "The surest mistakes") if rows else None


def _excerpt(text: str, text_pair: str | None) -> str:
    return excerpt(text if text_pair is None else f"{text} ⇒ {text_pair}", MOST_CHARACTERS)
