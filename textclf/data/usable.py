"""Which rows of a source can be used, and why the others cannot."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data import rejected
from textclf.data.column_names import text_columns, wanted_columns
from textclf.data.labels import EMPTY
from textclf.data.options import DatasetOptions
from textclf.data.readers.arrow import FILE_COLUMN, LINE_COLUMN, start_of
from textclf.data.rejected import MAX_WRITTEN, RejectedRows, Rejection, place
from textclf.errors import DataError

CAUSES = (
    "", rejected.NO_TEXT, rejected.TOO_LONG, rejected.NO_LABEL, rejected.NO_GROUP, rejected.NO_LANGUAGE,
    rejected.UNKNOWN_LABEL,
)  # fmt: skip
"""Causes by number; 0 stands for none."""
BATCH_ROWS = 16_384


def unusable_texts(options: DatasetOptions, rows: Dataset, where: str) -> NDArray[np.int8]:
    """Return why the texts of each row cannot be used, int8 (n,): a number of `CAUSES`.

    A title may be missing; a text and its pair may not.

    Raises:
        DataError: If a text column holds something else.
    """
    causes = np.zeros(len(rows), dtype=np.int8)
    for column in text_columns(options):
        kind = rows.data.schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            if pa.types.is_null(kind) and len(rows):
                causes[:] = CAUSES.index(rejected.NO_TEXT)
                continue
            raise DataError(f"{where}: texts must be strings, but column {column!r} holds {kind}.")
        blank_counts = column != options.title_column and options.title_column is None
        start = 0
        for chunk in rows.data.column(column).chunks:
            for first in range(0, len(chunk), BATCH_ROWS):
                texts = chunk.slice(first, BATCH_ROWS)
                own = causes[start : start + len(texts)]
                if column != options.title_column:
                    own[_without_text(texts, blank_counts) & (own == 0)] = CAUSES.index(rejected.NO_TEXT)
                own[_too_long(texts, options.max_text_characters) & (own == 0)] = CAUSES.index(rejected.TOO_LONG)
                start += len(texts)
    return causes


def _without_text(texts: pa.Array, blank_counts: bool) -> NDArray[np.bool_]:
    none = pc.is_null(texts)
    if blank_counts:
        blank = pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))
        for empty in EMPTY[1:]:
            blank = pc.or_(blank, pc.equal(texts, empty))
        none = pc.or_(none, pc.fill_null(blank, False))
    return none.to_numpy(zero_copy_only=False)


def _too_long(texts: pa.Array, limit: int) -> NDArray[np.bool_]:
    long = pc.fill_null(pc.greater(pc.binary_length(texts), limit), False)
    if long.true_count:  # bytes are at least as many as characters
        long = pc.fill_null(pc.greater(pc.utf8_length(texts), limit), False)
    return long.to_numpy(zero_copy_only=False)


def reject(
    options: DatasetOptions, rows: Dataset, causes: NDArray[np.int8], split: str, source: str, rejects: RejectedRows
) -> None:
    """Add the rows that have a cause to the rejected ones."""
    found = np.flatnonzero(causes)
    for row in found[:MAX_WRITTEN].tolist():
        file, line, number = where_is(rows, row, split, source, rejects)
        content = rows.data.fast_slice(row, 1).to_pylist()[0]
        start = start_of([content[name] for name in wanted_columns(options)])
        cause = CAUSES[causes[row]]
        label = content[options.label_column]
        detail = f"({label!r:.60})" if cause in (rejected.UNKNOWN_LABEL, rejected.NO_LABEL) else ""
        rejects.add(Rejection(split, file, line, number, cause, detail, start))
    for cause, count in zip(*np.unique(causes[found[MAX_WRITTEN:]], return_counts=True), strict=True):
        rejects.count(split, CAUSES[cause], int(count))


def where_is(
    rows: Dataset, row: int, split: str, source: str, rejects: RejectedRows
) -> tuple[str, int | None, int | None]:
    """Return the file, line and number of a row; of the latter one or none is known."""
    if LINE_COLUMN not in rows.column_names:
        return f"{source}, {split}", None, row
    own = rows.data.fast_slice(row, 1)
    file = rejects.files[split][own.column(FILE_COLUMN)[0].as_py()]
    at = own.column(LINE_COLUMN)[0].as_py()
    return (file, at, None) if rejects.has_lines[split] else (file, None, at)


def place_of(rows: Dataset, row: int, split: str, source: str, rejects: RejectedRows) -> str:
    """Return where a row stands, as `reviews.csv:17`."""
    return place(*where_is(rows, row, split, source, rejects))
