"""Runs with sets of labels on the pages: chips, thresholds, scores, and feedback by label."""

import csv
import io
import json

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.test_pages import events, html, page_of, typed
from tests.set_run import BUG, EVERY, MARKUP, PLAIN, REFUND, set_rows
from textclf.app import facts, uploads
from textclf.app.classifiers import load
from textclf.app.feedback import Feedback, save_feedback
from textclf.app.history import Asked, as_csv, as_jsonl
from textclf.app.markup import LabelBar, given_labels, label_bars
from textclf.app.pages.one_text import Answer, agreement
from textclf.app.run_list import read_choice
from textclf.app.server import SCRIPT
from textclf.documents.escape import markdown
from textclf.errors import DataError
from textclf.models.prediction import SetPrediction
from textclf.predict.examples_to_try import examples
from textclf.predict.inputs import TextColumns
from textclf.predict.rows import Kind
from textclf.predict.true_sets import TrueSets
from textclf.tracking.record import read_record


@pytest.fixture(scope="module")
def loaded(set_run):
    return load(read_choice(set_run).classifier)


@pytest.fixture
def app(settings, set_run):
    settings(outputs=str(set_run.parent), run=str(set_run))
    return AppTest.from_file(str(SCRIPT), default_timeout=60)


def test_labels_are_shown_with_their_thresholds_and_corrected_by_box(app, tmp_path):
    at = typed(app, EVERY)
    assert not at.exception
    shown = html(at)
    assert "gives each text a set of labels, out of" in shown
    assert "It was exactly right in " in shown
    assert '<ul class="tc-chips"><li><bdi>' in shown
    assert shown.count('<tr class="tc-given">') == 3
    assert "<img" not in shown
    assert [box.label for box in at.checkbox][1:] == [markdown(MARKUP), BUG, REFUND]
    assert all(box.value for box in at.checkbox)
    next(box for box in at.selectbox if box.label == "For the label").select(BUG)
    at.run()
    assert ">crash</bdi>" in html(at)
    next(box for box in at.checkbox if box.label == REFUND).uncheck()
    next(button for button in at.button if button.label == "Save feedback").click()
    at.run()
    assert not at.exception
    (row,) = events(tmp_path / "feedback.jsonl")
    assert (row["text"], row["labels"]) == (EVERY, [MARKUP, BUG])
    assert sorted(row["predicted"]) == sorted([MARKUP, BUG, REFUND])
    assert not {"label", "score"} & set(row)
    assert f"it should be **x** &lt;img src=x onerror=alert(1)&gt;, {BUG}" in html(at)


def test_no_label_is_an_answer_and_can_be_confirmed(app, tmp_path):
    at = typed(app, PLAIN)
    assert "<strong>no label</strong>" in html(at)
    assert 'class="tc-given"' not in html(at)
    assert not any(box.value for box in at.checkbox[1:])
    next(button for button in at.button if button.label == "Save feedback").click()
    at.run()
    assert events(tmp_path / "feedback.jsonl")[0]["labels"] == []
    assert "it should be no label" in html(at)


def test_the_page_of_the_run_has_its_labels_and_no_accuracy(settings, set_run):
    settings(outputs=str(set_run.parent), run=str(set_run))
    at = page_of("run").run()
    assert not at.exception
    shown = html(at)
    for said in (
        "micro F1",
        "subset accuracy (exactly right)",
        "Each label on the test split",
        "are not given exactly",
    ):
        assert said in shown, said
    assert ">accuracy<" not in shown
    assert "is not as it was left" not in shown


def test_what_a_file_says_is_scored_by_set(loaded, set_run):
    data = "".join(json.dumps(row) + "\n" for row in [*set_rows(40), {"text": "odd", "labels": ["else"]}]).encode()
    rows = uploads.read_rows(data, Kind.jsonl, "up.jsonl", TextColumns("text"), 100)
    found = uploads.predict_rows(loaded, rows, lambda count: None, TextColumns("text"), read_record(set_run))
    assert isinstance(found.true_labels, TrueSets)
    assert found.true_labels.scored == 40
    expected = [one.labels for one in loaded.classifier.predict([row["text"] for row in set_rows(40)])]
    right = sum(set(labels) == set(row["labels"]) for labels, row in zip(expected, set_rows(40), strict=True))
    assert int(found.true_labels.predictions.right.sum()) == right
    assert found.count_empty() == sum(not labels for labels in expected) + 1
    assert dict(found.label_counts())[BUG] == sum(BUG in labels for labels in expected)
    written = list(csv.DictReader(io.StringIO(found.as_csv().decode("utf-8-sig"))))
    assert [tuple(json.loads(row["predicted_labels"])) for row in written[:40]] == expected
    assert json.loads(found.as_jsonl().splitlines()[1])["predicted_labels"] == list(expected[1])
    assert found.frame(5)["predicted_labels"][1] == ", ".join(expected[1])
    assert "'else' (1)" in found.true_labels.warnings()[0]


def test_the_batch_page_says_how_each_label_fares(settings, set_run):
    settings(outputs=str(set_run.parent), run=str(set_run))
    data = "".join(json.dumps(row) + "\n" for row in set_rows(30)).encode()
    at = page_of("batch").run()
    at.file_uploader[0].upload("up.jsonl", data)
    at.run()
    next(button for button in at.button if button.label == "Predict the file").click()
    at.run()
    assert not at.exception
    shown = html(at)
    assert "exactly right in " in shown
    assert "Each label</caption>" in shown
    assert "have no label that reaches its threshold" in shown


def test_feedback_on_a_label_that_there_is_not_is_refused(tmp_path):
    said = Feedback("text", ("bug", "bgu"), (), None, "run")
    with pytest.raises(DataError, match=r"'bgu' is none of bug, refund"):
        save_feedback(tmp_path / "f.jsonl", said, ["bug", "refund"])
    assert not (tmp_path / "f.jsonl").exists()


def test_the_history_keeps_sets():
    asked = Asked("t", "r", "x", "a", 0.9, {"a": 0.9, "b": 0.4}, labels=("a", "b"), thresholds={"a": 0.5, "b": 0.3})
    assert json.loads(as_jsonl([asked]))["labels"] == ["a", "b"]
    (row,) = csv.DictReader(io.StringIO(as_csv([asked]).decode("utf-8-sig")))
    assert json.loads(row["labels"]) == ["a", "b"]
    assert "label" not in row


def test_runs_agree_on_a_set_whatever_its_order(set_run):
    choice = read_choice(set_run)

    def answer(*labels):
        return Answer(choice, SetPrediction(labels, {}), 0.0, None, False)

    assert agreement([answer("a", "b"), answer("b", "a")]) == "Both say a + b."
    assert agreement([answer(), answer("b")]).startswith("They differ: no label (")


def test_labels_and_bars_say_in_words_what_they_show():
    assert "reaches its threshold" in given_labels((), 0.1)
    shown = label_bars([LabelBar("a<b", 0.25, 0.2), LabelBar("c", 0.1, 0.3)], "all")
    assert '<tr class="tc-given"><th scope="row"><bdi>a&lt;b</bdi></th><td>given</td>' in shown
    assert '<i style="left:20.00%"></i>' in shown
    assert "<td>not given</td>" in shown
    assert "from 30.0 %" in shown


def test_the_facts_of_a_run_are_about_sets(set_run):
    record, analysis = read_record(set_run), facts.read_analysis(set_run)
    assert "Its micro F1 is 0." in facts.introduction(record)
    assert [row[0] for row in facts.labels_table(analysis).rows][:1]
    assert "Always giving " in facts.failing(analysis)[0]
    (column, *_) = facts.mistakes_table(analysis).columns
    assert column.title == "text"
    assert facts.changed(set_run) is None
    assert {one.what for one in examples(set_run)} >= {"sure and right"}
