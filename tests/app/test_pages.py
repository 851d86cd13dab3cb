"""The pages run in this process, without a browser."""

import json

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.app.conftest import IMAGE, MARKDOWN, edited_copy
from textclf.app import facts
from textclf.app.server import SCRIPT
from textclf.predict import examples_to_try
from textclf.predict.__main__ import main as predict_main
from textclf.system.files import write_manifest
from textclf.tracking.run_folder import NOT_VOUCHED_FOR

TEXT = f"a dull film {IMAGE} {MARKDOWN}"


@pytest.fixture
def app(settings):
    return AppTest.from_file(str(SCRIPT), default_timeout=60)


def page_of(name):
    """Return a page by itself: Streamlit's tester cannot go from page to page of this kind."""
    code = f"from textclf.app.pages import common, {name}_page\ncommon.guarded({name}_page.page)()"
    return AppTest.from_string(code, default_timeout=60)


def html(at):
    return "\n".join(element.proto.body for element in at.get("html"))


def typed(at, text, pair=None):
    at.run()
    at.text_area(key="text").set_value(text)
    if pair is not None:
        at.text_area(key="text_pair").set_value(pair)
    next(button for button in at.button if button.label == "Predict").click()
    return at.run()


def events(settings_file):
    return [json.loads(line) for line in settings_file.read_text().splitlines()]


def test_a_text_is_predicted_explained_and_corrected(app, tmp_path):
    at = typed(app, TEXT)
    assert not at.exception
    shown = html(at)
    assert "<bdi>negative</bdi>" in shown
    assert "Probability of each class" in shown
    assert 'class="tc-for"' in shown
    assert "<img" not in shown
    label = next(box for box in at.selectbox if box.label == "It should be")
    assert label.options == ["positive"]
    label.select("positive")
    at.text_input[0].set_value("because")
    next(button for button in at.button if button.label == "Save feedback").click()
    at.run()
    (row,) = events(tmp_path / "feedback.jsonl")
    assert (row["text"], row["label"], row["predicted"], row["note"]) == (TEXT, "positive", "negative", "because")
    assert at.code[0].value == "python -m textclf.run model=naive_bayes dataset.extra_train=feedback.jsonl"
    assert "feedback.jsonl has 1 lines now" in html(at)
    assert str(tmp_path) not in html(at)
    written = events(tmp_path / "events.jsonl")
    assert [event["what"] for event in written if event["what"] != "classifier loaded"] == [
        "started", "prediction", "words weighed", "feedback",
    ]  # fmt: skip
    assert "dull" not in (tmp_path / "events.jsonl").read_text()


def test_an_example_of_the_run_is_typed_by_a_click_and_is_no_markup(app, monkeypatch):
    text = f"a {IMAGE} {MARKDOWN} film"
    monkeypatch.setattr(examples_to_try, "examples", lambda folder: [examples_to_try.Example(text, None, "unsure")])
    st.cache_data.clear()
    at = app.run()
    assert "tells apart negative and positive. It was right in " in html(at)
    (button,) = (one for one in at.button if "(unsure)" in one.label)
    for said in (r"\<img", r"\*\*bold\*\*", r":red\[no\]", r"\[x\](javascript"):
        assert said in button.label, button.label
    button.click()
    at.run()
    assert at.text_area(key="text").value == text
    st.cache_data.clear()


def test_all_runs_are_ranked_and_what_cannot_be_read_is_named(settings):
    at = page_of("runs").run()
    assert not at.exception
    shown = html(at)
    assert "finished runs of 2 setups on 1 test set, 1 unreadable" in shown
    assert "<bdi>other &lt;img src=x" in shown
    assert "broken" in shown
    assert "<a " not in shown
    assert "Reports" not in shown


def test_feedback_without_a_label_saves_nothing(app, tmp_path):
    at = typed(app, TEXT)
    next(button for button in at.button if button.label == "Save feedback").click()
    at.run()
    assert "Choose what the label should be first." in html(at)
    assert not (tmp_path / "feedback.jsonl").exists()


def test_an_empty_text_is_refused_and_shows_no_old_result(app):
    at = typed(typed(app, TEXT), " \n ")
    assert "Type a text first." in html(at)
    assert "Probability of each class" not in html(at)


def test_a_pair_with_labels_of_markup(app, settings, pair_classifier):
    settings(run=str(pair_classifier), words=4)
    app.session_state["picked"] = str(pair_classifier)
    at = typed(app, "a lovely film", "it is positive, and more of it")
    assert not at.exception
    shown = html(at)
    assert "<img" not in shown
    assert "only its first 4 words" in shown
    assert next(box for box in at.selectbox if box.label == "It should be").options == [IMAGE]


def test_a_damaged_classifier_is_said_in_a_paragraph(app, settings, outputs, tmp_path):
    broken = edited_copy(outputs / "runs" / "first", tmp_path / "outputs" / "broken")
    (broken / "classifier" / "classifier.json").write_text("{")
    settings(outputs=str(tmp_path / "outputs"))
    at = app.run()
    assert "classifier/classifier.json is not what was written" in html(at)
    assert not at.exception


def test_without_runs_it_says_how_to_make_one(app, settings, tmp_path):
    settings(outputs=str(tmp_path))
    at = app.run()
    assert at.code[0].value == "python -m textclf.run model=tfidf_logreg"


def test_the_history_can_be_taken_along_and_cleared(app, settings):
    at = typed(app, TEXT)
    history = page_of("history")
    history.session_state["history"] = at.session_state["history"]
    history.run()
    assert "&lt;img" in html(history)
    assert "<img" not in html(history)
    assert [button.label for button in history.get("download_button")] == ["Download CSV", "Download JSONL"]
    history.button[0].click()
    history.run()
    assert "Nothing was predicted yet." in html(history)


@pytest.mark.parametrize("name", ["run", "compare", "batch", "events"])
def test_other_pages_show_what_there_is(name, settings, outputs, tmp_path):
    at = page_of(name).run()
    assert not at.exception
    assert at.title[0].value == name.capitalize()
    assert "Something went wrong" not in html(at)
    assert "<img" not in html(at)
    wanted = {"run": "test examples are wrong", "compare": "tc-quote", "batch": "20,000 rows", "events": "started"}
    assert wanted[name] in html(at)
    assert str(tmp_path) not in html(at)
    assert str(outputs.parent) not in html(at)


def test_one_text_goes_through_several_runs(settings, outputs):
    at = page_of("compare").run()
    at.radio[0].set_value("answers to one text").run()
    (runs,) = at.multiselect
    assert len(runs.value) == 2, "the newest of each model, of those with a classifier"
    at.text_area[0].set_value(TEXT)
    at.button[0].click()
    at.run()
    assert not at.exception
    shown = html(at)
    assert "Both say negative." in shown
    assert shown.count('class="tc-answer"') == shown.count('class="tc-text"') == shown.count('class="tc-bars"') == 2
    assert shown.count("Word occlusion") == 1
    assert "<img" not in shown
    at.text_area[0].set_value(" ")
    at.button[0].click()
    assert "Type a text first." in html(at.run())
    assert 'class="tc-answer"' not in html(at)
    runs.set_value(runs.value[:1]).run()
    assert "Choose 2 to 4 runs." in html(at)


def test_damaged_runs_are_named_and_what_was_changed_of_a_run_is_not_shown(settings, outputs, tmp_path):
    first = outputs / "runs" / "first"
    edited_copy(first, tmp_path / "outputs" / "reworded")
    (tmp_path / "outputs" / "reworded" / "analysis.json").write_text('{"accuracy": {"count": 1, "total": 1}}')
    praised = edited_copy(first, tmp_path / "outputs" / "praised")
    record = json.loads((praised / "run.json").read_text())
    record["metrics"]["test/macro_f1"] = 0.999
    (praised / "run.json").write_text(json.dumps(record))
    settings(outputs=str(tmp_path / "outputs"))
    at = page_of("run").run()
    assert not at.exception
    assert "analysis.json is not what was written" in html(at)
    assert "0 of 1 test examples are wrong" not in html(at)
    assert "Damaged runs" in [header.value for header in at.header]
    assert "0.999" not in html(at)
    assert "praised is not as it was left: run.json is not what was written" in html(at)


class Visitor:
    """Who is there, as Streamlit says after a sign-in."""

    def __init__(self, **known):
        self.known = known
        self.is_logged_in = bool(known)

    def to_dict(self):
        return self.known


@pytest.mark.parametrize(
    ("visitor", "said"),
    [(Visitor(), "Sign in to see the runs."), (Visitor(email="eve@evil.org"), "may not see this app")],
)
def test_nothing_is_shown_to_who_may_not_see_it(visitor, said, app, settings, monkeypatch, tmp_path):
    settings(sign_in=True, allowed=("@example.com",))
    monkeypatch.setattr(st, "user", visitor)
    at = app.run()
    assert said in html(at)
    assert not at.selectbox
    assert not at.text_area
    assert "reviews" not in html(at)


def test_who_signed_in_is_named_in_feedback_and_events(app, settings, monkeypatch, tmp_path):
    settings(sign_in=True, allowed=("@example.com",))
    monkeypatch.setattr(st, "user", Visitor(email="ann@example.com"))
    at = typed(app, TEXT)
    assert "Signed in as ann@example.com" in html(at)
    next(box for box in at.selectbox if box.label == "It should be").select("positive")
    next(button for button in at.button if button.label == "Save feedback").click()
    at.run()
    assert events(tmp_path / "feedback.jsonl")[0]["user"] == "ann@example.com"
    assert {event.get("user") for event in events(tmp_path / "events.jsonl")[1:]} == {"ann@example.com"}


def too_sure(folder):
    """Let a run's analysis say that 95 % means 60 %, and that a temperature mends it; its manifest says so too."""
    written = json.loads((folder / "analysis.json").read_text())
    bins = [{"low": 0.9, "high": 1.0, "count": 100, "confidence": 0.95, "accuracy": 0.6}]
    off = {"ece": 0.35, "by_chance": 0.05, "brier": 0.5, "log_loss": 1.0, "bins": bins}
    mended = off | {"ece": 0.01}
    changes = {
        "calibration": off,
        "temperature": {"temperature": 2.0, "is_applied": False, "before": off, "after": mended},
    }
    (folder / "analysis.json").write_text(json.dumps(written | changes))
    write_manifest(folder, NOT_VOUCHED_FOR)


def test_beside_a_percentage_stands_what_it_is_worth(app, settings, outputs, tmp_path):
    said = "probabilities are too sure: 95 % means about 60 % here; model.calibration=temperature mends it"
    too_sure(edited_copy(outputs / "runs" / "first", tmp_path / "outputs" / "sure"))
    settings(outputs=str(tmp_path / "outputs"), run=str(tmp_path / "outputs" / "sure"))
    at = typed(app, "a dull film")
    assert not at.exception
    assert said in html(at)
    (tmp_path / "outputs" / "sure" / "analysis.json").write_text(
        (tmp_path / "outputs" / "sure" / "analysis.json").read_text() + " "
    )
    assert said not in html(at.run())


def hesitant(folder, threshold):
    """Let a run's analysis have one threshold; its manifest says so too."""
    share = {"count": 9, "total": 10}
    one = {"wanted": "coverage", "share": 0.9, "threshold": threshold, "test": {"answered": share, "right": share}}
    analysis = json.loads((folder / "analysis.json").read_text()) | {"answers": [one]}
    (folder / "analysis.json").write_text(json.dumps(analysis))
    write_manifest(folder, NOT_VOUCHED_FOR)


def test_below_the_threshold_of_its_run_a_prediction_is_unsure(app, settings, outputs, tmp_path):
    hesitant(edited_copy(outputs / "runs" / "first", tmp_path / "outputs" / "one"), 0.99)
    settings(outputs=str(tmp_path / "outputs"))
    at = typed(app, "a dull film")
    assert not at.exception
    assert "<strong>Unsure</strong>" in html(at)
    box = next(box for box in at.selectbox if box.label == "Say unsure")
    reached = "90 % of the texts answered on validation; on test 90 % answered and 90 % of these right"
    assert box.options == [f"below 0.990: {reached}", "never"]
    assert at.session_state["history"][0].row()["unsure"] is True
    assert next(box for box in at.selectbox if box.label == "It should be").options == ["negative", "positive"]
    box.select(0.0)
    next(button for button in at.button if button.label == "Predict").click()
    at.run()
    assert "Unsure" not in html(at)
    assert "unsure" not in at.session_state["history"][0].row()


def test_a_threshold_is_offered_only_from_an_analysis_as_it_was_left(outputs, tmp_path):
    folder = edited_copy(outputs / "runs" / "first", tmp_path / "one")
    hesitant(folder, 0.8)
    assert [one.value for one in facts.thresholds_of(folder)] == [0.8]
    hesitant(folder, None)
    assert facts.thresholds_of(folder) == []
    hesitant(folder, 0.8)
    (folder / "analysis.json").write_text((folder / "analysis.json").read_text() + " ")
    assert facts.thresholds_of(folder) == []


def test_the_command_tells_on_stderr_what_its_percentages_are_worth(outputs, tmp_path, capsys, monkeypatch):
    folder = edited_copy(outputs / "runs" / "first", tmp_path / "sure")
    monkeypatch.setattr("sys.argv", ["predict", str(folder), "a dull film"])
    predict_main()
    assert "note:" not in capsys.readouterr().err
    too_sure(folder)
    predict_main()
    said = capsys.readouterr()
    assert said.out.startswith("negative (")
    assert "note: this classifier's probabilities are too sure: 95 % means about 60 % here" in said.err
