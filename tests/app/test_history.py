import csv
import io
import json

import pytest

from textclf.app.history import MOST_KEPT, Asked, as_csv, as_jsonl, kept
from textclf.documents.escape import csv_cell


def asked(text, **more):
    return Asked("2026-01-01T00:00:00+00:00", "r", text, "a", 0.75, {"a": 0.75, "b": 0.25}, **more)


def test_downloads_hold_every_prediction():
    history = [asked('=HYPERLINK("http://x")\nnext'), asked("first", text_pair="second")]
    found = list(csv.DictReader(io.StringIO(as_csv(history).decode("utf-8-sig"))))
    assert [row["text"] for row in found] == ['\'=HYPERLINK("http://x")\nnext', "first"]
    assert [row["text_pair"] for row in found] == ["", "second"]
    lines = [json.loads(line) for line in as_jsonl(history).decode().splitlines()]
    assert lines[0]["text"] == '=HYPERLINK("http://x")\nnext'
    assert lines[1]["probabilities"] == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|x", "-2+3", "@sum", "\t=1", "  =1", "\r=1"])
def test_a_cell_is_never_a_formula(cell):
    assert csv_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1.5", "+3", "1e-3", "-2E+05", "a=b", "", 3, None])
def test_other_cells_stay(cell):
    assert csv_cell(cell) == cell


def test_the_oldest_are_dropped():
    history = []
    for i in range(MOST_KEPT + 3):
        history = kept(history, asked(str(i)))
    assert len(history) == MOST_KEPT
    assert history[0].text == str(MOST_KEPT + 2)
