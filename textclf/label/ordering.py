"""The order in which people are asked for labels: the least certain texts first, near duplicates of them last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textclf.audit.near_duplicates import near_pairs

UNKNOWN = np.inf
"""The uncertainty of a text to which a language model gave no answer."""


def uncertainty(probabilities: NDArray[np.float32], thresholds: Sequence[float] | None) -> NDArray[np.float64]:
    """Return how uncertain each prediction is, float64 (n,); more is less certain.

    Of one class a text it is 1 minus the margin: the difference of the two largest probabilities (Scheffer et al.
    2001). Of sets of labels it is 1 minus the distance of that label's probability to its threshold which is the
    nearest to it.

    Args:
        probabilities: Each class's or label's probability, float32 (n, num_labels); NaN where there was no answer.
        thresholds: Of sets, the probability of each label from which on it is given; none of single classes.
    """
    if thresholds is not None:
        found = 1 - np.abs(probabilities.astype(np.float64) - np.asarray(thresholds)).min(axis=1)
    else:
        ranked = np.sort(probabilities.astype(np.float64), axis=1)
        found = 1 - (ranked[:, -1] - (ranked[:, -2] if ranked.shape[1] > 1 else 0))
    return np.where(np.isnan(probabilities).any(axis=1), UNKNOWN, found)


def least_certain_first(
    uncertain: NDArray[np.float64], texts: Sequence[str], text_pairs: Sequence[str] | None
) -> NDArray[np.int64]:
    """Return the rows in the order in which they should be labelled, int64 (n,).

    A text that nearly repeats one before it comes after all that do not: its label would teach little more.

    Args:
        uncertain: As `uncertainty` gives it; rows that are equally uncertain keep their order.
        texts: The n texts, no two the same.
        text_pairs: The second texts of pairs.
    """
    order = np.argsort(-uncertain, kind="stable")
    found = near_pairs(texts, text_pairs, np.full(len(texts), 3, dtype=np.uint8))
    alike: dict[int, list[int]] = {}
    for one, other in zip(found.first.tolist(), found.second.tolist(), strict=True):
        alike.setdefault(one, []).append(other)
        alike.setdefault(other, []).append(one)
    first: list[int] = []
    later: list[int] = []
    taken: set[int] = set()
    for row in order.tolist():
        if any(other in taken for other in alike.get(row, ())):
            later.append(row)
        else:
            taken.add(row)
            first.append(row)
    return np.array([*first, *later], dtype=np.int64)
