"""Mistakes of a classifier: those it is surest of, and the classes that it confuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.data.dataset import TextData
from textclf.documents.escape import script_json
from textclf.evaluation.predictions import UNNAMED_CLASS, Predictions, named
from textclf.evaluation.slices import slice_parts

MOST_EXPLORED = 2000
"""Mistakes that a page holds; of more, the surest."""
MOST_CHARACTERS = 1000
"""Characters of a text that a page holds."""
MOST_EXPLORED_CHARACTERS = 600_000
"""Characters of all these texts together: at three bytes each, and with its pictures, a page stays under 3 MB."""


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
    probability: float | None
    """Of the prediction; none where it is not known."""
    label_probability: float | None
    """Of the true class; likewise."""


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
    confidence = test.confidence(wrong, predicted[wrong])
    chosen = wrong[np.argsort(-confidence, kind="stable")][:most]  # those without come last
    sure, truly = (test.confidence(chosen, labels[chosen]) for labels in (predicted, test.labels))
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
            prediction=named(names, int(predicted[row])),
            probability=_known(own),
            label_probability=_known(other),
        )
        for row, example, text, pair, own, other in zip(
            chosen, rows["example"], rows["text"], pairs, sure, truly, strict=True
        )
    )


def _known(probability: float) -> float | None:
    return None if probability != probability else float(probability)


def explored_mistakes(data: TextData, test: Predictions) -> dict[str, Any]:
    """Return the mistakes as plain values for a page on which they are searched, the surest first.

    There are as many as fit: `total` says how many were made. Keys: `labels`, `slices` (names of the parts of
    the test split that they lie in, but for classes), `total`, `cut` (characters of a text that are kept) and
    `rows`, each a list of its row in the source's own split, its text, the second text of a pair (or none), the
    numbers of the true and the predicted class, the probabilities of the predicted and the true class (none where they
    are not known), and the numbers of its slices.

    Args:
        data: The data.
        test: What was predicted on `data.test`.
    """
    shown = [*test.label_names, *([] if test.answered.all() else [UNNAMED_CLASS])]
    names = {name: number for number, name in reversed(list(enumerate(shown)))}
    parts = [(f"{by}: {value}", chosen) for by, value, chosen in slice_parts(data, test) if by != "class"]
    rows, size = [], 0
    for one in confident_mistakes(data, test, MOST_EXPLORED):
        texts = [None if text is None else _beginning(text) for text in (one.text, one.text_pair)]
        size += sum(len(script_json(text)) for text in texts)
        if size > MOST_EXPLORED_CHARACTERS:
            break
        own = [number for number, (_, chosen) in enumerate(parts) if chosen[one.row]]
        shares = [None if p is None else round(p, 4) for p in (one.probability, one.label_probability)]
        rows.append([one.example, *texts, names[one.label], names[one.prediction], *shares, own])
    return {
        "labels": shown,
        "slices": [name for name, _ in parts],
        "total": int((test.predicted != test.labels).sum()),
        "cut": MOST_CHARACTERS,
        "rows": rows,
    }


def _beginning(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def confused_pairs(test: Predictions) -> tuple[ConfusedPair, ...]:
    """Return every pair of classes that were confused at least once, the most frequent first."""
    size = len(test.label_names)
    told = test.answered
    cells = test.labels[told] * size + test.predicted[told]
    counts = np.bincount(cells, minlength=size * size).reshape(size, size)
    totals = np.bincount(test.labels, minlength=size)
    np.fill_diagonal(counts, 0)
    found = [
        ConfusedPair(test.label_names[a], test.label_names[b], int(counts[a, b]), float(counts[a, b] / totals[a]))
        for a, b in zip(*np.nonzero(counts), strict=True)
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.count, -pair.share)))
