"""Parquet files, read in batches of the wanted columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from textclf.data.column_names import text_columns, wanted_columns
from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions
from textclf.data.readers.arrow import FILE_COLUMN, LINE_COLUMN
from textclf.errors import DataError, first_line, listed

BATCH_ROWS = 8192


class ParquetFiles:
    """Reads Parquet files of the same columns."""

    def columns(self, path: Path) -> list[str]:
        """Return the names of the columns."""
        with _opened(path) as file:
            return list(file.schema_arrow.names)

    def remark(self, path: Path) -> str:
        """Return nothing: the names say it all."""
        return ""

    def schema(self, paths: Sequence[Path], options: DatasetOptions, by_language: bool) -> pa.Schema:
        """Return the schema of the rows that are read: texts are strings, labels keep their type.

        Raises:
            DataError: If a text column holds something else, or the labels of two files are of different types.
        """
        fields = {FILE_COLUMN: pa.int32(), LINE_COLUMN: pa.int64()}
        for path in paths:
            with _opened(path) as file:
                own = file.schema_arrow
            for name in wanted_columns(options):
                kind = _plain_type(own.field(name).type)
                if name in text_columns(options) and kind != pa.string():
                    raise DataError(f"{path}: texts must be strings, but column {name!r} holds {own.field(name).type}.")
                if name != options.label_column:
                    kind = pa.string()
                elif fields.setdefault(name, kind) != kind:
                    raise DataError(f"{path}: its labels are {kind}, but those of {paths[0]} are {fields[name]}.")
                fields[name] = kind
        return pa.schema(list((fields | ({LANGUAGE_COLUMN: pa.string()} if by_language else {})).items()))

    def batches(
        self, paths: Sequence[tuple[Path, str | None]], columns: Sequence[str], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of files, each with its language where one is given.

        Raises:
            DataError: If a file is damaged, or a column cannot be read as its type.
        """
        for number, (path, language) in enumerate(paths):
            row = 0
            with _opened(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                    count = len(batch)
                    arrays = {
                        FILE_COLUMN: pa.repeat(pa.scalar(number, pa.int32()), count),
                        LINE_COLUMN: pa.array(range(row, row + count), pa.int64()),
                        LANGUAGE_COLUMN: pa.repeat(pa.scalar(language, pa.string()), count),
                    }
                    arrays |= {name: batch.column(name) for name in columns}
                    cast = [arrays[field.name].cast(field.type) for field in schema]
                    yield pa.RecordBatch.from_arrays(cast, schema=schema)
                    row += count


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that stands for all of its sort: one for strings, one for integers."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_string(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else kind


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; what goes wrong while it is read becomes a `DataError`."""
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty.")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            if clash := [name for name in set(file.schema_arrow.names) if file.schema_arrow.names.count(name) > 1]:
                raise DataError(f"{path}: columns {listed(clash)} occur more than once; names must be distinct.")
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:  # damaged names are no UTF-8
        raise DataError(f"{path}: the file cannot be read as Parquet: {first_line(error)}") from error
