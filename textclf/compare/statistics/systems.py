"""One call for people who have predictions and want verdicts: labels and predictions in, a verdict on each pair out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textclf.compare.statistics.confusion_metrics import OF_CONFUSIONS, confusions
from textclf.compare.statistics.fold_test import fold_scores, fold_scores_of_confusions
from textclf.compare.statistics.p_values import holm
from textclf.compare.statistics.resampling import bootstrap
from textclf.compare.statistics.two_way import Scores, differences, scores_of_draws, scores_of_means

ENOUGH_SEEDS = 3
"""Seeds that each of two systems needs for a claim about systems, where they were not cross-validated."""


@dataclass(frozen=True)
class ComparedSystems:
    """Two systems, their difference in one metric, and the verdict on it."""

    first: str
    second: str
    difference: float
    """Score of the first minus that of the second."""
    low: float
    """Lower end of the 1 - alpha interval of this pair alone."""
    high: float
    p_value: float
    """Of the hypothesis that there is no difference, by Holm over all pairs."""
    verdict: str
    """Of the first: `better`, `worse`, `equivalent` (they differ by less than the margin) or `cannot tell`."""
    smallest_detectable: float
    """The smallest true difference that this test, corrected for all pairs, finds with a chance of 80 %."""
    about: str
    """`systems`, trained again on such data; or `classifiers`, these very ones, where there are too few seeds."""


def compare_systems(
    labels: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    partitions: ArrayLike | None = None,
    *,
    metric: str = "accuracy",
    alpha: float = 0.05,
    margin: float = 0.01,
) -> list[ComparedSystems]:
    """Compare systems by what they predict of the same examples, and say of each pair what can be said.

    Three seeds of each system on one test set:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 2, 1000)
    >>> def system(accuracy, shape):
    ...     return np.where(rng.random(shape) < accuracy, labels, 1 - labels)
    >>> [pair] = compare_systems(labels, {"large": system(0.90, (3, 1000)), "small": system(0.80, (3, 1000))})
    >>> pair.first, pair.verdict, pair.second, pair.about
    ('large', 'better', 'small', 'systems')
    >>> pair.low < 0.10 < pair.high
    True

    Two repeats of a cross-validation with five folds, of one seed each:

    >>> folds = np.stack([rng.permutation(1000) % 5 for _ in range(2)])
    >>> outside = {"large": system(0.90, (1, 2, 1000)), "small": system(0.895, (1, 2, 1000))}
    >>> [pair] = compare_systems(labels, outside, folds, metric="macro_f1")
    >>> pair.verdict, pair.p_value > 0.05
    ('cannot tell', True)

    Args:
        labels: True classes, int (n,), from 0.
        predicted: By name, the predicted classes of each seed, int (seeds, n); or, of cross-validations, of each seed
            and repeat out of fold, int (seeds, repeats, n), where each training must have drawn anew. A system that
            draws nothing from its seed is given three times the same row.
        partitions: The fold of each example in each repeat, int (repeats, n), the same for all systems; none where
            systems were trained on other examples than these.
        metric: `accuracy`, or another name of `OF_CONFUSIONS`.
        alpha: Chance of a false claim that is accepted over all pairs together, 0 to 1.
        margin: Differences up to this size count as none.

    Returns:
        One comparison for each pair, in the order in which the systems were given.

    Raises:
        ValueError: If there are fewer than two systems, the shapes do not fit, or there is no such metric.
    """
    truth = np.asarray(labels)
    rows = {name: np.asarray(given) for name, given in predicted.items()}
    _check(truth, rows, partitions, metric, alpha, margin)
    scores = _scores(truth.astype(np.int64), [row.astype(np.int64) for row in rows.values()], partitions, metric)
    pairs = list(combinations(range(len(rows)), 2))
    estimates = differences(scores, *np.array(pairs).T)
    low, high = estimates.interval(1 - alpha)
    different, same = holm(estimates.p_values()), holm(estimates.equivalence_p_values(margin))
    smallest = estimates.smallest_detectable(alpha / len(pairs))
    names, found = list(rows), []
    for number, (a, b) in enumerate(pairs):
        gap = float(estimates.value[number])
        verdict = "equivalent" if same[number] < alpha else "cannot tell"
        if different[number] < alpha:
            verdict = "better" if gap > 0 else "worse"
        enough = partitions is not None or min(len(rows[names[a]]), len(rows[names[b]])) >= ENOUGH_SEEDS
        found.append(
            ComparedSystems(
                first=names[a],
                second=names[b],
                difference=gap,
                low=float(low[number]),
                high=float(high[number]),
                p_value=float(different[number]),
                verdict=verdict,
                smallest_detectable=float(smallest[number]),
                about="systems" if enough else "classifiers",
            )
        )
    return found


def _scores(
    labels: NDArray[np.int64], rows: list[NDArray[np.int64]], partitions: ArrayLike | None, metric: str
) -> Scores:
    """Return the scores of all systems, over one test set or out of fold."""
    num_labels = int(max(labels.max(), *(row.max() for row in rows))) + 1
    if partitions is not None:
        if metric == "accuracy":
            return fold_scores([row == labels for row in rows], partitions)
        return fold_scores_of_confusions(labels, rows, num_labels, [metric], partitions)[metric]
    if metric == "accuracy":
        return scores_of_means([row == labels for row in rows])
    score = OF_CONFUSIONS[metric]
    by_seed = [[float(score(confusions(labels, seed, num_labels))) for seed in row] for row in rows]
    draws = np.split(
        bootstrap(labels, np.concatenate(rows), num_labels, [metric])[metric],
        np.cumsum([len(row) for row in rows])[:-1],
    )
    return scores_of_draws(by_seed, draws, len(labels))


def _check(
    labels: NDArray, rows: Mapping[str, NDArray], partitions: ArrayLike | None, metric: str, alpha: float, margin: float
) -> None:
    """Refuse what makes no comparison.

    Raises:
        ValueError: With what is wrong, and with which system.
    """
    if len(rows) < 2:
        raise ValueError(f"two systems or more make a comparison, got {len(rows)}")
    if metric not in OF_CONFUSIONS:
        raise ValueError(f"metric must be one of {', '.join(OF_CONFUSIONS)}, got {metric!r}")
    if not 0 < alpha < 1 or margin <= 0:
        raise ValueError(f"alpha must lie between 0 and 1 and margin above 0, got {alpha} and {margin}")
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"labels must have the shape (n,), got {labels.shape}")
    wanted = "(seeds, n)" if partitions is None else "(seeds, repeats, n)"
    for name, row in {"labels": labels, **rows}.items():
        if not np.issubdtype(row.dtype, np.integer) or row.size == 0 or row.min() < 0:
            raise ValueError(f"{name}: classes must be integers from 0, at least one, got {row.dtype} {row.shape}")
        if row is not labels and (row.ndim != (2 if partitions is None else 3) or row.shape[-1] != len(labels)):
            raise ValueError(
                f"{name}: predictions must have the shape {wanted} with n = {len(labels)}, got {row.shape}"
            )
