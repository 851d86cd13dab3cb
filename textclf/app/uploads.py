"""An uploaded file: its rows, what is wrong with some, and the same rows with predictions."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textclf.app.classifiers import Loaded
from textclf.documents.escape import csv_cell
from textclf.errors import DataError, listed
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.rows import Batch, Kind, kind_of_name, read_batches, read_column_names, readable_endings, refusal
from textclf.predict.stream import PredictOptions, predict_batches
from textclf.predict.values import as_fields
from textclf.predict.writers import open_writer
from textclf.tracking.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

    from textclf.models.base import Classifier

WINDOW = 256
"""Rows that are predicted between two steps of the progress bar."""
MOST_CHARACTERS = 200_000_000
"""Characters of all rows together; a packed file can hold far more than its size says."""
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

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def columns(self) -> list[str]:
        """The columns of all rows, those of the predictions last."""
        added = self.batches[0].added if self.batches else ()
        names = dict.fromkeys(name for batch in self.batches for name in batch.table.column_names)
        return [*(name for name in names if name not in added), *added]

    def label_counts(self) -> list[tuple[str, int]]:
        """Return how often each label was predicted, the most frequent first; rows without one are left out."""
        counts: Counter[str] = Counter()
        for batch in self.batches:
            counts.update(label for label in batch.table.column(batch.added[0]).to_pylist() if label is not None)
        return counts.most_common()

    def fields(self, batch: Batch) -> list[list[str]]:
        """Return the columns of a batch as texts, in the order of `columns`."""
        empty = [""] * len(batch)
        there = set(batch.table.column_names)
        return [as_fields(batch.table.column(name)) if name in there else empty for name in self.columns]

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
        """Return the first rows for a table, the predictions beside the text."""
        import pandas as pd

        taken, rows = [], 0
        for batch in self.batches:
            if rows < most:
                taken.append(pd.DataFrame(dict(zip(self.columns, self.fields(batch), strict=True)), dtype=str))
                rows += len(batch)
        whole = pd.concat(taken, ignore_index=True).head(most) if taken else pd.DataFrame(columns=self.columns)
        added = list(self.batches[0].added) if self.batches else []
        for name in added:
            if name.rpartition("predicted_")[2].startswith(("score", "probability_")):
                whole[name] = pd.to_numeric(whole[name], errors="coerce").round(4)
        return whole[[*added[:2], *(name for name in whole.columns if name not in added), *added[2:]]]


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
        DataError: If it cannot be read in this format, or has none.
    """
    names = read_column_names(io.BytesIO(data), kind, name)
    if not names:
        raise DataError(f"{name} has no rows to predict.")
    return names


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
    batches: list[Batch] = []
    rows = characters = 0
    for batch in read_batches(io.BytesIO(data), kind, wanted, WINDOW, name):
        rows += len(batch)
        characters += sum(map(len, batch.texts)) + sum(map(len, batch.text_pairs or []))
        if rows > most_rows:
            raise DataError(
                f"{name} has more than {most_rows:,} rows, the most that this page takes. Upload it in parts, or "
                f"predict it with python -m textclf.predict, which takes files of any size."
            )
        if characters > MOST_CHARACTERS:
            raise DataError(
                f"{name} holds more than {MOST_CHARACTERS:,} characters; predict it with python -m textclf.predict."
            )
        batches.append(batch)
    if not rows:
        raise DataError(f"{name} has no rows to predict.")
    return Rows(name, tuple(batches))


def predict_rows(loaded: Loaded, rows: Rows, tell: Callable[[int], None], keep_bad_rows: bool = False) -> Predicted:
    """Predict the rows of a file.

    Args:
        loaded: The classifier.
        rows: What was read.
        tell: Called with each number of rows that are done.
        keep_bad_rows: Keep rows that cannot be predicted, without a label and with the reason beside them.

    Raises:
        DataError: If a row cannot be predicted and such rows are not kept.
    """
    if (problems := rows.problems) and not keep_bad_rows:
        raise DataError("\n".join(problems[:MOST_PROBLEMS]))
    many = len(loaded.label_names) > MANY_CLASSES
    options = PredictOptions(top_k=TOP_CLASSES if many else None, keep_bad_rows=bool(problems))
    classifier = cast("Classifier", loaded)  # asked in turn with the other sessions
    done = predict_batches(classifier, rows.batches, options, lambda count, *_: tell(count))
    return Predicted(rows.name, tuple(done))
