"""Class weights and balanced samples, for data in which some classes are rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_POSITIVE_WEIGHT = 20.0
"""Most that an example weighs for having a label. Without a bound, one text with a label of one text in ten thousand
would outweigh the rest of its batch."""


def class_weights(labels: NDArray[np.int64], num_labels: int) -> NDArray[np.float64]:
    """Return a weight per class, float64 (num_labels,), in inverse proportion to its share of `labels`.

    The mean weight over the examples is 1, so that the size of the loss stays what it was. A class
    without examples has weight 0.
    """
    counts = np.bincount(labels, minlength=num_labels)
    present = np.count_nonzero(counts)
    return np.divide(len(labels), present * counts, out=np.zeros(num_labels), where=counts > 0)


def positive_weights(has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what an example that has a label weighs in the loss of that label, float64 (num_labels,).

    It is the number of examples without the label for each with it, so that both weigh the same together, but at most
    `MOST_POSITIVE_WEIGHT`. A label that no example has weighs 1.

    Args:
        has: Which labels the examples have, bool (n, num_labels).
    """
    counts = has.sum(axis=0)
    ratios = np.divide(len(has) - counts, counts, out=np.ones(has.shape[1]), where=counts > 0)
    return np.clip(ratios, 1 / MOST_POSITIVE_WEIGHT, MOST_POSITIVE_WEIGHT)


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
