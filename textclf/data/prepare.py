"""Prepare the raw splits of any source: check columns and labels, leave unusable rows out, split, cut to size."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data import rejected
from textclf.data.arrow_tables import take_rows
from textclf.data.column_names import check_columns, find_columns, label_columns, text_columns, wanted_columns
from textclf.data.dataset import TextData
from textclf.data.label_descriptions import check_descriptions
from textclf.data.label_sets import (
    LabelSets,
    are_sets,
    check_label_sets,
    has_several,
    label_sets,
    labels_named_by,
    one_each,
    rarest_label,
)
from textclf.data.labels import (
    EMPTY,
    LEFT_OUT,
    MISSING,
    NUMBER,
    RARE,
    SEVERAL,
    UNKNOWN,
    CodedColumn,
    classes_of,
    coded,
    coded_labels,
    labels_from,
    without_rare,
)
from textclf.data.options import DatasetOptions, FilesDataset, UnknownLabels
from textclf.data.partitions import joined, make_folds
from textclf.data.readers.arrow import FILE_COLUMN, LINE_COLUMN, start_of
from textclf.data.readers.source import SAMPLED_ROWS
from textclf.data.rejected import MAX_WRITTEN, RejectedRows, Rejection, place
from textclf.data.selection import select_rows
from textclf.data.splits import rows_of_pool, rows_of_splits
from textclf.data.text_columns import TextColumns
from textclf.errors import DataError, cut, first_line, listed, looks_like

log = logging.getLogger(__name__)
CAUSES = (
    "", rejected.NO_TEXT, rejected.TOO_LONG, rejected.NO_LABEL, rejected.NO_GROUP, rejected.NO_LANGUAGE,
    rejected.UNKNOWN_LABEL, rejected.NOT_MAPPED, rejected.RARE_LABEL, rejected.SEVERAL_LABELS,
)  # fmt: skip
"""Causes by number; 0 stands for none."""
BATCH_ROWS = 16_384
LOOKED_AT = 200
"""Texts of train that are looked at for numbers."""


@dataclass(frozen=True)
class RawData:
    """The splits of a source as they were read."""

    splits: Mapping[str, Dataset]
    """`train`, and where the source has them `validation` and `test`."""
    source: str
    """Where the data came from, for a person."""
    options: DatasetOptions
    """Names of the columns and classes, sizes of the slices and subsets."""
    test_fraction: float = 0.2
    """Share of train, 0 to 1, that becomes the test split where there is none."""


def prepare(data: RawData, rejects: RejectedRows) -> TextData:
    """Check, label, split and cut down raw data.

    Args:
        data: The splits as they were read.
        rejects: The rows rejected so far; takes those that are rejected here.

    Raises:
        DataError: If a column is missing, a split is empty, a label is unknown, more rows are unusable than
            allowed, or a class or the groups are too few to be split.
    """
    options, raw, source = data.options, data.splits, data.source
    values = partial(_first_values, raw["train"])
    options = find_columns(options, raw["train"].column_names, f"{source}: the train split", values=values)
    said = {split: rejects.sources.get(split, source) for split in raw}
    for split, rows in raw.items():
        if len(rows) + rejects.total(split) == 0:
            raise DataError(f"{said[split]}: the {split} split is empty; it needs at least one example of each class.")
        check_columns(options, rows.column_names, f"{said[split]}: the {split} split")
        _check_values(options, rows, f"{said[split]}: the {split} split")
    raw = {split: rows.flatten_indices() if rows._indices is not None else rows for split, rows in raw.items()}
    try:
        sets: Mapping[str, LabelSets] = {}
        if are_sets(options, raw["train"], said["train"]):
            label_names, sets = label_sets(options, raw, said)
            labels = {split: found.codes for split, found in sets.items()}
        else:
            label_names, labels = _labels(options, raw, said)
    except DataError:
        for split, rows in raw.items():  # what was rejected while reading is the likelier cause
            rejects.check(split, len(rows) + rejects.total(split), said[split])
        raise
    descriptions = options.label_descriptions or {}
    if descriptions:
        check_descriptions(descriptions, label_names, some_left_out=options.min_class_examples > 1)
    further = {
        name: {split: coded(rows, name) for split, rows in raw.items()}
        for name in (options.languages_from, options.group_column)
        if name is not None
    }
    kept = {
        split: kept_rows(options, rows, labels[split], further, split, said[split], rejects)
        for split, rows in raw.items()
    }
    check_known(options, raw, labels, kept, label_names, said, rejects, has_sets=bool(sets))
    labels_kept = {split: labels[split][rows] for split, rows in kept.items()}
    has: dict[str, NDArray[np.bool_]] = {}
    classes = label_names
    if sets:
        has = {split: found.matrix(kept[split], len(label_names)) for split, found in sets.items()}
        check_label_sets(has["train"], label_names, source)
        labels_kept = {split: rarest_label(own) for split, own in has.items()}  # to draw by
        classes = (*label_names, "no label")
    else:
        _check_classes(labels_kept["train"], label_names, source)
    _check_texts(options, raw["train"], kept["train"], label_names, source)
    _warn_of_numbers(options, raw["train"], kept["train"], source)
    languages = _values(further.get(options.languages_from or ""), kept)
    _check_languages(options, languages, source)
    groups = _values(further.get(options.group_column or ""), kept)
    _warn_of_shared_groups(groups, source)

    def taken(origin: str, rows: NDArray[np.int64]) -> Dataset:
        own = further.get(options.languages_from or "", {}).get(origin)
        column = sets[origin].column() if sets else pa.array(labels[origin])
        return select_rows(options, raw[origin], column, own, kept[origin][rows])

    folds = None
    try:
        if options.folds is None:
            chosen = rows_of_splits(options, labels_kept, classes, data.test_fraction, languages, groups, has)
            splits = {split: taken(split if split in raw else "train", rows) for split, rows in chosen.items()}
        else:
            chosen = rows_of_pool(options, labels_kept, classes)
            parts = {origin: taken(origin, rows) for origin, rows in chosen.items()}
            fixed = None if options.fold_test else parts.pop("test", None)
            of_pool = {origin: chosen[origin] for origin in parts}
            folds = make_folds(
                options,
                joined(parts, {origin: len(raw[origin]) for origin in parts}),
                np.concatenate([labels_kept[origin][rows] for origin, rows in of_pool.items()]),
                classes,
                _of_rows(groups, of_pool),
                _of_rows(languages, of_pool),
                fixed,
                np.concatenate([has[origin][rows] for origin, rows in of_pool.items()]) if has else None,
            )
            splits = folds.splits_of(folds.parts[0])
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return TextData(
        options.display_name,
        label_names=label_names,
        source=source,
        slice_columns=tuple(options.slice_columns),
        columns=TextColumns(options.text_column, options.text_pair_column, options.title_column),
        folds=folds,
        label_descriptions={name: words for name, words in descriptions.items() if name in label_names},
        **splits,
    )


def _of_rows(
    values: Mapping[str, NDArray[np.object_]], rows: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.object_] | None:
    """Return the values of chosen rows of each split, one after the other; none where there are none."""
    return np.concatenate([values[split][own] for split, own in rows.items()]) if values else None


def _first_values(rows: Dataset, column: str) -> list[object]:
    """Return the first values of a column."""
    return list(rows.select_columns(column)[:SAMPLED_ROWS][column])


def _check_values(options: DatasetOptions, rows: Dataset, where: str) -> None:
    """Refuse columns of which values lie outside of their file; Arrow believes it, and would read what lies there."""
    for name in wanted_columns(options):
        try:
            rows.data.column(name).validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"{where}: column {name!r} is damaged: {first_line(error)} Write the file anew.") from error


def _labels(
    options: DatasetOptions, raw: Mapping[str, Dataset], said: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """Return the names of the classes, and the class of each row by split."""
    several = {split: has_several(rows.data.column(options.label_column)) for split, rows in raw.items()}
    raw = {split: one_each(rows, options.label_column) for split, rows in raw.items()}
    columns = {
        split: coded_labels(rows, options.label_column, f"{said[split]}, {split}", options.label_names)
        for split, rows in raw.items()
    }
    classes = classes_of(options, raw["train"], columns["train"], said["train"])
    known = set(classes.names) <= set(columns["train"].values)
    classes = replace(classes, are_named=bool(options.label_names) or options.label_map is not None or not known)
    labels = {
        split: labels_from(column, classes, f"{said[split]}, {split}", unlabelled_remedy(options, split))
        for split, column in columns.items()
    }
    labels = {split: np.where(several[split], SEVERAL, own) for split, own in labels.items()}
    classes, labels = without_rare(classes, labels, options.min_class_examples, said["train"])
    return classes.names, labels


def unlabelled_remedy(options: DatasetOptions, split: str) -> str:
    """Return what to do about a split without labels."""
    if not isinstance(options, FilesDataset):
        return "Name another one, as in dataset.test_split=validation."
    if split == "train":
        return "Name the column that holds them with dataset.label_column."
    file = getattr(options, split, None) or "FILE"
    return (
        f"Leave dataset.{split} out, and predict the file once there is a run: python -m textclf.predict latest "
        f"--input {file}."
    )


def kept_rows(
    options: DatasetOptions,
    rows: Dataset,
    labels: NDArray[np.int64],
    further: Mapping[str, Mapping[str, CodedColumn]],
    split: str,
    source: str,
    rejects: RejectedRows,
) -> NDArray[np.int64]:
    """Return the rows that can be used, int64 (m,); the others are rejected, and too many of them refused."""
    causes = unusable_texts(options, rows, f"{source}, {split}")
    causes[(causes == 0) & (labels == MISSING)] = CAUSES.index(rejected.NO_LABEL)
    for name, cause in ((options.group_column, rejected.NO_GROUP), (options.languages_from, rejected.NO_LANGUAGE)):
        if name is not None:
            causes[(causes == 0) & (further[name][split].codes == MISSING)] = CAUSES.index(cause)
    if options.unknown_labels is UnknownLabels.drop:
        causes[(causes == 0) & (labels == UNKNOWN)] = CAUSES.index(rejected.UNKNOWN_LABEL)
    coded_causes = (
        (LEFT_OUT, rejected.NOT_MAPPED),
        (RARE, rejected.RARE_LABEL),
        (SEVERAL, rejected.SEVERAL_LABELS),
    )
    for code, cause in coded_causes:
        causes[(causes == 0) & (labels == code)] = CAUSES.index(cause)
    total = len(rows) + rejects.total(split)
    reject(options, rows, causes, split, source, rejects)
    rejects.check(split, total, source)
    rejects.warn(split, total, source)
    kept = np.flatnonzero(causes == 0)
    if len(kept) == 0:
        raise DataError(f"{source}: every row of {split} has a label that is no class, so none is left.")
    return kept


def check_known(
    options: DatasetOptions,
    raw: Mapping[str, Dataset],
    labels: Mapping[str, NDArray[np.int64]],
    kept: Mapping[str, NDArray[np.int64]],
    names: tuple[str, ...],
    said: Mapping[str, str],
    rejects: RejectedRows,
    has_sets: bool = False,
) -> None:
    """Refuse a label that is no class, or is in no set of train."""
    kind = "labels" if has_sets else "classes"
    for split, rows in kept.items():
        unknown = rows[labels[split][rows] == UNKNOWN]
        if len(unknown):
            row = int(unknown[0])
            value = raw[split].data.column(options.label_column)[row].as_py()
            if has_sets:
                value = next(
                    (one for one in labels_named_by(value, options.label_separator) if one not in names), value
                )
            close = looks_like(str(value), names)
            merge = " dataset.on_similar_labels=merge takes them as one." if close else ""
            more = f" (and {len(unknown) - 1:,} more rows)" if len(unknown) > 1 else ""
            raise DataError(
                f"{place_of(raw[split], row, split, said[split], rejects)}: label {cut(repr(value))} is not one of "
                f"{listed(names)}{'' if options.label_names else f', the {kind} of train'}{more}."
                f"{close}{merge} Correct it, add it to dataset.label_names (and to train), or leave "
                f"such rows out with dataset.unknown_labels=drop."
            )


def _check_classes(labels: NDArray[np.int64], label_names: tuple[str, ...], source: str) -> None:
    """Refuse a train split from which not every class can be learned."""
    seen = np.flatnonzero(np.bincount(labels[labels >= 0], minlength=1))
    if len(seen) < 2:
        raise DataError(f"{source}: train holds one class only ({label_names[seen[0]]}); at least two are needed.")
    unseen = [name for label, name in enumerate(label_names) if label not in seen]
    if unseen:
        raise DataError(
            f"{source}: train has no example of {listed(unseen)}, so no model could learn it. "
            f"Take it out of dataset.label_names and of the other splits, or add examples."
        )


def _check_texts(
    options: DatasetOptions, train: Dataset, rows: NDArray[np.int64], label_names: tuple[str, ...], source: str
) -> None:
    """Refuse a train split whose texts are all but the same."""
    columns = [train.data.column(name) for name in text_columns(options)]
    different: set[tuple] = set()
    for start in range(0, len(rows), 1000):
        batch = [take_rows(column, rows[start : start + 1000]).to_pylist() for column in columns]
        different.update(zip(*batch, strict=True))
        if len(different) >= len(label_names):
            return
    raise DataError(
        f"{source}: the {len(rows):,} examples of train hold {len(different)} different "
        f"text{'s' * (len(different) > 1)} for {len(label_names)} classes, so nothing can be learned from them."
    )


def _warn_of_numbers(options: DatasetOptions, train: Dataset, rows: NDArray[np.int64], source: str) -> None:
    """Say where what is to be classified looks like numbers rather than texts."""
    column = take_rows(train.data.column(options.text_column), rows[:LOOKED_AT])
    texts = [str(text) for text in column.to_pylist() if text is not None]
    if sum(NUMBER.fullmatch(text.strip()) is not None for text in texts) > 0.9 * len(texts):
        others = [
            name for name in train.column_names if name not in (*wanted_columns(options), FILE_COLUMN, LINE_COLUMN)
        ]
        log.warning(
            "%s: column %r holds numbers (such as %s), and they are read as texts. If the texts are elsewhere, name "
            "their column with dataset.text_column%s",
            source, options.text_column, texts[0], f"; there are {listed(others)}" if others else "",
        )  # fmt: skip


def _values(
    columns: Mapping[str, CodedColumn] | None, kept: Mapping[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.object_]]:
    """Return the values of the kept rows by split, str objects (m,); nothing where there is no such column."""
    if columns is None:
        return {}
    return {
        split: np.array(column.values, dtype=object)[column.codes[kept[split]]] for split, column in columns.items()
    }


def _check_languages(options: DatasetOptions, languages: Mapping[str, NDArray[np.object_]], source: str) -> None:
    """Refuse to train on a language that train does not have."""
    known = sorted(set(languages["train"].tolist())) if languages else []
    if unknown := [language for language in options.train_languages if language not in known]:
        raise DataError(
            f"{source}: train has no example in {listed(unknown)} (dataset.train_languages); it has {listed(known)}."
        )


def _warn_of_shared_groups(groups: Mapping[str, NDArray[np.object_]], source: str) -> None:
    """Say where the source itself has a group on both sides of a split."""
    for one, other in combinations(groups, 2):
        if shared := set(groups[one].tolist()) & set(groups[other].tolist()):
            log.warning(
                "%s: %s groups of %s are also in %s (such as %r); scores on them may be too good",
                source, f"{len(shared):,}", other, one, min(shared),
            )  # fmt: skip


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
        label = [content[name] for name in label_columns(options)]
        label = label if options.label_columns else label[0]
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
