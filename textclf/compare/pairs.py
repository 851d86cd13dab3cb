"""Pairs of setups on one test set: tested, corrected for their number, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from textclf.compare.options import Claim, CompareOptions
from textclf.compare.scores import TestScores
from textclf.compare.setups import FEWEST_SEEDS, Setup
from textclf.compare.statistics import (
    Estimates,
    Scores,
    differences,
    holm,
    holm_levels,
    mcnemar_p_value,
    superiority,
)
from textclf.evaluation.metric_names import direction


class Verdict(Enum):
    """The outcome of a test of the first setup against the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Pair:
    """Two setups, their difference in one metric, and the verdict on it."""

    first: str
    second: str
    metric: str
    claim: Claim
    """`setup` or `classifier`."""
    seeds: tuple[int, int]
    """Seeds that each side has in the test; 0 of a setup that draws nothing from its seed, and so holds for all."""
    num_examples: int
    difference: float
    """First minus second."""
    low: float
    """Lower end of the 95 % interval of this pair alone."""
    high: float
    low_corrected: float
    """Lower end of the interval that goes with `p_corrected`: it holds 0 where that is not below alpha."""
    high_corrected: float
    p_value: float
    """Of this pair alone."""
    p_corrected: float
    """By Holm, over all pairs."""
    p_equivalent: float
    """Of the hypothesis that the setups differ by the margin or more; by Holm, over all pairs."""
    superiority: float
    """P(first > second): over pairs of seeds for setups, over draws of the examples for classifiers, over folds in a
    cross-validation."""
    smallest_detectable: float
    """The smallest true difference that this test, corrected for all pairs, finds with a chance of 80 %."""
    seed_share: float
    """Share of the variance that is due to seeds."""
    verdict: Verdict
    folds: str = field(default="", kw_only=True)
    """The cross-validation that it rests on, as `5 folds`; empty where one test split was held out."""


def compare_pairs(scores: TestScores, metric: str, options: CompareOptions) -> list[Pair]:
    """Return every pair of setups that may be compared, tested and judged.

    Setups trained on different numbers of examples make a learning curve, no pair; nor does one for
    which the metric is undefined in some run.

    Args:
        scores: The scores of the setups of one test set.
        metric: A metric of `TESTED`.
        options: How to compare.
    """
    setups = scores.test.setups
    sign = direction(metric)
    means = scores.of_setups(metric).means * sign
    able = scores.levels(metric)
    sizes = scores.test.sizes
    numbers = [
        _ordered(a, b, setups, means, options.reference)
        for a, b in combinations(range(len(setups)), 2)
        if sizes[a] == sizes[b] and {setups[a].name, setups[b].name} <= set(able)
    ]
    claims = [Claim.setup if scores.test.folds else _claim(setups[a], setups[b], options.claim) for a, b in numbers]
    claim_of = dict(zip(numbers, claims, strict=True))
    about_setups = [pair for pair, claim in zip(numbers, claims, strict=True) if claim is Claim.setup]
    about_classifiers = [pair for pair, claim in zip(numbers, claims, strict=True) if claim is Claim.classifier]
    strict = options.alpha / max(len(numbers), 1)
    rows = {
        **_test_setups(scores.of_setups(metric), about_setups, strict, options.margin),
        **_test_classifiers(scores, metric, about_classifiers, strict, options.margin),
    }
    if not numbers:
        return []
    order = sorted(numbers, key=lambda pair: (-means[pair[0]], -means[pair[1]], pair))
    found = [rows[pair] for pair in order]
    different = holm([row.p_value for row in found])
    same = holm([row.p_equivalent for row in found])
    strictness = holm_levels([row.p_value for row in found], options.alpha)
    pairs = []
    for (a, b), row, p, p_equivalent, level in zip(order, found, different, same, strictness, strict=True):
        low, high = row.interval(level)
        claim = claim_of[a, b]
        counts = (1, 1)
        if claim is Claim.setup:
            counts = (_count(setups[a]), _count(setups[b]))
        pairs.append(
            Pair(
                first=setups[a].name,
                second=setups[b].name,
                metric=metric,
                claim=claim,
                seeds=counts,
                num_examples=len(scores.test.labels),
                folds=scores.test.folds,
                difference=row.difference,
                low=row.low,
                high=row.high,
                low_corrected=low,
                high_corrected=high,
                p_value=row.p_value,
                p_corrected=float(p),
                p_equivalent=float(p_equivalent),
                superiority=row.superiority if sign > 0 else 1 - row.superiority,
                smallest_detectable=row.smallest_detectable,
                seed_share=row.seed_share,
                verdict=judge(sign * row.difference, float(p), float(p_equivalent), options.alpha),
            )
        )
    return pairs


@dataclass(frozen=True)
class _Row:
    """A pair's test before the correction for the number of pairs."""

    difference: float
    low: float
    high: float
    p_value: float
    p_equivalent: float
    superiority: float
    smallest_detectable: float
    seed_share: float
    error: Estimates
    """The estimate of this pair alone."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that leaves 0 out where the p-value is below a level."""
        low, high = (float(end[0]) for end in self.error.interval(1 - level))
        shows = self.p_value < level  # McNemar's test and the bootstrap may differ from this by a little
        if shows and low <= 0 <= high:
            return (0.0, high) if self.difference > 0 else (low, 0.0)
        return (low, high) if shows else (min(low, 0.0), max(high, 0.0))


def _ordered(
    a: int, b: int, setups: Sequence[Setup], means: NDArray[np.float64], reference: str | None
) -> tuple[int, int]:
    """Return a pair with the reference second, or else with the better setup first."""
    if reference in (setups[a].name, setups[b].name):
        return (b, a) if setups[a].name == reference else (a, b)
    return (a, b) if means[a] >= means[b] else (b, a)


def _count(setup: Setup) -> int:
    """Return the number of seeds that a setup was run with; 0 where any would have given the same."""
    return len(setup.runs) if setup.draws_seed else 0


def _claim(first: Setup, second: Setup, asked: Claim) -> Claim:
    """Return what can be claimed of a pair."""
    several = min(len(first.sample), len(second.sample)) >= FEWEST_SEEDS
    return Claim.setup if several and asked is not Claim.classifier else Claim.classifier


def judge(gain: float, p: float, p_equivalent: float, alpha: float) -> Verdict:
    """Judge a gain (positive is better) from its corrected p-values."""
    if p < alpha:
        return Verdict.BETTER if gain > 0 else Verdict.WORSE
    return Verdict.EQUIVALENT if p_equivalent < alpha else Verdict.CANNOT_TELL


def _test_setups(
    scores: Scores, pairs: list[tuple[int, int]], strict: float, margin: float
) -> dict[tuple[int, int], _Row]:
    """Test pairs of setups: seeds and examples both vary."""
    if not pairs:
        return {}
    estimates = differences(scores, *np.array(pairs).T)
    chances = [superiority(scores.by_seed[a], scores.by_seed[b]) for a, b in pairs]
    if scores.folds is not None:
        gaps = [scores.folds.by_fold[a] - scores.folds.by_fold[b] for a, b in pairs]
        chances = [superiority(gap.ravel(), [0.0]) for gap in gaps]
    return _rows(pairs, estimates, estimates.p_values(), estimates.equivalence_p_values(margin), chances, strict)


def _test_classifiers(
    scores: TestScores, metric: str, pairs: list[tuple[int, int]], strict: float, margin: float
) -> dict[tuple[int, int], _Row]:
    """Test pairs of single classifiers: only the examples vary.

    For accuracy and subset accuracy the p-value is McNemar's. For every metric of the confusion matrix the error and
    the interval are the paired bootstrap's over the examples; for those of sets of labels, the interval.
    """
    if not pairs:
        return {}
    setups = scores.test.setups
    estimates = differences(scores.of_classifiers(metric), *np.array(pairs).T)
    p_values, chances = estimates.p_values(), []
    low, high = estimates.interval()
    for row, (a, b) in enumerate(pairs):
        first, second = setups[a].chosen_run, setups[b].chosen_run
        if metric in ("accuracy", "subset_accuracy"):
            p_values[row] = mcnemar_p_value(first.right, second.right)
        if metric not in scores.draws:
            chances.append(float("nan"))
            continue
        drawn = scores.draws[metric][id(first)] - scores.draws[metric][id(second)]
        chances.append(superiority(drawn, [0.0]))
        if drawn.any():
            low[row], high[row] = np.quantile(drawn, [0.025, 0.975])
    found = _rows(pairs, estimates, p_values, estimates.equivalence_p_values(margin), chances, strict)
    return {pair: replace(found[pair], low=float(low[row]), high=float(high[row])) for row, pair in enumerate(pairs)}


def _rows(
    pairs: list[tuple[int, int]],
    estimates: Estimates,
    p_values: NDArray[np.float64],
    p_equivalent: NDArray[np.float64],
    chances: list[float],
    strict: float,
) -> dict[tuple[int, int], _Row]:
    """Return what was estimated, by pair."""
    low, high = estimates.interval()
    smallest = estimates.smallest_detectable(strict)
    columns = zip(
        estimates.value, low, high, p_values, p_equivalent, chances, smallest, estimates.seed_share, strict=True
    )
    return {
        pair: _Row(*(float(value) for value in row), error=estimates.at(number))
        for number, (pair, row) in enumerate(zip(pairs, columns, strict=True))
    }
