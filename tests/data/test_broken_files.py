"""Files as people have them: each ends in a paragraph that names the file, or is read with the bad rows told of."""

import bz2
import gzip
import json
import lzma

import pandas as pd
import pytest
import zstandard

from tests.conftest import sentences
from textclf.data import file_dataset
from textclf.data.dataset import texts_of
from textclf.data.load import load
from textclf.data.options import FilesDataset, UnknownLabels
from textclf.data.readers import arrow
from textclf.errors import DataError

ROWS = sentences(100)
LINES = [json.dumps(row) for row in ROWS]
CSV = ["text,label", *(f"{row['text']},{row['label']}" for row in ROWS)]
FRENCH = ["text,label", *(f"un été très réussi à la forêt {i},{('non', 'oui')[i % 2]}" for i in range(100))]


def with_line(lines, number, content):
    """Return lines with another one as the `number`th, from 1."""
    return [*lines[: number - 1], content, *lines[number:]]


def text(lines):
    return ("\n".join(lines) + "\n").encode()


def frame(path, **columns):
    pd.DataFrame(columns).to_parquet(path)
    return path.read_bytes()


WHOLE = {  # name of the file: what it holds, and what is said of it
    "absent.csv": (None, "there is no such file"),
    "empty.csv": (b"", "empty.csv: the file is empty"),
    "blank.jsonl": (b"\n \n", "blank.jsonl: the file is empty"),
    "mark.csv": (b"\xef\xbb\xbf", "mark.csv: the file is empty"),
    "header.csv": (b"text,label\n", "header.csv: the file names columns, and holds no rows"),
    "table.xlsx": (b"PK\x03\x04", "table.xlsx: the file cannot be read as an Excel workbook"),
    "cut.csv.gz": (gzip.compress(text(CSV) * 50)[:-300], "cut.csv.gz: the gzip file is cut off or damaged"),
    "damaged.jsonl.gz": (gzip.compress(text(LINES))[:40] + b"\0" * 200, "damaged.jsonl.gz: the gzip file is cut off"),
    "plain.csv.gz": (text(CSV), "plain.csv.gz: the file is not gzip"),
    "packed.csv": (gzip.compress(text(CSV)), "packed.csv: the file is packed with gzip; add .gz"),
    "image.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\x01" * 99, "image.csv: the file is no text; it is a PNG"),
    "excel.csv": (b"PK\x03\x04" + b"x" * 99, "excel.csv: .* an Excel workbook"),
    "utf16.csv": (text(CSV).decode().encode("utf-16"), r"utf16.csv: .* not UTF-8. It looks like utf-16: dataset.encoding=utf-16"),
    "bare16.csv": (text(CSV).decode().encode("utf-16-be"), "bare16.csv: .*dataset.encoding=utf-16-be"),
    "utf32.jsonl": (text(LINES).decode().encode("utf-32"), "utf32.jsonl: .*dataset.encoding=utf-32"),
    "latin.csv": (text(FRENCH).decode().encode("latin-1"), r"100 not UTF-8.*latin.csv:2, .*latin.csv:3.*like cp1252 .a guess.*dataset.encoding=cp1252"),
    "cutarray.json": (json.dumps(ROWS, indent=1).encode()[:-90], r"cutarray.json:\d+: the JSON array breaks off"),
    "frame.pkl": (b"\x80\x05", "a pickle runs code .*to_parquet"),
    "cut.csv.bz2": (bz2.compress(text(CSV) * 50)[:-300], "cut.csv.bz2: the bzip2 file is cut off or damaged"),
    "cut.csv.xz": (lzma.compress(text(CSV) * 50)[:-300], "cut.csv.xz: the xz file is cut off or damaged"),
    "cut.csv.zst": (zstandard.compress(text(CSV) * 50)[:-30], "cut.csv.zst: the zstd file is cut off or damaged"),
    "cut.csv.zip": (b"PK\x03\x04" + b"x" * 99, "cut.csv.zip: the zip file is cut off or damaged"),
    "plain.txt": (text(CSV), "plain.txt: the lines of a text file .* must begin with their label"),
    "object.json": (json.dumps(ROWS[0], indent=1).encode(), "object.json:1: invalid JSON .*one JSON object"),
    "lists.jsonl": (b'["a", "b"]\n' * 9, "lists.jsonl:1: not a JSON object"),
    "deep.jsonl": (b"[" * 200_000, "deep.jsonl:1: the JSON array breaks off .*nested too deeply"),
    "prose.jsonl": (b"once upon a time\n" * 9, "prose.jsonl:1: invalid JSON"),
    "headless.csv": (text(CSV[1:]), "no column 'text'.*first line, .* is '.*dataset.column_names=.text,label"),
    "twice.csv": (text(["text,label,text", "a,b,c"]), "twice.csv:1: the header names text more than once"),
    "quote.csv": (text(with_line(CSV, 17, 'an "open,"negative')), r"quote.csv:17: a quote .* down to line 101"),
    "quote1.csv": (text(["text,\"label", *CSV[1:]]), r"quote1.csv:1: a quote .* down to line 101"),
    "longquote.csv": (text(with_line(CSV, 3, '"open') + CSV[1:] * 1000), r"longquote.csv:3: a quote .*not closed"),
    "one.csv": (text(line for line in CSV if "negative" not in line), r"one.csv: train holds one class only \(positive"),
    "two.csv": (text(CSV[:3]), "two.csv: 2 classes have too few examples in train: 'negative' has 1, 'positive' has 1.*at least 3"),
    "same.csv": (text(["text,label", *["same,a", "same,b"] * 20]), "same.csv: the 40 examples of train hold 1 different"),
    "copies.csv": (text(["text,label", *["same,a"] * 20]), "copies.csv: train holds one class only"),
    "floats.csv": (text(["text,label", *[f"t{i},{i}.5" for i in range(40)]]), "floats.csv, train: labels must be str.*such as 0.5"),
    "floats.jsonl": (b'{"text": "t", "label": 0.5}\n' * 9, r"9 label is not a class.*floats.jsonl:1 \(0.5\).*round numbers"),
    "lists2.jsonl": (b'{"text": "t", "label": ["a", "b"]}\n' * 9, "every text of train has the label a, b"),
    "mixed.jsonl": (b'{"text": "t", "label": "a"}\n{"text": "u", "label": true}\n' * 9, r"of one kind.* strings .*mixed.jsonl:1\), true or false .*:2\)"),
    "numbers.jsonl": (b'{"text": 5, "label": "a"}\n' * 9, r"9 text is not a string.*numbers.jsonl:1 \(but 5\)"),
    "noise.parquet": (b"PAR1" + b"x" * 400, "noise.parquet: the file cannot be read as Parquet"),
    "several.csv": (text(["review,comment,label", "a,b,c"]), "several could be meant: review, comment. Name one with dataset.text_column"),
    "labels.csv": (text(["text,class,stars", "a,b,c"]), "several could be meant: class, stars. Name one with dataset.label_column"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_broken_file_is_named_in_one_paragraph(tmp_path, name):
    content, said = WHOLE[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        load(FilesDataset(train=str(tmp_path / name)), tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value).strip()


BAD_ROWS = {  # what stands in line 17: the kind of file, and the cause
    '{"text": "a", "label"': ("jsonl", "invalid JSON"),
    '{"text": "a", "label": "positive"} {}': ("jsonl", "invalid JSON"),
    '{"text": 1' + "0" * 5000 + "}": ("jsonl", "invalid JSON"),
    '"text"': ("jsonl", "not a JSON object"),
    "null": ("jsonl", "not a JSON object"),
    '{"label": "positive"}': ("jsonl", "no text"),
    '{"text": null, "label": "positive"}': ("jsonl", "no text"),
    '{"text": NaN, "label": "positive"}': ("jsonl", "no text"),
    '{"text": "  ", "label": "positive"}': ("jsonl", "no text"),
    '{"text": ["a"], "label": "positive"}': ("jsonl", "text is not a string"),
    '{"text": "a"}': ("jsonl", "no label"),
    '{"text": "a", "label": NaN}': ("jsonl", "no label"),
    '{"text": "a", "label": 0.5}': ("jsonl", "label is not a class"),
    '{"text": "a", "label": {"b": 1}}': ("jsonl", "label is not a class"),
    '{"text": "a\0b", "label": "positive"}': ("jsonl", "NUL byte"),
    '{"text": "\\ud83d alone", "label": "positive"}': ("jsonl", "half a surrogate pair"),
    '{"text": "caf\udce9", "label": "positive"}': ("jsonl", "not UTF-8"),
    '{"text": "' + "x" * 300 + '", "label": "positive"}': ("jsonl", "text too long"),
    "a,b,positive": ("csv", "wrong number of fields"),
    "alone": ("csv", "wrong number of fields"),
    ",positive": ("csv", "no text"),
    "nan,positive": ("csv", "no text"),
    "a,": ("csv", "no label"),
    "a,NaN": ("csv", "no label"),
    "a\0,positive": ("csv", "NUL byte"),
    "caf\udce9,positive": ("csv", "not UTF-8"),
    "y" * 300 + ",positive": ("csv", "text too long"),
    "z" * 10_000_000 + ",positive": ("csv", "text too long"),
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: row[:40].encode("ascii", "replace").decode())
def test_an_unusable_row_is_told_of_and_left_out(tmp_path, caplog, row):
    kind, cause = BAD_ROWS[row]
    lines = with_line(LINES if kind == "jsonl" else CSV, 17, row)
    path = tmp_path / f"mine.{kind}"
    path.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
    data = load(FilesDataset(train=str(path), max_text_characters=200), tmp_path)
    assert len(data.train) + len(data.validation) + len(data.test) == 99
    assert data.rejected == {"train": {cause: 1}}
    written = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [(r["split"], r["file"], r["line"], r["cause"]) for r in written] == [("train", str(path), 17, cause)]
    assert len(written[0]["start"]) <= 200
    assert f"1 of 100 rows of train are left out (1 {cause}), the first at {path}:17" in caplog.text
    with pytest.raises(DataError, match=f"1 of 100 rows of train .1.0%. cannot be used.*{path}:17"):
        load(FilesDataset(train=str(path), max_text_characters=200, max_rejected=0.009))


def test_too_many_bad_rows_stop_the_run_and_are_written_down(tmp_path):
    lines = [line if i % 4 else ("{" if i % 8 else '{"text": null, "label": "a"}') for i, line in enumerate(LINES)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    (tmp_path / "good.jsonl").write_text("\n".join(LINES))
    with pytest.raises(DataError) as caught:
        load(FilesDataset(train=str(tmp_path / "good.jsonl"), test=str(tmp_path / "mine.jsonl")), tmp_path / "run")
    said = str(caught.value)
    for part in ("25 of 100 rows of test (25.0%)", "13 no text", "12 invalid JSON", "mine.jsonl:1,", "mine.jsonl:5 "):
        assert part in said
    assert len((tmp_path / "run" / "rejected.jsonl").read_text().splitlines()) == 25


def test_a_good_file_leaves_no_word_of_rejected_rows(tmp_path, caplog):
    (tmp_path / "mine.csv").write_bytes(text(CSV))
    assert load(FilesDataset(train=str(tmp_path / "mine.csv")), tmp_path).rejected == {}
    assert not (tmp_path / "rejected.jsonl").exists()
    assert "left out" not in caplog.text


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n\n"])
def test_marks_and_line_ends_of_other_systems_are_read(tmp_path, ending):
    fine = load(FilesDataset(train=write(tmp_path / "fine.csv", text(CSV)), name="x"))
    for name, lines in {"other.csv": CSV, "other.jsonl": LINES}.items():
        path = write(tmp_path / name, b"\xef\xbb\xbf" + ending.join([*lines, "", ""]).encode())
        assert load(FilesDataset(train=path)).fingerprint == fine.fingerprint


def test_a_quoted_text_may_span_lines_and_later_lines_keep_their_numbers(tmp_path):
    lines = with_line(with_line(CSV, 5, '"three\nlines, with ""quotes""\nhere",positive'), 20, "ragged")
    data = load(FilesDataset(train=write(tmp_path / "mine.csv", text(lines))), tmp_path)
    texts = [t for split in (data.train, data.validation, data.test) for t in texts_of(split)[0]]
    assert 'three\nlines, with "quotes"\nhere' in texts
    assert json.loads((tmp_path / "rejected.jsonl").read_text())["line"] == 22


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_unknown_labels_stop_or_are_dropped(tmp_path):
    train = write(tmp_path / "train.csv", text(CSV))
    test = write(tmp_path / "test.csv", text([*CSV[:41], "so so,neutral", "hm,neutral"]))
    with pytest.raises(
        DataError, match=r"test.csv:42: label 'neutral' is not one of negative, positive, the classes.*1 more"
    ):
        load(FilesDataset(train=train, test=test))
    data = load(FilesDataset(train=train, test=test, unknown_labels=UnknownLabels.drop))
    assert (len(data.test), data.rejected) == (40, {"test": {"unknown label": 2}})
    more = write(tmp_path / "more.csv", text([*CSV, *["meh,neutral"] * 50]))
    given = {"train": more, "label_names": ["positive", "negative"]}
    data = load(FilesDataset(**given, unknown_labels=UnknownLabels.drop))
    assert (data.label_names, data.rejected) == (("positive", "negative"), {"train": {"unknown label": 50}})
    with pytest.raises(DataError, match="more.csv:102: label 'neutral' is not one of positive, negative"):
        load(FilesDataset(**given))


@pytest.mark.parametrize("small", [True, False])
def test_packed_files_patterns_and_folders_give_the_same_data(tmp_path, monkeypatch, small):
    if not small:
        monkeypatch.setattr(file_dataset, "SMALL_BYTES", 0)
        monkeypatch.setattr("textclf.data.selection.IN_MEMORY_BYTES", 0)
    ordered = sorted(ROWS, key=lambda row: row["label"])
    lines = text(json.dumps(row) for row in ordered)
    plain = write(tmp_path / "plain.jsonl", lines)
    pd.DataFrame(ordered).to_parquet(tmp_path / "plain.parquet")
    for i, row in enumerate(ordered):
        write(tmp_path / "folder" / row["label"] / f"{i:03}.txt", row["text"].encode())
    for part in range(4):
        table = pd.DataFrame(ordered[part * 25 : part * 25 + 25])
        table.to_csv(tmp_path / f"part{part}.csv.gz", index=False)
        table.to_csv(tmp_path / f"part{part}.tsv", index=False, sep="\t")
    sources = [plain, write(tmp_path / "packed.jsonl.gz", gzip.compress(lines)), str(tmp_path / "folder"),
               str(tmp_path / "plain.parquet"), str(tmp_path / "part*.csv.gz"), str(tmp_path / "part?.tsv")]  # fmt: skip
    found = [load(FilesDataset(train=source)) for source in sources]
    assert {data.fingerprint for data in found} == {found[0].fingerprint}
    assert len({tuple(data.test["text"]) for data in found}) == 1
    with pytest.raises(DataError, match="of one kind, but these are"):
        load(FilesDataset(train=str(tmp_path / "p*")))
    with pytest.raises(DataError, match="no file fits this pattern"):
        load(FilesDataset(train=str(tmp_path / "none*.csv")))
    with pytest.raises(
        DataError, match="one folder of .txt files for each label.*it holds negative, positive|it holds"
    ):
        load(FilesDataset(train=str(tmp_path)))


def test_a_file_of_a_folder_that_cannot_be_used_is_named(tmp_path):
    for i, row in enumerate(ROWS):
        write(tmp_path / "folder" / row["label"] / f"{i:03}.txt", row["text"].encode() if i != 7 else b"caf\xe9")
    data = load(FilesDataset(train=str(tmp_path / "folder")), tmp_path)
    assert data.rejected == {"train": {"not UTF-8": 1}}
    assert json.loads((tmp_path / "rejected.jsonl").read_text())["file"].endswith("positive/007.txt")


def test_large_files_are_read_once_and_told_of_each_time(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(file_dataset, "SMALL_BYTES", 0)
    path = write(tmp_path / "mine.jsonl", text(with_line(LINES, 17, "{")))
    first = load(FilesDataset(train=path), tmp_path / "a")
    monkeypatch.setattr(arrow, "_batch", None)  # reading again would fail
    again = load(FilesDataset(train=path), tmp_path / "b")
    assert (again.fingerprint, again.rejected) == (first.fingerprint, first.rejected)
    assert (tmp_path / "a/rejected.jsonl").read_text() == (tmp_path / "b/rejected.jsonl").read_text()
    assert "already read" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(file_dataset, "SMALL_BYTES", 0)
    write(tmp_path / "mine.jsonl", text(LINES))
    assert load(FilesDataset(train=path)).rejected == {}


def test_the_cache_of_a_failed_read_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    monkeypatch.setattr(file_dataset, "SMALL_BYTES", 0)
    path = write(tmp_path / "mine.csv.gz", gzip.compress(text(CSV) * 50)[:-300])
    for _ in range(2):
        with pytest.raises(DataError, match="cut off or damaged"):
            load(FilesDataset(train=path))


@pytest.mark.parametrize(
    ("value", "said"),
    [("[" * 5000 + "]" * 5000, "it is nested too deeply"), ("9" * 5000, "a number has more than 4,300 digits")],
)
def test_json_that_no_reader_can_hold_is_told_of(tmp_path, value, said):
    from textclf.data.readers.jsonl import JsonLines

    row = json.dumps({"text": "fine"})
    (tmp_path / "a.jsonl").write_text(f'{row}\n{{"text": {value}}}\n{row}\n')
    found = list(JsonLines().rows(tmp_path / "a.jsonl", ["text"]))
    assert [type(one).__name__ for one in found] == ["Row", "BadRow", "Row"]
    assert said in found[1].detail
    (tmp_path / "a.json").write_text(f'[{row},\n{{"text": {value}}}]')
    with pytest.raises(DataError, match=said):
        list(JsonLines().rows(tmp_path / "a.json", ["text"]))


def test_a_label_that_is_nested_too_deeply_is_a_label():
    from textclf.data.readers.exports import one_label
    from textclf.predict import sniff

    for start in ('["', "['", '{"choices'):
        deep = start + "x" + start[-1] + ("," if start[0] == "[" else ":") + "[" * 100_000
        assert one_label(deep) == deep
        assert one_label(deep + "]" * 100_000) == deep + "]" * 100_000
    assert not sniff._is_json("[" * 100_000 + "]" * 100_000, whole=True)
