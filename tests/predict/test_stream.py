"""What is predicted: in order, beside the other columns, whatever the rows are."""

import json

import numpy as np
import pytest

from tests.predict.factory import counting, rows_of
from textclf.errors import ConfigError, DataError
from textclf.predict import stream
from textclf.predict.options import PredictOptions
from textclf.predict.stream import predict_batches

TEXTS = ["ggx", "xxxxxxxxx", "g", "xg", "gggg"]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"text": text, "n": n}) + "\n" for n, text in enumerate(TEXTS)))
    return file


def predicted(path, classifier=None, size=100, **options):
    batches = predict_batches(classifier or counting(), rows_of(path, size=size), PredictOptions(**options))
    return [row for batch in batches for row in batch.table.to_pylist()]


@pytest.mark.parametrize(("size", "chunk"), [(100, 1024), (2, 1024), (100, 2), (1, 1)])
def test_order_is_kept_whatever_the_windows(path, monkeypatch, size, chunk):
    monkeypatch.setattr(stream, "CHUNK", chunk)
    rows = predicted(path, size=size)
    assert [row["text"] for row in rows] == TEXTS
    expected = [text.count("g") / len(text) for text in TEXTS]
    np.testing.assert_allclose([row["probability_positive"] for row in rows], expected, rtol=1e-6)
    assert [row["label"] for row in rows] == ["positive", "negative", "positive", "negative", "positive"]
    assert all(row["score"] == max(row["probability_negative"], row["probability_positive"]) for row in rows)


def test_longer_texts_are_predicted_together(path, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 2)
    classifier = counting()
    predicted(path, classifier)
    lengths = [len(text) for texts in classifier.asked for text in texts]
    assert lengths == sorted(lengths, reverse=True)


def test_threshold_abstains_and_keeps_the_score(path):
    rows = predicted(path, threshold=0.6)
    assert [row["label"] for row in rows] == ["positive", "negative", "positive", "abstain", "positive"]
    assert rows[3]["score"] == 0.5


def test_top_k_takes_the_place_of_the_probabilities(path):
    rows = predicted(path, top_k=5)
    assert list(rows[0]) == ["text", "n", "label", "score", "label_1", "score_1", "label_2", "score_2"]
    assert (rows[0]["label_1"], rows[0]["label_2"]) == ("positive", "negative")
    assert list(predicted(path, top_k=1)[0]) == ["text", "n", "label", "score", "label_1", "score_1"]


def test_a_true_label_is_kept_beside_the_predicted_one(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "gg", "label": "negative"}\n')
    (row,) = predicted(path)
    assert (row["label"], row["predicted_label"], row["score"]) == ("negative", "positive", 1.0)
    assert "p_label" in predicted(path, prefix="p_")[0]
    path.write_text('{"text": "gg", "label": "negative", "predicted_label": "x"}\n')
    with pytest.raises(DataError, match="predicted_label already.*--prefix"):
        predicted(path)


def test_a_column_that_comes_too_late(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "gg"}\n{"text": "gg", "score": 3}\n')
    with pytest.raises(DataError, match="'score'"):
        predicted(path, size=1)


def test_bad_rows_stop_the_work_or_are_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "gg", "n": 1}\n{"text": null, "n": 2}\nbroken\n{"text": "xx", "n": 3}\n')
    with pytest.raises(DataError, match=r"a.jsonl:2: no text.*--keep-bad-rows"):
        predicted(path)
    rows = predicted(path, keep_bad_rows=True)
    assert [row["label"] for row in rows] == ["positive", None, None, "negative"]
    assert [row["n"] for row in rows] == [1, 2, None, 3]
    assert rows[1]["error"] == "line 2: no text"
    assert rows[2]["error"].startswith("line 3: invalid JSON")
    assert rows[0]["error"] is None
    assert rows[1]["probability_positive"] is None


def test_nothing_but_bad_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": null}\n' * 3)
    assert [row["label"] for row in predicted(path, keep_bad_rows=True)] == [None] * 3


def test_progress_ends_where_the_input_does(path):
    told = []
    batches = rows_of(path, size=2)
    list(predict_batches(counting(), batches, tell=lambda rows, share: told.append((rows, share))))
    assert sum(rows for rows, _ in told) == len(TEXTS)
    assert told[-1][1] == batches[-1].share == 1.0


def test_pairs(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"premise": "xx", "hypothesis": "ggg"}\n{"premise": "g", "hypothesis": ""}\n')
    classifier = counting(has_pairs=True)
    batches = rows_of(path, has_pairs=True)
    rows = [
        r for b in predict_batches(classifier, batches, PredictOptions(keep_bad_rows=True)) for r in b.table.to_pylist()
    ]
    assert [row["label"] for row in rows] == ["positive", None]


def test_options_that_cannot_be_right(path):
    with pytest.raises(ConfigError, match="--top-k"):
        PredictOptions(top_k=0)
    with pytest.raises(DataError, match="threshold"):
        predicted(path, threshold=1.5)
