"""Cross-validations of several setups on the same partitions: their scores, and the error of these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textclf.compare.statistics.confusion_metrics import OF_CONFUSIONS, columns_of
from textclf.compare.statistics.resampling import DRAWS, bootstrap
from textclf.compare.statistics.two_way import FoldSpread, Scores

Floats = NDArray[np.float64]


def fold_scores(values: Sequence[ArrayLike], partitions: ArrayLike) -> Scores:
    """Return the scores of cross-validated setups where a score is a mean over examples.

    Args:
        values: For each setup, its value on each example out of fold, for each seed and repeat, float
            (seeds, repeats, n); such as 1 where the prediction is right and 0 where it is wrong.
        partitions: The fold of each example in each repeat, int (repeats, n), the same for all setups.

    Raises:
        ValueError: If the shapes do not fit, or a repeat has fewer than two folds.
    """
    parts = checked_partitions(partitions)
    arrays = [np.asarray(setup, dtype=np.float64) for setup in values]
    check_passes(arrays, parts)
    by_repeat = np.stack([setup.mean(axis=0) for setup in arrays])  # (S, repeats, n)
    n = parts.shape[1]
    inside = _inside(parts)  # (repeats, n, k)
    sizes = inside.sum(axis=1)
    sums = np.einsum("srn,rnk->srk", by_repeat, inside)
    wholes = sums.sum(axis=2, keepdims=True)
    by_fold = _left_out(wholes / n, (wholes - sums) / (n - sizes))
    within = np.mean([np.atleast_2d(np.cov(by_repeat[:, repeat])) for repeat in range(len(parts))], axis=0)
    covariance = np.atleast_2d(np.cov(by_repeat.mean(axis=1)))
    by_seed = tuple(setup.mean(axis=(1, 2)) for setup in arrays)
    return Scores(by_seed, covariance / n, n, folds=FoldSpread(by_fold, within / n))


def fold_scores_of_confusions(
    labels: NDArray[np.int64],
    predicted: Sequence[NDArray[np.int64]],
    num_labels: int,
    metrics: Sequence[str],
    partitions: ArrayLike,
    draws: int = DRAWS,
) -> dict[str, Scores]:
    """Return the scores of cross-validated setups by metric, where a score is a function of the confusion matrix.

    A score is that of all out-of-fold predictions of one repeat together, so a class may be missing in a fold.

    Args:
        labels: True classes, int64 (n,).
        predicted: Each setup's out-of-fold predictions, int64 (seeds, repeats, n); -1 for no class.
        num_labels: Number of classes C.
        metrics: Names in `OF_CONFUSIONS`.
        partitions: The fold of each example in each repeat, int (repeats, n), the same for all setups.
        draws: Bootstrap draws of the examples.

    Raises:
        ValueError: If the shapes do not fit, or a repeat has fewer than two folds.
    """
    parts = checked_partitions(partitions)
    check_passes(predicted, parts)
    repeats, n = parts.shape
    rows = np.concatenate([setup.reshape(-1, n) for setup in predicted])
    drawn = bootstrap(labels, rows, num_labels, metrics, draws)
    ends = np.cumsum([len(setup) * repeats for setup in predicted])[:-1]
    matrices = [_fold_confusions(labels, setup, num_labels, parts) for setup in predicted]
    found = {}
    for metric in metrics:
        score = OF_CONFUSIONS[metric]
        wholes = [score(setup.sum(axis=2)) for setup in matrices]  # (seeds, repeats)
        by_fold = [
            _left_out(whole[..., None], score(setup.sum(axis=2, keepdims=True) - setup)).mean(axis=0)
            for whole, setup in zip(wholes, matrices, strict=True)
        ]
        by_repeat = np.stack([part.reshape(-1, repeats, draws).mean(axis=0) for part in np.split(drawn[metric], ends)])
        within = np.mean([np.atleast_2d(np.cov(by_repeat[:, repeat])) for repeat in range(repeats)], axis=0)
        covariance = np.atleast_2d(np.cov(by_repeat.mean(axis=1)))
        by_seed = tuple(whole.mean(axis=1) for whole in wholes)
        found[metric] = Scores(by_seed, covariance, n, folds=FoldSpread(np.stack(by_fold), within))
    return found


def checked_partitions(partitions: ArrayLike) -> NDArray[np.int64]:
    """Return partitions as int64 (repeats, n), with folds numbered from 0.

    Raises:
        ValueError: If they have another shape, or folds without examples, or fewer than two folds.
    """
    parts = np.asarray(partitions)
    if parts.ndim != 2 or not np.issubdtype(parts.dtype, np.integer):
        raise ValueError(f"partitions must be integers (repeats, n), got {parts.dtype} {parts.shape}")
    counts = {len(np.unique(row)) for row in parts}
    if len(counts) != 1 or counts == {1}:
        raise ValueError(f"every repeat must have the same number of folds, two or more, got {sorted(counts)}")
    return np.stack([np.unique(row, return_inverse=True)[1].reshape(-1) for row in parts]).astype(np.int64)


def check_passes(setups: Sequence[NDArray], parts: NDArray[np.int64]) -> None:
    """Refuse setups that have not one value for each repeat and example.

    Raises:
        ValueError: With the number of the first one, and both shapes.
    """
    for number, setup in enumerate(setups):
        if setup.ndim != 3 or setup.shape[1:] != parts.shape or not len(setup):
            raise ValueError(
                f"setup {number} must have the shape (seeds, {parts.shape[0]}, {parts.shape[1]}) that the partitions "
                f"have, got {setup.shape}"
            )


def _inside(parts: NDArray[np.int64]) -> Floats:
    """Return which fold each example is in, float64 (repeats, n, k)."""
    return (parts[:, :, None] == np.arange(parts.max() + 1)).astype(np.float64)


def _left_out(whole: Floats, without: Floats) -> Floats:
    """Return the score of each fold: the one that, averaged with the score of the others, gives the whole's.

    For a mean over examples, and folds of one size, it is the mean over the fold. For other scores it is what the
    fold does to the score of all (the jackknife's pseudo-value).
    """
    folds = without.shape[-1]
    return folds * whole - (folds - 1) * without


def _fold_confusions(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int, parts: NDArray[np.int64]
) -> Floats:
    """Return the confusion matrix of each fold, float64 (seeds, repeats, k, C, C); C + 1 columns as elsewhere."""
    seeds, repeats, _ = predicted.shape
    shape = (seeds, repeats, int(parts.max()) + 1, num_labels, columns_of(predicted, num_labels))
    predicted = np.where(predicted < 0, num_labels, predicted)
    first, second = np.arange(seeds)[:, None, None], np.arange(repeats)[None, :, None]
    cells = np.ravel_multi_index(np.broadcast_arrays(first, second, parts, labels, predicted), shape)
    return np.bincount(cells.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
