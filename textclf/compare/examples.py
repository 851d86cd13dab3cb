"""Test examples on which two setups disagree: one right, the other wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from textclf.compare.setups import Setup
from textclf.evaluation.predictions import named
from textclf.tracking.record import PREDICTIONS_FILE


@dataclass(frozen=True)
class Disagreement:
    """An example that one setup gets right and the other wrong, by the majority of their seeds."""

    example: int
    """Its row in the source's test split."""
    text: str
    label: str
    right: str
    """The setup that is right."""
    wrong: str
    prediction: str
    """What the other predicts most often."""
    certainty: float
    """Share of right predictions among the seeds of the right one, plus that of wrong ones of the other, 0 to 2."""


def disagreements(first: Setup, second: Setup) -> list[Disagreement]:
    """Return the examples on which the majority of seeds of two setups disagree, the clearest first.

    Clear is what many seeds agree on; of as many, what the two are surest of, by the log loss that sets them apart.
    """
    labels = first.runs[0].labels
    right = [np.mean([run.right for run in setup.runs], axis=0) for setup in (first, second)]
    rows = np.flatnonzero((right[0] > 0.5) != (right[1] > 0.5))
    losses = [np.mean([run.log_losses for run in setup.runs], axis=0) for setup in (first, second)]
    agreed, apart = np.abs(right[0] - right[1])[rows], np.abs(losses[0] - losses[1])[rows]
    rows = rows[np.lexsort((-apart, -agreed))]
    if not len(rows):
        return []
    texts = _texts(first, rows)
    names = first.runs[0].label_names
    called = _set_name if first.runs[0].has_sets else lambda label, names: named(names, int(label))
    found = []
    for row, (_, text) in zip(rows, texts.iterrows(), strict=True):
        winner, loser = (first, second) if right[0][row] > right[1][row] else (second, first)
        found.append(
            Disagreement(
                example=int(text["example"]),
                text=str(text["text"]),
                label=called(labels[row], names),
                right=winner.name,
                wrong=loser.name,
                prediction=called(_most_frequent_wrong(loser, int(row)), names),
                certainty=float(1 + abs(right[0][row] - right[1][row])),
            )
        )
    return found


def _most_frequent_wrong(setup: Setup, row: int) -> NDArray:
    """Return the class, or set of labels, that the seeds which are wrong on an example predict most often."""
    wrong = np.array([run.predicted[row] for run in setup.runs if not run.right[row]])
    values, counts = np.unique(wrong, axis=0, return_counts=True)
    return values[np.argmax(counts)]


def _set_name(labels: NDArray[np.bool_], names: tuple[str, ...]) -> str:
    """Return the labels of a set, for a person."""
    return " + ".join(names[label] for label in np.flatnonzero(labels)) or "none"


def _texts(setup: Setup, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Return number and text of some test examples; the two texts of a pair joined by an arrow."""
    path = setup.runs[0].folder / PREDICTIONS_FILE
    held = [name for name in ("example", "text", "text_pair") if name in parquet.read_schema(path).names]
    table = parquet.read_table(path, columns=held).take(rows).to_pandas()
    if "text_pair" in table:
        table["text"] = table["text"] + " ⇒ " + table["text_pair"]
    return table
