"""Learning curves: a power law through scores at several sizes of the training data, and what it foretells.

The error of a classifier falls with the number n of training examples about as a + b n^-c (Cortes et al. 1993; Hestness
et al. 2017; Viering & Loog 2022 for where it does not). Three numbers can hardly be read from the four sizes that
people try, so none is reported: what counts is the spread of what all curves foretell that fit the scores within their
error. Each draw of the test examples and of the seeds gives other scores, and so another curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FEWEST_SIZES = 3
"""Sizes of the training data that a curve needs."""
EXPONENTS = np.geomspace(0.05, 1.5, 24)
"""Exponents c that are tried."""


@dataclass(frozen=True)
class Forecast:
    """What a learning curve foretells of one size of the training data."""

    train_examples: int
    mean: float
    """The error, as it was given."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    gain: float
    """By how much the error falls from the largest size that was tried."""
    gain_low: float
    gain_high: float


def fitted(sizes: ArrayLike, errors: ArrayLike, at: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Fit a + b n^-c with a, b at least 0 by weighted least squares, and return the errors that it gives.

    Args:
        sizes: Training examples, (m,), m at least 2.
        errors: Errors at these sizes, one curve a row, (rows, m).
        at: Training examples to foretell, (t,).
        weights: How much each size counts, (m,); none counts all alike.

    Returns:
        float64 (rows, t).
    """
    n, to = np.asarray(sizes, dtype=np.float64), np.asarray(at, dtype=np.float64)
    y = np.atleast_2d(np.asarray(errors, dtype=np.float64))
    w = np.ones(len(n)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    best, found = np.full(len(y), np.inf), np.zeros((len(y), len(to)))
    for exponent in EXPONENTS:
        x, x_to = n**-exponent, to**-exponent
        mean_x, mean_y = w @ x, y @ w
        slope = (y - mean_y[:, None]) @ (w * (x - mean_x)) / (w @ (x - mean_x) ** 2)
        slope = np.maximum(slope, 0)
        level = mean_y - slope * mean_x
        through_zero = np.maximum(y @ (w * x) / (w @ x**2), 0)
        slope, level = np.where(level < 0, through_zero, slope), np.maximum(level, 0)
        misfit = (y - level[:, None] - slope[:, None] * x) ** 2 @ w
        better = misfit < best
        best = np.where(better, misfit, best)
        found = np.where(better[:, None], level[:, None] + slope[:, None] * x_to, found)
    return found


def forecast(
    sizes: ArrayLike,
    errors: ArrayLike,
    draws: ArrayLike,
    seed_errors: ArrayLike,
    seed_counts: ArrayLike,
    at: int,
    seed: int = 0,
) -> Forecast:
    """Return what a learning curve foretells of a larger size, with what is known of its error.

    Args:
        sizes: Training examples, each once, int (m,), m at least `FEWEST_SIZES`.
        errors: Mean error over seeds at each size, (m,).
        draws: The same in draws of the test examples, the same draws for all sizes, (draws, m).
        seed_errors: Standard error of each mean over seeds, (m,); 0 of a setup that draws nothing from its seed.
        seed_counts: Seeds at each size, int (m,).
        at: Training examples to foretell.
        seed: For the draws of the seeds.

    Raises:
        ValueError: If there are too few sizes, or shapes that do not fit.
    """
    n, y, rows = np.asarray(sizes), np.asarray(errors, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if len(set(n.tolist())) != len(n) or len(n) < FEWEST_SIZES or y.shape != n.shape or rows.shape[1:] != n.shape:
        raise ValueError(
            f"a curve needs {FEWEST_SIZES} sizes or more, each once, with an error and draws of it, got sizes "
            f"{n.shape}, errors {y.shape}, draws {rows.shape}"
        )
    freedom = np.maximum(np.asarray(seed_counts) - 1, 1)
    rng = np.random.default_rng(seed)
    by_seed = rng.standard_t(freedom, size=rows.shape) * np.asarray(seed_errors)
    variances = rows.var(axis=0) + np.asarray(seed_errors, dtype=np.float64) ** 2
    weights = 1 / np.maximum(variances, variances.max() / 100 + 1e-12)
    largest = int(np.argmax(n))
    misfit = _misfit(n, y, weights, np.asarray(seed_errors, dtype=np.float64))
    noise = misfit * rng.standard_normal(rows.shape)
    curves = fitted(n, rows + by_seed + noise, [n[largest], at], weights)
    (now, then), gains = fitted(n, y, [n[largest], at], weights)[0], curves[:, 0] - curves[:, 1]
    low, high = np.quantile(curves[:, 1], [0.025, 0.975])
    gain_low, gain_high = np.quantile(gains, [0.025, 0.975])
    return Forecast(int(at), float(then), float(low), float(high), float(now - then), float(gain_low), float(gain_high))


def _misfit(sizes: NDArray, errors: Floats, weights: Floats, seed_errors: Floats) -> float:
    """Return the standard deviation of scores around their curve that seeds do not explain: other training examples."""
    left = errors - fitted(sizes, errors, sizes, weights)[0]
    freedom = max(len(sizes) - 2, 1)
    return float(np.sqrt(max((left**2).sum() / freedom - (seed_errors**2).mean(), 0)))
