"""The chosen rows of a source, with textclf's own columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray

from textclf.data.arrow_tables import dataset_of, take_rows
from textclf.data.labels import MISSING, CodedColumn
from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions

IN_MEMORY_BYTES = 64_000_000
"""Splits above this size are not copied: they are a choice of rows of what they were read from."""
NO_VALUE = "missing"
"""Stands for no value in a column of slices."""


def select_rows(
    options: DatasetOptions,
    raw: Dataset,
    labels: pa.Array,
    languages: CodedColumn | None,
    rows: NDArray[np.int64],
) -> Dataset:
    """Return the chosen rows with textclf's own columns: copied where they are few, else chosen from the source.

    Args:
        options: The columns of the source.
        raw: All rows of the source.
        labels: The label of each row, int64, or the labels, lists of int64.
        languages: The language of each row; none where they are not known.
        rows: The chosen rows, int64 (m,), ascending.
    """
    sources = {"text": options.text_column, "text_pair": options.text_pair_column}
    names = {own: name for own, name in sources.items() if name is not None}
    columns = list(dict.fromkeys([*names.values(), *([options.title_column] if options.title_column else [])]))
    size = sum(raw.data.column(name).nbytes for name in columns) * len(rows) / max(len(raw), 1)
    small = size <= IN_MEMORY_BYTES

    extra = {"example": pa.array(np.arange(len(raw))), "label": labels}
    if languages is not None:
        codes = pa.array(languages.codes, mask=languages.codes == MISSING)
        extra[LANGUAGE_COLUMN] = pa.array(languages.values, pa.string()).take(codes)
    for name in options.slice_columns:
        extra[name] = pc.fill_null(raw.data.column(name).cast(pa.string()), NO_VALUE)
    order = ["example", *names, "label", *list(extra)[2:]]

    def titled(table: pa.Table) -> pa.Table:
        title, text = pc.fill_null(table.column(options.title_column), ""), table.column(options.text_column)
        joined = pc.binary_join_element_wise(title.cast(text.type), text, pa.scalar("\n", text.type))
        return table.set_column(table.column_names.index(options.text_column), options.text_column, joined)

    if small:
        own_rows = pa.table({name: take_rows(raw.data.column(name), rows) for name in columns})
        own_rows = titled(own_rows) if options.title_column else own_rows
        parts = {own: own_rows.column(name).cast(pa.string()) for own, name in names.items()}
        parts |= {
            name: take_rows(pa.chunked_array([column]) if isinstance(column, pa.Array) else column, rows)
            for name, column in extra.items()
        }
        return dataset_of(pa.table({name: parts[name] for name in order}))
    texts = raw.select_columns(columns)
    if options.title_column:
        texts = texts.with_format("arrow").map(titled, batched=True, batch_size=10_000).with_format(None)
    texts = texts.select_columns(list(names.values())).rename_columns({name: own for own, name in names.items()})
    beside = dataset_of(pa.table(extra))
    return concatenate_datasets([texts, beside], axis=1).select(rows).select_columns(order)
