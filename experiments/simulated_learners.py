"""Real learners on made-up data, trained fold by fold, fast enough to be trained hundreds of thousands of times.

Each learner is fitted on the training examples of every fold of a partition and predicts the others, so the folds share
training examples as those of any cross-validation do. All folds of a partition are fitted at once, as one array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Generator = np.random.Generator

NEIGHBOURS = 48
"""Nearest examples that are known of each; that all of them share its fold does not happen."""
DEPTH = 5
"""Of a random tree."""


@dataclass(frozen=True)
class Sample:
    """Examples drawn from a population."""

    features: Floats
    """float64 (n, p)."""
    labels: Ints
    """int64 (n,)."""
    num_labels: int

    @property
    def one_hot(self) -> Floats:
        """The labels as indicators, float64 (n, C)."""
        return np.eye(self.num_labels)[self.labels]

    @cached_property
    def squared(self) -> Floats:
        """The features and their squares, float64 (n, 2p)."""
        return np.concatenate([self.features, self.features**2], axis=1)


def gaussian(n: int, rng: Generator) -> Sample:
    """Two classes of equal size, 20 features, each class a normal cloud; half of the features tell nothing."""
    labels = rng.integers(2, size=n)
    shift = np.r_[np.full(10, 0.5), np.zeros(10)]
    return Sample(rng.standard_normal((n, 20)) + shift * labels[:, None], labels, 2)


def uneven(n: int, rng: Generator) -> Sample:
    """Three classes of 60, 25 and 15 %, 12 features, clouds of unequal width."""
    labels = rng.choice(3, size=n, p=(0.6, 0.25, 0.15))
    centres = np.zeros((3, 12))
    centres[1, :4], centres[2, 4:8] = 0.9, 0.9
    width = np.array([1.0, 0.8, 1.2])[labels, None]
    return Sample(centres[labels] + width * rng.standard_normal((n, 12)), labels, 3)


def words(n: int, rng: Generator) -> Sample:
    """Two classes, counts of 60 words in texts of 25; the words' shares are a little different."""
    labels = rng.integers(2, size=n)
    shares = np.stack([1 / np.arange(1, 61), 1 / np.arange(1, 61)])
    shares[0, 3::4] *= 1.7
    shares[1, 1::4] *= 1.7
    shares /= shares.sum(axis=1, keepdims=True)
    counts = np.empty((n, 60))
    for label in range(2):
        of_label = labels == label
        counts[of_label] = rng.multinomial(25, shares[label], size=int(of_label.sum()))
    return Sample(counts, labels, 2)


def rings(n: int, rng: Generator) -> Sample:
    """Three classes of 50, 30 and 20 %, 8 features, each class two clouds on opposite sides: no line parts them."""
    labels = rng.choice(3, size=n, p=(0.5, 0.3, 0.2))
    side = rng.choice([-1.0, 1.0], size=n)
    centres = np.zeros((3, 8))
    centres[0, :2], centres[1, 2:4], centres[2, 4:6] = 1.3, 1.3, 1.3
    return Sample(side[:, None] * centres[labels] + rng.standard_normal((n, 8)), labels, 3)


POPULATIONS: dict[str, Callable[[int, Generator], Sample]] = {
    "gaussian": gaussian,
    "uneven": uneven,
    "words": words,
    "rings": rings,
}


def stratified(labels: Ints, folds: int, rng: Generator) -> Ints:
    """Return the fold of each example, int64 (n,): of each class as many in each fold as can be, sizes within one."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(labels)) % folds
    return rng.permutation(folds)[found]


def bayes(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Naive Bayes with a normal density for each class and feature."""
    return _normal_bayes(sample, folds)


def resampled_bayes(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Naive Bayes of about a fifth of the training examples, drawn by the seed."""
    used = (rng.random((len(folds), folds.max() + 1)) < 0.2) & (folds[:, None] != np.arange(folds.max() + 1))
    weights = (used[:, :, None] * sample.one_hot[:, None, :]).reshape(len(folds), -1)
    return _normal_bayes(sample, folds, sums=_by_fold(weights, folds, sample))


def subspace_bayes(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Naive Bayes of a third of the features, drawn by the seed: some trainings are much better than others."""
    return _normal_bayes(sample, folds, _subspaces(sample, folds, rng))


def word_bayes(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Multinomial naive Bayes with one added to each count."""
    return _word_bayes(sample, folds, np.ones(1))


def subspace_word_bayes(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Multinomial naive Bayes of a third of the words, drawn by the seed."""
    return _word_bayes(sample, folds, _subspaces(sample, folds, rng))


def loose_ridge(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Least squares on the indicators of the classes, hardly regularised."""
    return _ridge(sample, folds, 1e-3)


def tight_ridge(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """Least squares on the indicators of the classes, much regularised."""
    return _ridge(sample, folds, 0.3 * len(sample.labels))


def nearest_of(sample: Sample) -> Ints:
    """Return the nearest other examples of each, the nearest first, int64 (n, m)."""
    features = sample.features
    squares = (features**2).sum(axis=1)
    distances = squares - 2 * features @ features.T  # up to a term of the row
    np.fill_diagonal(distances, np.inf)
    count = min(NEIGHBOURS, len(features) - 1)
    near = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return np.take_along_axis(near, np.take_along_axis(distances, near, 1).argsort(axis=1), 1)


def random_tree(sample: Sample, folds: Ints, rng: Generator) -> Ints:
    """A tree whose splits are drawn by the seed and whose leaves vote by their training examples."""
    count, (n, p) = folds.max() + 1, sample.features.shape
    nodes = 2**DEPTH
    feature = rng.integers(p, size=(count, nodes))
    cut = sample.features[rng.integers(n, size=(count, nodes)), feature]
    leaf = np.ones((count, n), dtype=np.int64)
    rows, examples = np.arange(count)[:, None], np.arange(n)
    for _ in range(DEPTH):
        leaf = 2 * leaf + (sample.features[examples, feature[rows, leaf % nodes]] > cut[rows, leaf % nodes])
    leaf -= nodes
    cells = (rows * nodes + leaf) * sample.num_labels + sample.labels
    votes = np.bincount(cells.ravel(), _training(folds).ravel(), count * nodes * sample.num_labels)
    votes = votes.reshape(count, nodes, sample.num_labels) + 1e-9 * np.bincount(sample.labels)
    return votes[folds, leaf[folds, examples]].argmax(axis=1)


LEARNERS: dict[str, Callable[[Sample, Ints, Generator], Ints]] = {
    "bayes": bayes,
    "resampled_bayes": resampled_bayes,
    "subspace_bayes": subspace_bayes,
    "word_bayes": word_bayes,
    "subspace_word_bayes": subspace_word_bayes,
    "loose_ridge": loose_ridge,
    "tight_ridge": tight_ridge,
    "random_tree": random_tree,
}
DRAWING = ("resampled_bayes", "subspace_bayes", "subspace_word_bayes", "random_tree")
"""Learners that draw from their seed."""


def predictions(
    learner: str, sample: Sample, partitions: dict[int, Ints], seeds: int, rng: Generator
) -> dict[int, Ints]:
    """Return out-of-fold predictions by number of folds, int64 (seeds, repeats, n); one seed where none is drawn.

    Args:
        learner: A name in `LEARNERS`, or `nearest`.
        sample: The examples.
        partitions: Folds of the examples by number of folds, int64 (repeats, n).
        seeds: Seeds; each training draws anew.
        rng: What is drawn from.
    """
    if learner == "nearest":
        near = nearest_of(sample)
        return {
            k: np.stack([[_nearest_outside(sample, near, folds) for folds in rows]]) for k, rows in partitions.items()
        }
    draws = seeds if learner in DRAWING else 1
    return {
        k: np.stack([[LEARNERS[learner](sample, folds, rng) for folds in rows] for _ in range(draws)])
        for k, rows in partitions.items()
    }


def _nearest_outside(sample: Sample, near: Ints, folds: Ints) -> Ints:
    outside = folds[near] != folds[:, None]
    return sample.labels[near[np.arange(len(near)), outside.argmax(axis=1)]]


def _training(folds: Ints) -> Floats:
    """Return whether each example is trained on when each fold is left out, float64 (folds, n)."""
    return (np.arange(folds.max() + 1)[:, None] != folds).astype(np.float64)


def _subspaces(sample: Sample, folds: Ints, rng: Generator) -> Floats:
    """Return which third of the features each fold's training may use, float64 (folds, p, 1)."""
    drawn = rng.random((folds.max() + 1, sample.features.shape[1]))
    third = np.sort(drawn, axis=1)[:, drawn.shape[1] // 3 - 1 : drawn.shape[1] // 3]
    return (drawn <= third).astype(np.float64)[:, :, None]


def _sums(sample: Sample, folds: Ints) -> tuple[Floats, Floats]:
    """Return the sums of [features, their squares] over each fold's training examples by class, and their numbers.

    float64 (folds, 2p, C) and (folds, 1, C).
    """
    count = folds.max() + 1
    cells = np.zeros((len(folds), count * sample.num_labels))
    cells[np.arange(len(folds)), folds * sample.num_labels + sample.labels] = 1
    sums, numbers = _by_fold(cells, folds, sample)
    return sums.sum(axis=0) - sums, np.maximum(numbers.sum(axis=0) - numbers, 0.5)


def _by_fold(cells: Floats, folds: Ints, sample: Sample) -> tuple[Floats, Floats]:
    """Return weighted sums and numbers of examples; `cells` are weights by fold and class, float64 (n, folds * C)."""
    both = sample.squared.T @ cells
    shape = (both.shape[0], folds.max() + 1, sample.num_labels)
    numbers = np.maximum(cells.sum(axis=0), 0.5).reshape(shape[1:])
    return np.moveaxis(both.reshape(shape), 0, 1), numbers[:, None, :]


def _normal_bayes(
    sample: Sample, folds: Ints, kept: Floats | None = None, sums: tuple[Floats, Floats] | None = None
) -> Ints:
    """Predict by naive Bayes from some of the features, and from other sums than all training examples'."""
    both, counts = sums or _sums(sample, folds)
    p = sample.features.shape[1]
    kept = np.ones(1) if kept is None else kept
    means = both[:, :p] / counts
    variances = np.maximum(both[:, p:] / counts - means**2, 0.05)
    constant = (kept * -0.5 * (means**2 / variances + np.log(variances))).sum(axis=1) + np.log(counts[:, 0])
    slopes = np.concatenate([kept * means / variances, -0.5 * kept / variances], axis=1)
    return _own(sample.squared, folds, slopes, constant)


def _word_bayes(sample: Sample, folds: Ints, kept: Floats) -> Ints:
    """Predict by multinomial naive Bayes with some of the words."""
    both, numbers = _sums(sample, folds)
    counts = kept * (both[:, : sample.features.shape[1]] + 1)
    slopes = np.log(np.where(counts > 0, counts / counts.sum(axis=1, keepdims=True), 1))
    return _own(sample.features, folds, slopes, np.log(numbers[:, 0]))


def _ridge(sample: Sample, folds: Ints, penalty: float) -> Ints:
    """Predict by least squares on the indicators of the classes."""
    values = np.concatenate([sample.features, np.ones((len(folds), 1))], axis=1)
    both = np.concatenate([values, sample.one_hot], axis=1)
    products = np.stack([values[own].T @ both[own] for own in (folds == k for k in range(folds.max() + 1))])
    products = products.sum(axis=0) - products
    width = values.shape[1]
    ridge = penalty * np.diag(np.r_[np.ones(width - 1), 1e-9])
    fitted = np.linalg.solve(products[:, :, :width] + ridge, products[:, :, width:])
    return _own(values, folds, fitted, np.zeros((len(fitted), 1)))


def _own(values: Floats, folds: Ints, slopes: Floats, constants: Floats) -> Ints:
    """Return each example's best class by the slopes (folds, p, C) and constants (folds, C) of its own fold."""
    found = np.empty(len(folds), dtype=np.int64)
    for fold in range(len(slopes)):
        own = folds == fold
        found[own] = (values[own] @ slopes[fold] + constants[fold]).argmax(axis=1)
    return found
