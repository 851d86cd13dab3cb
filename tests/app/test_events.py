import json

import pytest

from textclf.app.events import MOST_KEPT, EventLog


def test_an_event_is_kept_and_written(tmp_path):
    log = EventLog(tmp_path / "app" / "events.jsonl")
    with log.timed("prediction", text="a secret", run="r", session="s") as event:
        event["rows"] = 3
    (kept,) = log.latest()
    assert (kept.what, kept.rows, kept.run, kept.text) == ("prediction", 3, "r", None)
    assert kept.seconds >= 0
    assert json.loads(log.path.read_text()) == kept.plain()
    assert "a secret" not in log.path.read_text()


def test_texts_are_kept_only_where_that_is_asked_for(tmp_path):
    log = EventLog(tmp_path / "events.jsonl", log_texts=True)
    log.add("prediction", "a text")
    assert json.loads(log.path.read_text())["text"] == "a text"


def test_an_error_is_noted_and_passed_on_without_what_it_says_of_the_text(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(ValueError, match="a secret"), log.timed("prediction", run="r"):
        raise ValueError("a secret")
    assert log.latest()[0].what == "error"
    assert log.latest()[0].detail == "prediction: ValueError"


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "app").write_text("in the way")
    log = EventLog(tmp_path / "app" / "events.jsonl")
    for _ in range(MOST_KEPT + 5):
        log.add("prediction")
    assert len(log.latest()) == MOST_KEPT
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1
