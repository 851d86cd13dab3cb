"""Accuracy on slices of the test split, and the slices that are worse than the rest beyond chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from textclf.data.dataset import TextData, texts_of
from textclf.data.options import LANGUAGE_COLUMN
from textclf.evaluation.proportions import Proportion
from textclf.evaluation.words import count_words

MOST_SLICES = 30
"""Slices that reports and plots show; `slices.csv` has all."""
MOST_VALUES = 30
"""Values of a column that are looked at, the most frequent ones."""


@dataclass(frozen=True)
class Slice:
    """A part of the test split."""

    by: str
    """What it is a part by: `words`, `class`, or a column."""
    value: str
    """Which part, such as `1 to 12` or `de`."""
    right: Proportion
    """The examples of the part that are right."""
    rest: Proportion
    """Those of all others."""
    p: float
    """Fisher's exact test of the part against the rest, two-sided, corrected for all parts (Holm 1979)."""
    is_worse: bool
    """Whether it is less accurate than the rest beyond chance."""


class Tested(Protocol):
    """Predictions of the test split, of single classes or of sets of labels."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes or labels."""
        ...

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where the answer is right, bool (n,)."""
        ...

    def of_label(self, label: int) -> NDArray[np.bool_]:
        """Return which examples are of a class, or have a label, bool (n,)."""
        ...


def slice_scores(data: TextData, test: Tested, fewest: int, alpha: float) -> tuple[Slice, ...]:
    """Return the accuracy on each part of the test split that has enough examples, and so has its rest.

    The parts are quarters by length in words, the true classes, and each value of the columns that
    the data keeps for this (the language among them).

    Args:
        data: The data.
        test: What was predicted on `data.test`.
        fewest: Examples that a part needs.
        alpha: Chance of marking any part wrongly, over all parts.
    """
    right = test.right
    found: list[tuple[str, str, Proportion, Proportion]] = []
    for by, value, chosen in slice_parts(data, test):
        total = int(chosen.sum())
        if total >= fewest and total < len(right):
            hits = int(right[chosen].sum())
            rest = Proportion(int(right.sum()) - hits, len(right) - total)
            found.append((by, value, Proportion(hits, total), rest))
    if not found:
        return ()
    corrected = _holm([_p_value(own, rest) for _, _, own, rest in found])
    return tuple(
        Slice(by, value, own, rest, p, p <= alpha and _is_less(own, rest))
        for (by, value, own, rest), p in zip(found, corrected, strict=True)
    )


def _holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number, without the search for garbage of statsmodels' `multipletests`.

    That takes 0.2 s in a process that has imported what a run needs.
    """
    order = np.argsort(p_values)
    steps = np.take(p_values, order) * np.arange(len(order), 0, -1)
    return np.minimum(np.maximum.accumulate(steps), 1)[np.argsort(order)].tolist()


def _is_less(own: Proportion, rest: Proportion) -> bool:
    return own.count * rest.total < rest.count * own.total


def _p_value(own: Proportion, rest: Proportion) -> float:
    table = [[own.count, own.total - own.count], [rest.count, rest.total - rest.count]]
    return float(fisher_exact(table).pvalue)


def shown_slices(slices: Sequence[Slice]) -> list[Slice]:
    """Return the slices to show in their order; of many, those that are worse and then those with most examples."""
    ranked = sorted(slices, key=lambda one: (not one.is_worse, -one.right.total))[:MOST_SLICES]
    return [one for one in slices if one in ranked]


def worst_slice(slices: Sequence[Slice]) -> Slice | None:
    """Return the least accurate of the slices that are worse than the rest beyond chance."""
    worse = [one for one in slices if one.is_worse]
    return min(worse, key=lambda one: one.right.value or 0.0, default=None)


def slice_parts(data: TextData, test: Tested) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield parts of the test split: what they are by, which, and whether each example is in it, bool (n,)."""
    yield from _quarters(data)
    for label, name in enumerate(test.label_names):
        yield ("label" if data.has_sets else "class"), name, test.of_label(label)
    for column in slice_columns(data):
        values = np.array([str(value) for value in data.test[column]], dtype=object)
        names, counts = np.unique(values, return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")][:MOST_VALUES]:
            yield column, name, values == name


def slice_columns(data: TextData) -> list[str]:
    """Return the columns of the test split whose values make slices."""
    wanted = dict.fromkeys((LANGUAGE_COLUMN, *data.slice_columns))
    return [name for name in wanted if name in data.test.column_names]


def _quarters(data: TextData) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield quarters of the test split by length; lengths that are equal stay together."""
    texts, pairs = texts_of(data.test)
    lengths = np.array([count_words(text) for text in texts], dtype=np.int64)
    if pairs is not None:
        lengths += np.array([count_words(text) for text in pairs], dtype=np.int64)
    cuts = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75], method="inverted_cdf"))
    quarters = np.searchsorted(cuts, lengths)  # a length that is a cut belongs below it
    for number in np.unique(quarters):
        own = quarters == number
        low, high = int(lengths[own].min()), int(lengths[own].max())
        yield "words", f"{low:,} to {high:,}" if low < high else f"{low:,}", own
