"""What tables take in memory, told before they are read, and of values that are stored once and repeated."""

import io
import struct
from time import perf_counter

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from textclf.data.readers.table_sizes import pieces, plain_bytes
from textclf.data.readers.tables import BATCH_BYTES, open_table
from textclf.errors import DataError

LONG = "x" * 200_000
REPEATED = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), [LONG])
TEXT = pa.array(["a text"] * 3000)


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out


def arrow(table, **options):
    out = io.BytesIO()
    feather.write_feather(table, out, **options)
    return out


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["abc", "d", None]), 4 + 3 * 4 + 1),
        (pa.array(["x" * 1000, "y"] * 3).dictionary_encode(), 3 * 1001 + 6 * 4),
        (pa.array(["x" * 1000, "y"] * 3).dictionary_encode().slice(1, 1), 1 + 4),
        (pa.array(["x" * 30, "y" * 5, None, "z" * 100], pa.string_view()), 135),
        (pa.array(["x" * 30, "y" * 5, None, "z" * 100], pa.string_view()).slice(1, 2), 5),
        (pa.array([["a"], ["bb"]], pa.list_(pa.string())).slice(1), 8 + 2 + 4),
        (pa.array([{"a": 1}] * 3, pa.struct([("a", pa.int64())])), 24),
        (pa.array([], pa.list_(pa.string())), 4),
        (pa.nulls(3), 0),
    ],
)
def test_values_count_as_often_as_they_occur(column, expected):
    assert plain_bytes(column) == expected


def test_pieces_are_small_and_in_order():
    batch = pa.RecordBatch.from_arrays([REPEATED, pa.array(range(3000))], names=["long", "n"])
    found = list(pieces(batch, 5_000_000))
    assert [n for piece in found for n in piece.column("n").to_pylist()] == list(range(3000))
    assert max(map(plain_bytes, found)) <= 5_000_000
    assert [len(piece) for piece in pieces(batch.slice(0, 3), 10)] == [1, 1, 1]


KINDS = {
    "a dictionary": lambda: parquet(pa.table({"text": TEXT, "other": REPEATED}), store_schema=False),
    "a dictionary that is kept": lambda: parquet(pa.table({"text": TEXT, "other": REPEATED})),
    "the texts": lambda: parquet(pa.table({"text": REPEATED}), store_schema=False),
    "a field": lambda: parquet(
        pa.table({"text": TEXT, "other": pa.StructArray.from_arrays([REPEATED], ["inner"])}), store_schema=False
    ),
    "a list": lambda: parquet(
        pa.table({"text": TEXT, "other": pa.ListArray.from_arrays(pa.array(range(3001), pa.int32()), REPEATED)}),
        store_schema=False,
    ),
    "prefixes": lambda: parquet(
        pa.table({"text": TEXT[:600], "other": [LONG] * 600}),
        use_dictionary=False,
        column_encoding={"other": "DELTA_BYTE_ARRAY", "text": "PLAIN"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_repeats_is_never_in_memory_as_a_whole(kind):
    """A batch of 3,000 rows would take 600 MB."""
    source = KINDS[kind]()
    assert len(source.getvalue()) < 30_000
    rows, largest, schema = 0, 0, None
    with open_table(source, ".parquet", "up.parquet") as table:
        before = pa.total_allocated_bytes()
        for batch in table.batches(16_384):
            rows += len(batch)
            largest = max(largest, pa.total_allocated_bytes() - before)
            assert plain_bytes(batch) <= 1.1 * BATCH_BYTES
            assert batch.schema.types == table.schema.types
            schema = batch.schema
    assert rows == table.rows
    assert largest < 4 * BATCH_BYTES
    assert schema is not None
    assert pq.read_schema(source).types == schema.types


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["file", "stream"])
def test_arrow_declares_what_it_takes(compression, version, monkeypatch):
    table = pa.table(
        {"text": ["fine"] * 1000, "n": list(range(1000)), "d": pa.array(["a" * 99] * 1000).dictionary_encode()}
    )
    if version == "file":
        source = arrow(table, compression=compression)
    else:
        source = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression=None if compression == "uncompressed" else compression)
        with pa.ipc.new_stream(source, table.schema, options=options) as writer:
            writer.write_table(table)
    with open_table(source, ".arrow", "up.arrow") as opened:
        read = []
        monkeypatch.setattr(pa.ipc.RecordBatchStreamReader, "read_all", lambda self: read.append(1), raising=False)
        declared = opened.declared_bytes()
        assert not read
        assert 0.95 * table.nbytes <= declared <= 1.1 * table.nbytes + 2000


def test_arrow_rows_are_read_from_open_files_too(tmp_path):
    table = pa.table({"text": ["fine", "bad"] * 10, "n": list(range(20))})
    for source in (arrow(table), tmp_path / "a.arrow"):
        if source == tmp_path / "a.arrow":
            feather.write_feather(table, str(source))
        with open_table(source, ".arrow", "a.arrow") as opened:
            assert opened.rows == 20
            assert pa.Table.from_batches(opened.batches(7)).to_pydict() == table.to_pydict()


def test_values_that_lie_outside_of_their_file_are_refused():
    """Arrow trusts the places that a file names, and would read what is in memory behind it."""
    data = arrow(pa.table({"text": ["fine", "good"]}), compression="uncompressed").getvalue()
    offsets = struct.pack("<3i", 0, 4, 8)
    assert data.count(offsets) == 1
    out = io.BytesIO(data.replace(offsets, struct.pack("<3i", 0, 4, 1_000_000)))
    with pytest.raises(DataError, match="cannot be read as Arrow"), open_table(out, ".arrow", "up.arrow") as table:
        list(table.batches(10))


def test_a_damaged_message_is_told_of():
    source = arrow(pa.table({"text": ["fine"] * 1000}), compression="zstd")
    data = source.getvalue()
    half = io.BytesIO(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot be read as Arrow"), open_table(half, ".arrow", "up.arrow") as opened:
        opened.declared_bytes()


def test_many_columns_are_counted_once():
    """Each was once looked for among all: the names of 30,000 took half a minute."""
    names = [f"c{n}" for n in range(20_000)]
    out = io.BytesIO()
    schema = pa.schema([(name, pa.int8()) for name in names])
    with pa.ipc.new_stream(out, schema) as writer:
        writer.write_table(schema.empty_table())
    start = perf_counter()
    with open_table(out, ".arrow", "wide.arrow") as table:
        assert table.names == names
    assert perf_counter() - start < 5
