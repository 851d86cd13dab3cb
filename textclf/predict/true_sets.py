"""True sets of labels beside the predictions of rows that went by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from textclf.data.label_sets import NO, SEPARATORS, YES
from textclf.data.readers.exports import labels_in, value_at
from textclf.errors import cut, listed, looks_like
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.predict.rows import Batch
from textclf.predict.true_labels import MOST_UNKNOWN, NO_LABELS
from textclf.predict.values import as_fields

MOST_LABELS = 12
"""Labels that a terminal is shown, the most frequent first."""


@dataclass
class TrueSets:
    """True sets of labels, and what was predicted of their texts."""

    columns: tuple[str, ...]
    """The column of sets, or one column for each label."""
    label_names: tuple[str, ...]
    thresholds: tuple[float, ...]
    """The probability of each label from which on it is given."""
    separator: str | None
    """What stands between the labels of a text; none where they are lists."""
    is_sure: bool
    """Whether the column holds labels: it was named, trained on, or has a name for nothing else."""
    rows: int = 0
    unlabelled: int = 0
    """Rows without a set of labels."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Labels that are none of the classifier."""
    truth: list[NDArray[np.bool_]] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    kept: list[NDArray[np.int64]] = field(default_factory=list)
    """The rows of the input that are scored."""

    def add(self, batch: Batch, probabilities: NDArray[np.float32], abstained: NDArray[np.bool_]) -> None:
        """Take the rows of a batch.

        Args:
            batch: The rows.
            probabilities: Each label's probability of each row, float32 (n, num_labels).
            abstained: Not used: a set may be empty.
        """
        has, known = self._sets(batch)
        known[list(batch.problems)] = False
        chosen = np.flatnonzero(known)
        self.truth.append(has[chosen])
        self.probabilities.append(probabilities[chosen])
        self.kept.append(chosen + self.rows)
        self.rows += len(batch)

    def _sets(self, batch: Batch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which labels each row has, bool (n, num_labels), and whether that is known, bool (n,)."""
        has, known = np.zeros((len(batch), len(self.label_names)), dtype=bool), np.ones(len(batch), dtype=bool)
        if len(self.columns) > 1:
            for label, column in enumerate(self.columns):
                values = [value.strip().lower() for value in as_fields(batch.table.column(column))]
                has[:, label] = [value in YES for value in values]
                known &= [value in YES or value in NO for value in values]
            self.unlabelled += int((~known).sum())
            return has, known
        places = {name: label for label, name in enumerate(self.label_names)}
        for row, value in enumerate(_values(batch, self.column)):
            if value is None:
                known[row] = False
                self.unlabelled += 1
                continue
            for name in _names(value, self.separator, places):
                if name in places:
                    has[row, places[name]] = True
                else:
                    known[row] = False
                    if name in self.unknown or len(self.unknown) < MOST_UNKNOWN:
                        self.unknown[name] += 1
        return has, known

    @property
    def column(self) -> str:
        """What holds the labels, for a person."""
        return ", ".join(self.columns)

    @property
    def scored(self) -> int:
        """Rows whose labels are all known."""
        return sum(map(len, self.kept))

    @property
    def predictions(self) -> SetPredictions:
        """The scored rows, as the evaluation of a split has them."""
        count = len(self.label_names)
        return SetPredictions(
            np.concatenate([np.zeros((0, count), dtype=bool), *self.truth]),
            np.concatenate([np.zeros((0, count), dtype=np.float32), *self.probabilities]),
            self.label_names,
            np.array(self.thresholds),
        )

    def warnings(self) -> list[str]:
        """Return what is to be known of the labels, a sentence each."""
        if not self.unknown or not (self.scored or self.is_sure):
            return []
        shown = listed((f"{cut(repr(value), 40)} ({times:,})" for value, times in self.unknown.most_common()), 5)
        alike = next(filter(None, (looks_like(value, self.label_names) for value in self.unknown)), "")
        return [
            f"column {self.column!r} has labels that this classifier does not know: {shown}; it knows "
            f"{listed(self.label_names)}. Such rows are predicted and not scored.{alike}"
        ]

    def lines(self) -> list[str]:
        """Return the scores, for a terminal; nothing where no row has known labels."""
        if not self.scored:
            return []
        from textclf.evaluation.label_sets.set_metrics import evaluate_sets, label_figures

        predictions = self.predictions
        found, figures = evaluate_sets(predictions), label_figures(predictions)
        scores = [
            f"{name} {found[key]:.4f}"
            for key, name in (("micro_f1", "micro F1"), ("macro_f1", "macro F1"))
            if key in found
        ]
        right = int(predictions.right.sum())
        said = [f"{', '.join([*scores, ''])}exactly right on {right:,} of {self.scored:,} rows with known labels"]
        order = np.argsort(-figures["support"], kind="stable")[:MOST_LABELS]
        width = max(len(cut(self.label_names[label], 24)) for label in order)
        for label in order:
            values = [figures[name][label] for name in ("f1", "precision", "recall")]
            shown = "  ".join(
                f"{name} {'  -  ' if value != value else f'{value:.3f}'}"
                for name, value in zip(("F1", "precision", "recall"), values, strict=True)
            )
            said.append(
                f"  {cut(self.label_names[label], 24).ljust(width)}  {shown}  {int(figures['support'][label]):,} rows"
            )
        if len(self.label_names) > len(order):
            said.append(f"  and {len(self.label_names) - len(order):,} rarer labels")
        return said


def _values(batch: Batch, column: str) -> list[object | None]:
    """Return what stands in a column, none where nothing does; empty text is an empty set."""
    if column in batch.table.column_names:
        whole = batch.table.column(column)
        missing = whole.is_null().to_pylist()
        return [
            None if gone or value in NO_LABELS[1:] else value
            for gone, value in zip(missing, as_fields(whole), strict=True)
        ]
    if batch.lines is None or "." not in column:
        return [None] * len(batch)
    return [None if line is None else value_at(json.loads(line), column) for line in batch.lines]


def _names(value: object, separator: str | None, known: Container[str]) -> Sequence[str]:
    """Return the labels that a value names; without a separator one is found by which it falls into known labels."""
    inner = labels_in(value)
    if isinstance(inner, list):
        return [str(name).strip() for name in inner]
    text = str(inner)
    for one in (*([separator] if separator is not None else []), *SEPARATORS):
        parts = [part.strip() for part in text.split(one) if part.strip()]
        if one == separator or (text not in known and all(part in known for part in parts)):
            return parts
    return [text.strip()] if text.strip() else []
