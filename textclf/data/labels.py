"""From a column of labels to classes: what the values mean, their names, and which are none."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset
from numpy.typing import NDArray

from textclf.data.options import DatasetOptions
from textclf.errors import DataError, cut, listed

log = logging.getLogger(__name__)

MISSING = -1
"""Stands for a label that is not there."""
UNKNOWN = -2
"""Stands for a label that is no class."""
EMPTY = ("", "nan", "NaN")
"""Strings that stand for no value."""
HIDDEN = "-1"
"""The value that stands for a label that is kept secret."""
WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class CodedColumn:
    """A column of few different values."""

    codes: NDArray[np.int64]
    """int64 (n,): which of the values each row holds, `MISSING` for none."""
    values: tuple[str, ...]
    """The different values."""


def coded(rows: Dataset, column: str) -> CodedColumn:
    """Return a column as numbers of its different values, as strings; rows must have no mapping of indices."""
    codes, values = _encode(rows.data.column(column))
    return _merged(codes, ["" if value is None else str(value) for value in values])


def coded_labels(rows: Dataset, column: str, where: str, asked: Sequence[str]) -> CodedColumn:
    """Return the labels as numbers of their different values.

    Args:
        rows: The rows, without a mapping of indices.
        column: Name of the column.
        where: The source, for a person.
        asked: The names that the person gave the classes; a number among them is a name.

    Raises:
        DataError: If they are neither strings nor integers (nor true and false, nor whole numbers).
    """
    kind = rows.data.schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
             pa.types.is_boolean, pa.types.is_floating, pa.types.is_null)  # fmt: skip
    codes, values = _encode(rows.data.column(column)) if any(is_kind(kind) for is_kind in known) else (None, [])
    numbers = [value for value in values if isinstance(value, float) and value == value]
    if codes is None or any(not value.is_integer() for value in numbers):
        example = next((f" (such as {value!r})" for value in numbers if not value.is_integer()), "")
        raise DataError(
            f"{where}: labels must be strings or integers, but column {column!r} holds {kind}{example}. "
            f"Name another column with dataset.label_column, or turn its values into classes first."
        )
    texts = ["" if value is None else str(int(value)) if value in numbers else str(value).strip() for value in values]
    if numbers:
        log.info("%s: labels such as %s are read as the integers they stand for", where, numbers[0])
    return _merged(codes, texts if set(texts) & set(asked) else _as_integers(texts, where, column))


def _as_integers(values: Sequence[str], where: str, column: str) -> list[str]:
    """Return strings that stand for whole numbers as integers; others as they are."""
    present = [value for value in values if value not in EMPTY]
    if not present or not all(NUMBER.fullmatch(value) for value in present):
        return list(values)
    if broken := [value for value in present if not WHOLE.fullmatch(value)]:
        raise DataError(
            f"{where}: labels must be strings or integers, but column {column!r} holds numbers such as "
            f"{cut(broken[0])}. Turn them into classes first, name another column with dataset.label_column, or list "
            f"them all in dataset.label_names to have each taken for a class."
        )
    if pointed := [value for value in present if "." in value]:
        log.info("%s: labels such as %s are read as the integers they stand for", where, pointed[0])
        return [value if value in EMPTY else str(int(value.partition(".")[0])) for value in values]
    return list(values)


def classes_of(
    options: DatasetOptions, train: Dataset, labels: CodedColumn, source: str
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names of the classes (as asked, declared, or found in train) and each value's class.

    Raises:
        DataError: If more or fewer names are asked for than are declared.
    """
    feature = train.features[options.label_column]
    declared = tuple(feature.names) if isinstance(feature, ClassLabel) else ()
    asked = tuple(options.label_names)
    if asked and declared and len(declared) != len(asked):
        raise DataError(
            f"{source} declares {len(declared)} classes ({listed(declared)}), but dataset.label_names "
            f"lists {len(asked)} ({listed(asked)})."
        )
    by_number = {str(label): label for label in range(len(asked or declared))}
    if declared:
        return asked or declared, by_number
    if asked:
        by_name = {name: label for label, name in enumerate(asked)}
        named = sum(value in by_name for value in labels.values)
        return asked, by_name if named >= sum(value in by_number for value in labels.values) else by_number
    values = set(labels.values)
    if all(re.fullmatch(r"-?\d+", value) for value in values):
        names = tuple(sorted(values, key=lambda value: (int(value), value)))
    else:
        names = tuple(sorted(values))
    close = {name.casefold(): name for name in names}
    if alike := [(name, close[name.casefold()]) for name in names if close[name.casefold()] != name]:
        log.warning("%s: classes %r and %r differ only in upper and lower case", source, *alike[0])
    return names, {name: label for label, name in enumerate(names)}


def labels_from(labels: CodedColumn, lookup: Mapping[str, int], names: tuple[str, ...], named: bool, where: str
                ) -> NDArray[np.int64]:  # fmt: skip
    """Return the class of each row, int64 (n,); `MISSING` where there is none, `UNKNOWN` where it is no class.

    Args:
        labels: The labels.
        lookup: The class of each value.
        names: Names of the classes.
        named: Whether the classes were named by the person or the source, so that -1 means that there is no label.
        where: The source, for a person.

    Raises:
        DataError: If no row has a label, as in a test split whose labels are kept secret.
    """
    hidden = HIDDEN not in lookup
    if all(value == HIDDEN and hidden for value in labels.values):
        raise DataError(
            f"{where}: the labels are hidden (all of them -1 or missing), so nothing can be measured on this "
            f"split. Name another one, as in dataset.test_split=validation."
        )
    none = MISSING if hidden and named else UNKNOWN
    meant = [none if value == HIDDEN and hidden else lookup.get(value, UNKNOWN) for value in labels.values]
    return np.array([*meant, MISSING], dtype=np.int64)[labels.codes]  # the last stands for MISSING, which is -1


def _encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list]:
    """Return the number of each row's value (`MISSING` for null), and the values; no row becomes a Python object."""
    if pa.types.is_null(column.type):
        return np.full(len(column), MISSING, dtype=np.int64), []
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if column.num_chunks == 0:
        return np.zeros(0, dtype=np.int64), []
    chunks = [chunk.indices.fill_null(MISSING).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(chunks).astype(np.int64), column.chunk(0).dictionary.to_pylist()


def _merged(codes: NDArray[np.int64], texts: Sequence[str]) -> CodedColumn:
    """Return codes of the different texts, those that stand for no value made `MISSING`."""
    values = tuple(dict.fromkeys(text for text in texts if text not in EMPTY))
    numbers = {value: number for number, value in enumerate(values)}
    new = np.array([*(numbers.get(text, MISSING) for text in texts), MISSING], dtype=np.int64)
    return CodedColumn(new[codes], values)
