"""Check an exported classifier against its original: agreement of predictions, scores, size and speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from tabulate import tabulate

from textclf.documents.wording import percent
from textclf.models.base import Classifier
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import FOLD_COLUMNS, PREDICTIONS_FILE, folder_bytes, refuse_changed

ROUNDS = 5
"""Times that both classifiers predict a batch, in turns."""
TIMED_TEXTS = 64
"""Texts of that batch."""
SINGLES = 20
"""Single texts that both predict in turns."""


@dataclass(frozen=True)
class Examples:
    """Texts that the classifier was tested on, and what is true of them."""

    texts: list[str]
    text_pairs: list[str] | None
    labels: NDArray
    """int64 (n,), or of sets of labels bool (n, num_labels)."""
    of: int
    """Examples of the whole test split."""
    trained_on: bool = False
    """Whether the classifier was trained on them too, as the one that a cross-validation leaves."""


@dataclass(frozen=True)
class Figures:
    """Scores and costs of one of the two classifiers."""

    accuracy: float
    """Share of examples with the right class; of sets with exactly their labels."""
    macro_f1: float
    """Mean over the classes or labels that occur among the examples."""
    size_bytes: int
    texts_per_second: float
    """In batches; the median of rounds."""
    single_seconds: float
    """Median time of a single text."""


@dataclass(frozen=True)
class Check:
    """An exported classifier beside the one it was made of, on the same test examples."""

    examples: int
    of: int
    """Examples of the whole test split."""
    agreement: float
    """Share of examples, 0 to 1, that get the same label, or the same set of labels, from both."""
    difference: float
    """Largest difference in any probability."""
    newly_wrong: int
    newly_right: int
    original: Figures
    exported: Figures
    trained_on: bool = False
    """Whether the original was trained on these examples, so that both scores are no estimates."""
    sets: bool = False
    """Whether both give sets of labels."""

    @property
    def loss_points(self) -> float:
        """How far macro F1 fell, in points of 100; below 0 it rose."""
        return 100 * (self.original.macro_f1 - self.exported.macro_f1)

    def table(self) -> str:
        """Return both classifiers side by side, for a person."""
        a, b = self.original, self.exported
        what = "training" if self.trained_on else "test"
        kind = "subset accuracy" if self.sets else "accuracy"
        rows = [
            [f"{what} {kind}", f"{a.accuracy:.4f}", f"{b.accuracy:.4f}", ""],
            [f"{what} macro F1", f"{a.macro_f1:.4f}", f"{b.macro_f1:.4f}", f"{0.0 - self.loss_points:+.2f} points"],
            [
                "size, MB",
                f"{a.size_bytes / 1e6:,.1f}",
                f"{b.size_bytes / 1e6:,.1f}",
                f"× {b.size_bytes / a.size_bytes:.2f}",
            ],
            [
                "texts/s, in batches",
                f"{a.texts_per_second:,.0f}",
                f"{b.texts_per_second:,.0f}",
                f"× {b.texts_per_second / a.texts_per_second:.2f}",
            ],
            [
                "one text, ms",
                f"{1000 * a.single_seconds:.1f}",
                f"{1000 * b.single_seconds:.1f}",
                f"× {b.single_seconds / a.single_seconds:.2f}",
            ],
        ]
        return tabulate(
            rows, ["", "original", "exported", ""], disable_numparse=True, colalign=("left", *["right"] * 3)
        )

    def summary(self) -> str:
        """Describe in a sentence how far the two agree."""
        what, same = "training" if self.trained_on else "test", "labels" if self.sets else "label"
        return (
            f"On {self.examples:,} of {self.of:,} {what} examples both give the same {same} to "
            f"{percent(self.agreement)} ({self.newly_wrong} newly wrong, {self.newly_right} newly right); "
            f"probabilities differ by {self.difference:.2g} at most."
        )


def examples_of(located: RunReference, label_names: Sequence[str], count: int) -> Examples | None:
    """Return test examples of a run, evenly spread over the split; none where the run does not keep them.

    Args:
        located: The run.
        label_names: Names of the classes, in label order.
        count: Most examples.

    Raises:
        ArtifactError: If the predictions are not as the run left them.
    """
    path = None if located.folder is None else located.folder / PREDICTIONS_FILE
    if path is None or not path.is_file():
        return None
    refuse_changed(path.parent, PREDICTIONS_FILE)
    table = pd.read_parquet(path)
    folded = set(FOLD_COLUMNS) <= set(table.columns)
    if folded:
        table = table[table[FOLD_COLUMNS[0]] == 1]  # each text once
    rows = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).astype(int))
    chosen = table.iloc[rows]
    number = {name: label for label, name in enumerate(label_names)}
    if "labels" in chosen:
        labels = np.zeros((len(chosen), len(label_names)), dtype=bool)
        for row, names in enumerate(chosen["labels"]):
            labels[row, [number[name] for name in names]] = True
    else:
        labels = np.array([number[name] for name in chosen["label"]], dtype=np.int64)
    return Examples(
        texts=chosen["text"].tolist(),
        text_pairs=chosen["text_pair"].tolist() if "text_pair" in chosen else None,
        labels=labels,
        of=len(table),
        trained_on=folded,
    )


def compare_classifiers(
    original: Classifier, exported: Classifier, folders: tuple[Path, Path], examples: Examples
) -> Check:
    """Let both classifiers predict the same examples, and time them in turns."""
    texts, pairs = examples.texts, examples.text_pairs
    found = [one.probabilities(texts, pairs) for one in (original, exported)]
    if original.thresholds is None:
        labels = [probabilities.argmax(axis=1) for probabilities in found]
        present = np.unique(examples.labels)
    else:  # both have the same thresholds
        labels = [probabilities >= np.array(original.thresholds) for probabilities in found]
        present = np.flatnonzero(examples.labels.any(axis=0))
    right = [_same(predicted, examples.labels) for predicted in labels]
    speeds = _speeds((original, exported), examples)
    figures = []
    for predicted, hits, folder, (rate, single) in zip(labels, right, folders, speeds, strict=True):
        accuracy = float(hits.mean())
        macro_f1 = 0.0
        if len(present):
            macro_f1 = f1_score(examples.labels, predicted, labels=present, average="macro", zero_division=0)
        figures.append(Figures(accuracy, float(macro_f1), folder_bytes(folder), rate, single))
    return Check(
        examples=len(texts),
        of=examples.of,
        agreement=float(_same(*labels).mean()),
        difference=float(np.abs(found[0] - found[1]).max()),
        newly_wrong=int((right[0] & ~right[1]).sum()),
        newly_right=int((~right[0] & right[1]).sum()),
        original=figures[0],
        exported=figures[1],
        trained_on=examples.trained_on,
        sets=original.has_sets,
    )


def _same(one: NDArray, other: NDArray) -> NDArray[np.bool_]:
    """Return which examples have the same class, int64 (n,), or set of labels, bool (n, num_labels): bool (n,)."""
    return one == other if one.ndim == 1 else (one == other).all(axis=1)


def _speeds(classifiers: Sequence[Classifier], examples: Examples) -> list[tuple[float, float]]:
    """Return of each classifier the texts per second in batches and the seconds of a single text; medians."""
    texts = (examples.texts * TIMED_TEXTS)[:TIMED_TEXTS]
    pairs = None if examples.text_pairs is None else (examples.text_pairs * TIMED_TEXTS)[:TIMED_TEXTS]
    batches: list[list[float]] = [[] for _ in classifiers]
    singles: list[list[float]] = [[] for _ in classifiers]
    for _ in range(ROUNDS):
        for taken, one in zip(batches, classifiers, strict=True):
            taken.append(_seconds(lambda one=one: one.probabilities(texts, pairs)))
    for number in range(SINGLES):
        pair = None if pairs is None else [pairs[number]]
        for taken, one in zip(singles, classifiers, strict=True):
            taken.append(_seconds(lambda one=one, pair=pair: one.probabilities([texts[number]], pair)))  # noqa: B023
    return [
        (len(texts) / float(np.median(batch)), float(np.median(single)))
        for batch, single in zip(batches, singles, strict=True)
    ]


def _seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
