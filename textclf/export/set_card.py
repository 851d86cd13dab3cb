"""Sections of a model card on sets of labels: its verdict, thresholds, use from Python, failures and caveats."""

from __future__ import annotations

import math
from collections.abc import Iterator

from textclf.documents.document import Block, Code, Column, Heading, Paragraph, Table
from textclf.documents.wording import decimals, percent
from textclf.errors import listed
from textclf.evaluation.label_sets.label_blocks import choice_blocks, label_table, set_mistake_blocks
from textclf.evaluation.label_sets.set_analysis import SetAnalysis
from textclf.evaluation.metric_names import metric_label
from textclf.experiment.report import score_blocks
from textclf.models.saved import Description
from textclf.tracking.record import RunRecord

FEW = 20
"""Test texts with a label below which its score is rough."""
MOST_LABELS = 100


def describe_sets(description: Description) -> str:
    """Describe in sentences what a classifier gives."""
    reads = {True: "each pair of texts", False: "each text", None: "each text, or pair of texts,"}
    names = description.label_names
    return (
        f"It gives {reads[description.has_pairs]} a set of labels, which may be empty, out of {len(names)}: "
        f"{listed(names)}. Each label has a probability of its own, so they do not sum to 1, and is given from its own "
        f"threshold on."
    )


def set_verdict(record: RunRecord, sets: SetAnalysis | None) -> str:
    """Return what a run reaches, in a sentence or two."""
    metrics = record.metrics
    found = [
        f"{metric_label(name)} {decimals(metrics[f'test/{name}'])}"
        for name in ("micro_f1", "macro_f1", "subset_accuracy")
        if f"test/{name}" in metrics
    ]
    said = f"On {record.data['examples']['test']:,} test examples of {record.dataset}: {', '.join(found)}."
    if sets is None:
        return said
    usual = " + ".join(sets.usual_set) or "no label"
    return (
        f"{said} {percent(sets.exact.value or 0.0)} of the texts are given exactly their labels; always giving {usual} "
        f"would be right on {percent(sets.usual.value or 0.0)}."
    )


def use_with_transformers(description: Description, repo_id: str, given: str) -> list[Block]:
    """Return code that gives the same sets through transformers' own pipeline.

    Args:
        description: The classifier's.
        repo_id: `owner/name` of its repository.
        given: The text, or the dict of a pair, as Python.
    """
    least = {
        name: round(value, 6) for name, value in zip(description.label_names, raw_thresholds(description), strict=True)
    }
    return [
        Paragraph("With transformers:"),
        Code(
            "from transformers import pipeline\n\n"
            f'classifier = pipeline("text-classification", model="{repo_id}", top_k=None)\n'
            f"thresholds = {least!r}\n"
            f"(scores,) = classifier([{given}], truncation=True)\n"
            'print([one["label"] for one in scores if one["score"] >= thresholds[one["label"]]])'
        ),
    ]


def raw_thresholds(description: Description) -> Iterator[float]:
    """Yield for each label the probability before the temperature from which on it is given."""
    for value in description.thresholds or ():
        if description.temperature == 1.0 or not 0 < value < 1:
            yield value
        else:
            yield 1 / (1 + math.exp(-description.temperature * math.log(value / (1 - value))))


def threshold_blocks(description: Description) -> list[Block]:
    """Return the thresholds of a classifier whose analysis is not known."""
    rows = [
        (name, decimals(value))
        for name, value in zip(description.label_names, description.thresholds or (), strict=True)
    ]
    columns = (Column("label"), Column("given from", numeric=True))
    return [Heading(3, "Thresholds"), Table(columns, tuple(rows[:MOST_LABELS]))]


def set_result_blocks(record: RunRecord, sets: SetAnalysis) -> list[Block]:
    """Return the scores, and those of each label with its threshold."""
    labels = sorted(sets.labels, key=lambda one: -one.support)[:MOST_LABELS]
    blocks = score_blocks(record, {})
    blocks.insert(1, Paragraph(f"Exactly right on the test split, with Wilson's 95 % interval: {sets.exact}."))
    caption = "On the test split"
    if len(labels) < len(sets.labels):
        caption = f"The {len(labels)} most frequent of {len(sets.labels):,} labels on the test split"
    return [*blocks, Heading(3, "Each label and its threshold"), label_table(labels, caption), *choice_blocks(sets)]


def set_failure_blocks(sets: SetAnalysis) -> list[Block]:
    """Return how often the labels are not exactly right, and which are missed where others are given."""
    return set_mistake_blocks((), sets.num_mistakes, sets.exact.total, sets.swapped)


def set_caveats(sets: SetAnalysis) -> Iterator[str]:
    """Yield what limits the figures and the use of sets of labels, a sentence or two each."""
    yield (
        "It is meant for texts like those of the test split, to which several labels or none may apply. Thresholds of "
        "its own suit other costs of a missed and of a wrong label: classifier.predict gives every probability."
    )
    low, high = sets.exact.interval
    yield (
        f"Precision: on {sets.exact.total:,} test examples the share that is exactly right is known to within "
        f"{100 * (high - low) / 2:.1f} points either way."
    )
    if scarce := [f"{one.label} ({one.support:,})" for one in sets.labels if one.support < FEW]:
        yield f"Labels with fewer than {FEW} test examples, so their scores are rough: {listed(scarce, 10)}."
    chosen = [(one.label, one.chosen_on) for one in sets.labels if one.chosen_on is not None]
    if few := [f"{label} ({count:,})" for label, count in chosen if count < FEW]:
        yield f"Labels whose threshold was chosen on fewer than {FEW} validation examples: {listed(few, 10)}."
