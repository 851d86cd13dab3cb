"""Scores that are functions of a confusion matrix: accuracy, F1, precision, recall, Matthews' correlation.

A matrix has the true classes in rows. All functions take any number of matrices at once, (…, C, C). It may have one
column more, (…, C, C + 1), of predictions that named no class: they are right nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def confusions(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int) -> Floats:
    """Return the confusion matrix, true classes in rows: float64 (C, C); (C, C + 1) where some named no class.

    Args:
        labels: True classes, int64 (n,).
        predicted: Predicted classes, int64 (n,); -1 for no class.
        num_labels: Number of classes C.
    """
    columns = columns_of(predicted, num_labels)
    cells = labels * columns + np.where(predicted < 0, num_labels, predicted)
    return np.bincount(cells, minlength=num_labels * columns).reshape(num_labels, columns).astype(np.float64)


def columns_of(predicted: NDArray[np.int64], num_labels: int) -> int:
    """Return the columns of confusion matrices: C, or C + 1 where some predictions named no class (-1)."""
    return num_labels + bool((predicted < 0).any())


def _given(matrices: Floats) -> Floats:
    """Return how often each class was predicted, (…, C)."""
    return matrices.sum(axis=-2)[..., : matrices.shape[-2]]


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below, nan where below is 0."""
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)


def _hits(matrices: Floats) -> Floats:
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def accuracy(matrices: Floats) -> Floats:
    """Return the share of right predictions."""
    return _hits(matrices).sum(axis=-1) / matrices.sum(axis=(-2, -1))


def class_f1(matrices: Floats) -> Floats:
    """Return each class's F1, (…, C); nan for a class that neither occurs nor is predicted."""
    return _ratio(2 * _hits(matrices), matrices.sum(axis=-1) + _given(matrices))


def class_recall(matrices: Floats) -> Floats:
    """Return each class's recall, (…, C); nan for a class that does not occur."""
    return _ratio(_hits(matrices), matrices.sum(axis=-1))


def class_precision(matrices: Floats) -> Floats:
    """Return each class's precision, (…, C); nan for a class that is never predicted."""
    return _ratio(_hits(matrices), _given(matrices))


def _over_classes(per_class: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Return the mean over classes; a class that a draw leaves out does not count in it."""

    def macro(matrices: Floats) -> Floats:
        values = per_class(matrices)
        counted = np.isfinite(values)
        return np.where(counted, values, 0).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)

    return macro


def _weighted_by_support(per_class: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Return the mean over classes, weighted by how often each occurs."""

    def weighted(matrices: Floats) -> Floats:
        support = matrices.sum(axis=-1)
        return (np.nan_to_num(per_class(matrices)) * support).sum(axis=-1) / support.sum(axis=-1)

    return weighted


def matthews(matrices: Floats) -> Floats:
    """Return the Matthews correlation coefficient (Gorodkin 2004); 0 where it is undefined."""
    total = matrices.sum(axis=(-2, -1))
    true, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    above = _hits(matrices).sum(axis=-1) * total - (true * _given(matrices)).sum(axis=-1)
    below = np.sqrt((total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1)))
    return np.nan_to_num(_ratio(above, below))


OF_CONFUSIONS: dict[str, Callable[[Floats], Floats]] = {
    "accuracy": accuracy,
    "macro_f1": _over_classes(class_f1),
    "weighted_f1": _weighted_by_support(class_f1),
    "macro_precision": _over_classes(class_precision),
    "weighted_precision": _weighted_by_support(class_precision),
    "macro_recall": _over_classes(class_recall),
    "weighted_recall": _weighted_by_support(class_recall),
    "mcc": matthews,
}
"""Metrics that are functions of the confusion matrix, (…, C, C) -> (…)."""
