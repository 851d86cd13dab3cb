"""The command on a run with sets of labels: thresholds, forms of output, and labelled inputs."""

import csv
import json
import sys

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_data, write_jsonl
from tests.predict.factory import counting, rows_of
from tests.set_run import BUG, EVERY, MARKUP, PLAIN, REFUND, set_rows
from textclf import load_classifier
from textclf.errors import ConfigError
from textclf.predict.__main__ import main
from textclf.predict.options import PredictOptions
from textclf.predict.stream import predict_batches


@pytest.fixture
def predict(set_run, monkeypatch, capsys):
    """Run the command on the run with sets; return what it says on stdout and stderr."""

    def call(*arguments, fails=False):
        monkeypatch.setattr(sys, "argv", ["predict", str(set_run), *map(str, arguments)])
        if fails:
            with pytest.raises(SystemExit):
                main()
        else:
            main()
        return capsys.readouterr()

    return call


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_texts_are_answered_with_their_labels(predict):
    every, plain = predict(EVERY, PLAIN).out.splitlines()
    assert all(f"{name} (" in every for name in (BUG, REFUND))
    assert plain.startswith("no label; nearest: ")
    assert f"{BUG} (" not in predict(EVERY, "--label-threshold", f"{BUG}=1").out
    assert len(predict(PLAIN, "--top-k", "2").out.split(", ")) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bgu=0.3", "--label-threshold bgu: there is no such label"),
        ("bug=often", "write a label and its threshold, as in refund=0.4"),
        ("bug=1.5", "a threshold is a probability, from 0 to 1"),
        ("=0.5", "write a label and its threshold"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(predict, given, said):
    assert said in predict(EVERY, "--label-threshold", given, fails=True).err


def test_single_classes_have_no_thresholds_of_labels():
    with pytest.raises(ConfigError, match="this run gives each text one class"):
        PredictOptions(label_thresholds={"positive": 0.3}).thresholds_for(counting())


def test_a_file_gets_a_list_and_every_probability(predict, set_run, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in (EVERY, PLAIN)])
    classifier = load_classifier(set_run / "classifier")
    expected = classifier.predict([EVERY, PLAIN])
    for ending in ("jsonl", "csv", "parquet"):
        predict("--input", source, "--output", tmp_path / f"out.{ending}")
    found = rows(tmp_path / "out.jsonl")
    assert [tuple(row["labels"]) for row in found] == [one.labels for one in expected]
    assert found[1]["labels"] == []
    with (tmp_path / "out.csv").open(newline="") as stream:
        assert [json.loads(row["labels"]) for row in csv.DictReader(stream)] == [row["labels"] for row in found]
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert [list(labels) for labels in table["labels"]] == [row["labels"] for row in found]
    np.testing.assert_array_equal(table[f"probability_{BUG}"], classifier.predict_proba([EVERY, PLAIN])[:, 1])


def test_long_writes_a_row_for_each_text_and_label(predict, set_run, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": EVERY, "id": 7}, {"id": 8}, {"text": PLAIN, "id": 9}])
    said = predict("--input", source, "--output", tmp_path / "out.jsonl", "--long", "--keep-bad-rows").err
    found = rows(tmp_path / "out.jsonl")
    assert [(row["id"], row["label"]) for row in found if row["id"] != 8] == [
        (number, name) for number in (7, 9) for name in sorted((BUG, REFUND, MARKUP))
    ]
    (bad,) = [row for row in found if row["id"] == 8]
    assert bad["label"] is None
    assert bad["error"]
    given = {row["label"] for row in found if row["given"]}
    assert given == set(load_classifier(set_run / "classifier").predict([EVERY])[0].labels)
    assert "3 rows in" in said  # of the input
    assert "1 row could not be predicted" in said


def test_long_of_single_classes_marks_the_class_that_is_taken(tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "gggg"}, {"text": "abcd"}])
    (batch,) = predict_batches(counting(), rows_of(source), PredictOptions(long=True, threshold=0.5))
    assert [(row["label"], row["given"]) for row in batch.table.to_pylist()] == [
        ("negative", False), ("positive", True), ("negative", True), ("positive", False),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="--long writes every label in a row of its own"):
        PredictOptions(long=True, top_k=2)


LABELLED = set_rows(40)


@pytest.mark.parametrize("form", ["lists", "joined", "columns"])
def test_labelled_inputs_are_scored_however_the_sets_are_written(predict, set_run, tmp_path, form):
    classifier = load_classifier(set_run / "classifier")
    found = classifier.predict([row["text"] for row in LABELLED])
    right = sum(set(one.labels) == set(row["labels"]) for one, row in zip(found, LABELLED, strict=True))
    told = {
        "lists": [{"text": row["text"], "labels": row["labels"]} for row in LABELLED],
        "joined": [{"text": row["text"], "labels": ";".join(row["labels"])} for row in LABELLED],
        "columns": [
            {"text": row["text"], **{name: name in row["labels"] for name in (BUG, REFUND, MARKUP)}} for row in LABELLED
        ],
    }[form]
    said = predict("--input", write_jsonl(tmp_path / "in.jsonl", told), "--output", tmp_path / "out.jsonl").err
    assert 0 < right < 40
    assert f"exactly right on {right} of 40 rows with known labels" in said


def test_the_scores_are_those_of_the_thresholds_that_are_asked_for(predict, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", LABELLED)
    never = [f"--label-threshold={name}=1" for name in (BUG, REFUND, MARKUP)]
    said = predict("--input", source, "--output", tmp_path / "out.jsonl", *never).err
    empty = sum(not row["labels"] for row in LABELLED)
    assert f"micro F1 0.0000, macro F1 0.0000, exactly right on {empty} of 40" in said


def test_unknown_labels_are_named_and_their_rows_not_scored(predict, tmp_path):
    told = [*LABELLED, {"text": EVERY, "labels": ["bgu"]}, {"text": EVERY, "labels": None}]
    source = write_jsonl(tmp_path / "in.jsonl", told)
    said = predict("--input", source, "--output", tmp_path / "out.jsonl", "--report", tmp_path / "page").err
    assert "labels that this classifier does not know: 'bgu' (1)" in said
    assert "of 40 rows with known labels" in said
    metrics = json.loads((tmp_path / "page" / "metrics.json").read_text())
    assert (metrics["rows"], metrics["scored"]) == (42, 40)
    assert f"micro F1 {metrics['metrics']['micro_f1']:.4f}" in said
    page = (tmp_path / "page" / "report.html").read_text()
    assert "1 row says nothing of its labels and is not scored." in page
    assert "<img src=x" not in page  # the name of a label is no markup


def test_pairs_of_texts_may_have_sets(tmp_path):
    from tests.models.classical.test_pipeline import configured, fitted
    from textclf.data.in_memory import InMemoryDataset
    from textclf.data.load import load

    told = [{"premise": row["text"], "hypothesis": "it is", "label": row["labels"]} for row in set_rows(120)]
    options = {"text_column": "premise", "text_pair_column": "hypothesis"}
    classifier, _ = fitted(configured("tfidf_logreg"), load(InMemoryDataset(name="pairs", train=told, **options)))
    classifier.save(tmp_path / "pairs")
    again = load_classifier(tmp_path / "pairs")
    assert again.has_pairs
    assert again.has_sets
    assert BUG in again.predict([EVERY], ["it is"])[0].labels
    assert make_data(pairs=True).has_sets is False
