import json
from dataclasses import replace

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from textclf.data.dataset import labels_of
from textclf.data.load import load
from textclf.data.options import FilesDataset, HubDataset, UnknownLabels
from textclf.data.prepare import RawData, prepare
from textclf.data.rejected import RejectedRows
from textclf.errors import DataError


def prepared(options, raw, source, test_fraction=0.2):
    rejects = RejectedRows(options.max_rejected)
    return replace(prepare(RawData(raw, source, options, test_fraction), rejects), rejected=rejects.by_split())


def written(tmp_path, labels):
    path = tmp_path / "mine.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{label}\n" for i, label in enumerate(labels)))
    return str(path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (range(11), tuple(map(str, range(11)))),
        (["1.0", "2.0", "10.0"], ("1", "2", "10")),
        (["-1", "1"], ("-1", "1")),
        (["b", "10", "9"], ("10", "9", "b")),
        (["True", "False"], ("False", "True")),
    ],
)
def test_labels_of_a_csv_are_sorted_as_what_they_are(tmp_path, labels, names):
    data = load(FilesDataset(train=written(tmp_path, [*labels] * 10)))
    assert data.label_names == names
    rows = dict(zip(data.train["text"], labels_of(data.train), strict=True))
    every = [str(label).removesuffix(".0") for label in labels] * 10
    assert all(names[label] == every[int(text.split()[1])] for text, label in rows.items())


@pytest.mark.parametrize(
    ("values", "asked", "label_of_first"),
    [
        ([0, 1], ["bad", "good"], 0),
        ([1, 2], ["2", "1"], 1),
        ([0, 1], ["1", "0"], 1),
        (["good", "bad"], ["bad", "good"], 1),
        ([1.0, 0.0], ["bad", "good"], 1),
        ([0.5, 1.5], ["0.5", "1.5"], 0),
    ],
)
def test_asked_names_are_names_or_stand_for_numbers(tmp_path, values, asked, label_of_first):
    data = load(FilesDataset(train=written(tmp_path, values * 20), label_names=asked))
    labels = {
        int(text.split()[1]) % 2: int(label)
        for text, label in zip(data.train["text"], data.train["label"], strict=True)
    }
    assert labels == {0: label_of_first, 1: 1 - label_of_first}
    assert data.label_names == tuple(asked)


def test_numbers_always_index_the_classes_that_a_source_declares():
    features = Features({"text": Value("string"), "label": ClassLabel(names=["2", "1", "0"])})
    train = Dataset.from_dict({"text": [f"t{i}" for i in range(30)], "label": [0, 1, 2] * 10}, features=features)
    data = prepared(FilesDataset(train="x"), {"train": train}, "x")
    assert all(label == row % 3 for label, row in zip(data.train["label"], data.train["example"], strict=True))


def test_single_hidden_labels_and_null_texts_of_the_hub_are_rejected_with_their_rows(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    texts, labels = [f"t{i}" for i in range(400)], [0, 1] * 200
    texts[7], labels[9] = None, -1
    raw = {"train": Dataset.from_dict({"text": texts, "label": labels}, features=features)}
    options = HubDataset(name="toy", path="a/b")
    data = prepared(options, raw, "a/b")
    assert data.rejected == {"train": {"no text": 1, "no label": 1}}
    assert (
        not {7, 9} & set(data.train["example"])
        | {7, 9} & set(data.validation["example"])
        | {7, 9} & set(data.test["example"])
    )
    with pytest.raises(DataError, match=r"2 of 400 rows .*First a/b, train, row 7 .no text.; a/b, train, row 9 \(-1\)"):
        prepared(HubDataset(name="toy", path="a/b", max_rejected=0), raw, "a/b")


def test_dropping_every_row_is_refused(tmp_path):
    train, test = written(tmp_path, ["a", "b"] * 20), tmp_path / "test.jsonl"
    test.write_text(json.dumps({"text": "x", "label": "c"}))
    with pytest.raises(DataError, match="every row of test has a label that is no class"):
        load(FilesDataset(train=train, test=str(test), unknown_labels=UnknownLabels.drop))


def test_names_that_differ_in_case_only_are_told(tmp_path, caplog):
    load(FilesDataset(train=written(tmp_path, ["good", "Good", "bad"] * 10)))
    assert "differ only in upper and lower case" in caplog.text
