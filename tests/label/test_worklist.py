"""Files with suggestions and with people's labels, in every format."""

import json
from pathlib import Path

import pytest

from tests.conftest import write_jsonl
from textclf.data.text_columns import UNNAMED
from textclf.errors import DataError
from textclf.label.worklist import given_labels, labels_file, read_labelled, read_worklist, worklists


def test_the_labels_lie_beside_the_file_whatever_its_form():
    for name in ("reviews.jsonl", "reviews.csv.gz", "reviews.parquet"):
        assert labels_file(Path("a") / name) == Path("a/reviews.labels.jsonl")
    assert labels_file(Path("v1.2.jsonl")).name == "v1.2.labels.jsonl"


def test_suggestions_of_csv_are_those_of_json(tmp_path):
    one = {"text": "a", "suggested_label": "x", "suggested_score": 0.6}
    rows = [one | {"suggested_probability_x": 0.6, "suggested_probability_y": 0.4}]
    nothing = {"text": "b", "suggested_label": None, "suggested_score": None}
    rows.append(nothing | {"suggested_probability_x": None, "suggested_probability_y": None})
    found = read_worklist(write_jsonl(tmp_path / "a.jsonl", rows))
    lines = ["text,suggested_label,suggested_score,suggested_probability_x,suggested_probability_y", "a,x,0.6,0.6,0.4"]
    (tmp_path / "b.csv").write_text("\n".join([*lines, "b,,,,", ""]))
    assert read_worklist(tmp_path / "b.csv").items == found.items
    assert found.label_names == ("x", "y")
    assert not found.has_sets
    first, second = found.items
    assert (first.suggested, first.score, list(first.probabilities)) == (("x",), 0.6, ["x", "y"])
    assert (second.suggested, second.score, second.probabilities) == (None, None, {})


def test_sets_may_be_empty_and_that_is_no_missing_suggestion(tmp_path):
    rows = [
        {"text": text, "suggested_labels": labels, "suggested_probability_x": 0.1}
        for text, labels in [("a", []), ("b", ["x"]), ("c", None)]
    ]
    found = read_worklist(write_jsonl(tmp_path / "a.jsonl", rows))
    assert found.has_sets
    assert [item.suggested for item in found.items] == [(), ("x",), None]


def test_other_files_are_refused_with_what_makes_one(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}])
    with pytest.raises(DataError, match=r"holds no suggested labels.*textclf\.label"):
        read_worklist(path)


def test_labelled_texts_are_read_from_whatever_holds_some(tmp_path):
    rows = [{"text": "A  b", "label": "x", "score": 0.2}, {"text": "c", "label": ""}, {"text": "d", "label": ["y"]}]
    found = read_labelled(write_jsonl(tmp_path / "a.jsonl", rows), UNNAMED, False)
    assert [(one.text, one.labels) for one in found] == [("A  b", ("x",)), ("d", ("y",))]
    sets = write_jsonl(tmp_path / "b.jsonl", [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}])
    assert [one.labels for one in read_labelled(sets, UNNAMED, False)] == [("x", "y"), ()]
    with pytest.raises(DataError, match="no column holds labels"):
        read_labelled(write_jsonl(tmp_path / "c.jsonl", [{"text": "a", "length": 2}]), UNNAMED, False)


def test_a_torn_line_loses_no_other(tmp_path):
    path = tmp_path / "a.labels.jsonl"
    assert given_labels(path) == {}
    path.write_text(json.dumps({"text": "a", "label": "x"}) + '\n{"text": "b", "la')
    assert list(given_labels(path).values()) == [("x",)]


def test_the_newest_file_comes_first_and_labels_are_none(tmp_path):
    import os

    for age, name in enumerate(["new.csv", "old.jsonl", "old.labels.jsonl", "old.labels.jsonl.lock", "note.txt"]):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert [path.name for path in worklists(tmp_path)] == ["new.csv", "old.jsonl"]
    assert worklists(tmp_path / "none") == []
