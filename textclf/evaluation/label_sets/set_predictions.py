"""Predicted sets of labels beside the true ones, as a table and as a sample for a person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from textclf.data.dataset import TextData, label_sets_of, texts_of
from textclf.data.options import LANGUAGE_COLUMN


@dataclass(frozen=True)
class SetPredictions:
    """Sets of labels and predicted probabilities of n examples."""

    truth: NDArray[np.bool_]
    """Which labels each example has, bool (n, num_labels)."""
    probabilities: NDArray[np.float32]
    """Each label's probability, float32 (n, num_labels), each a share of 1 of its own."""
    label_names: tuple[str, ...]
    """Names of the labels, in label order."""
    thresholds: NDArray[np.float64]
    """The probability of each label from which on it is given, float64 (num_labels,); of a cross-validation, whose fits
    choose their own, (n, num_labels)."""
    are_given: bool = True
    """Whether the probabilities are the classifier's own; if not, they only say which labels it named."""

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Where the classifier answered at all, bool (n,); elsewhere its probabilities are NaN."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def have_probabilities(self) -> bool:
        """Whether every example has probabilities, so that metrics of these are defined."""
        return self.are_given and bool(self.answered.all())

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Which labels each example is given, bool (n, num_labels).

        No answer gives no label; an example that truly has none is then given all, since no answer is never right.
        """
        given = self.probabilities >= self.thresholds  # NaN is not
        given[~self.answered & ~self.truth.any(axis=1)] = True
        return given

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where an example is given exactly its labels, bool (n,)."""
        return (self.predicted == self.truth).all(axis=1)

    def of_label(self, label: int) -> NDArray[np.bool_]:
        """Return which examples have a label, bool (n,)."""
        return self.truth[:, label]

    def at(self, thresholds: ArrayLike) -> SetPredictions:
        """Return the same with other thresholds: one for each label, or one for all."""
        return replace(self, thresholds=np.broadcast_to(np.asarray(thresholds, np.float64), len(self.label_names)))

    def rows(self, chosen: NDArray) -> SetPredictions:
        """Return some of the examples, by number or as bool (n,)."""
        own = self.thresholds if self.thresholds.ndim == 1 else self.thresholds[chosen]
        return replace(self, truth=self.truth[chosen], probabilities=self.probabilities[chosen], thresholds=own)


def set_predictions(
    data: TextData, split: str, probabilities: NDArray[np.float32], are_given: bool = True
) -> SetPredictions:
    """Return what was predicted on a split beside what is true, with thresholds of one half."""
    truth = label_sets_of(data.split(split), data.num_labels)
    return SetPredictions(truth, probabilities, data.label_names, np.full(data.num_labels, 0.5), are_given)


def names_of(given: NDArray[np.bool_], label_names: tuple[str, ...]) -> list[list[str]]:
    """Return the names of the labels of each row, bool (n, num_labels)."""
    return [[label_names[label] for label in np.flatnonzero(row)] for row in given]


def set_prediction_table(data: TextData, split: str, predictions: SetPredictions) -> pd.DataFrame:
    """Return a row per example, in order.

    Columns: `example` (its row in the source's split), `text`, `text_pair` for pairs, `language` where it is known,
    `labels` and `prediction` (lists of names), and `probability_<label>` for each label.
    """
    rows = data.split(split)
    texts, pairs = texts_of(rows)
    columns: dict[str, object] = {"example": list(rows["example"]), "text": texts}
    if pairs is not None:
        columns["text_pair"] = pairs
    if LANGUAGE_COLUMN in rows.column_names:
        columns[LANGUAGE_COLUMN] = list(rows[LANGUAGE_COLUMN])
    columns["labels"] = names_of(predictions.truth, predictions.label_names)
    columns["prediction"] = names_of(predictions.predicted, predictions.label_names)
    shown = predictions.probabilities
    shown = shown if predictions.are_given else np.full_like(shown, np.nan)
    probabilities = {f"probability_{name}": shown[:, k] for k, name in enumerate(data.label_names)}
    return pd.DataFrame({**columns, **probabilities})


def set_sample_lines(data: TextData, predictions: SetPredictions, count: int = 4, width: int = 70) -> list[str]:
    """Return a few test predictions with their most probable labels, right and wrong, for a person."""
    texts, pairs = texts_of(data.test)
    lines = []
    predicted = predictions.predicted
    for row in map(int, np.unique(np.linspace(0, len(texts) - 1, count).astype(int))):
        text = " ".join((texts[row] if pairs is None else f"{texts[row]} ⇒ {pairs[row]}").split())
        text = text if len(text) <= width else text[: width - 1] + "…"
        order = np.argsort(-predictions.probabilities[row], kind="stable")[:6]
        scores = ", ".join(f"{data.label_names[k]} {predictions.probabilities[row, k]:.2f}" for k in order)
        true, given = names_of(np.stack([predictions.truth[row], predicted[row]]), predictions.label_names)
        verdict = "right" if true == given else f"given {_said(given)}, has {_said(true)}"
        lines += [f"  “{text}”", f"    {scores}   ({verdict})"]
    return lines


def _said(names: list[str]) -> str:
    return " + ".join(names) or "none"
