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
