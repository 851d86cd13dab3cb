"""Tables with typed columns, read in batches of the wanted ones: Parquet, Arrow and Feather files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

from textclf.data.column_names import label_columns, text_columns, wanted_columns
from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions
from textclf.data.readers.arrow import FILE_COLUMN, LINE_COLUMN
from textclf.data.readers.table_sizes import (
    arrow_bytes,
    parquet_bytes,
    parquet_dictionaries,
    parquet_row_bytes,
    pieces,
)
from textclf.errors import DataError, first_line, listed

BATCH_ROWS = 8192
PARQUET = ".parquet"
ENDINGS = {PARQUET: "Parquet", ".arrow": "Arrow", ".feather": "Feather"}
ARROW_FILE = b"ARROW1"
STREAM_START = 8
"""Where an Arrow file's stream of messages begins."""
FEATHER_1 = b"FEA1"
FEWEST_ROWS = 4
"""Rows that are read at once however long they may be."""


BATCH_BYTES = 64_000_000
"""A batch ends early where its values, each counted as often as it occurs, take about so many bytes."""


class Table:
    """An open table."""

    def __init__(self, source: Path | BinaryIO, ending: str):
        """Open a file, or an open one that is no pipe; `ending` says of which kind it is."""
        self.source = source
        self.parquet: pq.ParquetFile | None = None
        if ending == PARQUET:
            mapped = isinstance(source, Path)
            opened = pq.ParquetFile(source, memory_map=mapped, pre_buffer=False)
            self.schema, metadata = opened.schema_arrow, opened.metadata
            dictionaries = parquet_dictionaries(metadata)
            self.parquet = pq.ParquetFile(
                source, metadata=metadata, read_dictionary=dictionaries, memory_map=mapped, pre_buffer=False
            )
        else:
            self._arrow = _arrow_of(source)
            self.schema = self._arrow.schema

    @cached_property
    def _whole(self) -> pa.Table:
        """All of an Arrow file."""
        return self._arrow if isinstance(self._arrow, pa.Table) else self._arrow.read_all()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._whole.num_rows if self.parquet is None else self.parquet.metadata.num_rows

    @property
    def row_bytes(self) -> float:
        """About how many bytes a row takes."""
        if self.parquet is None:
            return self._whole.nbytes / max(self.rows, 1)
        metadata = self.parquet.metadata
        sizes = (metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        return sum(sizes) / max(self.rows, 1)

    def declared_bytes(self) -> int:
        """Return how many bytes the table takes once it is read, as far as that is known before."""
        if self.parquet is not None:
            return parquet_bytes(self.parquet.metadata)
        if isinstance(self._arrow, pa.Table):
            return self._arrow.nbytes
        with _stream_of(self.source) as stream:
            return arrow_bytes(pa.ipc.MessageReader.open_stream(stream))

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
        """Yield the rows in batches of at most `size`, with the wanted columns, or all of them as they are.

        Batches of long values are smaller, so that what a file says once and repeats is never in memory as a whole.

        Raises:
            ValueError: If values of an Arrow file lie outside of it.
        """
        whole = None if columns is None else list(dict.fromkeys(self._owner(name) for name in columns))
        for batch in self._read(size, whole):
            for piece in pieces(batch, BATCH_BYTES):
                if len(piece) < len(batch) and any(map(pa.types.is_nested, piece.schema.types)):
                    piece = piece.take(pa.array(range(len(piece))))  # a cast would take all that the lists are cut from
                fields = [self.schema.field(name) for name in piece.schema.names]
                plain = piece.cast(pa.schema(fields)) if self.parquet is not None else piece
                if columns is None:
                    yield plain
                else:
                    arrays = [self.column(plain, name) for name in columns]
                    yield pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _read(self, size: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Yield the rows as they are stored; those of Parquet with dictionaries, which copy nothing."""
        if self.parquet is not None:
            longest = BATCH_BYTES // max(parquet_row_bytes(self.parquet.metadata), 1)
            yield from self.parquet.iter_batches(min(size, max(longest, FEWEST_ROWS)), columns=columns)
            return
        table = self._whole if columns is None else self._whole.select(columns)
        for batch in table.to_batches(max_chunksize=size):
            batch.validate(full=True)
            yield batch

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
    if isinstance(source, Path):
        opened = pa.memory_map(str(source))
        start = opened.read(len(ARROW_FILE))
        opened.seek(0)
        if start == ARROW_FILE:
            return pa.ipc.open_file(opened)
    else:
        source.seek(0)
        start = source.read(len(ARROW_FILE))
        source.seek(0)
        opened = pa.PythonFile(source, mode="r")
    if start.startswith(FEATHER_1):
        return feather.read_table(opened)
    return pa.ipc.open_stream(_stream_of(source))


def _stream_of(source: Path | BinaryIO) -> pa.NativeFile:
    """Return the stream of messages that an Arrow file holds, or is."""
    opened = pa.memory_map(str(source)) if isinstance(source, Path) else pa.PythonFile(source, mode="r")
    opened.seek(0)
    opened.seek(STREAM_START if opened.read(len(ARROW_FILE)) == ARROW_FILE else 0)
    return opened


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
        try:
            table = Table(source, ending)
        except KeyError as error:  # two places of a damaged file name a column differently
            raise DataError(f"{said}: the file cannot be read as {kind}: it has no column {error}.") from error
        counts = Counter(table.schema.names)
        if clash := [name for name, count in counts.items() if count > 1]:
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
                is_label = name in label_columns(options)
                kind = (pa.list_(kind) if _is_list(own) else kind) if is_label else pa.string()
                if is_label and fields.setdefault(name, kind) != kind:
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
                    arrays |= {name: of_one(batch.column(name), schema.field(name).type) for name in columns}
                    cast = [arrays[field.name].cast(field.type) for field in schema]
                    yield pa.RecordBatch.from_arrays(cast, schema=schema)
                    row += count


def of_one(column: pa.Array, wanted: pa.DataType) -> pa.Array:
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
