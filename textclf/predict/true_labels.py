"""The true labels that an input has beside its texts: found, matched with the classes, and scored as rows go by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textclf.data.column_names import LABELS, plain_name
from textclf.data.readers.exports import field_names, one_label, value_at
from textclf.errors import DataError, cut, did_you_mean, listed, looks_like
from textclf.predict.rows import Batch
from textclf.predict.values import as_fields

if TYPE_CHECKING:
    from textclf.evaluation.mistakes import Mistake  # with datasets and pandas, which a report alone needs
    from textclf.evaluation.predictions import Predictions

NO_LABELS = ("", "nan", "NaN")
SURE_NAMES = ("label", "labels", "class", "category", "gold_label", "class_label", "label_name", "target")
"""Columns that hold labels and nothing else: what is no class in them is told of."""
MOST_CLASSES = 12
"""Classes up to which the whole table of confusions is shown."""
MOST_PAIRS = 10
MOST_MISTAKES = 20
MOST_UNKNOWN = 1000
"""Different values that are counted; a column with more holds no labels."""


def label_column(
    names: Sequence[str], asked: str | None, trained: str | None, taken: Sequence[str | None]
) -> str | None:
    """Return the column of an input that holds true labels; none where nothing speaks for one.

    Args:
        names: The columns of the input.
        asked: The column that a person names.
        trained: The column that the classifier was trained on.
        taken: The columns of the texts.

    Raises:
        DataError: If the one that is named is not there.
    """
    if asked is not None:
        if asked not in names:
            raise DataError(
                f"There is no column {asked!r} (--label-column); there are {listed(names) or 'none'}."
                f"{did_you_mean(asked, names)}"
            )
        return asked
    free = [name for name in names if name not in taken]
    if trained in free:
        return trained
    usual = [name for name in free if plain_name(name) in LABELS]
    sure = [name for name in usual if plain_name(name) in SURE_NAMES]
    return sure[0] if len(sure) == 1 else usual[0] if len(usual) == 1 else None


LOOKED_AT = 20
"""Rows of JSON that are looked at for fields within fields."""


@dataclass
class TrueLabels:
    """True labels beside the predictions of rows that went by."""

    column: str
    label_names: tuple[str, ...]
    is_sure: bool
    """Whether the column holds labels: it was named, trained on, or has a name for nothing else."""
    keeps: bool = False
    """Whether probabilities and mistakes are kept, for a report."""
    by_number: bool = False
    """Whether labels are the numbers of the classes, from 0."""
    rows: int = 0
    unlabelled: int = 0
    """Rows without a label."""
    abstained: int = 0
    """Rows with a known label for which no class was sure enough; the most probable one is counted."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Labels that are no class of the classifier."""
    confusions: NDArray[np.int64] = field(init=False)
    """How often each class (row) was predicted as each (column), int64 (num_labels, num_labels + 1); the last column is
    of answers that named no class."""
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    """The surest ones."""

    def __post_init__(self) -> None:
        self.confusions = np.zeros((len(self.label_names), len(self.label_names) + 1), dtype=np.int64)

    def add(self, batch: Batch, probabilities: NDArray[np.float32], abstained: NDArray[np.bool_]) -> None:
        """Count the rows of a batch.

        Args:
            batch: The rows.
            probabilities: Each class's probability of each row, float32 (n, num_labels).
            abstained: Which rows have no class that was sure enough, bool (n,).
        """
        exact = _labels_in(batch, self.column)
        values = [value.strip() for value in exact]
        if not self.confusions.any() and not self.unknown:
            self.by_number = self._are_numbers(values)
        numbers = {name: label for label, name in enumerate(self.label_names)}
        if self.by_number:
            numbers = {str(label): label for label in range(len(self.label_names))}
        labels = np.array([numbers.get(own, numbers.get(value, -1)) for own, value in zip(exact, values, strict=True)])
        for row, value in enumerate(exact):
            if value.strip() in NO_LABELS:
                self.unlabelled += 1
            elif labels[row] < 0 and (value in self.unknown or len(self.unknown) < MOST_UNKNOWN):
                self.unknown[value] += 1
        usable = labels >= 0
        usable[list(batch.problems)] = False
        chosen = np.flatnonzero(usable)
        told = ~np.isnan(probabilities[chosen]).any(axis=1)
        predicted = np.where(told, np.nan_to_num(probabilities[chosen]).argmax(axis=1), len(self.label_names))
        np.add.at(self.confusions, (labels[chosen], predicted), 1)
        self.abstained += int(abstained[chosen].sum())
        if self.keeps:
            self._keep(batch, labels, probabilities, chosen)
        self.rows += len(batch)

    def _are_numbers(self, values: Sequence[str]) -> bool:
        """Whether labels are numbers of classes that have names."""
        present = {value for value in values if value not in NO_LABELS}
        count = len(self.label_names)
        return bool(present) and not present & set(self.label_names) and present <= set(map(str, range(count)))

    def _keep(
        self, batch: Batch, labels: NDArray[np.int64], probabilities: NDArray[np.float32], chosen: NDArray[np.int64]
    ) -> None:
        """Keep what a report is made of."""
        from textclf.evaluation.mistakes import Mistake

        self.labels.append(labels[chosen].astype(np.int64))
        self.probabilities.append(probabilities[chosen])
        for row in chosen.tolist():
            if np.isnan(probabilities[row]).any():
                continue  # counted, and no mistake to be sure of
            guess = int(probabilities[row].argmax())
            if guess == labels[row]:
                continue
            sure = float(probabilities[row, guess])
            if len(self.mistakes) == MOST_MISTAKES and sure <= (self.mistakes[-1].probability or 0.0):
                continue
            pair = None if batch.text_pairs is None else batch.text_pairs[row]
            one = Mistake(
                row=self.rows + row,
                example=self.rows + row,
                text=batch.texts[row],
                text_pair=pair,
                label=self.label_names[labels[row]],
                prediction=self.label_names[guess],
                probability=sure,
                label_probability=float(probabilities[row, labels[row]]),
            )
            self.mistakes = sorted([*self.mistakes, one], key=lambda found: -(found.probability or 0.0))[:MOST_MISTAKES]

    @property
    def scored(self) -> int:
        """Rows with a label that is a class."""
        return int(self.confusions.sum())

    @property
    def right(self) -> int:
        """Rows whose most probable class is the true one."""
        return int(np.diag(self.confusions).sum())

    @property
    def predictions(self) -> Predictions:
        """What was kept, as the evaluation of a split has it."""
        from textclf.evaluation.predictions import Predictions

        empty = np.zeros((0, len(self.label_names)), dtype=np.float32)
        return Predictions(
            np.concatenate([np.zeros(0, dtype=np.int64), *self.labels]),
            np.concatenate([empty, *self.probabilities]),
            self.label_names,
        )

    def warnings(self) -> list[str]:
        """Return what is to be known of the labels, a sentence each."""
        said = []
        if self.unknown and (self.scored or self.is_sure):
            shown = listed((f"{cut(repr(value), 40)} ({times:,})" for value, times in self.unknown.most_common()), 5)
            alike = next(filter(None, (looks_like(value, self.label_names) for value in self.unknown)), "")
            said.append(
                f"column {self.column!r} has labels that are no class of this classifier: {shown}; its classes are "
                f"{listed(self.label_names)}. Such rows are predicted and not scored.{alike}"
            )
        return said

    def lines(self) -> list[str]:
        """Return the accuracy and the table of confusions, for a terminal; nothing where no row has a known label."""
        if not self.scored:
            return []
        said = f"accuracy {self.right / self.scored:.4f}: {self.right:,} of {self.scored:,} rows have the label in "
        said += f"column {self.column!r}"
        if self.by_number:
            said += f" (numbers, {', '.join(f'{k} for {name}' for k, name in list(enumerate(self.label_names))[:3])}"
            said += ", …)" if len(self.label_names) > 3 else ")"
        if self.abstained:
            said += f"; {self.abstained:,} of them abstain, for which the most probable class is counted"
        if unnamed := int(self.confusions[:, -1].sum()):
            said += f"; {unnamed:,} got an answer that names no class, which counts as wrong"
        return [said, *self._table()]

    def _table(self) -> list[str]:
        """Return the confusions: the whole table of a few classes, the most frequent mistakes of many."""
        names = [cut(name, 24) for name in self.label_names]
        if len(names) > MOST_CLASSES:
            wrong = self.confusions[:, :-1] * ~np.eye(len(names), dtype=bool)
            order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
            pairs = [(int(at) // len(names), int(at) % len(names)) for at in order]
            return [f"  {names[a]} taken for {names[b]}: {wrong[a, b]:,}" for a, b in pairs if wrong[a, b]]
        cells = [["true \\ predicted", *names]]
        cells += [
            [name, *(f"{count:,}" for count in row)] for name, row in zip(names, self.confusions[:, :-1], strict=True)
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(len(names) + 1)]
        return [
            "  " + "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells
        ]


def names_in(batch: Batch) -> list[str]:
    """Return the names of a batch's columns, and of fields within fields of JSON."""
    rows = [json.loads(line) for line in (batch.lines or ())[:LOOKED_AT] if line is not None]
    inner = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in field_names(row))
    return list(dict.fromkeys([*batch.table.column_names, *inner]))


def _labels_in(batch: Batch, column: str) -> list[str]:
    """Return the labels of a batch's rows, those in lists of one as training reads them; empty where there is none."""
    if column in batch.table.column_names:
        values = as_fields(batch.table.column(column))
        return [str(one_label(value)) if value.startswith(("[", "{")) else value for value in values]
    if batch.lines is None or "." not in column:
        return [""] * len(batch)
    found = [None if line is None else one_label(value_at(json.loads(line), column)) for line in batch.lines]
    return ["" if value is None else str(value) for value in found]
