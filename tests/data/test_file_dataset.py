import pandas as pd
import pytest

from tests.conftest import sentences, write_jsonl
from textclf.data.dataset import texts_of
from textclf.data.file_paths import resolve
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.errors import DataError


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_each_kind_of_file_gives_the_same_data(tmp_path, ending):
    rows, path = sentences(40), tmp_path / f"reviews.{ending}"
    frame = pd.DataFrame(rows)
    write = {
        "jsonl": lambda: write_jsonl(path, rows),
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "parquet": lambda: frame.to_parquet(path),
    }
    write[ending]()
    data = load(FilesDataset(name="mine", train=str(path)))
    texts = [text for split in (data.train, data.validation, data.test) for text in texts_of(split)[0]]
    assert sorted(texts) == sorted(row["text"] for row in rows)
    assert data.label_names == ("negative", "positive")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.jsonl", None, "there is no such file"),
        ("empty.jsonl", "", "the file is empty"),
        ("notes.md", "x", "files must end in .jsonl"),
        ("notes.docx", "x", "only .xlsx is read"),
        ("broken.jsonl", '{"text": "a", "label"\n', r"broken.jsonl:1: invalid JSON"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        load(FilesDataset(name="mine", train=str(path)))


def test_unknown_bundled_files_list_the_known():
    with pytest.raises(DataError, match="reviews/train.jsonl"):
        load(FilesDataset(name="x", train="bundled:novels/train.jsonl"))
    assert resolve("bundled:reviews/train.jsonl").is_file()
