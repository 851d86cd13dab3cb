"""Mistakes of a classifier: those it is surest of, and the classes that it confuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textclf.data.dataset import TextData
from textclf.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Mistake:
    """A test example of which the most probable class is not the true one."""

    row: int
    """Its place in the test split, from 0."""
    example: int
    """Its row in the source's own split."""
    text: str
    text_pair: str | None
    label: str
    prediction: str
    probability: float
    """Of the prediction."""
    label_probability: float
    """Of the true class."""


@dataclass(frozen=True)
class ConfusedPair:
    """A class that is confused with another."""

    label: str
    prediction: str
    count: int
    share: float
    """Of the examples of the true class, 0 to 1."""


def confident_mistakes(data: TextData, test: Predictions, most: int) -> tuple[Mistake, ...]:
    """Return the mistakes on the test split with the highest probability, the surest first.

    Args:
        data: The data.
        test: What was predicted on `data.test`.
        most: How many at most.
    """
    predicted = test.predicted
    wrong = np.flatnonzero(predicted != test.labels)
    confidence = test.probabilities[wrong, predicted[wrong]]
    chosen = wrong[np.argsort(-confidence, kind="stable")][:most]
    rows = data.test.select(chosen)
    pairs = list(rows["text_pair"]) if data.has_pairs else [None] * len(chosen)
    names = test.label_names
    return tuple(
        Mistake(
            row=int(row),
            example=int(example),
            text=text,
            text_pair=pair,
            label=names[test.labels[row]],
            prediction=names[predicted[row]],
            probability=float(test.probabilities[row, predicted[row]]),
            label_probability=float(test.probabilities[row, test.labels[row]]),
        )
        for row, example, text, pair in zip(chosen, rows["example"], rows["text"], pairs, strict=True)
    )


def confused_pairs(test: Predictions) -> tuple[ConfusedPair, ...]:
    """Return every pair of classes that were confused at least once, the most frequent first."""
    size = len(test.label_names)
    counts = np.bincount(test.labels * size + test.predicted, minlength=size * size).reshape(size, size)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    found = [
        ConfusedPair(test.label_names[a], test.label_names[b], int(counts[a, b]), float(counts[a, b] / totals[a]))
        for a, b in zip(*np.nonzero(counts), strict=True)
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.count, -pair.share)))
