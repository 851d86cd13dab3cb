"""Scores of predicted sets of labels, each as a mean over examples: micro and macro F1 by the delta method.

The share of examples that are given exactly their labels (subset accuracy) and the share of wrong decisions (Hamming
loss) are means over examples already. F1 is a ratio of sums. With hits h_i of an example, and d_i the labels that it
has plus those that it is given,

    F = 2 H / D,   H = Σ h_i,   D = Σ d_i

what example i contributes to first order is `value_i = F + n (2 h_i - F d_i) / D`. The values' mean is F itself, and
their variance over n is that of F over draws of the examples (the infinitesimal jackknife; Efron 1982), so that every
test of means holds of them. The macro F1 is the mean of the labels' own F1, and so is its value of an example.

Truth and predictions are bool (n, L) for n examples and L labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from textclf.compare.statistics.resampling import DRAWS, example_weights

Floats = NDArray[np.float64]
Sets = NDArray[np.bool_]


def label_f1_values(truth: Sets, given: Sets) -> Floats:
    """Return each example's value in the F1 of each label, float64 (n, L), of which the mean is that F1.

    A label that no example has and none is given has no F1: its values are nan.

    >>> truth = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], dtype=bool)
    >>> given = np.array([[1, 0], [0, 0], [1, 0], [1, 0]], dtype=bool)
    >>> label_f1_values(truth, given).mean(axis=0)  # 2 hits, 3 has, 3 given: 2 * 2 / 6
    array([0.66666667,        nan])
    """
    hits, sizes = (truth & given).astype(np.float64), truth.astype(np.float64) + given
    return _values_of_ratio(2 * hits, sizes)


def macro_f1_values(truth: Sets, given: Sets) -> Floats:
    """Return each example's value in the mean of the labels' F1, float64 (n,); nan where a label has none."""
    return label_f1_values(truth, given).mean(axis=1)


def micro_f1_values(truth: Sets, given: Sets) -> Floats:
    """Return each example's value in the F1 of all decisions together, float64 (n,); nan where there is no label.

    >>> truth = np.array([[1, 0], [1, 1], [0, 0]], dtype=bool)
    >>> given = np.array([[1, 0], [0, 1], [0, 1]], dtype=bool)
    >>> bool(np.isclose(micro_f1_values(truth, given).mean(), 2 * 2 / (3 + 3)))
    True
    """
    hits = (truth & given).sum(axis=1, dtype=np.float64)
    sizes = truth.sum(axis=1, dtype=np.float64) + given.sum(axis=1)
    return _values_of_ratio(2 * hits, sizes)


def subset_accuracy_values(truth: Sets, given: Sets) -> Floats:
    """Return 1 for each example that is given exactly its labels, else 0, float64 (n,)."""
    return (truth == given).all(axis=1).astype(np.float64)


def hamming_loss_values(truth: Sets, given: Sets) -> Floats:
    """Return each example's share of labels that are wrongly given or wrongly not given, float64 (n,)."""
    return (truth != given).mean(axis=1)


OF_SETS: dict[str, Callable[[Sets, Sets], Floats]] = {
    "macro_f1": macro_f1_values,
    "micro_f1": micro_f1_values,
    "subset_accuracy": subset_accuracy_values,
    "hamming_loss": hamming_loss_values,
}
"""Metrics of sets of labels by the value of each example, (n, L), (n, L) -> (n,): the metric is their mean."""


def set_bootstrap(truth: Sets, predicted: NDArray[np.bool_], draws: int = DRAWS) -> dict[str, Floats]:
    """Return the metrics of `OF_SETS` of several classifiers in draws of the test examples, the same draws for all.

    A label that a draw leaves out does not count in its macro F1.

    Args:
        truth: The examples' labels, bool (n, L).
        predicted: Each classifier's sets, bool (classifiers, n, L).
        draws: Number of draws.

    Returns:
        float64 (classifiers, draws) by metric.
    """
    found = {metric: np.empty((len(predicted), draws)) for metric in OF_SETS}
    done = 0
    for weights in example_weights(len(truth), draws):
        at = slice(done, done + len(weights))
        for number, given in enumerate(predicted):
            hits = 2.0 * (weights @ (truth & given).astype(np.float32))  # (block, L)
            sizes = weights @ (truth.astype(np.float32) + given)
            found["macro_f1"][number, at] = _mean_of_defined(_ratio(hits, sizes))
            found["micro_f1"][number, at] = _ratio(hits.sum(axis=1), sizes.sum(axis=1))
            for metric in ("subset_accuracy", "hamming_loss"):
                found[metric][number, at] = weights @ OF_SETS[metric](truth, given) / len(truth)
        done += len(weights)
    return found


def _values_of_ratio(above: Floats, below: Floats) -> Floats:
    """Return each example's value in a ratio of sums over examples, float64 as given; nan where it is undefined."""
    total: Floats = below.sum(axis=0)
    ratio = _ratio(above.sum(axis=0), total)
    return ratio + len(below) * (above - ratio * below) / np.where(total > 0, total, np.nan)


def _ratio(above: NDArray, below: NDArray) -> Floats:
    """Return above / below, nan where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def _mean_of_defined(values: Floats) -> Floats:
    """Return the mean over the last axis of what is no nan; 0 where nothing is."""
    counted = np.isfinite(values)
    return np.where(counted, values, 0).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
