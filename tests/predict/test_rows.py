"""What is read: every row, its columns, and what is wrong with it."""

import bz2
import gzip
import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from tests.predict.factory import rows_of
from textclf.data.readers.text import TextForm
from textclf.errors import DataError
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.rows import Kind, kind_of_name, read_batches

ROWS = [{"text": "good\u2028line", "n": 1, "tags": {"a": [1.5]}}, {"text": "bad", "n": 2, "tags": None}]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jsonl", Kind.jsonl), ("A.CSV.GZ", Kind.csv), ("a.b.tsv", Kind.tsv), ("a.parquet", Kind.parquet),
     ("a.txt.gz", Kind.txt), ("a.parquet.gz", None), ("a", None), ("-", None), ("csv", None)],
)  # fmt: skip
def test_kinds_by_name(name, kind):
    assert kind_of_name(name) is kind


def test_json_lines_keep_types_and_line_separators(tmp_path):
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    (batch,) = rows_of(write(tmp_path / "a.jsonl", content))
    assert batch.texts == ["good\u2028line", "bad"]
    assert batch.table.schema.field("n").type == pa.int64()
    assert batch.table.column("tags").to_pylist() == ['{"a": [1.5]}', None]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv_with_quoted_newlines_and_marks(tmp_path, mark, ending):
    content = mark + ending.join(["text,n", '"one', 'two, ""x""",1', "", "three,2", ""]).encode()
    (batch,) = rows_of(write(tmp_path / "a.csv", content), "csv")
    assert batch.texts == [f'one{ending}two, "x"', "three"]
    assert batch.table.column("n").to_pylist() == ["1", "2"]


@pytest.mark.parametrize("packed", [False, True])
def test_pipes_are_read_once_and_unpacked(packed):
    content = b"\n" + "".join(json.dumps({"text": f"t{i}"}) + "\n" for i in range(5000)).encode()
    batches = rows_of(io.BytesIO(gzip.compress(content) if packed else content), size=2000)
    assert [len(batch) for batch in batches] == [2000, 2000, 1000]
    assert batches[-1].texts[-1] == "t4999"


def test_blank_lines_are_rows_without_a_text(tmp_path):
    (batch,) = rows_of(write(tmp_path / "a.txt", "one\n\n  \ntwo\r\n\n"), "txt")
    assert batch.texts == ["one", "", "", "two", ""]
    assert {row: (said.at, said.cause) for row, said in batch.problems.items()} == {
        row: (row + 1, "no text") for row in (1, 2, 4)
    }
    assert batch.table.column("text").to_pylist() == ["one", "", "  ", "two", ""]


def test_parquet_keeps_types(tmp_path):
    table = pa.table({"text": pa.array(["a", None]).dictionary_encode(), "when": pa.array([0, 1], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "a.parquet")
    (batch,) = rows_of(tmp_path / "a.parquet", "parquet")
    assert batch.texts == ["a", ""]
    assert list(batch.problems) == [1]
    assert batch.table.schema.field("when").type == pa.timestamp("ms") or batch.table.schema.field(
        "when"
    ).type == pa.timestamp("s")


def test_header_alone_is_no_rows_and_keeps_its_columns(tmp_path):
    (batch,) = rows_of(write(tmp_path / "a.csv", "text,n\n"), "csv")
    assert len(batch) == 0
    assert batch.table.column_names == ["text", "n"]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "jsonl", "empty"),
        ("\n\n", "csv", "empty"),
        ('[{"text": "a"},', "jsonl", "the JSON array breaks off"),
        ("not json\n", "jsonl", ":1: invalid JSON"),
        ('{"a": "b"}\n', "jsonl", "no column 'text'.*--text-column"),
        ("a;words\nb;c\n", "csv", "no column 'text'; it has a, words"),
        ("text,text\na,b\n", "csv", "more than once"),
        ('text\n"open\nmore\n', "csv", "not closed"),
        ("text\na".encode("utf-16"), "csv", "looks like utf-16.*--encoding utf-16"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "csv", "PNG"),
        (gzip.compress(b"text\n" + b"x\n" * 9999, mtime=0)[:40], "csv", "cut off or damaged"),
        ("text\nx\n", "parquet", "cannot be read as Parquet"),
    ],
)
def test_inputs_that_cannot_be_read(tmp_path, content, kind, message):
    with pytest.raises(DataError, match=message):
        rows_of(write(tmp_path / "a", content), kind)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('{"text": 5}', "text is not a string (but 5)"),
        ('{"text": null}', "no text"),
        ('{"other": "x"}', "no text"),
        ('{"text": " "}', "no text"),
        ('{"text": NaN}', "no text"),
        ('{"text": "\\ud83d"}', "half a surrogate pair"),
        ('{"text": "a"', "invalid JSON"),
        ('["a"]', "not a JSON object"),
        (b'{"text": "caf\xe9"}', "not UTF-8"),
        ('{"text": "' + "x" * 1_000_001 + '"}', "text too long"),
    ],
)
def test_bad_rows_keep_their_place(tmp_path, line, cause):
    line = line if isinstance(line, bytes) else line.encode()
    (batch,) = rows_of(write(tmp_path / "a.jsonl", b'{"text": "a"}\n\n' + line + b'\n{"text": "b"}\n'))
    assert batch.texts == ["a", "", "b"]
    (row,) = batch.problems
    said = batch.problems[row]
    assert (row, said.at) == (1, 3)
    assert f"{said.cause} {said.detail}".startswith(cause)


def test_windows_end_by_rows_and_by_characters(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", "".join(f"{'x' * 50}\n" for _ in range(10)))
    assert [len(batch) for batch in rows_of(path, "txt", 4)] == [4, 4, 2]
    monkeypatch.setattr("textclf.predict.rows.WINDOW_CHARACTERS", 100)
    batches = rows_of(path, "txt", 4)
    assert [len(batch) for batch in batches] == [2] * 5
    assert batches[-1].share == 1.0


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["text", "review"], {"has_pairs": False}, ("text", None)),
        (["id", "Review"], {"has_pairs": False}, ("Review", None)),
        (["premise", "hypothesis", "text"], {"has_pairs": True}, ("premise", "hypothesis")),
        (["text", "text_pair", "premise", "hypothesis"], {"has_pairs": True, "asked": TextColumns("text", "text_pair")},
         ("text", "text_pair")),
        (["question", "sentence", "q"], {"has_pairs": True, "trained_on": TextColumns("question", "sentence")},
         ("question", "sentence")),
        (["body", "text"], {"has_pairs": False, "trained_on": TextColumns("body")}, ("body", None)),
        (["text", "title"], {"has_pairs": False, "trained_on": TextColumns("content", None, "title")}, ("text", None)),
        (["a", "b"], {"asked": TextColumns("a", "b")}, ("a", "b")),
        (["sentence1", "sentence2"], {}, ("sentence1", "sentence2")),
    ],
)  # fmt: skip
def test_columns_are_found(tmp_path, names, wanted, found):
    path = write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join(f"{name}!" for name in names) + "\n")
    (batch,) = rows_of(path, "csv", **wanted)
    title = "title!\n" if "title" in names else ""
    assert batch.texts == [f"{title}{found[0]}!"]
    assert batch.text_pairs == (None if found[1] is None else [f"{found[1]}!"])


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (["text"], {"has_pairs": True}, "fitted on pairs"),
        (["premise", "hypothesis"], {"has_pairs": False}, "fitted on single texts"),
        (["text", "b"], {"has_pairs": False, "asked": TextColumns("text", "b")}, "fitted on single texts"),
        (["text"], {"asked": TextColumns("txt")}, "no column 'txt' .*Did you mean 'text'"),
        (["review", "body"], {"has_pairs": False}, "several could be meant: review, body"),
        (["sentence1", "sentence2", "premise", "hypothesis"], {"has_pairs": True}, "several pairs"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, names, wanted, message):
    path = write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")
    with pytest.raises(DataError, match=message):
        rows_of(path, "csv", **wanted)


def test_plain_lines_hold_no_pairs(tmp_path):
    with pytest.raises(DataError, match="pairs"):
        rows_of(write(Path(tmp_path) / "a.txt", "x\n"), "txt", has_pairs=True)


FORMS = {  # what a file holds, its format, and how it is written
    "semicolons": ("id;text\n1;fine\n2;awful\n", "csv", TextForm()),
    "latin": ("text,x\nfine é,1\nawful,2\n".encode("cp1252"), "csv", TextForm("auto")),
    "wide": ("text\nfine\nawful\n".encode("utf-16"), "csv", TextForm("utf-16")),
    "headless": ("1,fine\n2,awful\n", "csv", TextForm(column_names=("id", "text"))),
    "array": ('[{"text": "fine"},\n {"text":\n  "awful"}]', "jsonl", TextForm()),
    "studio": ('[{"data": {"text": "fine"}, "annotations": []}, {"data": {"text": "awful"}, "annotations": '
               '[{"was_cancelled": true}]}]', "jsonl", TextForm()),
    "rejected": ('{"text": "fine", "answer": "reject", "_input_hash": 1}\n{"text": "awful"}\n', "jsonl", TextForm()),
    "fasttext": ("__label__a fine\n__label__b awful\n", "txt", TextForm()),
    "bzip2": (bz2.compress(b"text\nfine\nawful\n"), "csv", TextForm()),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_is_trained_on_is_predicted(tmp_path, form):
    content, kind, written = FORMS[form]
    path = tmp_path / f"mine.{kind}{'.bz2' if form == 'bzip2' else ''}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for source in (path, io.BytesIO(path.read_bytes())):
        batches = list(read_batches(source, Kind(kind), name=str(path), form=written))
        texts = [text for batch in batches for text in batch.texts]
        assert [text.removesuffix(" é") for text in texts] == ["fine", "awful"]
        assert not any(batch.problems for batch in batches)
        assert not any("\n" in line for batch in batches for line in batch.lines or ())


def test_workbooks_tables_and_archives_are_predicted(tmp_path):
    frame = pd.DataFrame({"text": ["fine", "awful"], "n": [1, 2.5]})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    frame.to_feather(tmp_path / "a.feather")
    frame.to_csv(tmp_path / "a.zip", index=False, compression={"method": "zip", "archive_name": "inside.csv"})
    for name in ("a.xlsx", "a.feather", "a.zip"):
        kind = kind_of_name(str(tmp_path / name))
        assert kind is not None
        batches = list(read_batches(tmp_path / name, kind))
        assert [text for batch in batches for text in batch.texts] == ["fine", "awful"]
        assert batches[0].table.column_names == ["text", "n"]


def test_fields_within_fields_are_named_by_their_path(tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_text('{"review": {"body": "fine"}}\n{"review": {"body": "awful"}}\n')
    wanted = WantedTexts(TextColumns("review.body"), has_pairs=False)
    assert [text for batch in read_batches(path, Kind.jsonl, wanted) for text in batch.texts] == ["fine", "awful"]


def test_folders_of_labels_and_saved_datasets_are_predicted(tmp_path):
    for name, text in {"pos/1": "fine é", "neg/2": "awful"}.items():
        (tmp_path / "texts" / name).parent.mkdir(parents=True)
        (tmp_path / "texts" / name).write_bytes(text.encode("latin-1"))
    batches = list(read_batches(tmp_path / "texts", Kind.folder, form=TextForm("latin-1")))
    assert [text for batch in batches for text in batch.texts] == ["awful", "fine é"]
    assert batches[0].table.column("label").to_pylist() == ["neg", "pos"]
    Dataset.from_list([{"text": "fine"}, {"text": "awful"}]).save_to_disk(str(tmp_path / "saved"))
    saved = list(read_batches(tmp_path / "saved", Kind.folder))
    assert [text for batch in saved for text in batch.texts] == ["fine", "awful"]


def test_objects_that_each_have_keys_of_their_own_come_in_small_tables(tmp_path, monkeypatch):
    monkeypatch.setattr("textclf.predict.rows.WINDOW_CELLS", 100)
    path = tmp_path / "wide.jsonl"
    path.write_text("".join(json.dumps({"text": f"fine {n}", f"key {n}": n}) + "\n" for n in range(64)))
    batches = list(read_batches(path, Kind.jsonl))
    assert max(batch.table.num_rows * batch.table.num_columns for batch in batches) <= 100
    assert [text for batch in batches for text in batch.texts] == [f"fine {n}" for n in range(64)]
