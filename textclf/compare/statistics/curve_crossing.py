"""The crossing of a learning curve with a score that takes no more labels: from how many on training is as good.

At each size n of the training data the two-way test gives the difference of the trained setup and the fixed one with
its interval. Between two sizes that were tried the difference is taken to be linear in n^-1/2: errors fall about as
a + b n^-c (see `learning_curve`), and of the exponents that are found in practice a half lies in the middle. Each end
of the interval is carried from size to size in the same way. That is careful, since the standard deviation of a mix of
two estimates is at most the mix of theirs, whatever they have in common: the draw of the training examples, the test
examples.

The crossing is the size from which on the difference is never below 0. Its interval is what the test at each size
leaves possible: it begins where the trained setup is last shown to be worse, and ends where it is shown to be better
at every further size. Nothing is said beyond the sizes that were tried; there the interval is open.
`experiments/crossing_calibration.py` simulates how often it holds the crossing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textclf.compare.statistics.two_way import Estimates

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossing:
    """The number of training examples from which on a trained setup is at least as good as a fixed one.

    0 stands for the smallest size that was tried or fewer, infinity for more than the largest.
    """

    at: float
    low: float
    """Lower end of the 95 % interval; 0 where no size is shown to be too small."""
    high: float
    """Upper end; infinity where no size is shown to be enough."""


def crossing(sizes: ArrayLike, gains: Estimates, level: float = 0.95) -> Crossing:
    """Return where a learning curve crosses a fixed score.

    Args:
        sizes: Training examples, ascending, each once, int (m,).
        gains: How much better the trained setup is than the fixed one at each size: positive is better.
        level: Of the interval.

    Raises:
        ValueError: If sizes do not ascend, or are not as many as the gains.
    """
    n = np.asarray(sizes, dtype=np.float64)
    if n.shape != gains.value.shape or not len(n) or n[0] <= 0 or (np.diff(n) <= 0).any():
        raise ValueError(f"sizes must ascend from above 0, one for each gain, got {n} for {len(gains.value)} gains")
    least, most = gains.interval(level)
    return Crossing(stays_above(n, gains.value), stays_above(n, most), stays_above(n, least))


def stays_above(sizes: Floats, values: Floats) -> float:
    """Return the size from which on values are never below 0, linear in n^-1/2 between sizes; 0 where none is."""
    below = np.flatnonzero(values < 0)
    if not len(below):
        return 0.0
    last = int(below[-1])
    if last == len(values) - 1:
        return math.inf
    share = -values[last] / (values[last + 1] - values[last])
    x = sizes[last : last + 2] ** -0.5
    return float((x[0] + share * (x[1] - x[0])) ** -2)
