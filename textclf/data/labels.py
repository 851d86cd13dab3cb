"""From a column of labels to classes: what the values mean, their names, and which are none."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset
from numpy.typing import NDArray

from textclf.data.options import DatasetOptions, SimilarLabels
from textclf.data.readers.exports import one_label
from textclf.errors import DataError, as_seen, cut, difference, listed

log = logging.getLogger(__name__)

MISSING = -1
"""Stands for a label that is not there."""
UNKNOWN = -2
"""Stands for a label that is no class."""
LEFT_OUT = -3
"""Stands for a label that the person's map leaves out."""
RARE = -4
"""Stands for a label of a class with too few rows."""
SEVERAL = -5
"""Stands for several labels where a text has one class."""
OTHERS = SEVERAL
"""The lowest of these."""
EMPTY = ("", "nan", "NaN")
"""Strings that stand for no value."""
NULLS = (*EMPTY, "NULL", "null", "<NA>")
"""Labels that stand for none."""
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
    values = [one_label(value) for value in values]
    texts = [
        "" if value is None or isinstance(value, list) or str(value).strip() in NULLS
        else str(int(value)) if value in numbers else _bare(str(value))
        for value in values
    ]  # fmt: skip
    if numbers:
        log.info("%s: labels such as %s are read as the integers they stand for", where, numbers[0])
    return _merged(codes, texts if set(texts) & set(asked) else _as_integers(texts, where, column))


def _bare(label: str) -> str:
    """Return a label without white space around it, and without quotes that stand behind a space."""
    label = label.strip()
    return label[1:-1] if len(label) > 2 and label[0] == label[-1] == '"' and '"' not in label[1:-1] else label


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


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset, and what the values of its label column mean."""

    names: tuple[str, ...]
    """Their names; the label is the index."""
    lookup: Mapping[str, int]
    """The class of each value; `LEFT_OUT` of one that the person leaves out."""
    by_likeness: Mapping[str, int] = field(default_factory=dict)
    """The class of other values by what a person sees of them; empty where they are no class."""
    are_named: bool = False
    """Whether the person or the source names them, so that -1 means that there is no label."""
    others: int = UNKNOWN
    """What stands for a value that is no class."""

    def label_of(self, value: str) -> int:
        """Return the class of a value, or what stands for its being none."""
        if value in self.lookup:
            return self.lookup[value]
        if value == HIDDEN and self.are_named:
            return MISSING
        return self.by_likeness.get(as_seen(value), self.others) if self.by_likeness else self.others


def classes_of(options: DatasetOptions, train: Dataset, labels: CodedColumn, source: str) -> Classes:
    """Return the classes: as asked, mapped, declared, or found in train.

    Raises:
        DataError: If more or fewer names are asked for than are declared, if labels are alike where that is refused,
            or if the map of labels names none of them.
    """
    feature = train.features[options.label_column]
    declared = tuple(feature.names) if isinstance(feature, ClassLabel) else ()
    asked = tuple(options.label_names)
    if options.label_map is not None:
        return _mapped(options, declared, labels, source)
    if asked and declared and len(declared) != len(asked):
        raise DataError(
            f"{source} declares {len(declared)} classes ({listed(declared)}), but dataset.label_names "
            f"lists {len(asked)} ({listed(asked)})."
        )
    by_number = {str(label): label for label in range(len(asked or declared))}
    if declared:
        return Classes(asked or declared, by_number, are_named=True)
    merge = options.on_similar_labels is SimilarLabels.merge
    if asked:
        by_name = {name: label for label, name in enumerate(asked)}
        likeness = {as_seen(name): label for name, label in by_name.items()} if merge else {}
        named = sum(value in by_name or as_seen(value) in likeness for value in labels.values)
        if named >= sum(value in by_number for value in labels.values):
            return Classes(asked, by_name, likeness, are_named=True)
        from_one = {str(label + 1): label for label in range(len(asked))}
        if set(labels.values) <= set(from_one) and str(len(asked)) in labels.values:
            log.info("%s: labels 1 to %d are the classes of dataset.label_names in their order", source, len(asked))
            return Classes(asked, from_one, are_named=True)
        return Classes(asked, by_number, are_named=True)
    return _found(labels, merge, options.on_similar_labels is SimilarLabels.fail, source)


def _found(labels: CodedColumn, merge: bool, fail: bool, source: str) -> Classes:
    """Return the classes that the labels of train name."""
    values = set(labels.values)
    by_size = np.bincount(labels.codes[labels.codes >= 0], minlength=len(labels.values))
    groups: dict[str, list[str]] = {}
    for number in np.argsort(-by_size, kind="stable").tolist():
        groups.setdefault(as_seen(labels.values[number]), []).append(labels.values[number])
    close = [group for group in groups.values() if len(group) > 1]
    if close:
        _tell_close(close, merge, fail, source)
    if merge:
        values = {group[0] for group in groups.values()}
    if all(re.fullmatch(r"-?\d+", value) for value in values):
        names = tuple(sorted(values, key=lambda value: (int(value), value)))
        if names[:2] == (HIDDEN, "0") and all(int(name) == number - 1 for number, name in enumerate(names)):
            kept = ", ".join(f"{name}: {name}" for name in names[1:])
            log.warning(
                "%s: -1 is taken for a class beside %s; if it stands for a missing label, leave it out with "
                "dataset.label_map={%s}", source, listed(names[1:]), kept,
            )  # fmt: skip
    else:
        names = tuple(sorted(values))
    lookup = {name: label for label, name in enumerate(names)}
    return Classes(names, lookup, {as_seen(name): label for name, label in lookup.items()} if merge else {})


def _tell_close(close: Sequence[Sequence[str]], merge: bool, fail: bool, source: str) -> None:
    """Say which labels of train differ in hardly anything, and what becomes of them."""
    said = "; ".join(
        f"{' and '.join(_shown(group))} differ only in {difference(group[1], group[0])}" for group in close[:5]
    )
    more = f" (and {len(close) - 5} more)" if len(close) > 5 else ""
    if fail:
        raise DataError(
            f"{source}: labels {said}{more}, and dataset.on_similar_labels=fail stops there. Correct them, or take "
            f"them as one with dataset.on_similar_labels=merge."
        )
    became = "they are taken as one class" if merge else (
        "each is a class of its own; dataset.on_similar_labels=merge takes them as one"
    )  # fmt: skip
    log.warning("%s: labels %s%s: %s", source, said, more, became)


def _shown(labels: Sequence[str]) -> list[str]:
    """Return labels in quotes, with escapes where they would look the same."""
    plain = [repr(label) for label in labels]
    looks = {unicodedata.normalize("NFKC", label) for label in labels}
    return plain if len(looks) == len(labels) else [ascii(label) for label in labels]


def _mapped(options: DatasetOptions, declared: Sequence[str], labels: CodedColumn, source: str) -> Classes:
    """Return the classes that the person's map gives the labels."""
    given: Mapping[str, str | None] = options.label_map
    asked = tuple(options.label_names)
    names = asked or tuple(sorted({name for name in given.values() if name is not None}))
    if unknown := sorted({name for name in given.values() if name is not None and name not in names}):
        raise DataError(f"dataset.label_map gives {listed(unknown)}, which dataset.label_names does not list.")
    meant = {label: LEFT_OUT if name is None else names.index(name) for label, name in given.items()}
    by_declared = {str(number): name for number, name in enumerate(declared)}
    lookup = dict(meant)
    for value in labels.values:
        if by_declared.get(value) in meant:
            lookup[value] = meant[by_declared[value]]
    merge = options.on_similar_labels is SimilarLabels.merge
    found = Classes(names, lookup, {as_seen(k): v for k, v in meant.items()} if merge else {}, True, LEFT_OUT)
    kinds = [found.label_of(value) for value in labels.values]
    if all(kind < 0 for kind in kinds):
        raise DataError(
            f"{source}: dataset.label_map names none of the labels, which are {listed(declared or labels.values)}."
        )
    if left := [by_declared.get(value, value) for value, kind in zip(labels.values, kinds, strict=True) if kind < 0]:
        log.warning("%s: dataset.label_map leaves out the rows labelled %s", source, listed(left, 20))
    return found


def labels_from(labels: CodedColumn, classes: Classes, where: str, remedy: str) -> NDArray[np.int64]:
    """Return the class of each row, int64 (n,); `MISSING`, `LEFT_OUT` or `UNKNOWN` where there is none.

    Args:
        labels: The labels.
        classes: What their values mean.
        where: The source, for a person.
        remedy: What to do where no row has a label.

    Raises:
        DataError: If no row has a label, as in a test split whose labels are kept secret.
    """
    if all(value == HIDDEN and HIDDEN not in classes.lookup for value in labels.values):
        raise DataError(
            f"{where}: the labels are hidden (all of them -1 or missing), so nothing can be measured on this "
            f"split. {remedy}"
        )
    meant = [classes.label_of(value) for value in labels.values]
    return np.array([*meant, MISSING], dtype=np.int64)[labels.codes]  # the last stands for MISSING, which is -1


def without_rare(
    classes: Classes, labels: Mapping[str, NDArray[np.int64]], least: int, source: str
) -> tuple[Classes, dict[str, NDArray[np.int64]]]:
    """Return the classes that have enough rows in train, and the labels with the others made `RARE`.

    Args:
        classes: All classes.
        labels: The class of each row by split, int64 (n,).
        least: How many rows of train are enough.
        source: Where the data came from, for a person.
    """
    if least <= 1:
        return classes, dict(labels)
    counts = np.bincount(labels["train"][labels["train"] >= 0], minlength=len(classes.names))
    rare = [number for number, count in enumerate(counts.tolist()) if count < least]
    if not rare:
        return classes, dict(labels)
    kept = [number for number in range(len(classes.names)) if number not in set(rare)]
    if len(kept) < 2:
        raise DataError(
            f"{source}: dataset.min_class_examples={least} leaves {len(kept)} of {len(classes.names)} classes, and at "
            f"least two are needed; the largest have {listed(sorted(counts.tolist(), reverse=True)[:5])} examples."
        )
    said = [f"{cut(classes.names[number])} ({counts[number]})" for number in rare]
    log.warning(
        "%s: dataset.min_class_examples=%d leaves out %d of %d classes: %s",
        source, least, len(rare), len(classes.names), listed(said, 200),
    )  # fmt: skip
    new = np.full(len(classes.names) - OTHERS, RARE)  # what stands for no class is counted from the end
    new[kept] = np.arange(len(kept))
    new[OTHERS:] = range(OTHERS, 0)
    names = tuple(classes.names[number] for number in kept)
    lookup = {value: int(new[label]) for value, label in classes.lookup.items()}
    return replace(classes, names=names, lookup=lookup), {split: new[own] for split, own in labels.items()}


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
