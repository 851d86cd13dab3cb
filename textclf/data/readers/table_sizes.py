"""Bytes that a table takes once it is read: as its file declares before, and of rows that repeat a few values.

A dictionary, a prefix or a run can stand for thousands of copies of a long text: a file of a kilobyte then holds
gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DELTAS = {"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "BYTE_STREAM_SPLIT"}
"""Encodings that are not read as dictionaries."""
REPEATS = ("DELTA_BYTE_ARRAY",)
"""Those in which a value can repeat one before it."""
MOST_ROWS = 1024
"""Rows that are read at once where only a few columns are."""
INDEX_BYTES = 4
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value by its physical type."""
RECORD_BATCH = "record batch"
DICTIONARY = "dictionary"


def parquet_dictionaries(metadata: pq.FileMetaData) -> list[str]:
    """Return the columns that are to be read as dictionaries, so that a value that is repeated is in memory once."""
    kinds: dict[str, set[str]] = {}
    for chunk in _chunks(metadata):
        if chunk.physical_type == "BYTE_ARRAY":
            kinds.setdefault(chunk.path_in_schema, set()).update(chunk.encodings)
    return [name for name, encodings in kinds.items() if not encodings & DELTAS]


def parquet_row_bytes(metadata: pq.FileMetaData) -> int:
    """Return the most bytes that a row takes in columns of one value that are not read as dictionaries."""
    most: dict[str, int] = {}
    for chunk in _chunks(metadata):
        size = _width(metadata, chunk)
        if any(kind in chunk.encodings for kind in REPEATS):  # a value is no longer than all that is stored
            size = max(size, chunk.total_uncompressed_size)
        most[chunk.path_in_schema] = max(size, most.get(chunk.path_in_schema, 0))
    return sum(most.values())


def parquet_bytes(metadata: pq.FileMetaData) -> int:
    """Return the bytes that a Parquet file declares it takes, with dictionaries kept as such."""
    return sum(
        max(chunk.total_uncompressed_size, chunk.num_values * _width(metadata, chunk)) for chunk in _chunks(metadata)
    )


def _chunks(metadata: pq.FileMetaData) -> Iterator[Any]:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        yield from (group.column(column) for column in range(group.num_columns))


def _width(metadata: pq.FileMetaData, chunk: Any) -> int:
    """Return the bytes of a value where all are of one size, else of the index of one."""
    if chunk.physical_type != "FIXED_LEN_BYTE_ARRAY":
        return WIDTHS.get(chunk.physical_type, INDEX_BYTES)
    columns = (metadata.schema.column(number) for number in range(metadata.num_columns))
    return next(column.length for column in columns if column.path == chunk.path_in_schema)


def arrow_bytes(messages: pa.ipc.MessageReader) -> int:
    """Return the bytes that the messages of an Arrow stream declare they take, without unpacking them.

    Raises:
        ValueError: If a message is damaged.
    """
    total = 0
    for message in messages:
        if message.type in (RECORD_BATCH, DICTIONARY):
            try:
                total += _message_bytes(message)
            except (struct.error, IndexError) as error:
                raise ValueError(f"a message of the Arrow stream is damaged ({error})") from error
    return total


def _message_bytes(message: pa.ipc.Message) -> int:
    """Return the bytes of a message's buffers; a packed one begins with its size as int64.

    Where they are is read from the flatbuffer of the message, by the numbers of the fields in Arrow's Message.fbs.
    """
    meta, body = bytes(message.metadata), message.body

    def number(form: str, at: int) -> int:
        return struct.unpack_from("<" + form, meta, at)[0]

    def field(table: int, index: int) -> int | None:
        fields = table - number("i", table)
        offset = number("H", fields + 4 + 2 * index) if 4 + 2 * index < number("H", fields) else 0
        return table + offset if offset else None

    def followed(at: int | None) -> int:
        if at is None:
            raise IndexError("a field is missing")
        return at + number("I", at)

    batch = followed(field(number("I", 0), 2))
    if message.type == DICTIONARY:
        batch = followed(field(batch, 1))
    if body is None:
        return 0
    if field(batch, 3) is None:  # nothing is packed
        return body.size
    buffers = followed(field(batch, 2))
    total = 0
    for start in range(buffers + 4, buffers + 4 + 16 * number("I", buffers), 16):
        offset, length = number("q", start), number("q", start + 8)
        if length > 0:
            (declared,) = struct.unpack_from("<q", body, offset)
            total += length if declared < 0 else declared
    return total


def plain_bytes(column: pa.Array | pa.ChunkedArray | pa.RecordBatch | pa.Table) -> int:
    """Return the bytes of all values, each counted as often as it occurs."""
    if isinstance(column, (pa.RecordBatch, pa.Table)):
        return sum(map(plain_bytes, column.columns))
    if isinstance(column, pa.ChunkedArray):
        return sum(map(plain_bytes, column.chunks))
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        sizes = _sizes(column.dictionary)
        return column.indices.nbytes + (pc.sum(sizes.take(column.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(map(plain_bytes, column.flatten()))
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = column.offsets
        first, last = offsets[0].as_py(), offsets[len(offsets) - 1].as_py()
        return offsets.nbytes + plain_bytes(column.values.slice(first, last - first))
    if pa.types.is_fixed_size_list(kind):
        return plain_bytes(column.flatten())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pc.sum(_sizes(column)).as_py() or 0
    return column.nbytes


def _sizes(values: pa.Array) -> pa.Array:
    """Return the bytes of each value, int64 (n,); of nested ones, the most that it may be."""
    kind = values.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        views = values.buffers()[1]
        lengths = memoryview(views)[16 * values.offset : 16 * (values.offset + len(values))].cast("i")[::4]
        return pa.array(list(lengths), pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return pc.binary_length(values).cast(pa.int64())
    if pa.types.is_large_binary(kind):
        return pc.binary_length(values).cast(pa.int64())
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        return pa.repeat(pa.scalar(plain_bytes(values), pa.int64()), len(values))
    return pa.repeat(pa.scalar(-(-values.nbytes // max(len(values), 1)), pa.int64()), len(values))


def pieces(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts that take at most so many bytes each, or are of one row."""
    if len(batch) <= 1 or plain_bytes(batch) <= most:
        yield batch
        return
    half = len(batch) // 2
    yield from pieces(batch.slice(0, half), most)
    yield from pieces(batch.slice(half), most)


def read_few_columns(source: BinaryIO, wanted: Sequence[str], most: int) -> pa.Table:
    """Return those of some columns that a Parquet file has, and nothing of the others.

    Args:
        source: An open file.
        wanted: Names of columns.
        most: Bytes that their values may take together.

    Raises:
        ValueError: If they take more.
        pyarrow.ArrowException: If the file is damaged; so is an `OSError`.
    """
    opened = pq.ParquetFile(source)
    names = [name for name in wanted if name in opened.schema_arrow.names]
    schema = pa.schema([opened.schema_arrow.field(name) for name in names])
    file = pq.ParquetFile(source, metadata=opened.metadata, read_dictionary=parquet_dictionaries(opened.metadata))
    rows = int(min(MOST_ROWS, max(most // max(parquet_row_bytes(opened.metadata), 1), 1)))
    found, size = [], 0
    for batch in file.iter_batches(rows, columns=names):
        size += plain_bytes(batch)
        if size > most:
            raise ValueError(f"its texts take more than {most // 1_000_000} MB once they are read.")
        found.append(batch.select(names).cast(schema))
    return pa.Table.from_batches(found, schema)
