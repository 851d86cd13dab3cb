"""P-values of single classifiers, corrections for the number of pairs, and the chance to be the better one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.contingency_tables import mcnemar

Floats = NDArray[np.float64]

FEW_DISAGREEMENTS = 25
"""Below this many, McNemar's test is computed exactly rather than by its chi-squared approximation."""


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


def holm_levels(p_values: ArrayLike, alpha: float) -> Floats:
    """Return the level at which each p-value was tested by Holm's procedure, float64 (m,), in the order they came in.

    A rejected one was tested at alpha over the number of those not rejected before it; all others at that of the first
    that was not rejected. So an interval at 1 - level leaves 0 out exactly where the corrected p-value is below alpha.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = alpha / np.arange(len(given), 0, -1)
    failed = np.flatnonzero(given[order] >= steps)
    if len(failed):
        steps[failed[0] :] = steps[failed[0]]
    levels = np.empty_like(given)
    levels[order] = steps
    return levels


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
