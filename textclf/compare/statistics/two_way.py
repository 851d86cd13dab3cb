"""The two-way t test of setups that were run with several seeds on the same test examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

POWER = 0.8
"""The chance with which the smallest detectable difference would have been found."""
SHARED = 1.5
"""Factor of the examples' variance in a cross-validation, where each example is also trained on: one that is easy to
get right tends to help with the others. No unbiased estimate of that exists (Bengio & Grandvalet 2004); the factor was
chosen by simulation (`experiments/fold_calibration.py`)."""
FEW_FOLDS = 2
"""The variance between folds is raised by this over its degrees of freedom: where it happens to be small, those of
Satterthwaite happen to be many. Chosen likewise."""


@dataclass(frozen=True)
class FoldSpread:
    """Scores by fold of a cross-validation; folds are numbered within each repeat."""

    by_fold: Floats
    """Each setup's score by repeat and fold, mean over seeds, float64 (S, repeats, k)."""
    covariance: Floats
    """Covariance of the setups' scores in one repeat over draws of the examples, mean over repeats, float64 (S, S)."""

    def estimate(self, setups: NDArray[np.int64]) -> tuple[Floats, float]:
        """Return the variance that trainings on other examples add to a score or a difference, and its freedom.

        Folds differ by their test examples and by their classifiers. The part of the examples is known from the
        examples; what the folds vary more than that is the classifiers', and is averaged over folds and repeats. The
        folds' variance is corrected for their small number.

        Args:
            setups: Numbers of setups: one row of scores, or two of which the second is subtracted, int (parts, pairs).
        """
        folds, repeats = self.by_fold.shape[2], self.by_fold.shape[1]
        scores = self.by_fold[setups[0]] - (self.by_fold[setups[1]] if len(setups) > 1 else 0)
        freedom = repeats * (folds - 1)
        spread = scores.var(axis=2, ddof=1).mean(axis=1) / folds * (1 + FEW_FOLDS / freedom)
        excess = np.maximum(spread - _variances(self.covariance, setups), 0)
        return excess / repeats, freedom


@dataclass(frozen=True)
class Scores:
    """One metric of S setups on the same test examples, reduced to what the tests need."""

    by_seed: tuple[Floats, ...]
    """Each setup's score for each of its seeds, float64 (k,), over the whole test set."""
    covariance: Floats
    """Covariance of the setups' means over seeds, over draws of the test examples, float64 (S, S)."""
    num_examples: int
    """Test examples that every score was computed on."""
    noise: Floats | None = None
    """Part of each setup's variance in `covariance` that is its seeds', which are right on one example and not on
    another by chance, float64 (S,); none where it is not known."""
    folds: FoldSpread | None = None
    """What trainings on other examples add; none where all seeds were trained on the same ones."""

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
        """Variance of each setup's mean due to its seeds, float64 (S,).

        It is corrected for few seeds. It is 0 for one seed, which shows none.
        """
        spread = [scores.var(ddof=1) / (len(scores) - 1) if len(scores) > 1 else 0.0 for scores in self.by_seed]
        return np.array(spread)

    def trainings(self, setups: NDArray[np.int64], examples: Floats) -> tuple[Floats, Floats]:
        """Return the part of the seeds in the variance of scores or differences, and the noise in it, (parts, pairs).

        Where both setups of a pair vary over seeds, the seeds' own variance over examples, which is in the part of the
        examples already, is taken from it: all of it where both vary as much, `4ab / (a + b)²` of it where their parts
        are a and b, so nothing where only one varies. There it would be taken mostly where the few seeds happen to
        agree, and the test would claim too much (`experiments/calibration.py`).

        Args:
            setups: Numbers of setups: one row of scores, or two of which the second is subtracted, int (parts, pairs).
            examples: The part of the examples, float64 (pairs,). No more than it is taken: setups whose seeds share
                their chance differ by less of it.
        """
        parts = self.seed_variances[setups]
        noise = np.zeros_like(parts) if self.noise is None else self.noise[setups]
        if len(setups) == 1:
            return parts, np.minimum(noise, parts)
        whole, twice = parts.sum(axis=0), noise.sum(axis=0)
        balance = 4 * parts.prod(axis=0) / np.where(whole > 0, whole, 1) ** 2
        share = np.minimum(balance * twice, examples) / np.where(twice > 0, twice, 1)
        left = np.maximum(parts - share * noise, 0)
        return left, np.minimum((1 - share) * noise, left)


@dataclass(frozen=True)
class Estimates:
    """Estimates with what is known of their error; each field is an array over pairs or setups."""

    value: Floats
    """The difference A - B, or the score of a setup."""
    standard_error: Floats
    degrees_of_freedom: Floats
    seed_share: Floats
    """Share of the variance that is due to seeds, 0 to 1; the rest is due to the test examples."""
    noise: Floats | float = 0.0
    """Part of the variance that seeds add by being right on one example and wrong on another by chance: more of either
    would lessen it. Here that in the examples' part."""
    seeds_noise: Floats | float = 0.0
    """The same in the seeds' part, where it was not taken from it."""

    def at(self, number: int) -> Estimates:
        """Return one of the estimates, as arrays of one."""
        return Estimates(
            *(np.atleast_1d(np.broadcast_to(part, self.value.shape)[number]) for part in vars(self).values())
        )

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
    noise = np.array([_noise(setup.var(axis=0).mean() / num_examples, len(setup)) for setup in arrays])
    return Scores(tuple(setup.mean(axis=1) for setup in arrays), covariance, num_examples, noise)


def scores_of_draws(by_seed: Sequence[ArrayLike], draws: Sequence[Floats], num_examples: int) -> Scores:
    """Return the scores of setups where a score is not a mean over examples.

    Args:
        by_seed: For each setup, its score for each seed on all examples, float (k,).
        draws: For each setup, its score for each seed in each bootstrap draw of the examples, float64
            (k, draws); or its mean over seeds, (draws,). The draws must be the same examples for every setup.
        num_examples: Number of examples.
    """
    given = [np.atleast_2d(setup) for setup in draws]
    covariance = np.atleast_2d(np.cov(np.stack([setup.mean(axis=0) for setup in given])))
    apart = [setup - setup.mean(axis=0) for setup in given]
    noise = np.array([_noise(setup.var(axis=1, ddof=1).mean(), len(setup)) for setup in apart])
    return Scores(tuple(np.asarray(scores, dtype=np.float64) for scores in by_seed), covariance, num_examples, noise)


def _noise(around: float, seeds: int) -> float:
    """Return the variance over examples of a mean of seeds that is the seeds' own, from their variance around it."""
    return around / (seeds - 1) if seeds > 1 else 0.0


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
    return _estimates(scores, scores.means[a] - scores.means[b], np.stack([a, b]))


def levels(scores: Scores) -> Estimates:
    """Return each setup's own score with its error over seeds and test examples."""
    setups = np.arange(len(scores.by_seed))
    return _estimates(scores, scores.means, setups[None, :])


def _estimates(scores: Scores, values: Floats, setups: NDArray[np.int64]) -> Estimates:
    """Return estimates for the setups involved: one each, or two of which the second is subtracted, (parts, pairs)."""
    # Where two setups agree on every example, the variance is taken as if they disagreed on one: agreement on a few
    # examples is no proof of agreement on all.
    examples = np.maximum(_variances(scores.covariance, setups), 1.0 / scores.num_examples**2)
    noise = in_trainings = np.zeros_like(examples)
    if scores.folds is None:
        trainings, left = scores.trainings(setups, examples)
        in_trainings = left.sum(axis=0)
        if scores.noise is not None:
            noise = np.minimum(scores.noise[setups].sum(axis=0), examples)
        freedom = np.maximum(scores.seed_counts[setups] - 1, 1)
    else:
        variance, freedom = scores.folds.estimate(setups)
        trainings, examples = variance[None, :], SHARED * examples
    total = trainings.sum(axis=0) + examples
    every = total**2 / ((trainings**2 / freedom).sum(axis=0) + examples**2 / max(scores.num_examples - 1, 1))
    return Estimates(values, np.sqrt(total), every, trainings.sum(axis=0) / total, noise, in_trainings)


def _variances(covariance: Floats, setups: NDArray[np.int64]) -> Floats:
    """Return the variance of scores or differences, float64 (pairs,)."""
    if len(setups) == 1:
        return covariance[setups[0], setups[0]]
    a, b = setups
    return covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
