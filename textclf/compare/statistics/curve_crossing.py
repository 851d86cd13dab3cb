"""The crossing of a learning curve with a score that takes no more labels: from how many on training is as good.

At each size n of the training data the two-way test gives the difference of the trained setup and the fixed one with
its interval. The crossing is the size from which on the difference is never below 0. Between two sizes that were tried
it is taken to be linear in n^-1/2 for the estimate: errors fall about as a + b n^-c (see `learning_curve`), and of the
exponents that are found in practice a half lies in the middle.

The interval is what the test at each size leaves possible. It begins at the last size at which the trained setup is
shown to be worse, and ends at the first from which on it is shown to be better at every size. So its ends are sizes
that were tried, and between them nothing is taken for granted: fine-tuned transformers jump from chance to near their
best, and where the test's own interval was interpolated too, up to 31 % of crossings of such curves lay outside.
Nothing is said beyond the sizes that were tried; there the interval is open. `experiments/crossing_calibration.py`
simulates how often it holds the crossing.
"""

from __future__ import annotations

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
    """Lower end of the 95 % interval, a size that was tried; 0 where none is shown to be too small."""
    high: float
    """Upper end; infinity where none is shown to be enough."""


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
    too_small, enough = np.flatnonzero(most < 0), np.flatnonzero(least <= 0)
    low = 0.0 if not len(too_small) else np.inf if too_small[-1] == len(n) - 1 else float(n[too_small[-1]])
    high = 0.0 if not len(enough) else np.inf if enough[-1] == len(n) - 1 else float(n[enough[-1] + 1])
    return Crossing(stays_above(n, gains.value), low, high)


def stays_above(sizes: Floats, values: Floats) -> float:
    """Return the size from which on values are never below 0, linear in n^-1/2 between sizes; 0 where none is."""
    below = np.flatnonzero(values < 0)
    if not len(below):
        return 0.0
    last = int(below[-1])
    if last == len(values) - 1:
        return np.inf
    share = -values[last] / (values[last + 1] - values[last])
    x = sizes[last : last + 2] ** -0.5
    return float((x[0] + share * (x[1] - x[0])) ** -2)
