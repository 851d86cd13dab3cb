"""Sets of labels: from a column of lists, joined names or one column a label, to the labels that each text has."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Features
from numpy.typing import NDArray

from textclf.data.labels import LEFT_OUT, MISSING, UNKNOWN, Classes, classes_of, coded_labels
from textclf.data.options import DatasetOptions, Task
from textclf.data.readers.exports import labels_in
from textclf.data.readers.tables import of_one
from textclf.errors import DataError, cut, listed

log = logging.getLogger(__name__)

SEPARATORS = ("|", ";", ",", "/")
"""What may stand between labels that are joined in one value."""
YES, NO = ("1", "true", "1.0"), ("0", "false", "0.0")
"""Values of a column that says whether texts have one label."""
HIDDEN = ("-1", "-1.0", "")
"""Values of such a column where nobody judged the text."""
SOME = 0.05
"""Share of lists of several labels from which on texts have sets of them, whatever `max_rejected` lets pass."""


@dataclass(frozen=True)
class LabelSets:
    """The labels of each row, as the number of its set."""

    codes: NDArray[np.int64]
    """int64 (n,): which of the sets each row has; `MISSING` or `UNKNOWN` where it cannot be used."""
    sets: tuple[tuple[int, ...], ...]
    """The different sets of label numbers, each ascending."""

    def column(self) -> pa.Array:
        """Return the labels of each row as a list of numbers, empty where there is no set."""
        values = pa.array([*self.sets, ()], pa.list_(pa.int64()))
        return values.take(pa.array(np.where(self.codes < 0, len(self.sets), self.codes)))

    def matrix(self, rows: NDArray[np.int64], num_labels: int) -> NDArray[np.bool_]:
        """Return which labels some rows have, bool (m, num_labels)."""
        return members(self.sets, num_labels)[self.codes[rows]]


def members(sets: Sequence[Sequence[int]], num_labels: int) -> NDArray[np.bool_]:
    """Return which labels each set holds, bool (len(sets), num_labels)."""
    found = np.zeros((len(sets), num_labels), dtype=bool)
    sizes = np.fromiter(map(len, sets), dtype=np.int64, count=len(sets))
    numbers = np.fromiter((label for one in sets for label in one), dtype=np.int64, count=int(sizes.sum()))
    found[np.repeat(np.arange(len(sets)), sizes), numbers] = True
    return found


def are_sets(options: DatasetOptions, train: Dataset, source: str) -> bool:
    """Whether the texts of train have sets of labels: as asked, or plain from lists of them.

    Raises:
        DataError: If labels look like several that a separator joins, or lists hold one label or none, and it is not
            said what they are; or if so many texts of each class are asked for as texts with sets cannot give.
    """
    if options.task is Task.single:
        return False
    if options.label_columns or options.label_separator is not None:
        return True
    column = train.data.column(options.label_column)
    if options.task is Task.multi:
        if not options.label_names:
            _ask_about_separators(column, options, source)
        return True
    several = has_several(column)
    if several.mean() > min(options.max_rejected, SOME) if len(several) else False:
        log.info(
            "%s: column %r holds lists of labels, so each text has a set of them (dataset.task=multi)",
            source, options.label_column,
        )  # fmt: skip
        if options.examples_per_class is not None:
            raise DataError(
                f"{source}: dataset.examples_per_class={options.examples_per_class} draws so many texts of each class, "
                f"and here a text has several labels or none; use dataset.max_train_examples."
            )
        return True
    _ask_about_separators(column, options, source)
    if not several.any() and (none := _empty_lists(column)) > options.max_rejected * len(column):
        raise DataError(
            f"{source}: column {options.label_column!r} holds lists of one label, and {none:,} of {len(column):,} are "
            f"empty. If a text may have no label, say so: dataset.task=multi. If each has one class: "
            f"dataset.task=single, and give those a label or leave them out."
        )
    return False


def _empty_lists(column: pa.ChunkedArray) -> int:
    """Return how many rows of a column of labels hold a list of none."""
    if is_list(column.type):
        return pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0
    return (pc.sum(pc.equal(column, "[]")).as_py() or 0) if _is_text(column.type) else 0


def has_several(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return which rows of a column of labels hold a list of several, bool (n,)."""
    if is_list(column.type):
        return pc.fill_null(pc.greater(pc.list_value_length(column), 1), False).to_numpy(zero_copy_only=False)
    if not _is_text(column.type):
        return np.zeros(len(column), dtype=bool)
    begins = pc.fill_null(pc.or_(pc.starts_with(column, "["), pc.starts_with(column, '{"choices')), False)
    found = np.array(begins.to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(found).tolist():
        inner = labels_in(column[row].as_py())
        found[row] = isinstance(inner, list) and len(inner) > 1
    return found


def one_each(rows: Dataset, name: str) -> Dataset:
    """Return rows whose column of lists of one label holds the labels; rows of other columns as they are."""
    column, feature = rows.data.column(name), rows.features[name]
    if not is_list(column.type):
        return rows
    sole = pa.chunked_array([of_one(chunk, column.type.value_type) for chunk in column.chunks], column.type.value_type)
    found = Dataset(pa.table({name: sole}))  # type: ignore[arg-type]
    inner = getattr(feature, "feature", None)
    return found.cast(Features({name: inner})) if isinstance(inner, ClassLabel) else found


def _ask_about_separators(column: pa.ChunkedArray, options: DatasetOptions, source: str) -> None:
    """Refuse labels such as `funny|sad` beside `funny` and `sad`, of which nobody said whether they are classes."""
    multi = options.task is Task.multi
    if not _is_text(column.type):
        return
    values = [value for value in pc.unique(column).to_pylist() if value]
    if len(values) > MOST_VALUES:
        return
    for separator in SEPARATORS:
        parts = {value: [part.strip() for part in value.split(separator)] for value in values if separator in value}
        if not parts:
            continue
        alone = {value.strip() for value in values if separator not in value}
        joined = [value for value, inner in parts.items() if all(inner) and set(inner) <= alone]
        if joined and len(joined) == len(parts):
            raise DataError(
                f"{source}: column {options.label_column!r} holds {cut(repr(joined[0]))} beside "
                f"{listed(map(repr, parts[joined[0]]))}. If these are several labels of one text, say so: "
                f"dataset.label_separator='{separator}'. If each is a {'label' if multi else 'class'} of its own: "
                f"{'name them all in dataset.label_names' if multi else 'dataset.task=single'}."
            )


MOST_VALUES = 10_000
"""Different values of a column above which nobody is asked about separators."""


def label_sets(
    options: DatasetOptions, raw: Mapping[str, Dataset], said: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, LabelSets]]:
    """Return the names of the labels, and the set of each row by split.

    Args:
        options: Where the labels stand, and what they are called.
        raw: The splits as they were read, without mappings of indices.
        said: The source of each split, for a person.

    Raises:
        DataError: If the columns hold no labels, or no text of train has any.
    """
    if options.label_columns:
        names = tuple(options.label_columns)
        found = {split: _of_columns(rows, names, f"{said[split]}, {split}") for split, rows in raw.items()}
        return _without_rare(options, names, found, said["train"])
    flat = {split: _flat(rows, options, f"{said[split]}, {split}") for split, rows in raw.items()}
    columns = {
        split: coded_labels(one.labels, options.label_column, f"{said[split]}, {split}", options.label_names)
        for split, one in flat.items()
    }
    if not columns["train"].values:
        raise DataError(
            f"{said['train']}: no text of train has a label in column {options.label_column!r}, so there is nothing to "
            f"learn. Name the column that holds them with dataset.label_column."
        )
    classes = classes_of(options, flat["train"].labels, columns["train"], said["train"])
    meant = {split: np.array([*map(classes.label_of, column.values), LEFT_OUT]) for split, column in columns.items()}
    found = {split: _gathered(meant[split][columns[split].codes], flat[split].sizes, classes) for split in raw}
    return _without_rare(options, classes.names, found, said["train"])


def sets_of_known(options: DatasetOptions, rows: Dataset, names: Sequence[str], where: str) -> LabelSets:
    """Return the set of each of some further rows, of labels that are known by their names.

    A label that has a column (`dataset.label_columns`) and is not known is left out of the sets.

    Raises:
        DataError: If the columns hold no labels.
    """
    if options.label_columns:
        found = _of_columns(rows, options.label_columns, where)
        place = {name: number for number, name in enumerate(names)}
        own = [place.get(name) for name in options.label_columns]
        sets = tuple(tuple(sorted(new for k in each if (new := own[k]) is not None)) for each in found.sets)
        return LabelSets(found.codes, sets)
    flat = _flat(rows, options, where)
    column = coded_labels(flat.labels, options.label_column, where, names)
    classes = Classes(tuple(names), {name: label for label, name in enumerate(names)}, are_named=True)
    meant = np.array([*map(classes.label_of, column.values), LEFT_OUT])
    return _gathered(meant[column.codes], flat.sizes, classes)


@dataclass(frozen=True)
class _Flat:
    """The labels of all rows, one after the other."""

    labels: Dataset
    """One column, the label column."""
    sizes: NDArray[np.int64]
    """int64 (n,): how many of them each row has; `MISSING` where nothing says its labels."""


def _flat(rows: Dataset, options: DatasetOptions, where: str) -> _Flat:
    """Return the labels of a column one after the other."""
    name = options.label_column
    column, feature = rows.data.column(name), rows.features[name]
    if is_list(column.type):
        sizes = pc.fill_null(pc.list_value_length(column), MISSING).to_numpy(zero_copy_only=False).astype(np.int64)
        values = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
        inner = getattr(feature, "feature", None)
        features = Features({name: inner}) if isinstance(inner, ClassLabel) else None
        table = pa.table({name: values})
        return _Flat(Dataset(table) if features is None else Dataset(table).cast(features), sizes)  # type: ignore[arg-type]
    if not _is_text(column.type):
        if options.label_separator is not None:
            raise DataError(
                f"{where}: dataset.label_separator takes strings apart, and column {name!r} holds {column.type}. Leave "
                f"it out, or name another column with dataset.label_column."
            )
        flat = Dataset(pa.table({name: column}))  # type: ignore[arg-type]
        return _Flat(flat, np.where(pc.is_null(column).to_numpy(zero_copy_only=False), MISSING, 1))
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.unify_dictionaries().combine_chunks()
    parts = [_parts(value, options.label_separator) for value in coded.dictionary.to_pylist()]
    codes = coded.indices.fill_null(len(parts)).to_numpy(zero_copy_only=False)
    lists = pa.array([*parts, None], pa.list_(pa.string())).take(pa.array(codes))
    sizes = pc.fill_null(pc.list_value_length(lists), MISSING).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Flat(Dataset(pa.table({name: lists.flatten()})), sizes)  # type: ignore[arg-type]


def labels_named_by(value: object, separator: str | None) -> list[str]:
    """Return the labels that a value of the label column names: those of a list, or what the separator joins."""
    if isinstance(value, str):
        return _parts(value, separator)
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _parts(value: str, separator: str | None) -> list[str]:
    """Return the labels that one value names: those of a list that is written out, or what the separator joins."""
    inner = labels_in(value)
    if isinstance(inner, list):
        return [str(one) for one in inner]
    parts = [value] if separator is None else value.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _gathered(numbers: NDArray[np.int64], sizes: NDArray[np.int64], classes: Classes) -> LabelSets:
    """Return the set of each row, of labels one after the other, int64 (m,), and how many each row has, int64 (n,)."""
    counts = np.maximum(sizes, 0)
    rows = np.repeat(np.arange(len(sizes)), counts)
    unknown = np.zeros(len(sizes), dtype=bool)
    unknown[rows[numbers == UNKNOWN]] = True
    own = numbers >= 0
    width = max(len(classes.names), 1)
    keys = np.unique(rows[own] * width + numbers[own])  # each label once, ascending in each row
    bounds = np.searchsorted(keys // width, np.arange(len(sizes) + 1))
    labels = (keys % width).tolist()
    known: dict[tuple[int, ...], int] = {}
    codes = np.fromiter(
        (known.setdefault(tuple(labels[start:end]), len(known)) for start, end in pairwise(bounds.tolist())),
        dtype=np.int64,
        count=len(sizes),
    )
    codes[unknown] = UNKNOWN
    codes[sizes == MISSING] = MISSING
    return LabelSets(codes, tuple(known))


def _of_columns(rows: Dataset, names: Sequence[str], where: str) -> LabelSets:
    """Return the set of each row of columns that hold 0 or 1 each."""
    has, missing = np.zeros((len(rows), len(names)), dtype=bool), np.zeros(len(rows), dtype=bool)
    for number, name in enumerate(names):
        column = rows.data.column(name)
        if is_list(column.type) or pa.types.is_nested(column.type):
            raise DataError(
                f"{where}: column {name!r} (dataset.label_columns) must hold 0 or 1, or true and false, but holds "
                f"{column.type}. If it lists the labels of a text, name it with dataset.label_column."
            )
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        yes, no = (pc.fill_null(pc.is_in(texts, pa.array(kind)), False) for kind in (YES, NO))
        empty = pc.fill_null(pc.is_in(texts, pa.array(HIDDEN)), False)
        empty = pc.or_(empty, pc.is_null(texts))
        strange = pc.invert(pc.or_(pc.or_(yes, no), empty)).to_numpy(zero_copy_only=False)
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            raise DataError(
                f"{where}: column {name!r} (dataset.label_columns) must hold 0 or 1, or true and false, got "
                f"{cut(repr(column[row].as_py()))} in row {row}. Turn the values into 0 and 1 first, or name the "
                f"columns that are so."
            )
        has[:, number] = yes.to_numpy(zero_copy_only=False)
        missing |= empty.to_numpy(zero_copy_only=False)
    packed, codes = np.unique(has, axis=0, return_inverse=True)
    sets = tuple(tuple(np.flatnonzero(row).tolist()) for row in packed)
    return LabelSets(np.where(missing, MISSING, codes.reshape(-1)), sets)


def _without_rare(
    options: DatasetOptions, names: tuple[str, ...], found: dict[str, LabelSets], source: str
) -> tuple[tuple[str, ...], dict[str, LabelSets]]:
    """Return the labels with enough rows in train, and the sets without the others."""
    train = found["train"]
    usable = np.flatnonzero(train.codes >= 0)
    counts = positives(train, len(names))
    least = options.min_class_examples
    kept = [number for number, count in enumerate(counts.tolist()) if least <= 1 or count >= least]
    if len(names) < 2:
        raise DataError(
            f"{source}: {listed(names)} is the only label in train, and sets of labels need two at least. Where a text "
            f"has it or not, write two classes, and leave dataset.task=multi out."
        )
    if len(kept) < 2:
        raise DataError(
            f"{source}: {len(kept)} of {len(names)} labels {'has' if len(kept) == 1 else 'have'} at least {least} "
            f"texts in train (dataset.min_class_examples), and at least two are needed; the most frequent have "
            f"{listed(sorted(counts.tolist(), reverse=True)[:5])} of {len(usable):,}."
        )
    if len(kept) == len(names):
        return names, found
    said = [f"{cut(names[number])} ({counts[number]})" for number in range(len(names)) if number not in set(kept)]
    log.warning(
        "%s: dataset.min_class_examples=%d leaves out %d of %d labels: %s",
        source, least, len(said), len(names), listed(said, 200),
    )  # fmt: skip
    place = {number: new for new, number in enumerate(kept)}
    left = {
        split: LabelSets(own.codes, tuple(tuple(place[one] for one in each if one in place) for each in own.sets))
        for split, own in found.items()
    }
    return tuple(names[number] for number in kept), left


def positives(found: LabelSets, num_labels: int) -> NDArray[np.int64]:
    """Return how many rows have each label, int64 (num_labels,)."""
    times = np.bincount(found.codes[found.codes >= 0], minlength=len(found.sets))
    return times @ members(found.sets, num_labels)


def check_label_sets(has: NDArray[np.bool_], label_names: Sequence[str], source: str) -> None:
    """Refuse labels that no text of train has, or all of them have.

    Args:
        has: Which labels the texts of train have, bool (n, num_labels).
        label_names: Names of the labels.
        source: Where the data came from, for a person.

    Raises:
        DataError: With the labels.
    """
    counts = has.sum(axis=0)
    if not counts.any():
        raise DataError(f"{source}: no text of train has any label, so there is nothing to learn.")
    rare = " (dataset.min_class_examples=2 leaves out what is too rare)"
    for wrong, what, way in ((counts == 0, "no text", rare), (counts == len(has), "every text", "")):
        if wrong.any():
            raise DataError(
                f"{source}: {what} of train has the label {listed(np.array(label_names)[wrong].tolist())}, so no model "
                f"could learn when it applies. Take it out{way}, or add texts."
            )


def rarest_label(has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the label of each text that fewest texts have, int64 (n,); num_labels where it has none.

    One class a text, by which subsets and groups can be drawn as if there were no sets: rare labels are kept in their
    shares, frequent ones nearly are.
    """
    order = np.argsort(has.sum(axis=0), kind="stable")
    ranked = has[:, order]
    return np.where(ranked.any(axis=1), order[ranked.argmax(axis=1)], has.shape[1])


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
