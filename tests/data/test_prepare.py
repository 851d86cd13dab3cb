import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from textclf.data.dataset import labels_of, summary, texts_of
from textclf.data.options import FilesDataset, HubDataset
from textclf.data.prepare import RawData, prepare
from textclf.data.rejected import RejectedRows
from textclf.errors import ConfigError, DataError


def prepared(options, raw, source, test_fraction=0.2):
    return prepare(RawData(raw, source, options, test_fraction), RejectedRows(options.max_rejected))


def options(**changes):
    return FilesDataset(**{"name": "toy", "train": "unused", **changes})


def rows(labels, **columns):
    texts = [f"text {i}" for i in range(len(labels))]
    return Dataset.from_dict({"text": texts, "label": labels, **columns})


def load(changes=None, test_fraction=0.2, **raw):
    return prepared(options(**(changes or {})), raw, "toy.jsonl", test_fraction)


def test_string_labels_are_sorted_and_numbered():
    data = load(train=rows(["x", "b", "x", "b"] * 5), test=rows(["b", "x"]))
    assert data.label_names == ("b", "x")
    assert labels_of(data.test).tolist() == [0, 1]


def test_asked_names_give_the_order():
    data = load({"label_names": ["x", "b"]}, train=rows(["x", "b"] * 10), test=rows(["b", "x"]))
    assert data.label_names == ("x", "b")
    assert labels_of(data.test).tolist() == [1, 0]


def test_integers_from_one_become_classes_by_value():
    data = load(train=rows([1, 5] * 10), test=rows([5, 1]))
    assert data.label_names == ("1", "5")
    assert labels_of(data.test).tolist() == [1, 0]


def test_declared_classes_are_taken_over_and_can_be_renamed():
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    train = Dataset.from_dict({"text": list("abcdefgh"), "label": [0, 1] * 4}, features=features)
    assert load(train=train).label_names == ("neg", "pos")
    assert load({"label_names": ["bad", "good"]}, train=train).label_names == ("bad", "good")
    with pytest.raises(DataError, match="declares 2 classes"):
        load({"label_names": ["a", "b", "c"]}, train=train)


def test_missing_splits_are_stratified_slices_without_overlap():
    data = load(train=rows(["a", "b"] * 50))
    parts = [set(split["example"]) for split in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert len(set.union(*parts)) == 100
    assert np.bincount(labels_of(data.test)).tolist() == [10, 10]


def test_subsets_are_stratified_named_and_keep_their_row_numbers():
    raw = {"train": rows(["a", "b"] * 50), "validation": rows(["a", "b"] * 20), "test": rows(["a", "b"] * 20)}
    data = load({"max_train_examples": 10, "max_eval_examples": 8}, **raw)
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 8, 8)
    assert data.name == "toy[train=10,eval=8]"
    texts, _ = texts_of(data.test)
    assert texts == [f"text {row}" for row in data.test["example"]]
    assert np.bincount(labels_of(data.train)).tolist() == [5, 5]


def test_title_is_put_in_front_and_pairs_are_kept_apart():
    raw = rows(["a", "b"] * 5, head=["T"] * 10, other=["second"] * 10)
    data = load({"title_column": "head", "text_pair_column": "other"}, train=raw, validation=raw, test=raw)
    texts, pairs = texts_of(data.test)
    assert texts[0] == "T\ntext 0"
    assert pairs == ["second"] * 10
    assert data.has_pairs
    assert "pairs of texts" in summary(data)


@pytest.mark.parametrize(
    ("changes", "train", "message"),
    [
        ({"text_column": "txt"}, rows(["a", "b"]), r"no column 'txt' \(dataset.text_column\); it has text, label. Did"),
        ({}, rows([]), "the train split is empty"),
        ({}, rows(["a", "a"]), "one class only"),
        ({}, rows([0.5, 1.5]), "labels must be strings or integers"),
        ({"label_names": ["a", "b"]}, rows(["a", "b", "c"]), "row 2: label 'c' is not one of a, b"),
        ({"label_names": ["a", "b", "c"]}, rows(["a", "b"] * 9), "train has no example of c"),
        ({}, rows(["a"] * 9 + ["b"]), "too few examples in train: 'b' has 1"),
        ({}, rows([-1, -1]), "the labels are hidden"),
        ({}, rows(["a", None, "b"]), r"1 of 3 rows of train .*allows no more than 1.0%: 1 no label. .*train, row 1 "),
        ({}, Dataset.from_dict({"text": ["same"] * 8, "label": ["a", "b"] * 4}), "hold 1 different text for 2"),
    ],
)  # fmt: skip
def test_unusable_data_is_refused_in_words(changes, train, message):
    if message == "the labels are hidden":
        changes = {"label_names": ["a", "b"]}
    with pytest.raises(DataError, match=message):
        load(changes, train=train)


def test_a_missing_text_is_refused_with_its_row():
    train = Dataset.from_dict({"text": ["a", "b", None, "d"] * 5, "label": ["x", "y"] * 10})
    with pytest.raises(DataError, match=r"5 no text\. First toy.jsonl, train, row 2, toy.jsonl, train, row 6"):
        load(train=train, validation=rows(["x", "y"]), test=rows(["x", "y"]))


def test_fingerprint_follows_texts_and_labels_only():
    base = {"train": rows(["a", "b"] * 9), "validation": rows(["a", "b"]), "test": rows(["a", "b"])}
    same, swapped = load(**base), load(**base | {"test": rows(["b", "a"])})
    assert load(**base).fingerprint == same.fingerprint != swapped.fingerprint
    assert len(same.fingerprint) == 16


@pytest.mark.parametrize(
    "changes",
    [{"validation_fraction": 0.0}, {"max_train_examples": 1}, {"label_names": ["a", "a"]}, {"text_pair_column": "text"},
     {"label_column": "text"}, {"label_names": ["a"]}, {"test_fraction": 0.95, "validation_fraction": 0.1}],
)  # fmt: skip
def test_impossible_options_are_refused(changes):
    with pytest.raises(ConfigError):
        options(**changes)


def test_a_split_cannot_be_trained_on_and_tested():
    with pytest.raises(ConfigError, match="test_split must differ from train_split"):
        HubDataset(name="x", path="a/b", test_split="train")
