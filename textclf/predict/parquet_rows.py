"""Rows of a Parquet file in batches, every column of its own type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from textclf.errors import DataError, first_line
from textclf.predict.inputs import WantedTexts
from textclf.predict.rows import WINDOW_CHARACTERS, Batch
from textclf.predict.usable import Texts


def read_parquet(source: Path | BinaryIO, wanted: WantedTexts, size: int, said: str) -> Iterator[Batch]:
    """Yield the rows of a Parquet file in batches; an empty one where there are none.

    Args:
        source: A file, or an open one that is no pipe.
        wanted: Which columns hold the texts.
        size: Most rows of a batch.
        said: What the file is called.

    Raises:
        DataError: If it cannot be read as Parquet, or lacks the columns, or they hold no strings.
    """
    if not isinstance(source, Path) and not source.seekable():
        raise DataError(f"{said}: Parquet is read from its end, so it cannot come through a pipe; name the file.")
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            schema = file.schema_arrow
            columns = wanted.found_in(schema.names, said)
            named = [name for name in (columns.text, columns.text_pair, columns.title) if name is not None]
            for name in named:
                if not _is_text(schema.field(name).type):
                    raise DataError(
                        f"{said}: texts must be strings, but column {name!r} holds {schema.field(name).type}. Name "
                        f"another with --text-column."
                    )
            total, done = file.metadata.num_rows, 0
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            row_bytes = sum(group.total_byte_size for group in groups) / max(total, 1)
            rows = max(1, min(size, int(WINDOW_CHARACTERS / max(row_bytes, 1))))
            for batch in file.iter_batches(batch_size=rows):
                table = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
                values = {name: table.column(name).cast(pa.large_string()).to_pylist() for name in set(named)}
                found = Texts(columns)
                for number in range(len(table)):
                    found.add(said, done + number + 1, {name: texts[number] for name, texts in values.items()}.get)
                done += len(table)
                yield Batch(table, found.texts, found.pairs, found.problems, share=done / total)
            if total == 0:
                yield Batch(schema.empty_table(), [], [] if columns.text_pair else None, share=1.0)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{said}: the file cannot be read as Parquet: {first_line(error)}") from error


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column can hold texts."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
                                             pa.types.is_null))  # fmt: skip
