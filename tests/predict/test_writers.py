"""What is written: every format, whole or not at all."""

import gzip
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.predict.factory import counting, rows_of
from textclf.errors import ArtifactError, DataError
from textclf.predict.options import PredictOptions
from textclf.predict.rows import WRITTEN, Kind
from textclf.predict.stream import predict_batches
from textclf.predict.writers import open_writer


def convert(source, target, size=100, read=None, **options):
    kinds = {kind.value: kind for kind in Kind}
    reading = read or source.name.removesuffix(".gz").rpartition(".")[2]
    batches = predict_batches(counting(), rows_of(source, reading, size), PredictOptions(**options))
    with open_writer(target, kinds[target.name.removesuffix(".gz").rpartition(".")[2]]) as writer:
        for batch in batches:
            writer.write(batch)
    return target


LINES = [
    '{"text": "gg", "n": 12345678901234567890, "price": 1.10, "tags": {"b": [1, null]}, "odd": "\\ud83d"}',
    '{ "text":"xx" , "extra": true }',
]


@pytest.mark.parametrize("size", [1, 100])
def test_json_stays_as_it_stood(tmp_path, size):
    (tmp_path / "a.jsonl").write_text("\r\n".join(LINES) + "\n\n", encoding="utf-8")
    written = convert(tmp_path / "a.jsonl", tmp_path / "b.jsonl", size).read_text().splitlines()
    assert written[0].startswith(LINES[0][:-1] + ', "label": "positive", "score": 1.0')
    assert json.loads(written[1]) == {
        "text": "xx", "extra": True, "label": "negative", "score": 1.0, "probability_negative": 1.0,
        "probability_positive": 0.0,
    }  # fmt: skip


def test_csv_fields_stay_as_they_were(tmp_path):
    content = 'text,id,"a ""b"""\n"g,\ng",007,=1+1\n"x ""y""",1.50,\n'
    (tmp_path / "a.csv").write_text(content, newline="")
    frame = pd.read_csv(convert(tmp_path / "a.csv", tmp_path / "b.csv"), dtype=str, keep_default_na=False)
    before = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(frame[before.columns], before)
    assert list(frame.columns[3:]) == ["label", "score", "probability_negative", "probability_positive"]


def test_every_format_into_every_other(tmp_path):
    rows = [{"text": "ggx", "n": 1, "x": 2.0, "list": [1, "é"]}, {"text": "zz\tz", "n": None, "x": 0.5, "list": None}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    last = tmp_path / "a.jsonl"
    for number, ending in enumerate(["parquet", "jsonl.gz", "csv", "tsv.gz", "jsonl"]):
        last = convert(last, tmp_path / f"{number}.{ending}", prefix=f"p{number}_")
    found = [json.loads(line) for line in last.read_text().splitlines()]
    assert [row["text"] for row in found] == ["ggx", "zz\tz"]
    assert [row["n"] for row in found] == ["1", ""]
    assert [row["x"] for row in found] == ["2.0", "0.5"]
    assert [row["list"] for row in found] == ['[1, "é"]', ""]
    assert [row["p4_label"] for row in found] == ["positive", "negative"]
    assert pq.read_schema(tmp_path / "0.parquet").field("n").type == pa.int64()


def test_parquet_values_that_json_does_not_know(tmp_path):
    table = pa.table({
        "text": ["g"], "nan": [float("nan")], "when": pa.array([0], pa.timestamp("s")), "raw": [b"\xff"],
        "deep": [[{"x": float("inf"), "d": None}]], "small": pa.array([3], pa.int8()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = [
        json.loads(line) for line in convert(tmp_path / "a.parquet", tmp_path / "b.jsonl").read_text().splitlines()
    ]
    assert row["nan"] is None
    assert row["when"].startswith("1970-01-01 00:00:00")
    assert (row["raw"], row["small"], row["deep"]) == ("/w==", 3, [{"x": None, "d": None}])
    again = pq.read_table(convert(tmp_path / "a.parquet", tmp_path / "c.parquet"))
    assert again.column("raw").to_pylist() == [b"\xff"]
    assert again.schema.field("small").type == pa.int8()


def test_lines_hold_the_label(tmp_path):
    (tmp_path / "a.txt").write_text("gg\n\nx\n")
    with pytest.raises(DataError, match=r"a.txt:2: no text.*--keep-bad-rows"):
        convert(tmp_path / "a.txt", tmp_path / "b.txt")
    kept = convert(tmp_path / "a.txt", tmp_path / "b.txt", keep_bad_rows=True)
    assert kept.read_text() == "positive\n\nnegative\n"


def test_a_header_alone_gives_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\n")
    assert convert(tmp_path / "a.csv", tmp_path / "b.csv").read_text() == (
        "text,n,label,score,probability_negative,probability_positive\n"
    )
    assert pq.read_table(convert(tmp_path / "a.csv", tmp_path / "b.parquet")).num_rows == 0


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_come_too_late_for_a_table(tmp_path, ending):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "late": 1}\n')
    with pytest.raises(DataError, match="'late'.*JSON Lines"):
        convert(tmp_path / "a.jsonl", tmp_path / f"b.{ending}", size=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]


def test_types_that_change_in_parquet(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b"}\n{"text": "b", "n": "one"}\n')
    with pytest.raises(DataError, match="Column 'n' holds int64"):
        convert(tmp_path / "a.jsonl", tmp_path / "b.parquet", size=1)


def test_a_packed_output_is_the_same_each_time(tmp_path):
    (tmp_path / "a.txt").write_text("gg\n")
    one, two = (convert(tmp_path / "a.txt", tmp_path / name) for name in ("b.csv.gz", "c.csv.gz"))
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()).startswith(b"text,label")


def predict_half(writer):
    writer.binary.write(b"half")
    raise DataError("a bad row")


def test_an_output_that_is_there_is_kept(tmp_path):
    target = tmp_path / "b.csv"
    target.write_text("mine")
    with pytest.raises(ArtifactError, match="--force"), open_writer(target, Kind.csv):
        pytest.fail("opened")
    with pytest.raises(ArtifactError, match="no folder"), open_writer(tmp_path / "no" / "b.csv", Kind.csv):
        pytest.fail("opened")
    with pytest.raises(DataError), open_writer(target, Kind.csv, force=True) as writer:
        predict_half(writer)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]
    with open_writer(target, Kind.csv, force=True) as writer:
        writer.binary.write(b"whole")
    assert target.read_text() == "whole"


def test_a_device_is_written_to_and_not_replaced():
    with open_writer(Path("/dev/null"), Kind.csv) as writer:
        writer.binary.write(b"gone")
    assert not Path("/dev/null").is_file()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    with pytest.raises(ArtifactError, match="No space left"), open_writer(tmp_path / "b.csv", Kind.csv):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_nothing_under_the_name(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from textclf.predict.writers import open_writer; from textclf.predict.rows import Kind\n"
        "with open_writer(Path(sys.argv[1]), Kind.csv) as writer:\n"
        "    writer.binary.write(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    target = tmp_path / "b.csv"
    with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    assert not target.exists()


def test_an_open_stream_stays_open(tmp_path):
    for kind in WRITTEN:
        stream = io.BytesIO()
        (tmp_path / "a.txt").write_text("gg\n")
        with open_writer(stream, kind) as writer:
            for batch in predict_batches(counting(), rows_of(tmp_path / "a.txt", "txt")):
                writer.write(batch)
        assert not stream.closed
        assert len(stream.getvalue()) > 3
