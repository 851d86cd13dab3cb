"""Further examples to train on from a file, such as feedback: added to train after the splits are made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray

from textclf.data.arrow_tables import take_rows
from textclf.data.column_names import find_columns
from textclf.data.dataset import TextData
from textclf.data.file_dataset import kind_of, read_split, reader_of
from textclf.data.file_paths import parts_of
from textclf.data.label_sets import has_several, one_each, sets_of_known
from textclf.data.labels import SEVERAL, Classes, coded_labels, labels_from
from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions, FilesDataset, Task
from textclf.data.prepare import check_known, kept_rows
from textclf.data.rejected import RejectedRows
from textclf.data.selection import NO_VALUE
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

OPTION = "dataset.extra_train"
SPLIT = "extra_train"
"""What rows that cannot be used are told of as."""


def check_extra_train(options: DatasetOptions) -> None:
    """Refuse a file that is not there, before a large dataset is read.

    Raises:
        DataError: If there is none, or it is of an unknown kind.
    """
    file = str(options.extra_train)
    kind_of(parts_of(file, OPTION), f"{OPTION}={file}")


def with_extra_train(options: DatasetOptions, data: TextData, rejects: RejectedRows, first_example: int) -> TextData:
    """Return data with the examples of `dataset.extra_train` at the end of train; validation and test stay.

    Of several examples with the same text (or pair) the last one counts, so that a later correction replaces an
    earlier one. What train itself says of such a text is left as it is.

    Args:
        options: What the person asked for.
        data: The data without them.
        rejects: Takes the rows that cannot be used.
        first_example: The number of the first of them in the column `example`.

    Raises:
        DataError: If the file cannot be read, lacks a column, holds single texts where the data has pairs (or the
            reverse), a label that is no class (or in no set of train), or more unusable rows than allowed.
    """
    file = str(options.extra_train)
    parts = parts_of(file, OPTION)
    kind = kind_of(parts, f"{OPTION}={file}")
    own = FilesDataset(
        name=options.name,
        train=file,
        unknown_labels=options.unknown_labels,
        max_rejected=options.max_rejected,
        max_text_characters=options.max_text_characters,
    )
    reader = reader_of(kind, own)
    names, where = reader.columns(parts[0].path), f"{OPTION}={file}"
    if data.has_pairs and "text_pair" in names:
        own = replace(own, text_pair_column="text_pair")
    if data.has_sets:
        own = _as_sets(own, options, names)
    own = find_columns(own, names, where, reader.remark(parts[0].path))
    if data.has_pairs != (own.text_pair_column is not None):
        wants = "pairs of texts (columns text and text_pair)" if data.has_pairs else "single texts (a column text)"
        raise DataError(f"{where}: {data.name} is of {wants}, but the columns are {listed(names)}.")
    further = [name for name in (LANGUAGE_COLUMN, *data.slice_columns) if name in data.train.column_names]
    own = replace(own, slice_columns=[name for name in data.slice_columns if name in names])
    if LANGUAGE_COLUMN in further and LANGUAGE_COLUMN in names:
        own = replace(own, language_column=LANGUAGE_COLUMN)
    rows = read_split(own, SPLIT, kind, parts, rejects, file)
    if data.has_sets:
        sets = sets_of_known(own, rows, data.label_names, f"{file}, {SPLIT}")
        labels, answers = sets.codes, sets.column()
    else:
        labels = _classes_of(own, rows, data.label_names, file)
        answers = pa.array(labels)
    kept = kept_rows(replace(own, language_column=None), rows, labels, {}, SPLIT, file, rejects)
    place = {SPLIT: file}
    check_known(own, {SPLIT: rows}, {SPLIT: labels}, {SPLIT: kept}, data.label_names, place, rejects, data.has_sets)
    last = _last_of_each(own, rows, kept)
    columns = {
        "example": pa.array(np.arange(len(last)) + first_example),
        "text": take_rows(rows.data.column(own.text_column), last),
        "label": answers.take(pa.array(last)),
    }
    if own.text_pair_column is not None:
        columns["text_pair"] = take_rows(rows.data.column(own.text_pair_column), last)
    for name in further:
        values = take_rows(rows.data.column(name), last) if name in names else pa.array([NO_VALUE] * len(last))
        columns[name] = values.cast(pa.string()).fill_null(NO_VALUE)
    order = data.train.column_names
    added = Dataset(pa.table({name: columns[name] for name in order})).cast(data.train.features)  # type: ignore[arg-type]
    superseded = len(kept) - len(last)
    log.info(
        "%s: %s further examples to train on%s",
        file,
        f"{len(added):,}",
        f"; {superseded:,} left out, as a later one is on the same text" if superseded else "",
    )
    said = {"file": file, "examples": len(added), "superseded": superseded}
    folds = None if data.folds is None else replace(data.folds, extra=added)
    return replace(data, train=concatenate_datasets([data.train, added]), extra_train=said, folds=folds)


def _as_sets(own: FilesDataset, options: DatasetOptions, names: Sequence[str]) -> FilesDataset:
    """Return options that read sets of labels: as the data writes them where the file has such columns, else lists."""
    if options.label_columns and set(options.label_columns) <= set(names):
        return replace(own, label_columns=options.label_columns)
    label = options.label_column if options.label_column in names else own.label_column
    return replace(own, task=Task.multi, label_separator=options.label_separator, label_column=label)


def _classes_of(own: FilesDataset, rows: Dataset, label_names: tuple[str, ...], file: str) -> NDArray[np.int64]:
    """Return the class of each row, int64 (n,), or what stands for none."""
    several = has_several(rows.data.column(own.label_column))
    if several.all():
        return np.full(len(rows), SEVERAL)
    rows = one_each(rows, own.label_column)
    column = coded_labels(rows, own.label_column, f"{file}, {SPLIT}", label_names)
    by_name = {name: label for label, name in enumerate(label_names)}
    classes = Classes(label_names, by_name, are_named=True)
    labels = labels_from(column, classes, f"{file}, {SPLIT}", f"Leave {OPTION} out.")
    return np.where(several, SEVERAL, labels)


def _last_of_each(options: FilesDataset, rows: Dataset, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the last row of each text, or pair of texts, ascending."""
    columns = [take_rows(rows.data.column(options.text_column), kept).to_pylist()]
    if options.text_pair_column is not None:
        columns.append(take_rows(rows.data.column(options.text_pair_column), kept).to_pylist())
    last = {key: row for row, key in enumerate(zip(*columns, strict=True))}
    return kept[np.array(sorted(last.values()), dtype=np.int64)]
