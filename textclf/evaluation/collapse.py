"""Collapsed classifiers: whatever the text, they give the same answer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ENOUGH = 5
"""Examples of other classes that must have got the one answer: fewer may go to one class by chance, or because they
are as rare as that."""
STUCK = 0.98
"""Share of the entropy of the labels from which on a training loss shows that nothing was learned."""


def collapsed_class(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> int | None:
    """Return the class that every prediction is, where it should not be; else none.

    Args:
        labels: The true classes, int64 (n,).
        predicted: The predicted classes, int64 (n,); -1 for an answer that is none.
    """
    if len(predicted) == 0 or predicted[0] < 0 or (predicted != predicted[0]).any():
        return None
    return int(predicted[0]) if int((labels != predicted[0]).sum()) >= ENOUGH else None


def entropy_of(counts: NDArray[np.int64]) -> float:
    """Return the entropy of classes by their counts, in nats: the loss of one who knows their shares and no text."""
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def collapse_words(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    label_names: tuple[str, ...],
    train_loss: float | None = None,
    entropy: float | None = None,
) -> str | None:
    """Return a sentence on a collapse; none where there is none.

    Args:
        labels: The true classes of the validation examples, int64 (n,).
        predicted: The predicted ones, int64 (n,).
        label_names: Names of the classes, in label order.
        train_loss: Mean training loss of the epoch; none where there is no such thing.
        entropy: What that loss is for one who knows only the classes' shares, in nats.
    """
    answer = collapsed_class(labels, predicted)
    if answer is None:
        return None
    message = (
        f"collapse: all {len(labels):,} validation predictions are {label_names[answer]!r}, "
        f"which {int((labels == answer).sum()):,} of the examples are"
    )
    if train_loss is not None and entropy is not None and math.isfinite(train_loss) and train_loss >= STUCK * entropy:
        message += (
            f"; the training loss of {train_loss:.3f} is no better than that of knowing nothing but the "
            f"classes' shares ({entropy:.3f})"
        )
    return message + "."
