"""Finished runs, read from their folders to be compared; those that cannot be used are named and left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from pyarrow import ArrowException

from textclf.data.options import LANGUAGE_COLUMN
from textclf.errors import ArtifactError, first_line
from textclf.evaluation.collapse import ENOUGH
from textclf.evaluation.metric_names import direction
from textclf.models.prediction import TINY
from textclf.system.files import folders_with
from textclf.tracking.record import (
    FOLD_COLUMNS,
    PREDICTIONS_FILE,
    RUN_FILE,
    STATUS_FILE,
    RunRecord,
    has_manifest,
    read_record,
    refuse_changed,
    run_folders,
)

log = logging.getLogger(__name__)

LOG_FILE = "run.log"


@dataclass(frozen=True)
class FinishedRun:
    """A run's record with its test predictions."""

    folder: Path
    record: RunRecord
    labels: NDArray
    """True classes of the test examples, int64 (n,); or their sets of labels, bool (n, num_labels)."""
    predicted: NDArray
    """Predicted classes, int64 (n,), -1 where none was named; or sets of labels, bool (n, num_labels)."""
    log_losses: NDArray[np.float32]
    """Negative log-probability of each true class in nats, float32 (n,): the log loss of each example; of sets of
    labels the mean over the decisions on each label. NaN where probabilities are not known."""
    test_set: str
    """Fingerprint of the test texts, labels and classes."""
    languages: NDArray[np.str_] | None = None
    """Language of each test example, str (n,); none where it is not known."""
    called: str = ""
    """What it is called for a person; empty where its folder says it."""
    partitions: NDArray[np.int64] | None = None
    """The fold that tested each example, int64 (repeats, n); none where one test split was held out."""
    again: tuple[FinishedRun, ...] = ()
    """The further repeats of a cross-validation; the run itself holds the predictions of the first."""

    def __str__(self) -> str:
        return self.called or str(self.folder)

    @property
    def has_sets(self) -> bool:
        """Whether each example has a set of labels, not one class."""
        return self.labels.ndim == 2

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, in label order."""
        return tuple(self.record.data["label_names"])

    @property
    def is_idle(self) -> bool:
        """Whether its model reads no text, as `model=majority`."""
        classifier = self.record.config.get("model", {}).get("classifier") or {}
        return str(classifier.get("_target_", "")).startswith("sklearn.dummy.")

    @cached_property
    def collapsed(self) -> bool:
        """Whether it gives every text one answer, on test or by its record on validation; idle models may."""
        if self.is_idle:
            return False
        warned = any(str(warning).startswith("collapse:") for warning in self.record.fit.get("warnings", ()))
        one_answer = bool((self.predicted == self.predicted[:1]).all()) and bool((self.predicted >= 0).any())
        return warned or (one_answer and int((~self.right).sum()) >= ENOUGH)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Where the prediction is right, bool (n,); of sets of labels, where it is exactly the true set."""
        same = self.labels == self.predicted
        return same.all(axis=1) if self.has_sets else same


@dataclass(frozen=True)
class FailedRun:
    """A run that left no record."""

    folder: Path
    error: str
    """Why it failed; empty where it never finished."""
    options: str = ""
    """What its job was given, as it was typed."""

    def __str__(self) -> str:
        return f"{self.folder}: {f'it failed: {self.error}' if self.error else 'it never finished'}"


@dataclass(frozen=True)
class FoundRuns:
    """The finished runs in some folders."""

    runs: tuple[FinishedRun, ...]
    problems: tuple[str, ...] = field(default=())
    """What could not be used, a sentence each with its path."""
    failed: tuple[FailedRun, ...] = ()
    """Runs that left no record."""


def find_runs(folders: Iterable[Path] | Mapping[Path, str]) -> FoundRuns:
    """Read all finished runs at or below folders, the same whatever order they are named in.

    Args:
        folders: Run folders, or folders that hold some; or run folders by what each is called, where its path would
            tell a person nothing.

    Raises:
        ArtifactError: If a folder is not there, or none holds a finished run that can be read.
    """
    runs: dict[Path, FinishedRun] = {}
    problems: list[str] = []
    failed: list[FailedRun] = []
    names = {path.resolve(): called for path, called in folders.items()} if isinstance(folders, Mapping) else {}
    for folder in sorted({Path(folder).resolve() for folder in folders}):
        if not folder.is_dir():
            raise ArtifactError(f"{folder}: there is no such folder. Name run folders, or folders that hold some.")
        for path in run_folders(folder):
            if path not in runs:
                try:
                    runs[path] = replace(read_run(path), called=names.get(path, ""))
                except ArtifactError as error:
                    problems.append(str(error).replace(str(path), names.get(path, str(path))))
        failed += unfinished(folder)
    if unknown := [path for path in runs if path not in names and not has_manifest(path)]:
        log.warning(
            "%s of %s have no manifest.json, such as %s: nothing says whether their files are as they were left",
            f"{len(unknown):,}", f"{len(runs):,} runs", unknown[0],
        )  # fmt: skip
    if not runs:
        reasons = (
            "\n".join([*problems, *map(str, dict.fromkeys(failed))])
            or "No folder below has a run.json, which a run writes when it is finished."
        )
        raise ArtifactError(f"There is no finished run to compare in {', '.join(map(str, folders))}.\n{reasons}")
    ordered = sorted(runs.values(), key=lambda run: (run.record.name, run.record.started, str(run.folder)))
    return FoundRuns(tuple(ordered), tuple(dict.fromkeys(problems)), tuple(dict.fromkeys(failed)))


def best_on_validation(runs: Sequence[FinishedRun]) -> FinishedRun:
    """Return the run of a setup that does best by its objective, of equals the first: what a person would deploy."""
    objective = runs[0].record.objective
    sign = direction(objective)
    return max(runs, key=lambda run: sign * run.record.metrics.get(objective, -sign * np.inf))


def unfinished(folder: Path) -> list[FailedRun]:
    """Return the runs at or below a folder that began and left no record."""
    found = []
    for path in folders_with(LOG_FILE, folder):
        if (path / RUN_FILE).exists() or path.name == "artifacts":
            continue
        error, options = "", ""
        try:
            status = json.loads((path / STATUS_FILE).read_text(encoding="utf-8"))
            error = str(status["error"]) if status.get("failed") else ""
            options = " ".join(map(str, status.get("overrides") or ()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            pass  # a killed run has no status
        found.append(FailedRun(path, error, options))
    return found


def read_run(folder: Path) -> FinishedRun:
    """Read a run's record and predictions, and hold the one against the other.

    Raises:
        ArtifactError: If either is missing, damaged, changed after the run, or contradicts the other.
    """
    record = read_record(folder)
    path = folder / PREDICTIONS_FILE
    refuse_changed(folder, PREDICTIONS_FILE)
    try:
        names = [str(name) for name in record.data["label_names"]]
        counted = int(record.data["examples"]["test"])
        has_sets = bool(record.data.get("sets"))
        answers = ["labels" if has_sets else "label", "prediction"]
        columns = [*answers, *(f"probability_{name}" for name in names)]
        repeats = int(record.folds["repeats"]) if record.folds else 1
        written = parquet.read_schema(path).names
        if absent := [column for column in columns if column not in written]:
            raise ValueError(f"it has no column {' or '.join(absent[:3])}")
        spoken = [LANGUAGE_COLUMN] * (LANGUAGE_COLUMN in written)
        table = parquet.read_table(path, columns=[*columns, *spoken, *(FOLD_COLUMNS if record.folds else ())])
        read = _sets if has_sets else _classes
        labels, predicted = (read(table[column], names) for column in answers)
        probabilities = np.stack([table[column].to_numpy() for column in columns[2:]], axis=1)
        languages = np.array(table[LANGUAGE_COLUMN].to_pylist(), dtype=str) if spoken else None
        partitions = _partitions(table, repeats) if record.folds else None
        test_set = record.data.get("test_fingerprint") or _fingerprint(path, labels, names)
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} has a record but no {PREDICTIONS_FILE}, so it cannot be compared.") from error
    except (ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged or does not fit its record: {first_line(error)}") from error
    unknown = not has_sets and int((predicted < 0).sum()) != table["prediction"].null_count
    if len(labels) != counted * repeats or labels.min(initial=0) < 0 or unknown or not counted:
        raise ArtifactError(
            f"{path} does not fit its record: {len(labels):,} rows where {counted * repeats:,} were tested, or classes "
            f"that the record does not name."
        )
    same = labels == predicted
    found = float((same.all(axis=1) if has_sets else same).mean())  # of repeats of one size the mean
    metric, called = ("subset_accuracy", "a subset accuracy") if has_sets else ("accuracy", "an accuracy")
    recorded = record.metrics.get(f"test/{metric}", found)
    if abs(found - recorded) > 1e-6:
        raise ArtifactError(
            f"{path} has {called} of {found:.4f} where the record says {recorded:.4f}: one of them was changed after "
            f"the run."
        )
    log_losses = _log_losses(labels, probabilities)
    if partitions is None:
        return FinishedRun(folder, record, labels, predicted, log_losses, test_set, languages)
    first, *again = (
        FinishedRun(
            folder, record, labels[own], predicted[own], log_losses[own], f"{test_set} {record.folds['fingerprint']}",
            None if languages is None else languages[own], partitions=partitions,
        )
        for own in np.arange(len(labels)).reshape(repeats, counted)
    )  # fmt: skip
    return replace(first, again=tuple(again))


def _classes(column: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the classes that a column names, int64 (n,); -1 for one that is none of them."""
    return pd.Index(names).get_indexer(column.to_pandas()).astype(np.int64)


def _sets(column: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return the sets of labels that a column of lists of names holds, bool (n, num_labels).

    Raises:
        ValueError: If a row has no list, or a name is no label.
    """
    lists = column.combine_chunks()
    given = pd.Index(names).get_indexer(lists.flatten().to_pandas())
    if column.null_count or (given < 0).any():
        raise ValueError("a row has no list of labels, or one with a label that the record does not name")
    found = np.zeros((len(lists), len(names)), dtype=bool)
    found[pc.list_parent_indices(lists).to_numpy(), given] = True
    return found


def _log_losses(labels: NDArray, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log loss of each example in nats, float32 (n,); of sets of labels the mean over all labels."""
    if labels.ndim == 2:
        held = np.clip(probabilities.astype(np.float64), TINY, 1 - 2.0**-52)
        return -np.log(np.where(labels, held, 1 - held)).mean(axis=1).astype(np.float32)
    truth = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(truth, np.finfo(np.float32).tiny, 1)).astype(np.float32)


def _partitions(table: pa.Table, repeats: int) -> NDArray[np.int64]:
    """Return the fold that tested each example, int64 (repeats, n), or raise ValueError where rows are missing."""
    repeat, fold = (table[name].to_numpy().astype(np.int64) for name in FOLD_COLUMNS)
    n, left = divmod(len(repeat), repeats)
    if left or (repeat != np.repeat(np.arange(1, repeats + 1), n)).any():
        raise ValueError("its repeats are not whole")
    return fold.reshape(repeats, n) - 1


def _fingerprint(path: Path, labels: NDArray, names: list[str]) -> str:
    """Return the fingerprint of the test set of a run whose record has none, from its predictions."""
    from textclf.data.arrow_tables import dataset_of
    from textclf.data.dataset import fingerprint_of

    table = parquet.read_table(path)
    texts = table.select([name for name in ("text", "text_pair") if name in table.column_names])
    kind = pa.list_(pa.int64()) if labels.ndim == 2 else pa.int64()
    own = [np.flatnonzero(row).tolist() for row in labels] if labels.ndim == 2 else labels
    return fingerprint_of(names, dataset_of(texts.append_column("label", pa.array(own, kind))))
