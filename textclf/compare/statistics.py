"""Statistical tests of setups that were run with several seeds on the same test examples.

A score varies for two reasons: another seed would have trained another classifier, and another
draw of test examples would have scored it otherwise. A claim about a *setup* (train it again and
it will still be better) must allow for both. The two-way t test used here adds them up:

    variance of a difference = s²_A / (k_A - 1) + s²_B / (k_B - 1) + variance over draws of the test examples

with s² the variance of a setup's score over its k seeds, and Student's t with Satterthwaite's
degrees of freedom. For a score that is a mean over examples (accuracy, log loss) the last term is
exact; for others (macro F1) it is the bootstrap variance over examples of the mean over seeds.
Seeds need no resampling: the bootstrap variance of a mean of k is known in closed form.

The unbiased variance of a mean over seeds would be s² / k. Dividing by k - 1 is a correction for few
seeds: where s² happens to be small the degrees of freedom happen to be many, and without it the test
claims too much (simulated: up to 7.8 % instead of 5 % with three seeds, where only one of two
setups varies over seeds).

A test over one seed, or over seeds alone, calls identical setups different far more often than
it says (Reimers & Gurevych 2018; Sellam et al. 2022). `experiments/calibration.py` measures how
often this one does.

The bootstrap serves scores that depend on the whole confusion matrix. Every such score (accuracy, macro F1, MCC …) is
a function of the counts of (true, predicted) pairs, so one draw of n examples is one weighting of them, and the
confusion matrices of all draws are one matrix product of weights by indicators.

Nothing here knows of runs or files: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats
from statsmodels.stats.contingency_tables import mcnemar

Floats = NDArray[np.float64]

POWER = 0.8
"""The chance with which the smallest detectable difference would have been found."""
FEW_DISAGREEMENTS = 25
"""Below this many, McNemar's test is computed exactly rather than by its chi-squared approximation."""
DRAWS = 1000
"""Bootstrap draws; the standard error they give is itself uncertain by about 2 %."""
BLOCK_BYTES = 64_000_000
"""Memory that the weights of one block of draws may take."""
DENSE_CELLS = 36
"""Up to this many cells of a confusion matrix a dense product is faster than a sparse one."""


@dataclass(frozen=True)
class Scores:
    """One metric of S setups on the same test examples, reduced to what the tests need."""

    by_seed: tuple[Floats, ...]
    """Each setup's score for each of its seeds, float64 (k,), over the whole test set."""
    covariance: Floats
    """Covariance of the setups' means over seeds, over draws of the test examples, float64 (S, S)."""
    num_examples: int
    """Test examples that every score was computed on."""

    @property
    def means(self) -> Floats:
        """Each setup's mean over seeds, float64 (S,)."""
        return np.array([scores.mean() for scores in self.by_seed])

    @property
    def seed_counts(self) -> NDArray[np.int64]:
        """Each setup's number of seeds, int64 (S,)."""
        return np.array([len(scores) for scores in self.by_seed])

    @property
    def seed_variances(self) -> Floats:
        """Variance of each setup's mean due to its seeds, corrected for few seeds, float64 (S,).

        It is 0 for one seed, which shows none.
        """
        return np.array([scores.var(ddof=1) / (len(scores) - 1) if len(scores) > 1 else 0.0 for scores in self.by_seed])


@dataclass(frozen=True)
class Estimates:
    """Estimates with what is known of their error; each field is an array over pairs or setups."""

    value: Floats
    """The difference A - B, or the score of a setup."""
    standard_error: Floats
    degrees_of_freedom: Floats
    seed_share: Floats
    """Share of the variance that is due to seeds, 0 to 1; the rest is due to the test examples."""

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the lower and upper ends of the central interval at this level."""
        reach = stats.t.ppf(0.5 + level / 2, self.degrees_of_freedom) * self.standard_error
        return self.value - reach, self.value + reach

    def p_values(self) -> Floats:
        """Return two-sided p-values of the hypothesis that the value is 0."""
        return 2 * stats.t.sf(np.abs(self.value) / self.standard_error, self.degrees_of_freedom)

    def equivalence_p_values(self, margin: float) -> Floats:
        """Return p-values of the hypothesis that the value lies outside ±margin (two one-sided tests)."""
        return stats.t.sf((margin - np.abs(self.value)) / self.standard_error, self.degrees_of_freedom)

    def smallest_detectable(self, alpha: float | Floats = 0.05) -> Floats:
        """Return the smallest true difference that a test at level alpha finds with a chance of `POWER`."""
        t = stats.t.ppf(1 - np.asarray(alpha) / 2, self.degrees_of_freedom) + stats.t.ppf(
            POWER, self.degrees_of_freedom
        )
        return t * self.standard_error


def scores_of_means(values: Sequence[ArrayLike]) -> Scores:
    """Return the scores of setups where a score is a mean over examples.

    Args:
        values: For each setup, its value on each example for each seed, float (k, n); such as
            1 where the prediction is right and 0 where it is wrong.
    """
    arrays = [np.asarray(setup, dtype=np.float64) for setup in values]
    over_seeds = np.stack([setup.mean(axis=0) for setup in arrays])
    num_examples = over_seeds.shape[1]
    covariance = np.atleast_2d(np.cov(over_seeds)) / num_examples if num_examples > 1 else np.zeros((len(arrays),) * 2)
    return Scores(tuple(setup.mean(axis=1) for setup in arrays), covariance, num_examples)


def scores_of_draws(by_seed: Sequence[ArrayLike], draws: Sequence[Floats], num_examples: int) -> Scores:
    """Return the scores of setups where a score is not a mean over examples.

    Args:
        by_seed: For each setup, its score for each seed on all examples, float (k,).
        draws: For each setup, its mean over seeds in each bootstrap draw of the examples, float64
            (draws,). The draws must be the same examples for every setup.
        num_examples: Number of examples.
    """
    covariance = np.atleast_2d(np.cov(np.stack(draws)))
    return Scores(tuple(np.asarray(scores, dtype=np.float64) for scores in by_seed), covariance, num_examples)


def differences(scores: Scores, first: ArrayLike, second: ArrayLike) -> Estimates:
    """Return the two-way estimates of `first - second` for pairs of setups.

    Where both setups have one seed, the estimate is of these two classifiers and says nothing of
    the setups: the seeds' part of the variance is unknown and counted as 0.

    Args:
        scores: The scores of all setups.
        first: Numbers of setups, int (pairs,).
        second: Numbers of setups, int (pairs,).
    """
    a, b = np.atleast_1d(first), np.atleast_1d(second)
    covariance = scores.covariance
    examples = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
    return _estimates(scores, scores.means[a] - scores.means[b], examples, np.stack([a, b]))


def levels(scores: Scores) -> Estimates:
    """Return each setup's own score with its error over seeds and test examples."""
    setups = np.arange(len(scores.by_seed))
    return _estimates(scores, scores.means, np.diag(scores.covariance), setups[None, :])


def _estimates(scores: Scores, values: Floats, examples: Floats, setups: NDArray[np.int64]) -> Estimates:
    """Return estimates from the examples' variance and the seeds' of the setups involved, (parts, pairs)."""
    # Where two setups agree on every example, the variance is taken as if they disagreed on one: agreement on a few
    # examples is no proof of agreement on all.
    examples = np.maximum(examples, 1.0 / scores.num_examples**2)
    seeds = scores.seed_variances[setups]
    seed_freedom = np.maximum(scores.seed_counts[setups] - 1, 1)
    total = seeds.sum(axis=0) + examples
    freedom = total**2 / ((seeds**2 / seed_freedom).sum(axis=0) + examples**2 / max(scores.num_examples - 1, 1))
    return Estimates(values, np.sqrt(total), freedom, seeds.sum(axis=0) / total)


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values corrected by Holm for their number, float64 (m,), in the order they came in.

    `statsmodels.stats.multitest.multipletests` gives the same digits, but has Python collect all garbage each time,
    which takes longer than a whole comparison of a table.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given)
    corrected = np.empty_like(given)
    corrected[order] = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    return np.minimum(corrected, 1)


def superiority(first: ArrayLike, second: ArrayLike) -> float:
    """Return the share of pairs of seeds in which the first scores higher; ties count half."""
    gaps = np.subtract.outer(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def mcnemar_p_value(right_first: NDArray[np.bool_], right_second: NDArray[np.bool_]) -> float:
    """Return McNemar's p-value for two classifiers on the same examples.

    Args:
        right_first: Where the first classifier is right, bool (n,).
        right_second: Where the second is.
    """
    only_first = int(np.sum(right_first & ~right_second))
    only_second = int(np.sum(~right_first & right_second))
    if only_first + only_second == 0:
        return 1.0
    exact = only_first + only_second < FEW_DISAGREEMENTS
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=exact, correction=True).pvalue)


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


def confusions(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int) -> Floats:
    """Return the confusion matrix, true classes in rows: float64 (C, C).

    Args:
        labels: True classes, int64 (n,).
        predicted: Predicted classes, int64 (n,).
        num_labels: Number of classes C.
    """
    cells = labels * num_labels + predicted
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels).astype(np.float64)


def drawn_confusions(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int, weights: NDArray[np.float32]
) -> Floats:
    """Return the confusion matrices of several classifiers in several draws of the examples.

    Args:
        labels: True classes, int64 (n,).
        predicted: Each classifier's predicted classes, int64 (classifiers, n).
        num_labels: Number of classes C.
        weights: How often each example is drawn, float32 (draws, n).

    Returns:
        float64 (classifiers, draws, C, C).
    """
    classifiers, n = predicted.shape
    size = num_labels**2
    rows = (labels * num_labels + predicted) + np.arange(classifiers)[:, None] * size
    if size <= DENSE_CELLS:
        indicators = np.zeros((classifiers * size, n), dtype=np.float32)
        indicators[rows, np.arange(n)] = 1
        counts = indicators @ weights.T
    else:
        examples = np.broadcast_to(np.arange(n), rows.shape).ravel()
        ones = np.ones(len(examples), dtype=np.float32)
        counts = sparse.csr_array((ones, (rows.ravel(), examples)), shape=(classifiers * size, n)) @ weights.T
    per_draw = np.moveaxis(counts.reshape(classifiers, size, len(weights)), 2, 1)
    return per_draw.reshape(classifiers, len(weights), num_labels, num_labels).astype(np.float64)


def bootstrap(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int, metrics: Sequence[str], draws: int = DRAWS
) -> dict[str, Floats]:
    """Return metrics of several classifiers in draws of the test examples, the same draws for all.

    Args:
        labels: True classes, int64 (n,).
        predicted: Each classifier's predicted classes, int64 (classifiers, n).
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
    return _ratio(2 * _hits(matrices), matrices.sum(axis=-1) + matrices.sum(axis=-2))


def class_recall(matrices: Floats) -> Floats:
    """Return each class's recall, (…, C); nan for a class that does not occur."""
    return _ratio(_hits(matrices), matrices.sum(axis=-1))


def class_precision(matrices: Floats) -> Floats:
    """Return each class's precision, (…, C); nan for a class that is never predicted."""
    return _ratio(_hits(matrices), matrices.sum(axis=-2))


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
    above = _hits(matrices).sum(axis=-1) * total - (true * predicted).sum(axis=-1)
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
