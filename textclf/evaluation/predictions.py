"""Predicted probabilities beside the true classes, as a table and as a sample for a person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textclf.data.dataset import TextData, texts_of
from textclf.data.options import LANGUAGE_COLUMN

NO_CLASS = -1
"""Stands for the class of an answer that named none; it is right nowhere, and counts against its true class alone."""
UNNAMED_CLASS = "(no class)"
"""How a person reads of that."""


def named(label_names: tuple[str, ...], label: int) -> str:
    """Return the name of a class by its number."""
    return UNNAMED_CLASS if label == NO_CLASS else label_names[label]


@dataclass(frozen=True)
class Predictions:
    """Labels and predicted probabilities of n examples."""

    labels: NDArray[np.int64]
    """The true classes, int64 (n,)."""
    probabilities: NDArray[np.float32]
    """Each class's probability, float32 (n, num_labels); rows sum to 1."""
    label_names: tuple[str, ...]
    """Names of the classes, in label order."""
    are_given: bool = True
    """Whether the probabilities are the classifier's own; if not, they only say which class it named."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Where the classifier named a class at all, bool (n,); elsewhere its probabilities are NaN."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def have_probabilities(self) -> bool:
        """Whether every example has probabilities, so that metrics of these are defined."""
        return self.are_given and bool(self.answered.all())

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each example, int64 (n,); of equals, the first; -1 where no class was named."""
        return np.where(self.answered, np.nan_to_num(self.probabilities).argmax(axis=1), NO_CLASS)

    def confidence(self, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probabilities of a class each of some examples, float64; NaN where there is none."""
        if not self.are_given:
            return np.full(len(rows), np.nan)
        return np.where(labels == NO_CLASS, np.nan, self.probabilities[rows, labels])

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where the most probable class is the true one, bool (n,)."""
        return self.predicted == self.labels

    def of_label(self, label: int) -> NDArray[np.bool_]:
        """Return which examples are of a class, bool (n,)."""
        return self.labels == label


def prediction_table(data: TextData, split: str, predictions: Predictions) -> pd.DataFrame:
    """Return a row per example, in order.

    Columns: `example` (its row in the source's split), `text`, `text_pair` for pairs, `language` where
    it is known, `label`, `prediction` (none where no class was named), and `probability_<class>` for each class, NaN
    where it is not known.
    """
    rows = data.split(split)
    texts, pairs = texts_of(rows)
    names = np.array(data.label_names, dtype=object)
    columns: dict[str, object] = {"example": list(rows["example"]), "text": texts}
    if pairs is not None:
        columns["text_pair"] = pairs
    if LANGUAGE_COLUMN in rows.column_names:
        columns[LANGUAGE_COLUMN] = list(rows[LANGUAGE_COLUMN])
    columns["label"] = names[predictions.labels]
    columns["prediction"] = [
        name if told else None for name, told in zip(names[predictions.predicted], predictions.answered, strict=True)
    ]
    for label, name in enumerate(data.label_names):
        own = predictions.probabilities[:, label]
        columns[f"probability_{name}"] = own if predictions.are_given else np.full_like(own, np.nan)
    return pd.DataFrame(columns)


def sample_lines(data: TextData, predictions: Predictions, count: int = 4, width: int = 70) -> list[str]:
    """Return a few test predictions with every class's probability, right and wrong, for a person.

    The sample is the same for every model on the same test split: rows evenly spread over it.
    """
    texts, pairs = texts_of(data.test)
    lines = []
    for row in map(int, np.unique(np.linspace(0, len(texts) - 1, count).astype(int))):
        text = " ".join((texts[row] if pairs is None else f"{texts[row]} ⇒ {pairs[row]}").split())
        text = text if len(text) <= width else text[: width - 1] + "…"
        truth, guess = predictions.labels[row], predictions.predicted[row]
        order = np.argsort(-predictions.probabilities[row], kind="stable")[:6]
        scores = ", ".join(f"{data.label_names[k]} {predictions.probabilities[row, k]:.2f}" for k in order)
        if not predictions.are_given or guess == NO_CLASS:
            scores = named(data.label_names, int(guess))
        verdict = "right" if truth == guess else f"wrong: {data.label_names[truth]}"
        lines += [f"  “{text}”", f"    {scores}   ({verdict})"]
    return lines
