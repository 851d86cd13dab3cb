"""What a run cannot show: statements that are true of it by its sizes and options."""

from __future__ import annotations

from collections.abc import Mapping

from textclf.documents.wording import percent
from textclf.errors import listed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.thresholds import Wanted
from textclf.tracking.record import RunRecord, flat

FEW = 30
"""Examples of a class below which its scores say little."""


def limits(record: RunRecord, class_counts: Mapping[str, Mapping[str, int]], analysis: Analysis) -> list[str]:
    """Return what keeps the figures of a run from saying more, a sentence or two each.

    Args:
        record: The run.
        class_counts: Examples of each class, by split; nothing is said of a split that is not counted.
        analysis: Its error analysis.
    """
    low, high = analysis.accuracy.interval
    said = [
        f"Precision: on {analysis.accuracy.total:,} test examples the accuracy is known to within "
        f"{100 * (high - low) / 2:.1f} points either way. textclf.compare tells runs apart, such intervals do not.",
        "One seed: another order of the examples, or other initial weights, give other figures; seed=1,2,3 with -m "
        "shows how far apart.",
        "The test split was read for mistakes, slices and thresholds. What is changed because of them needs other test "
        "examples to be measured.",
    ]
    for split, why in [("test", "so their scores are rough"), ("train", "so there is little to learn them from")]:
        scarce = [f"{name} ({counts[split]})" for name, counts in class_counts.items() if counts.get(split, FEW) < FEW]
        if scarce:
            said.append(f"Classes with fewer than {FEW} {split} examples, {why}: {listed(scarce, 10)}.")
    if cut := record.fit.get("truncated_share"):
        said.append(f"{percent(cut)} of the training texts are longer than what the model reads, and were cut.")
    rejected = record.data.get("rejected")
    if isinstance(rejected, Mapping):
        count = sum(
            value for value in flat(rejected).values() if isinstance(value, int) and not isinstance(value, bool)
        )
        if count:
            said.append(f"{count:,} rows of the source were left out, so the figures are not about texts like those.")
    if any(one.wanted is Wanted.promised_precision and one.threshold is None for one in analysis.answers):
        said.append(
            f"Thresholds come from {analysis.num_validation:,} validation examples, and none there promises the "
            f"precision that was asked for."
        )
    return said
