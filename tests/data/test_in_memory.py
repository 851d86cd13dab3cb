"""Data that a program holds is read as files are."""

import json

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from tests.conftest import sentences, write_jsonl
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.errors import ConfigError, DataError

ROWS = sentences(60)
FRAME = pd.DataFrame(ROWS)
SHAPES = {
    "dicts": ROWS,
    "frame": FRAME,
    "categorical": FRAME.assign(label=FRAME.label.astype("category")),
    "dataset": Dataset.from_list(ROWS),
    "shuffled back": Dataset.from_list(ROWS[::-1]).select(range(59, -1, -1)),
    "lists": (list(FRAME.text), list(FRAME.label)),
    "arrays": (FRAME.text.to_numpy(), np.array(FRAME.label)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_what_a_file_gives(tmp_path, shape):
    from_file = load(FilesDataset(train=str(write_jsonl(tmp_path / "mine.jsonl", ROWS))))
    data = load(InMemoryDataset(name="mine", train=SHAPES[shape]))
    assert data.fingerprint == from_file.fingerprint
    assert data.name == "mine"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([0, 1], ("0", "1")),
        ([1.0, 2.0], ("1", "2")),
        ([False, True], ("False", "True")),
        (np.array([3, 10]), ("3", "10")),
        (np.array(["10", "9"]), ("9", "10")),
    ],
)
def test_labels_may_be_strings_integers_or_booleans(labels, names):
    texts = [f"text {i}" for i in range(40)]
    assert load(InMemoryDataset(train=(texts, list(labels) * 20))).label_names == names
    assert load(InMemoryDataset(train=pd.DataFrame({"text": texts, "label": list(labels) * 20}))).label_names == names


def test_bad_rows_are_named_by_their_number(tmp_path):
    rows = [*sentences(200), {"text": None, "label": "positive"}, {"text": float("nan"), "label": "negative"}]
    for content in (rows, pd.DataFrame(rows), Dataset.from_list(rows[:-1])):
        data = load(InMemoryDataset(name="mine", train=content), tmp_path)
        first = json.loads((tmp_path / "rejected.jsonl").read_text().splitlines()[0])
        assert (first["file"], first["line"], first["row"], first["cause"]) == ("mine, train", None, 200, "no text")
        assert data.rejected["train"]["no text"] == len(content) - 200
    with pytest.raises(DataError, match=r"2 text is not a string. First mine, train, row 0 \(but 5\)"):
        load(InMemoryDataset(name="mine", train=([5, 6], ["a", "b"])))


def test_what_is_no_split_is_refused():
    for content in ("reviews.csv", ["a", "b"], None, (["a"], ["x", "y"])):
        with pytest.raises(ConfigError, match=r"train: (a split must be|texts and labels must be as many)"):
            InMemoryDataset(train=content)
    with pytest.raises(DataError, match="the test split is empty"):
        load(InMemoryDataset(train=ROWS, test=[]))


def test_options_for_a_record_are_plain_and_follow_the_content():
    plain = InMemoryDataset(train=FRAME, test=ROWS[:2]).plain_options()
    assert json.loads(json.dumps(plain, default=lambda value: value.value))["train"] == plain["train"]
    assert plain["train"].startswith("DataFrame of 60 rows, ")
    assert plain["validation"] is None
    assert plain["train"] != InMemoryDataset(train=FRAME[::-1]).plain_options()["train"]
