"""Planning a comparison from one that could not tell: how many more examples or trainings would show a difference."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from textclf.compare.statistics.two_way import SHARED, Estimates

MOST_EXAMPLES = 10_000_000
"""Where so many test examples would not do, none are said to."""
MOST_TIMES = 100
"""Nor trainings, where so many times as many would not do."""


def grown(estimates: Estimates, num_examples: int, examples: float = 1.0, trainings: float = 1.0) -> Estimates:
    """Return what the estimates would be with more test examples or trainings of the same kind, the values unchanged.

    The examples' part of the variance shrinks as they grow, that of the trainings as these do, and what is noise in
    either with both; the degrees of freedom of each part grow likewise.

    Args:
        estimates: Of differences or scores.
        num_examples: Test examples that they rest on.
        examples: How many times as many there would be.
        trainings: How many times as many degrees of freedom the trainings would have: of seeds (k' - 1) / (k - 1), of
            the repeats of a cross-validation their ratio.
    """
    total = estimates.standard_error**2
    of_trainings, of_examples = total * estimates.seed_share, total * (1 - estimates.seed_share)
    rest = total**2 / estimates.degrees_of_freedom - of_examples**2 / max(num_examples - 1, 1)
    freedom = of_trainings**2 / np.maximum(rest, np.finfo(float).tiny)  # of the trainings, by Satterthwaite
    noise, in_trainings = estimates.noise, estimates.seeds_noise
    of_trainings = (of_trainings - in_trainings + in_trainings / examples) / trainings
    of_examples = (of_examples - noise + noise / trainings) / examples
    total = of_trainings + of_examples
    parts = of_trainings**2 / np.maximum(freedom * trainings, 1) + of_examples**2 / max(num_examples * examples - 1, 1)
    return Estimates(
        estimates.value,
        np.sqrt(total),
        total**2 / parts,
        of_trainings / total,
        noise / (examples * trainings),
        in_trainings / (examples * trainings),
    )


def needed_examples(estimate: Estimates, num_examples: int, difference: float, alpha: float) -> int | None:
    """Return how many test examples would show a difference 8 times in 10, with as many trainings as there were.

    Args:
        estimate: Of one pair.
        num_examples: Test examples that it rests on.
        difference: The true difference that is to be shown.
        alpha: Level of the test.

    Returns:
        The number, at least `num_examples`; none where `MOST_EXAMPLES` would not do, for the trainings vary too much.
    """

    def smallest(number: int) -> float:
        return float(grown(estimate, num_examples, number / num_examples).smallest_detectable(alpha)[0])

    return _first(num_examples, MOST_EXAMPLES, smallest, difference)


def needed_seeds(estimate: Estimates, num_examples: int, seeds: int, difference: float, alpha: float) -> int | None:
    """Return how many seeds would show a difference 8 times in 10, on as many test examples as there were.

    Args:
        estimate: Of one pair, over seeds.
        num_examples: Test examples that it rests on.
        seeds: Seeds that it rests on, of each setup that draws from its seed; 2 or more.
        difference: The true difference that is to be shown.
        alpha: Level of the test.

    Returns:
        The number, at least `seeds`; none where `MOST_TIMES` as many would not do, for the examples are too few.
    """

    def smallest(number: int) -> float:
        more = (number - 1) / (seeds - 1)
        return float(grown(estimate, num_examples, trainings=more).smallest_detectable(alpha)[0])

    return _first(seeds, MOST_TIMES * seeds, smallest, difference)


def needed_repeats(estimate: Estimates, num_examples: int, repeats: int, difference: float, alpha: float) -> int | None:
    """Return how many repeats of a cross-validation would show a difference 8 times in 10; arguments as above.

    Returns:
        The number, at least `repeats`; none where `MOST_TIMES` as many would not do.
    """

    def smallest(number: int) -> float:
        return float(grown(estimate, num_examples, trainings=number / repeats).smallest_detectable(alpha)[0])

    return _first(repeats, MOST_TIMES * repeats, smallest, difference)


def cross_validated(
    estimates: Estimates, num_examples: int, seeds: int, all_examples: int, trainings: int
) -> Estimates:
    """Return about what a cross-validation of all labelled examples would make of estimates from one test split.

    Trainings on other examples differ by more than their seeds do, which one split cannot show: the true error is
    larger than this, the more so the less a setup varies over seeds.

    Args:
        estimates: Of differences, over seeds.
        num_examples: Test examples that they rest on.
        seeds: Seeds that they rest on.
        all_examples: Examples that folds would test.
        trainings: Folds times repeats.
    """
    found = grown(estimates, num_examples, all_examples / (SHARED * num_examples), trainings / max(seeds - 1, 1))
    return found


def _first(fewest: int, most: int, smallest: Callable[[int], float], difference: float) -> int | None:
    """Return the first number that makes the smallest detectable difference as small as wanted; none up to `most`."""
    wanted = abs(difference)
    if not wanted or smallest(most) > wanted:
        return None
    return fewest + bisect_left(range(fewest, most), True, key=lambda number: smallest(number) <= wanted)
