"""Further examples to train on: where they go, and what they leave alone."""

import json
import logging
from itertools import product

import pytest
from datasets import Dataset

from tests.conftest import sentences, write_jsonl
from textclf.audit.gate import pass_gate
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset, HubDataset, OnLeakage, UnknownLabels
from textclf.errors import DataError
from textclf.experiment.provenance import described

FEEDBACK = [
    {"text": "the lid leaks", "label": "negative", "predicted": "positive", "score": 0.6, "run": "x", "time": "now"},
    {"text": "what a joy", "label": "positive", "predicted": "negative", "score": 0.7, "run": "x", "user": "ann"},
]


@pytest.fixture
def feedback(tmp_path):
    return write_jsonl(tmp_path / "feedback.jsonl", FEEDBACK)


def with_and_without(options, **changes):
    return [load(kind(**options, **more)) for kind, more in ((FilesDataset, {}), (FilesDataset, changes))]


@pytest.fixture
def options(tmp_path):
    return {"name": "mine", "train": str(write_jsonl(tmp_path / "train.jsonl", sentences(60)))}


def test_they_join_train_and_nothing_else(options, feedback):
    before, after = with_and_without(options, extra_train=str(feedback))
    assert list(after.train["text"][:]) == [*before.train["text"][:], "the lid leaks", "what a joy"]
    assert list(after.train["label"][-2:]) == [0, 1]
    assert after.validation[:] == before.validation[:]
    assert after.test[:] == before.test[:]
    assert after.test_fingerprint == before.test_fingerprint
    assert after.fingerprint != before.fingerprint
    assert len(set(after.train["example"][:])) == len(after.train)


def test_record_name_and_log_say_it(options, feedback, caplog):
    caplog.set_level(logging.INFO)
    before, after = with_and_without(options, extra_train=str(feedback))
    assert after.name == "mine[extra=feedback]"
    assert described(after)["extra_train"] == {"file": str(feedback), "examples": 2, "superseded": 0}
    assert "extra_train" not in described(before)
    assert "2 further examples" in caplog.text


def test_subset_is_taken_first(options, feedback):
    before, after = with_and_without(options | {"max_train_examples": 10}, extra_train=str(feedback))
    assert len(before.train) == 10
    assert len(after.train) == 12
    assert after.name == "mine[train=10,extra=feedback]"


def test_the_last_word_on_a_text_counts(options, tmp_path):
    rows = [FEEDBACK[0], FEEDBACK[1], FEEDBACK[0] | {"label": "positive"}]
    _, after = with_and_without(options, extra_train=str(write_jsonl(tmp_path / "f.jsonl", rows)))
    assert list(zip(after.train["text"][-2:], after.train["label"][-2:], strict=True)) == [
        ("what a joy", 1),
        ("the lid leaks", 1),
    ]
    assert described(after)["extra_train"]["superseded"] == 1


def test_unknown_labels_are_named_by_file_and_line(options, tmp_path):
    path = write_jsonl(tmp_path / "f.jsonl", [FEEDBACK[0], FEEDBACK[1] | {"label": "meh"}])
    with pytest.raises(DataError, match=r"f.jsonl:2: label 'meh' is not one of negative, positive"):
        load(FilesDataset(**options, extra_train=str(path)))
    dropped = load(FilesDataset(**options, extra_train=str(path), unknown_labels=UnknownLabels.drop))
    assert described(dropped)["extra_train"]["examples"] == 1
    assert dropped.rejected == {"extra_train": {"unknown label": 1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "dataset.extra_train=.*no such file"),
        ("", "the file is empty"),
        ('{"text": "a", "label": "negative"}\n{"te\n', "of extra_train .*invalid JSON"),
        ('{"words": "a", "label": "negative"}\n', "no column 'text'"),
        ('{"premise": "a", "hypothesis": "b", "label": "negative"}\n', "single texts"),
    ],
)
def test_files_that_cannot_be_used(options, tmp_path, content, message):
    path = tmp_path / "f.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        load(FilesDataset(**options, extra_train=str(path)))


@pytest.mark.parametrize("columns", [("text", "text_pair"), ("premise", "hypothesis")])
def test_pairs(tmp_path, columns):
    rows = [{"a": row["text"], "b": f"{i} more", "label": row["label"]} for i, row in enumerate(sentences(40))]
    train = write_jsonl(tmp_path / "train.jsonl", rows)
    extra = write_jsonl(
        tmp_path / "f.jsonl", [{columns[0]: "a", columns[1]: b, "label": "negative"} for b in ("x", "y", "x")]
    )
    options = {"name": "mine", "train": str(train), "text_column": "a", "text_pair_column": "b"}
    data = load(FilesDataset(**options, extra_train=str(extra)))
    assert list(data.train["text_pair"][-2:]) == ["y", "x"]
    single = write_jsonl(tmp_path / "g.jsonl", [{"text": "a", "label": "negative"}])
    with pytest.raises(DataError, match="pairs of texts"):
        load(FilesDataset(**options, extra_train=str(single)))


def test_slices_and_languages_of_train_are_filled_in(tmp_path):
    rows = [row | {"product": "tent", "lang": "en"} for row in sentences(60)]
    extra = write_jsonl(tmp_path / "f.jsonl", [FEEDBACK[0] | {"language": "de"}, FEEDBACK[1]])
    options = {"name": "mine", "train": str(write_jsonl(tmp_path / "t.jsonl", rows)), "extra_train": str(extra)}
    data = load(FilesDataset(**options, language_column="lang", slice_columns=["product"]))
    assert list(data.train["language"][-3:]) == ["en", "de", "missing"]
    assert list(data.train["product"][-2:]) == ["missing", "missing"]


def test_hub_and_memory_take_them_too(hub, feedback):
    data = load(HubDataset(name="tests", path="tests/reviews", extra_train=str(feedback)))
    assert len(data.train) == 82
    memory = InMemoryDataset(train=Dataset.from_list(sentences(60)), extra_train=str(feedback))
    assert list(load(memory).train["text"][-2:]) == ["the lid leaks", "what a joy"]
    assert json.dumps(memory.plain_options()["extra_train"]) == json.dumps(str(feedback))


def test_what_stands_in_test_is_found_at_the_gate(tmp_path):
    rows = [
        {"text": f"{a} {b} {i}", "label": ("negative", "positive")[i % 2]}
        for i, (a, b) in enumerate(product(["kettle", "tent", "lamp", "song", "chair"], ["red", "loud", "late", "odd"]))
    ]
    train, test = write_jsonl(tmp_path / "train.jsonl", rows[:16]), write_jsonl(tmp_path / "test.jsonl", rows[16:])
    extra = write_jsonl(tmp_path / "f.jsonl", [FEEDBACK[0], rows[17]])
    data = load(FilesDataset(name="mine", train=str(train), test=str(test), extra_train=str(extra)))
    assert rows[17]["text"] in data.train["text"][:]
    kept, said = pass_gate(data, OnLeakage.drop, tell=False)
    assert len(kept.train) == len(data.train) - 1
    assert rows[17]["text"] not in kept.train["text"][:]
    assert said["dropped"]["train"] == 1
