"""An uploaded file: its rows, what is wrong with some, and the same rows with predictions."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from textclf.app.classifiers import Loaded
from textclf.data.readers.packed import unpacked_bytes, unzipped_bytes
from textclf.data.readers.table_sizes import plain_bytes
from textclf.data.readers.tables import open_table
from textclf.documents.escape import csv_cell
from textclf.errors import DataError, listed
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.options import PredictOptions
from textclf.predict.rows import (
    TABLES,
    Batch,
    Kind,
    kind_of_name,
    read_batches,
    read_column_names,
    readable_endings,
    refusal,
)
from textclf.predict.stream import predict_batches
from textclf.predict.true_labels import TrueLabels, label_column
from textclf.predict.true_sets import TrueSets
from textclf.predict.values import as_fields
from textclf.predict.writers import open_writer
from textclf.tracking.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

    from textclf.models.base import Classifier

WINDOW = 256
"""Rows that are predicted between two steps of the progress bar."""
MOST_BYTES = 200_000_000
"""Bytes of all values together, in whatever column; a packed file can hold far more than its size says."""
MOST_COLUMNS = 2_000
SHOWN_COLUMNS = 100
"""Columns of the file that are shown beside the predictions; the downloads have all."""
MANY_CLASSES = 50
"""With more classes only the most probable ones are written, instead of the probability of each."""
TOP_CLASSES = 5
MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Rows:
    """The rows of a file, read and not yet predicted."""

    name: str
    batches: tuple[Batch, ...]

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def problems(self) -> list[str]:
        """What is wrong with rows that cannot be predicted, a sentence each with its file and line."""
        return [str(refusal(batch.problems[row])) for batch in self.batches for row in sorted(batch.problems)]


@dataclass(frozen=True)
class Predicted:
    """The rows of a file with their predictions."""

    name: str
    batches: tuple[Batch, ...]
    problems: tuple[str, ...] = ()
    """What is wrong with rows that could not be predicted, a sentence each with its file and line."""
    true_labels: TrueLabels | TrueSets | None = None
    """The labels that the file has beside its texts, scored; none where it has none that the classifier knows."""

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def columns(self) -> list[str]:
        """The columns of all rows, those of the predictions last."""
        added = set(self.batches[0].added) if self.batches else set()
        names = dict.fromkeys(name for batch in self.batches for name in batch.table.column_names)
        return [*(name for name in names if name not in added), *(self.batches[0].added if self.batches else ())]

    def label_counts(self) -> list[tuple[str, int]]:
        """Return how often each label was predicted, the most frequent first; rows without one are left out."""
        counts: Counter[str] = Counter()
        for answers in self._answers():
            for one in answers:
                counts.update(one if isinstance(one, list) else [one])
        return counts.most_common()

    @property
    def has_sets(self) -> bool:
        """Whether each row is given a set of labels."""
        return bool(self.batches) and pa.types.is_list(self.batches[0].table.column(self.batches[0].added[0]).type)

    def count_empty(self) -> int:
        """Return how many rows are given an empty set of labels."""
        return sum(one == [] for answers in self._answers() for one in answers)

    def _answers(self) -> Iterator[list[str | list[str]]]:
        """Yield the labels of each batch, or sets of labels, without rows that could not be predicted."""
        for batch in self.batches:
            yield [one for one in batch.table.column(batch.added[0]).to_pylist() if one is not None]

    def fields(self, batch: Batch) -> list[list[str]]:
        """Return the columns of a batch as texts, in the order of `columns`."""
        return _fields(batch, self.columns)

    def as_csv(self) -> bytes:
        """Return the rows as CSV; no cell is a formula to a spreadsheet."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([csv_cell(name) for name in self.columns])
        for batch in self.batches:
            columns = [[csv_cell(value) for value in column] for column in self.fields(batch)]
            writer.writerows(zip(*columns, strict=True))
        return out.getvalue().encode("utf-8-sig")  # the mark tells spreadsheets that it is UTF-8

    def as_jsonl(self) -> bytes:
        """Return the rows as JSON lines, every value as it was."""
        out = io.BytesIO()
        with open_writer(out, Kind.jsonl) as writer:
            for batch in self.batches:
                writer.write(batch)
        return out.getvalue()

    def frame(self, most: int) -> pd.DataFrame:
        """Return the first rows for a table, the predictions beside the text; of many columns, the first ones."""
        import pandas as pd

        added = list(self.batches[0].added) if self.batches else []
        columns = [*self.columns[: -len(added) or None][:SHOWN_COLUMNS], *added]
        taken, rows = [], 0
        for batch in self.batches:
            if rows < most:
                there = set(batch.table.column_names)
                few = batch.table.slice(0, most).select([name for name in columns if name in there])
                rows_of = replace(batch, table=few, texts=batch.texts[:most])
                taken.append(pd.DataFrame(dict(zip(columns, _fields(rows_of, columns), strict=True)), dtype=str))
                rows += len(batch)
        whole = pd.concat(taken, ignore_index=True).head(most) if taken else pd.DataFrame(columns=columns)
        for name in added:
            if name.rpartition("predicted_")[2].startswith(("score", "probability_")):
                whole[name] = pd.to_numeric(whole[name], errors="coerce").round(4)
        first = 2
        if self.has_sets:
            first = 1
            whole[added[0]] = [", ".join(json.loads(one)) if one else "" for one in whole[added[0]]]
        return whole[[*added[:first], *(name for name in whole.columns if name not in added), *added[first:]]]


def _fields(batch: Batch, columns: Sequence[str]) -> list[list[str]]:
    """Return columns of a batch as texts; empty ones where it lacks one."""
    empty = [""] * len(batch)
    there = set(batch.table.column_names)
    return [as_fields(batch.table.column(name)) if name in there else empty for name in columns]


def kind_of(name: str) -> Kind:
    """Return the format of a file by its name.

    Raises:
        DataError: If the name says none.
    """
    kind = kind_of_name(name)
    if kind is None:
        raise DataError(f"{name}: the name must end in one of {listed(readable_endings())}.")
    return kind


def column_names(data: bytes, kind: Kind, name: str) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: If it cannot be read in this format, has none, or is too large once it is read.
    """
    check_size(data, kind, name)
    names = read_column_names(io.BytesIO(data), kind, name)
    if not names:
        raise DataError(f"{name} has no rows to predict.")
    _check_columns(len(names), name)
    return names


def check_size(data: bytes, kind: Kind, name: str) -> None:
    """Refuse a file that is far larger once it is read, before it is.

    Tables declare their sizes, workbooks those of their parts; what is packed is unpacked once and counted.

    Raises:
        DataError: If it takes more than `MOST_BYTES`, or cannot be read.
    """
    if kind in TABLES:
        with open_table(io.BytesIO(data), f".{kind.value}", name) as table:
            found = table.declared_bytes()
    elif kind is Kind.xlsx:
        found = unzipped_bytes(data)
    else:
        found = unpacked_bytes(data, name, MOST_BYTES)
    if found > MOST_BYTES:
        raise _too_large(name)


def _too_large(name: str) -> DataError:
    return DataError(
        f"{name} holds more than {MOST_BYTES // 1_000_000} MB once it is read, all columns together, the most that "
        f"this page takes. Leave out columns that are not needed, upload it in parts, or predict it with python -m "
        f"textclf.predict, which takes files of any size."
    )


def _check_columns(count: int, name: str) -> None:
    """Refuse more columns than a page can show and a browser can choose from."""
    if count > MOST_COLUMNS:
        raise DataError(
            f"{name} has {count:,} columns, and this page takes {MOST_COLUMNS:,}. Leave out those that are not "
            f"needed, or predict it with python -m textclf.predict."
        )


def usual_columns(
    names: Sequence[str], name: str, has_pairs: bool, record: RunRecord | None
) -> tuple[str | None, str | None]:
    """Return the columns that most likely hold the texts, and the second texts; none where nothing speaks for any."""
    dataset = record.config.get("dataset", {}) if record is not None else {}
    trained_on = TextColumns(dataset.get("text_column"), dataset.get("text_pair_column"))
    try:
        found = WantedTexts(trained_on=trained_on, has_pairs=has_pairs).found_in(names, name)
    except DataError:
        return None, None
    return found.text, found.text_pair


def read_rows(data: bytes, kind: Kind, name: str, columns: TextColumns, most_rows: int) -> Rows:
    """Read all rows of a file.

    Args:
        data: The file.
        kind: Its format.
        name: Its name.
        columns: The columns with the texts; the second one for pairs alone.
        most_rows: Rows above which the file is refused.

    Raises:
        DataError: If it cannot be read, has no rows, or too many.
    """
    wanted = WantedTexts(asked=columns, has_pairs=columns.text_pair is not None)
    check_size(data, kind, name)
    batches: list[Batch] = []
    names: set[str] = set()
    rows = size = 0
    for batch in read_batches(io.BytesIO(data), kind, wanted, WINDOW, name):
        rows += len(batch)
        size += plain_bytes(batch.table)
        if rows > most_rows:
            raise DataError(
                f"{name} has more than {most_rows:,} rows, the most that this page takes. Upload it in parts, or "
                f"predict it with python -m textclf.predict, which takes files of any size."
            )
        if size > MOST_BYTES:
            raise _too_large(name)
        if not names.issuperset(batch.table.column_names):
            names.update(batch.table.column_names)
            _check_columns(len(names), name)
        batches.append(batch)
    if not rows:
        raise DataError(f"{name} has no rows to predict.")
    return Rows(name, tuple(batches))


def predict_rows(
    loaded: Loaded,
    rows: Rows,
    tell: Callable[[int], None],
    columns: TextColumns,
    record: RunRecord | None = None,
    threshold: float | None = None,
) -> Predicted:
    """Predict the rows of a file, and score them where it has labels.

    Rows that cannot be predicted are kept, without a label and with the reason beside them.

    Args:
        loaded: The classifier.
        rows: What was read.
        tell: Called with each number of rows that are done.
        columns: The columns with the texts.
        record: The record of the classifier's run, which knows what its labels were called.
        threshold: The probability, 0 to 1, below which the label is `abstain`; none always takes a class.

    Raises:
        DataError: If no row can be predicted.
    """
    problems = rows.problems
    if len(problems) == len(rows):
        raise DataError("No row can be predicted:\n" + "\n".join(problems[:MOST_PROBLEMS]))
    many = len(loaded.label_names) > MANY_CLASSES
    options = PredictOptions(threshold, top_k=TOP_CLASSES if many else None, keep_bad_rows=bool(problems))
    classifier = cast("Classifier", loaded)  # asked in turn with the other sessions
    labels = _true_labels(loaded, rows, columns, record)
    watch = None if labels is None else labels.add
    done = tuple(predict_batches(classifier, rows.batches, options, lambda count, *_: tell(count), watch))
    return Predicted(rows.name, done, tuple(problems), labels if labels is not None and labels.scored else None)


def _true_labels(
    loaded: Loaded, rows: Rows, columns: TextColumns, record: RunRecord | None
) -> TrueLabels | TrueSets | None:
    """Return what takes the true labels of a file; none where no column speaks for holding them."""
    dataset = record.config.get("dataset", {}) if record is not None else {}
    trained = dataset.get("label_column")
    names = list(dict.fromkeys(name for batch in rows.batches for name in batch.table.column_names))
    each, known = tuple(dataset.get("label_columns") or loaded.label_names), tuple(loaded.label_names)
    if loaded.thresholds is not None and len(each) > 1 and set(each) <= set(names):
        return TrueSets(each, known, loaded.thresholds, None, is_sure=True)
    found = label_column(names, None, trained, [columns.text, columns.text_pair])
    if found is not None and loaded.thresholds is not None:
        return TrueSets((found,), known, loaded.thresholds, dataset.get("label_separator"), is_sure=found == trained)
    return None if found is None else TrueLabels(found, tuple(loaded.label_names), is_sure=found == trained)
