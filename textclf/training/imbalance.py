"""Class weights and balanced samples, for data in which some classes are rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_weights(labels: NDArray[np.int64], num_labels: int) -> NDArray[np.float64]:
    """Return a weight per class, float64 (num_labels,), in inverse proportion to its share of `labels`.

    The mean weight over the examples is 1, so that the size of the loss stays what it was. A class
    without examples has weight 0.
    """
    counts = np.bincount(labels, minlength=num_labels)
    present = np.count_nonzero(counts)
    return np.divide(len(labels), present * counts, out=np.zeros(num_labels), where=counts > 0)


def balanced_rows(labels: NDArray[np.int64], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows, each class of `labels` equally often.

    Rows of a class are drawn without replacement as long as there are some left: those of a rare
    class repeat equally often, give or take one, and of a frequent class some are left out.

    Args:
        labels: int64 (n,).
        count: How many rows to draw.
        generator: Source of randomness.

    Returns:
        int64 (count,), in random order.
    """
    present = generator.permutation(np.unique(labels))
    drawn = []
    for place, label in enumerate(present):
        own = np.flatnonzero(labels == label)
        wanted = count // len(present) + (place < count % len(present))
        rounds = -(-wanted // len(own))
        drawn.append(np.concatenate([generator.permutation(own) for _ in range(rounds)])[:wanted])
    return generator.permutation(np.concatenate(drawn))


def repetitions(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each example is to be counted so that every class has as many as the largest: int64 (n,).

    Every example counts at least once; which ones of a class count once more than others is drawn.
    """
    counts = np.bincount(labels)
    times = np.ones(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        whole, rest = divmod(int(counts.max()), len(own))
        times[own] = whole
        times[generator.permutation(own)[:rest]] += 1
    return times
