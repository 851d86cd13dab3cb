"""Files in the forms that people have them in: each gives the same data as a plain CSV."""

import bz2
import gzip
import json
import lzma
import zipfile

import pandas as pd
import pytest
import zstandard
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.conftest import sentences
from textclf.data.dataset import labels_of, texts_of
from textclf.data.load import load
from textclf.data.options import FilesDataset, Quoting
from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.source import BadRow, Row
from textclf.errors import DataError

ROWS = sentences(100)
LINES = "\n".join(json.dumps(row) for row in ROWS).encode()


def separated(separator, header="text,label", quote=""):
    lines = [header.replace(",", separator)] if header else []
    return "\n".join(lines + [f"{quote}{r['text']}{quote}{separator}{r['label']}" for r in ROWS]).encode()


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)


def label_studio():
    done = [{"result": [{"value": {"choices": [row["label"]]}}]} for row in ROWS]
    return json.dumps([{"id": i, "data": {"text": r["text"]}, "annotations": [done[i]]} for i, r in enumerate(ROWS)])


FORMS = {  # name of the file: its content, and the options that read it
    "semicolons.csv": (separated(";"), {}),
    "tabs.csv": (separated("\t"), {}),
    "pipes.csv": (separated("|"), {}),
    "commas.tsv": (separated(","), {}),
    "asked.csv": (separated("~"), {"delimiter": "~"}),
    "spaced.csv": ("\n".join(['text, label', *(f'{r["text"]}, "{r["label"]}"' for r in ROWS)]).encode(), {}),
    "headless.csv": (separated(",", header=""), {"column_names": ["text", "label"]}),
    "latin.csv": (separated(","), {"encoding": "latin-1"}),
    "wide.csv": (separated(",").decode().encode("utf-16"), {"encoding": "utf-16"}),
    "widest.jsonl": (LINES.decode().encode("utf-32-le"), {"encoding": "auto"}),
    "array.json": (json.dumps(ROWS).encode(), {}),
    "indented.json": (json.dumps(ROWS, indent=2).encode(), {}),
    "lines.ndjson": (LINES, {}),
    "studio.json": (label_studio().encode(), {}),
    "lists.jsonl": ("\n".join(json.dumps(r | {"label": [r["label"]]}) for r in ROWS).encode(), {}),
    "prodigy.jsonl": ("\n".join(json.dumps({"text": r["text"], "answer": "accept", "accept": [r["label"]]})
                                for r in ROWS).encode(), {}),
    "deep.jsonl": ("\n".join(json.dumps({"review": {"body": r["text"]}, "meta": {"label": r["label"]}})
                             for r in ROWS).encode(), {"text_column": "review.body", "label_column": "meta.label"}),
    "fasttext.txt": ("\n".join(f"__label__{r['label']} {r['text']}" for r in ROWS).encode(), {}),
    "packed.csv.gz": (gzip.compress(separated(",")), {}),
    "packed.csv.bz2": (bz2.compress(separated(",")), {}),
    "packed.jsonl.xz": (lzma.compress(LINES), {}),
    "packed.jsonl.zst": (zstandard.compress(LINES[:900]) + zstandard.compress(LINES[900:]), {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.csv"
    path.write_bytes(separated(","))
    return load(FilesDataset(train=str(path))).fingerprint


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_text_gives_the_same_data(tmp_path, plain, name):
    content, options = FORMS[name]
    (tmp_path / name).write_bytes(content)
    data = load(FilesDataset(train=str(tmp_path / name), **options))
    assert data.fingerprint == plain
    assert data.rejected == {}


def test_tables_workbooks_and_archives_give_the_same_data(tmp_path, plain):
    frame = pd.DataFrame(ROWS)
    frame.to_feather(tmp_path / "a.feather")
    frame.to_parquet(tmp_path / "b.parquet")
    frame.to_excel(tmp_path / "c.xlsx", index=False)
    Dataset.from_pandas(frame).save_to_disk(str(tmp_path / "saved"))
    zipped(tmp_path / "d.zip", d__csv=separated(","), __MACOSX="x")
    frame.to_csv(tmp_path / "e.csv.zip", index=False)
    arrow = next((tmp_path / "saved").glob("*.arrow")).rename(tmp_path / "f.arrow")
    nested = pd.DataFrame({"review": [{"body": r["text"]} for r in ROWS], "label": [[r["label"]] for r in ROWS]})
    nested.to_parquet(tmp_path / "g.parquet")
    for name in ("a.feather", "b.parquet", "c.xlsx", "d.zip", "e.csv.zip", arrow.name):
        assert load(FilesDataset(train=str(tmp_path / name))).fingerprint == plain, name
    deep = load(FilesDataset(train=str(tmp_path / "g.parquet"), text_column="review.body"))
    assert deep.fingerprint == plain
    zipped(tmp_path / "two.zip", a__csv="x", b__csv="y")
    with pytest.raises(DataError, match="must hold one file, but it holds 2: a.csv, b.csv"):
        load(FilesDataset(train=str(tmp_path / "two.zip")))


def test_a_saved_dataset_keeps_its_splits_and_the_names_of_its_classes(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = [{"text": row["text"], "label": i % 2} for i, row in enumerate(ROWS)]
    parts = {"train": Dataset.from_list(rows[:80], features=features), "test": Dataset.from_list(rows[80:], features)}
    DatasetDict(parts).save_to_disk(str(tmp_path / "mine"))
    data = load(FilesDataset(train=str(tmp_path / "mine")))
    assert (data.label_names, len(data.test), len(data.train)) == (("no", "yes"), 20, 72)
    parts["train"].save_to_disk(str(tmp_path / "alone"))
    assert len(load(FilesDataset(train=str(tmp_path / "alone"))).test) == 16


def test_folders_of_texts_without_endings_keep_every_row_of_latin_1(tmp_path, caplog):
    """As 20 newsgroups has them: one folder a group, files called by numbers, some of them not UTF-8."""
    for i, row in enumerate(ROWS):
        for split in ("train", "test"):
            path = tmp_path / split / row["label"] / str(5000 + i)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((row["text"] + (" café à la carte" if i % 3 == 0 else "")).encode("latin-1"))
    asked = {"train": str(tmp_path / "train"), "test": str(tmp_path / "test")}
    for encoding in ("latin-1", "cp1252", "auto"):
        data = load(FilesDataset(**asked, encoding=encoding))
        assert (len(data.test), data.rejected) == (100, {})
        assert "café" in " ".join(texts_of(data.test)[0])
    assert "test: the texts that are not UTF-8 are read as cp1252" in caplog.text
    with pytest.raises(DataError, match="34 not UTF-8.*dataset.encoding=cp1252"):
        load(FilesDataset(**asked))


SENTENCES = {
    "cp1252": "Un été très réussi à la forêt; l'hôtel était déjà complet, où ça ? Très déçu du séjour, accueil médiocre.",
    "cp1257": "Labai blogas viešbutis, maistas buvo šaltas, personalas nemandagus. Žąsų ąžuolas ėjo į mišką, čia šilta.",
    "cp1251": "Очень плохой отель, мы пожалели о поездке. Еда была отвратительная, персонал грубый.",
    "cp1250": "Bardzo zły hotel, żałuję wyjazdu. Jedzenie było wstrętne, obsługa niemiła, łóżko twarde i głośno.",
    "cp932": "とても悪いホテルでした。食事は冷たく、スタッフは不親切でした。",
    "gb18030": "酒店很差，食物很冷，服务员态度不好。下次不会再来了。",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_the_encoding_is_told_by_the_bytes(tmp_path, caplog, encoding):
    text = SENTENCES[encoding]
    lines = ["text,label", *(f"{text.replace(',', ' ')} {i},{'ab'[i % 2]}" for i in range(60))]
    path = tmp_path / "mine.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    data = load(FilesDataset(train=str(path), encoding="auto"))
    assert f"read as {encoding}, which the bytes show" in caplog.text
    assert all(text[:9] in own for own in texts_of(data.test)[0])
    with pytest.raises(DataError, match=f"dataset.encoding={encoding}"):
        load(FilesDataset(train=str(path)))


def test_bytes_that_could_be_anything_are_not_guessed_at(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"text,label\n" + bytes(range(0x80, 0xFF)) + b",a\n")
    with pytest.raises(DataError, match="do not show for sure"):
        load(FilesDataset(train=str(tmp_path / "mine.csv"), encoding="auto"))


def lone_quotes(at=(17, 87)):
    lines = [f"{row['text']}\t{row['label']}" for row in sentences(120)]
    return [f'"{line}' if number in at else line for number, line in enumerate(lines)]


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_lone_quote_that_swallows_rows_is_named_by_its_line(tmp_path, separator):
    path = tmp_path / ("mine.tsv" if separator == "\t" else "mine.csv")
    lines = ["text\tlabel", *lone_quotes()]
    path.write_text("\n".join(lines).replace("\t", separator))
    with pytest.raises(DataError, match=rf"{path.name}:19: a quote .*swallows the 70 lines below it, down to line 89"):
        load(FilesDataset(train=str(path)))
    assert sum(map(len, splits(load(FilesDataset(train=str(path), quoting=Quoting.none))))) == 120
    assert sum(map(len, splits(load(FilesDataset(train=str(path), quoting=Quoting.standard))))) == 50


def splits(data):
    return data.train, data.validation, data.test


def test_a_quote_that_closes_as_quotes_do_is_told_by_the_values_beside_it(tmp_path):
    lines = ["text\tlabel", *lone_quotes(at=(40,))]
    lines[50] = lines[50].replace("\t", '"\t')  # the swallowed rows end as a well-quoted text does
    (tmp_path / "mine.tsv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="mine.tsv:42: a quote .*9 lines below it"):
        load(FilesDataset(train=str(tmp_path / "mine.tsv")))


def test_quoted_texts_of_several_lines_are_no_swallowed_rows(tmp_path):
    """Two lines with one comma each are as many fields as the header names, and are still one text."""
    rows = [(f"dear all {i},\nkind regards", "ab"[i % 2]) for i in range(200)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "mine.csv", index=False)
    data = load(FilesDataset(train=str(tmp_path / "mine.csv")))
    assert sum(map(len, splits(data))) == 200


def test_a_lone_quote_among_a_million_rows_is_found(tmp_path):
    path = tmp_path / "large.tsv"
    with path.open("w") as file:
        file.write("text\tlabel\n")
        for i in range(300_000):
            mark = '"' if i in (250_000, 280_000) else ""
            file.write(f"{mark}text {i}\t{i % 2}\n")
    reader = SeparatedValues("\t", 10_000_000)
    seen = 0
    with pytest.raises(DataError, match=r"large.tsv:250002: .*30,000 lines below it"):
        for row in reader.rows(path, ["text"]):
            seen += isinstance(row, Row) and not isinstance(row, BadRow)
    assert seen == 250_000


def test_rows_of_annotators_that_were_not_accepted_are_left_out(tmp_path):
    rows = [{"text": r["text"], "label": r["label"], "answer": "accept", "_input_hash": 1} for r in ROWS]
    rows += [rows[0] | {"answer": "reject"}, rows[1] | {"answer": "ignore"}]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load(FilesDataset(train=str(tmp_path / "mine.jsonl")))
    assert data.rejected == {"train": {"not accepted by the annotator": 2}}


def test_the_form_of_ag_news_on_kaggle_is_read(tmp_path, caplog):
    caplog.set_level("INFO")
    names = ["World", "Sports", "Business", "Sci/Tech"]
    rows = [(i % 4 + 1, f"Title {i}", f"It is said that number {i} of {names[i % 4]} won") for i in range(200)]
    frame = pd.DataFrame(rows, columns=["Class Index", "Title", "Description"])
    frame.to_csv(tmp_path / "named.csv", index=False)
    frame.to_csv(tmp_path / "bare.csv", index=False, header=False)
    named = load(FilesDataset(train=str(tmp_path / "named.csv"), label_names=names, title_column="Title"))
    assert named.label_names == tuple(names)
    assert all(names[label] in text for text, label in zip(named.test["text"], labels_of(named.test), strict=True))
    load(FilesDataset(train=str(tmp_path / "named.csv")))
    assert "column 'Title' is not read; dataset.title_column=Title" in caplog.text
    with pytest.raises(DataError, match=r"dataset.column_names=\[label,title,text\]"):
        load(FilesDataset(train=str(tmp_path / "bare.csv")))
    asked = {"column_names": ["label", "title", "text"], "title_column": "title", "label_names": names}
    assert load(FilesDataset(train=str(tmp_path / "bare.csv"), **asked)).fingerprint == named.fingerprint


def test_a_split_column_is_taken_where_it_is_asked_for_and_told_of_where_not(tmp_path, caplog):
    frame = pd.DataFrame(ROWS).assign(split=["train"] * 70 + ["dev"] * 10 + ["Test"] * 20)
    for ending in ("csv", "parquet"):
        path = str(tmp_path / f"mine.{ending}")
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
        data = load(FilesDataset(train=path, split_column="split"))
        assert list(map(len, splits(data))) == [70, 10, 20]
        assert data.test["text"] == [row["text"] for row in ROWS[80:]]
        caplog.clear()
        load(FilesDataset(train=path))
        assert "column 'split' says which split rows are of (Test, dev, train), and is not used" in caplog.text
    frame.assign(split="first").to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match="must say train, validation or test of every row; it also says 'first'"):
        load(FilesDataset(train=str(tmp_path / "other.csv"), split_column="split"))


def test_numbers_as_texts_are_warned_of(tmp_path, caplog):
    frame = pd.DataFrame({"text": range(100), "label": ["a", "b"] * 50, "body": ["x y"] * 100})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    frame.to_parquet(tmp_path / "mine.parquet")
    found = [load(FilesDataset(train=str(tmp_path / f"mine.{ending}"))) for ending in ("csv", "parquet")]
    assert found[0].fingerprint == found[1].fingerprint
    assert caplog.text.count("column 'text' holds numbers (such as ") == 2


def test_french_in_latin_1_is_advised_to_be_read_as_cp1252(tmp_path):
    """Its few accents are letters in Baltic and Central European encodings too."""
    lines = ["text,label", *(f"{row['text']} café déjà,{row['label']}" for row in ROWS)]
    (tmp_path / "mine.csv").write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(DataError, match="like cp1252 .*dataset.encoding=cp1252"):
        load(FilesDataset(train=str(tmp_path / "mine.csv")))
    data = load(FilesDataset(train=str(tmp_path / "mine.csv"), encoding="auto"))
    assert all("café déjà" in text for text in texts_of(data.test)[0])


def test_folders_of_other_things_than_texts_are_no_labels(tmp_path, caplog):
    for name in ("2024/a.csv", "2025/b.csv", "train/pos/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text,label\na,b\n")
    with pytest.raises(
        DataError, match=r"Name the folder of one split, as in dataset.train=.*/train\. To read several"
    ):
        load(FilesDataset(train=str(tmp_path)))
    for i, row in enumerate(ROWS):
        path = tmp_path / "mixed" / row["label"] / (f"{i}.txt" if i else "0")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row["text"])
    load(FilesDataset(train=str(tmp_path / "mixed")))
    assert "1 files do not end in .txt beside 99 that do, and are not read" in caplog.text
