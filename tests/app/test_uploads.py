import csv
import gzip
import io
import json
from time import perf_counter

import pandas as pd
import pytest
from openpyxl import Workbook

from textclf.app import uploads
from textclf.app.classifiers import load
from textclf.app.run_list import read_choice
from textclf.errors import DataError
from textclf.predict.inputs import TextColumns
from textclf.predict.rows import BINARY, ENDINGS, Kind, readable_endings
from textclf.tracking.record import read_record

TEXTS = ["a lovely film", "=an awful lamp", "it is\na dull song"]


def as_file(kind):
    frame = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS})
    if kind in BINARY:
        out = io.BytesIO()
        if kind is Kind.xlsx:
            book = Workbook()
            for row in [list(frame), *frame.values.tolist()]:
                book.active.append(row)
            book.active["B3"].data_type = "s"  # a text that is no formula
            book.save(out)
        else:
            (frame.to_parquet if kind is Kind.parquet else frame.to_feather)(out)
        return out.getvalue()
    if kind is Kind.jsonl:
        return frame.to_json(orient="records", lines=True).encode()
    if kind is Kind.txt:
        return "\n".join(text.replace("\n", " ") for text in TEXTS).encode()
    return frame.to_csv(index=False, sep="\t" if kind is Kind.tsv else ",").encode()


@pytest.fixture(scope="module")
def loaded(outputs):
    return load(read_choice(outputs / "runs" / "first").classifier)


def predicted(loaded, data, kind, most=100):
    told = []
    uploads.column_names(data, kind, f"up.{kind.value}")
    rows = uploads.read_rows(data, kind, f"up.{kind.value}", TextColumns("text"), most)
    found = uploads.predict_rows(loaded, rows, told.append, TextColumns("text"))
    assert sum(told) == len(rows)
    return found


@pytest.mark.parametrize("kind", dict.fromkeys(ENDINGS.values()))
def test_every_format_keeps_its_rows_and_gains_predictions(kind, loaded):
    data = as_file(kind)
    assert uploads.kind_of(f"Up.{kind.value.upper()}") is kind
    names = uploads.column_names(data, kind, "up")
    assert names == (["text"] if kind is Kind.txt else ["id", "text"])
    found = predicted(loaded, data, kind)
    rows = list(csv.DictReader(io.StringIO(found.as_csv().decode("utf-8-sig"), newline="")))
    texts = TEXTS if kind is not Kind.txt else [text.replace("\n", " ") for text in TEXTS]
    assert [row["text"] for row in rows] == [texts[0], "'" + texts[1], texts[2]]
    lines = [json.loads(line) for line in found.as_jsonl().decode().splitlines()]
    assert [line["text"] for line in lines] == texts
    expected = loaded.classifier.predict(texts)
    assert [line["label"] for line in lines] == [one.label for one in expected]
    assert [line["probability_positive"] for line in lines] == pytest.approx(
        [p.probabilities["positive"] for p in expected]
    )
    assert dict(found.label_counts()) == {"negative": 2, "positive": 1}
    assert list(found.frame(2)["label"]) == ["positive", "negative"]
    assert len(found.frame(2)) == 2


def test_rows_of_different_columns_all_come_out(loaded):
    lines = [{"text": f"a lovely film {i}", f"extra{i % 3}": i if i % 2 else [i]} for i in range(uploads.WINDOW + 20)]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    found = predicted(loaded, data, Kind.jsonl, most=1000)
    out = [json.loads(line) for line in found.as_jsonl().decode().splitlines()]
    assert [{k: v for k, v in row.items() if k in line} for row, line in zip(out, lines, strict=True)] == lines
    rows = list(csv.DictReader(io.StringIO(found.as_csv().decode("utf-8-sig"))))
    assert len(rows) == len(lines)
    assert len(found.frame(1000)) == len(lines)


def test_a_bad_row_is_counted_and_named_with_its_line_and_the_others_are_predicted(loaded):
    data = b'{"text": "fine"}\n{"text": 3}\n{"text": null}\n{broken\n'
    found = predicted(loaded, data, Kind.jsonl)
    assert len(found.problems) == 3
    for number, said in zip((2, 3, 4), found.problems, strict=True):
        assert f"up.jsonl:{number}" in said
    out = [json.loads(line) for line in found.as_jsonl().decode().splitlines()]
    assert [row["label"] is None for row in out] == [False, True, True, True]
    assert "line 2" in out[1]["error"]
    assert sum(count for _, count in found.label_counts()) == 1
    with pytest.raises(DataError, match=r"No row can be predicted:\nup\.jsonl:1"):
        predicted(loaded, b'{"text": 3}\n{"text": null}\n', Kind.jsonl)


def test_a_file_with_labels_is_scored(loaded):
    rows = [
        {"text": text, "label": one.label} for text, one in zip(TEXTS, loaded.classifier.predict(TEXTS), strict=True)
    ]
    rows[0]["label"] = "negative" if rows[0]["label"] == "positive" else "positive"
    rows += [{"text": "fine", "label": ""}, {"text": "fine", "label": "mixed"}]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    labels = predicted(loaded, data, Kind.jsonl).true_labels
    assert (labels.right, labels.scored, labels.unlabelled) == (2, 3, 1)
    assert "'mixed' (1)" in labels.warnings()[0]
    other = data.replace(b'"label"', b'"weather"')
    assert predicted(loaded, other, Kind.jsonl).true_labels is None


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", Kind.csv, "up"),
        (b"text\n", Kind.csv, "no rows"),
        (b"\n\n", Kind.txt, "empty"),
        (b"PAR1 nonsense", Kind.parquet, "cannot be read as Parquet"),
        (b"text\n" + b"fine\n" * 101, Kind.csv, "more than 100 rows"),
        (gzip.compress(b"text\n" + b"fine\n" * 101, mtime=0), Kind.csv, "more than 100 rows"),
        (b"\xff\xfe\x00binary\x00\x01" * 50, Kind.jsonl, "up"),
    ],
)
def test_a_file_that_cannot_be_predicted_says_why(data, kind, said, loaded):
    with pytest.raises(DataError, match=said):
        predicted(loaded, data, kind)


def test_a_packed_file_cannot_fill_the_memory(loaded, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 10_000)
    for data in (b"text\n" + b"fine " * 5000 + b"\n", b"text,other\n" + b"fine,the same again\n" * 90):
        with pytest.raises(DataError, match=r"holds more than .* once it is read, all columns together"):
            predicted(loaded, gzip.compress(data * (1 + 20_000 // len(data))), Kind.csv)
    book = io.BytesIO()
    frame = pd.DataFrame({"text": ["fine"] * 90, "other": ["the same again " * 20] * 90})
    frame.to_excel(book, index=False)
    with pytest.raises(DataError, match="once it is read"):
        predicted(loaded, book.getvalue(), Kind.xlsx)


@pytest.mark.parametrize("kind", [Kind.parquet, Kind.arrow])
def test_other_columns_count_before_they_are_read(kind, loaded):
    """A file of a few kilobytes whose other column would take 4 GB."""
    import pyarrow as pa
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    other = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 200_000])
    table, out = pa.table({"text": pa.array(["fine"] * 20_000), "other": other}), io.BytesIO()
    if kind is Kind.parquet:
        pq.write_table(table, out, store_schema=False, compression="zstd")
    else:
        feather.write_feather(table, out, compression="zstd")
    assert len(out.getvalue()) < 60_000
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match="all columns together"):
        predicted(loaded, out.getvalue(), kind, most=20_000)
    assert pa.total_allocated_bytes() - before < 2 * uploads.MOST_BYTES


def test_a_packed_table_is_not_unpacked_to_learn_its_size(loaded, monkeypatch):
    import pyarrow as pa
    import pyarrow.feather as feather

    out = io.BytesIO()
    feather.write_feather(pa.table({"text": ["fine"] * 1000, "other": ["x" * 1000] * 1000}), out, compression="zstd")
    monkeypatch.setattr(uploads, "MOST_BYTES", 500_000)
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match="all columns together"):
        uploads.column_names(out.getvalue(), Kind.arrow, "up.arrow")
    monkeypatch.undo()
    assert pa.total_allocated_bytes() - before < 500_000
    assert uploads.column_names(out.getvalue(), Kind.arrow, "up.arrow") == ["text", "other"]


def test_many_columns_take_no_longer_than_they_are_many(loaded, monkeypatch):
    """Each was once looked for among all: 30,000 took a minute."""
    names = ["text", *(f"c{n}" for n in range(20_000))]
    data = (",".join(names) + "\n" + ",".join(["fine"] * len(names)) + "\n").encode()
    with pytest.raises(DataError, match="up.csv has 20,001 columns, and this page takes 2,000"):
        predicted(loaded, data, Kind.csv)
    monkeypatch.setattr(uploads, "MOST_COLUMNS", 100_000)
    found = predicted(loaded, data, Kind.csv)
    start = perf_counter()
    assert json.loads(found.as_jsonl())["c19999"] == "fine"
    assert found.as_csv().count(b",") > 40_000
    assert found.frame(10).shape == (1, uploads.SHOWN_COLUMNS + 4)
    assert perf_counter() - start < 15


def test_rows_that_each_have_columns_of_their_own_are_refused(loaded):
    data = "".join(json.dumps({"text": "fine", f"c{n}": 1}) + "\n" for n in range(2100)).encode()
    with pytest.raises(DataError, match=r"columns, and this page takes 2,000"):
        predicted(loaded, data, Kind.jsonl, most=5000)


def test_what_the_page_takes_is_what_can_be_predicted(loaded):
    taken = readable_endings()
    assert {".csv", ".csv.gz", ".jsonl.gz", ".parquet", ".txt"} <= set(taken)
    for ending in taken:
        assert uploads.kind_of(f"up{ending}")
    packed = predicted(loaded, gzip.compress(as_file(Kind.csv), mtime=0), Kind.csv)
    assert packed.label_counts() == predicted(loaded, as_file(Kind.csv), Kind.csv).label_counts()


def test_a_header_apart_by_something_else_names_its_columns():
    assert uploads.column_names(b"id;text\n1;fine\n", Kind.csv, "up.csv") == ["id", "text"]


@pytest.mark.parametrize("name", ["report.docx", "texts", "texts.parquet.gz"])
def test_other_formats_are_refused(name):
    with pytest.raises(DataError, match="must end in"):
        uploads.kind_of(name)


def test_the_column_of_the_run_is_taken_first(outputs):
    record = read_record(outputs / "runs" / "first")
    assert uploads.usual_columns(["id", "text"], "up", False, record) == ("text", None)
    assert uploads.usual_columns(["id", "review"], "up", False, record) == ("review", None)
    assert uploads.usual_columns(["premise", "hypothesis"], "up", True, None) == ("premise", "hypothesis")
    assert uploads.usual_columns(["a", "b"], "up", False, record) == (None, None)


def test_below_a_threshold_a_row_abstains_as_predict_writes_it(loaded):
    rows = uploads.read_rows(as_file(Kind.csv), Kind.csv, "up.csv", TextColumns("text"), 100)
    scores = [one.score for one in loaded.classifier.predict(TEXTS)]
    found = uploads.predict_rows(loaded, rows, lambda _: None, TextColumns("text"), threshold=sorted(scores)[1])
    labels = [row["label"] for row in csv.DictReader(io.StringIO(found.as_csv().decode("utf-8-sig"), newline=""))]
    assert [label == "abstain" for label in labels] == [score == min(scores) for score in scores]
