"""The page where people label, without a browser: each label is kept at once, and nothing is asked twice."""

import json
from dataclasses import replace

import pytest

from tests.app.test_pages import html, page_of
from tests.conftest import write_jsonl
from textclf.app.feedback import Feedback, save_label
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.errors import DataError

MARKUP = "<b>x</b> **y**"


def suggestion(text, label, score, names=("bad", "good", MARKUP)):
    rest = (1 - score) / (len(names) - 1)
    chances = {f"suggested_probability_{name}": score if name == label else rest for name in names}
    return {"text": text, "suggested_label": label, "suggested_score": score, **chances}


@pytest.fixture
def file(settings, tmp_path):
    rows = [suggestion(f"text {number} {MARKUP}", "good", 0.4 + number / 10) for number in range(4)]
    path = write_jsonl(tmp_path / "todo.jsonl", rows)
    settings(to_label=str(path))
    return path


def kept(path):
    found = path.with_name("todo.labels.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []


def press(at, name):
    next(button for button in at.button if button.label == name).click()
    at.run()
    assert not at.exception
    return html(at)


def test_labels_are_accepted_changed_skipped_and_gone_back_to(file):
    at = page_of("label").run()
    assert "text 0" in html(at)
    assert "<b>x" not in html(at)
    assert [button.label for button in at.button][:2] == ["bad", "good"]
    assert "text 1" in press(at, "Accept")
    assert "text 2" in press(at, "bad")
    assert [(row["label"], row["predicted"], row["score"]) for row in kept(file)] == [
        ("good", "good", 0.4), ("bad", "good", 0.5)
    ]  # fmt: skip
    assert "text 3" in press(at, "Skip")
    assert "text 2" in press(at, "Back")
    assert "It was labelled bad" in press(at, "Back")
    assert "text 2" in press(at, "good")
    assert [row["label"] for row in kept(file)] == ["good", "good"]
    assert "text 3" in press(at, "Skip")
    assert "text 2" in press(at, "Accept"), "what was skipped comes again at the end"
    assert "Every text of todo.jsonl has a label" in press(at, "Accept")
    assert len(kept(file)) == 4


def test_another_session_goes_on_where_the_last_stopped(file):
    press(page_of("label").run(), "Accept")
    at = page_of("label").run()
    assert "text 1" in html(at)
    command = at.code[0].value
    assert command.endswith("model=minilm_embeddings")
    assert "todo.labels.jsonl" in command


def test_sets_are_ticked_and_may_be_empty(settings, tmp_path):
    names = ("bug", "refund")
    rows = [
        {
            "text": f"text {number}",
            "suggested_labels": ["bug"],
            **{f"suggested_probability_{name}": 0.5 for name in names},
        }
        for number in range(3)
    ]
    file = write_jsonl(tmp_path / "todo.jsonl", rows)
    settings(to_label=str(file))
    at = page_of("label").run()
    press(at, "refund")
    press(at, "Save these labels")
    press(at, "✓ bug")
    press(at, "Save: no label")
    press(at, "Save these labels")
    assert [row["labels"] for row in kept(file)] == [["bug", "refund"], [], ["bug"]]


def test_of_many_labels_the_most_probable_have_a_button_and_all_can_be_chosen(settings, tmp_path):
    names = tuple(f"label {number}" for number in range(40))
    file = write_jsonl(tmp_path / "todo.jsonl", [suggestion("a text", "label 30", 0.5, names)])
    settings(to_label=str(file))
    at = page_of("label").run()
    assert at.button[0].label == "label 30"
    assert len(at.button) == 9 + 2
    at.selectbox[0].select("label 39").run()
    assert kept(file)[0]["label"] == "label 39"


def test_no_file_says_how_to_make_one_and_a_wrong_one_what_is_wrong(settings, tmp_path):
    at = page_of("label").run()
    assert "There is no file of texts to label" in html(at)
    assert at.code[0].value.startswith("python -m textclf.label")
    settings(to_label=str(write_jsonl(tmp_path / "x.jsonl", [{"text": "a"}])))
    assert "holds no suggested labels" in html(page_of("label").run())


def test_a_disk_that_is_full_is_told_and_the_text_stays(file, monkeypatch):
    at = page_of("label").run()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("textclf.app.feedback.replace_line", full)
        next(button for button in at.button if button.label == "Accept").click()
        assert "could not be written" in html(at.run())
    assert "text 0" in html(at.run())


def test_the_labels_can_be_trained_on(tmp_path):
    path = tmp_path / "a.labels.jsonl"
    said = Feedback("", "good", "bad", 0.5, "a.jsonl")
    for number in range(24):
        text = f"a text about {number}"
        save_label(path, replace(said, text=text, label="good" if number % 2 else "bad"), ("bad", "good"))
    data = load(FilesDataset(name="labels", train=str(path)))
    assert data.label_names == ("bad", "good")
    assert sum(map(len, (data.train, data.validation, data.test))) == 24
    with pytest.raises(DataError, match="is none of bad, good"):
        save_label(path, replace(said, text="x", label="best"), ("bad", "good"))
