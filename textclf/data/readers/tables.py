"""Tables with typed columns, read in batches of the wanted ones: Parquet, Arrow and Feather files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

from textclf.data.column_names import text_columns, wanted_columns
from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions
from textclf.data.readers.arrow import FILE_COLUMN, LINE_COLUMN
from textclf.errors import DataError, first_line, listed

BATCH_ROWS = 8192
PARQUET = ".parquet"
ENDINGS = {PARQUET: "Parquet", ".arrow": "Arrow", ".feather": "Feather"}
ARROW_FILE = b"ARROW1"
FEATHER_1 = b"FEA1"


class Table:
    """An open table."""

    def __init__(self, source: Path | BinaryIO, ending: str):
        """Open a file, or an open one that is no pipe; `ending` says of which kind it is."""
        self.file: pq.ParquetFile | pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader | pa.Table
        if ending == PARQUET:
            mapped = isinstance(source, Path)
            self.file = pq.ParquetFile(source, memory_map=mapped, pre_buffer=False)
            self.schema, self.rows = self.file.schema_arrow, self.file.metadata.num_rows
            groups = [self.file.metadata.row_group(number) for number in range(self.file.num_row_groups)]
            self.row_bytes = sum(group.total_byte_size for group in groups) / max(self.rows, 1)
        else:
            self.file = _arrow_of(source)
            self.schema = self.file.schema
            if isinstance(self.file, (pa.ipc.RecordBatchStreamReader, pa.ipc.RecordBatchFileReader)):
                self.file = self.file.read_all()
            self.rows = self.file.num_rows
            self.row_bytes = self.file.nbytes / max(self.rows, 1)

    @property
    def names(self) -> list[str]:
        """The names of the columns; those of fields within others as `review.body`."""
        return [name for field in self.schema for name in _names_of(field)]

    def type_of(self, name: str) -> pa.DataType:
        """Return the type of a column, or of a field within one."""
        if name in self.schema.names:
            return self.schema.field(name).type
        head, *rest = name.split(".")
        kind = self.schema.field(head).type
        for part in rest:
            kind = kind.field(part).type
        return kind

    def batches(self, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most `size`, with the wanted columns, or all of them as they are."""
        whole = None if columns is None else list(dict.fromkeys(self._owner(name) for name in columns))
        if isinstance(self.file, pq.ParquetFile):
            found = self.file.iter_batches(size, columns=whole)
        else:
            found = (self.file if whole is None else self.file.select(whole)).to_batches(max_chunksize=size)
        for batch in found:
            if columns is None:
                yield batch
            else:
                arrays = [self.column(batch, name) for name in columns]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """Return a column of a batch, or a field within one."""
        if name in batch.schema.names:
            return batch.column(name)
        head, *rest = name.split(".")
        return pc.struct_field(batch.column(head), rest)

    def _owner(self, name: str) -> str:
        return name if name in self.schema.names else name.partition(".")[0]


def _arrow_of(source: Path | BinaryIO) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader | pa.Table:
    """Return an Arrow file, stream or old Feather file, opened."""
    opened = pa.memory_map(str(source)) if isinstance(source, Path) else pa.PythonFile(source, mode="r")
    start = opened.read(len(ARROW_FILE))
    opened.seek(0)
    if start == ARROW_FILE:
        return pa.ipc.open_file(opened)
    return feather.read_table(opened) if start.startswith(FEATHER_1) else pa.ipc.open_stream(opened)


def _names_of(field: pa.Field) -> list[str]:
    if not pa.types.is_struct(field.type) or field.type.num_fields == 0:
        return [field.name]
    return [f"{field.name}.{name}" for inner in field.type for name in _names_of(inner)]


@contextmanager
def open_table(source: Path | BinaryIO, ending: str, said: str) -> Iterator[Table]:
    """Open a table; what goes wrong while it is read becomes a `DataError`.

    Args:
        source: A file, or an open one that is no pipe.
        ending: Its ending, which says of which kind it is.
        said: What it is called, for a person.
    """
    kind = ENDINGS[ending]
    if isinstance(source, Path) and source.is_file() and source.stat().st_size == 0:
        raise DataError(f"{said}: the file is empty.")
    if not isinstance(source, Path) and not source.seekable():
        raise DataError(f"{said}: {kind} is read from its end, so it cannot come through a pipe; name the file.")
    try:
        table = Table(source, ending)
        names = table.schema.names
        if clash := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise DataError(f"{said}: columns {listed(clash)} occur more than once; names must be distinct.")
        yield table
    except (pa.ArrowException, OSError, ValueError) as error:  # damaged names are no UTF-8
        raise DataError(f"{said}: the file cannot be read as {kind}: {first_line(error)}") from error


class TableFiles:
    """Reads tables of the same columns."""

    def __init__(self, ending: str):
        """Take the ending of the files, which says of which kind they are."""
        self.ending = ending

    def columns(self, path: Path) -> list[str]:
        """Return the names of the columns."""
        with open_table(path, self.ending, str(path)) as table:
            return table.names

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
            with open_table(path, self.ending, str(path)) as table:
                kinds = {name: table.type_of(name) for name in wanted_columns(options)}
            for name, own in kinds.items():
                kind = _plain_type(own)
                if name in text_columns(options) and not (kind in (pa.string(), pa.int64()) or pa.types.is_null(kind)):
                    raise DataError(f"{path}: texts must be strings, but column {name!r} holds {own}.")
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
            with open_table(path, self.ending, str(path)) as table:
                for batch in table.batches(BATCH_ROWS, columns):
                    count = len(batch)
                    arrays = {
                        FILE_COLUMN: pa.repeat(pa.scalar(number, pa.int32()), count),
                        LINE_COLUMN: pa.array(range(row, row + count), pa.int64()),
                        LANGUAGE_COLUMN: pa.repeat(pa.scalar(language, pa.string()), count),
                    }
                    arrays |= {name: _of_one(batch.column(name), schema.field(name).type) for name in columns}
                    cast = [arrays[field.name].cast(field.type) for field in schema]
                    yield pa.RecordBatch.from_arrays(cast, schema=schema)
                    row += count


def _of_one(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return a column of lists as the one value of each, none where there are several; other columns as they are."""
    if not _is_list(column.type) or _is_list(wanted):
        return column
    single = pc.equal(pc.list_value_length(column), 1)
    alone = pc.if_else(single, column, pa.scalar(None, column.type))
    flat = pc.list_flatten(alone)
    numbers = pc.if_else(single, pc.cumulative_sum(single.cast(pa.int64()).fill_null(0)), pa.scalar(None, pa.int64()))
    return flat.take(pc.subtract(numbers, 1))


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that stands for all of its sort: one for strings, one for integers."""
    if pa.types.is_dictionary(kind) or _is_list(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_string(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else kind
