"""The bootstrap over examples, for scores that depend on the whole confusion matrix.

Every such score is a function of the counts of (true, predicted) pairs, so one draw of n examples is one weighting of
them, and the confusion matrices of all draws are one matrix product of weights by indicators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from textclf.compare.statistics.confusion_metrics import OF_CONFUSIONS, columns_of

Floats = NDArray[np.float64]

DRAWS = 1000
"""Bootstrap draws; the standard error they give is itself uncertain by about 2 %."""
BLOCK_BYTES = 64_000_000
"""Memory that the weights of one block of draws may take."""
DENSE_CELLS = 36
"""Up to this many cells of a confusion matrix a dense product is faster than a sparse one."""


def example_weights(num_examples: int, draws: int = DRAWS, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield how often each example is drawn in each draw with replacement, in blocks float32 (block, n).

    Rows sum to n. The same arguments give the same draws.
    """
    rng = np.random.default_rng(seed)
    block = max(1, min(draws, BLOCK_BYTES // (4 * num_examples)))
    for start in range(0, draws, block):
        weights = np.empty((min(block, draws - start), num_examples), dtype=np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(num_examples, size=num_examples), minlength=num_examples)
        yield weights


def drawn_confusions(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int, weights: NDArray[np.float32]
) -> Floats:
    """Return the confusion matrices of several classifiers in several draws of the examples.

    Args:
        labels: True classes, int64 (n,).
        predicted: Each classifier's predicted classes, int64 (classifiers, n); -1 for no class.
        num_labels: Number of classes C.
        weights: How often each example is drawn, float32 (draws, n).

    Returns:
        float64 (classifiers, draws, C, C); (…, C, C + 1) where some named no class.
    """
    classifiers, n = predicted.shape
    wide = columns_of(predicted, num_labels)
    size = num_labels * wide
    cells = labels * wide + np.where(predicted < 0, num_labels, predicted)
    rows = cells + np.arange(classifiers)[:, None] * size
    if size <= DENSE_CELLS:
        indicators = np.zeros((classifiers * size, n), dtype=np.float32)
        indicators[rows, np.arange(n)] = 1
        counts = indicators @ weights.T
    else:
        examples = np.broadcast_to(np.arange(n), rows.shape).ravel()
        ones = np.ones(len(examples), dtype=np.float32)
        counts = sparse.csr_array((ones, (rows.ravel(), examples)), shape=(classifiers * size, n)) @ weights.T
    per_draw = np.moveaxis(counts.reshape(classifiers, size, len(weights)), 2, 1)
    return per_draw.reshape(classifiers, len(weights), num_labels, wide).astype(np.float64)


def bootstrap(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int, metrics: Sequence[str], draws: int = DRAWS
) -> dict[str, Floats]:
    """Return metrics of several classifiers in draws of the test examples, the same draws for all.

    Args:
        labels: True classes, int64 (n,).
        predicted: Each classifier's predicted classes, int64 (classifiers, n); -1 for no class.
        num_labels: Number of classes C.
        metrics: Names in `OF_CONFUSIONS`.
        draws: Number of draws.

    Returns:
        float64 (classifiers, draws) by metric.
    """
    results = {metric: np.empty((len(predicted), draws)) for metric in metrics}
    columns = max(1, BLOCK_BYTES // (4 * len(labels) * num_labels**2)) if num_labels**2 <= DENSE_CELLS else 1
    done = 0
    for weights in example_weights(len(labels), draws):
        at = slice(done, done + len(weights))
        for start in range(0, len(predicted), columns):
            some = slice(start, start + columns)
            matrices = drawn_confusions(labels, predicted[some], num_labels, weights)
            for metric in metrics:
                results[metric][some, at] = OF_CONFUSIONS[metric](matrices)
        done += len(weights)
    return results
