"""True labels beside the texts of an input: matched with the classes, scored, and made a report."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.predict.test_predict_file import run  # noqa: F401  (a fixture)
from tests.tracking.mlflow.serving_factory import classical, finished_run
from textclf.predict.familiarity import Seen, familiarity
from textclf.predict.true_labels import label_column

TEXTS = ["lovely", "awful", "dull", "fine", "lovely", "awful lamp"]
RIGHT = ["positive", "negative", "negative", "positive", "positive", "negative"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run with a classifier of positive and negative."""
    return finished_run(tmp_path_factory.mktemp("true") / "outputs" / "run", classical())


def write(path, labels, name="label", texts=TEXTS):
    pd.DataFrame({"text": texts, name: labels}).to_csv(path, index=False)


def asked(run, folder, *more):  # noqa: F811
    code, _, err = run(folder, "--input", "in.csv", "--output", "o.csv", "--force", *more)
    return code, err


def test_accuracy_and_confusions_are_told(run, folder, tmp_path):  # noqa: F811
    write(tmp_path / "in.csv", ["positive", "negative", "negative", "negative", "", "negative"])
    code, err = asked(run, folder)
    assert code == 0
    assert "accuracy 0.8000: 4 of 5 rows have the label in column 'label'" in err
    table = [line.split() for line in err.splitlines() if line.startswith("  ")]
    assert table == [
        ["true", "\\", "predicted", "negative", "positive"],
        ["negative", "3", "1"],
        ["positive", "0", "1"],
    ]
    assert "warning" not in err
    assert "of them abstain" in asked(run, folder, "--threshold", "1")[1]
    (tmp_path / "in.csv").write_text("id,text\n1,fine\n")
    assert "accuracy" not in asked(run, folder)[1]


def test_numbers_stand_for_classes_in_their_order(run, folder, tmp_path):  # noqa: F811
    write(tmp_path / "in.csv", [int(name == "positive") for name in RIGHT], "target")
    assert "accuracy 1.0000: 6 of 6" in (said := asked(run, folder)[1])
    assert "(numbers, 0 for negative, 1 for positive)" in said


def test_labels_that_are_no_class_are_told_of(run, folder, tmp_path):  # noqa: F811
    write(tmp_path / "in.csv", ["Positive", "negative", "Positive", "neutral", "positive", " negative "])
    said = asked(run, folder)[1]
    assert (
        "warning: column 'label' has labels that are no class of this classifier: 'Positive' (2), 'neutral' (1)" in said
    )
    assert "looks like the class 'positive' and is 'Positive': they differ in upper and lower case" in said
    assert "accuracy 1.0000: 3 of 3 rows" in said
    write(tmp_path / "in.csv", ["5", "1", "1", "5", "5", "1"], "stars")
    assert "stars" not in asked(run, folder)[1]  # what the column holds is not said to be labels
    assert "'5' (3)" in asked(run, folder, "--label-column", "stars")[1]


def test_a_report_of_the_rows_is_written(run, folder, tmp_path):  # noqa: F811
    write(tmp_path / "in.csv", ["positive", "negative", "negative", "negative", "", "negative"])
    code, err = asked(run, folder, "--report", "rep")
    assert code == 0
    assert "the evaluation: rep/report.html" in err
    assert json.loads((tmp_path / "rep" / "metrics.json").read_text())["metrics"]["accuracy"] == 0.8
    page = (tmp_path / "rep" / "report.md").read_text()
    assert "5 rows of in.csv with a label in column label: accuracy 80.0 %" in page
    assert "1 of 5 rows with a label are wrong" in page
    assert "1 row has no label and is not scored" in page
    assert "data:image/png" in (tmp_path / "rep" / "report.html").read_text()
    code, _, err = run(folder, "--input", "in.csv", "--output", "p.csv", "--report", "rep")
    assert (code, "a report already" in err, (tmp_path / "p.csv").exists()) == (1, True, False)


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("text,n\nfine,1\n", ["--report", "rep"], "--report needs true labels: name their column with --label-column"),
        ("text,label\nfine,1\n", ["--label-column", "labl"], "no column 'labl'.*Did you mean 'label'"),
        ("text,label\nfine,soup\n", ["--report", "rep"], "no row of in.csv has a label that is a class"),
    ],
)
def test_what_cannot_be_scored_is_refused(run, folder, tmp_path, content, more, message):  # noqa: F811
    (tmp_path / "in.csv").write_text(content)
    code, err = asked(run, folder, *more)
    assert code == 1
    assert re.search(message, err), err


@pytest.mark.parametrize(
    ("names", "asked_for", "trained", "found"),
    [
        (["text", "label"], None, None, "label"),
        (["text", "Sentiment", "n"], None, None, "Sentiment"),
        (["text", "label", "score"], None, None, "label"),
        (["text", "score", "rating"], None, None, None),
        (["text", "mood", "label"], None, "mood", "mood"),
        (["text", "mood"], "mood", None, "mood"),
        (["text"], None, "label", None),
    ],
)
def test_the_column_of_the_labels(names, asked_for, trained, found):
    assert label_column(names, asked_for, trained, ("text", None, None)) == found


def test_latest_says_which_run_answers(run, folder, monkeypatch):  # noqa: F811
    monkeypatch.chdir(folder.parents[1])
    code, out, err = run("latest", "a lovely film")
    assert (code, out[:8]) == (0, "positive")
    assert err.startswith("latest is d/logreg/seed1: validation/accuracy 1.000, test/accuracy 1.000, run on ")
    assert "(outputs/run)" in err
    assert run(folder, "a lovely film")[2] == ""


def test_texts_are_set_beside_those_of_the_test(folder):
    def said(texts):
        seen = Seen()
        seen.add(texts, np.full((len(texts), 2), 0.8, dtype=np.float32))
        return familiarity(seen, folder)

    assert said(["text 1"] * 5) is None  # too few
    alike = said([f"text {number}" for number in range(0, 60, 2)])
    assert alike.startswith("beside the 200 texts that the run was tested on: 0% of the words")
    assert "predicted worse" not in alike
    other = said(["an entirely different matter " * 20] * 30)
    assert "100% of the words" in other
    assert other.endswith("may be predicted worse than the test scores say")
    assert familiarity(Seen(), None) is None


def test_labels_in_lists_of_one_and_in_fields_within_fields_are_found(run, folder, tmp_path):  # noqa: F811
    rows = [{"text": t, "meta": {"label": [label]}} for t, label in zip(TEXTS, RIGHT, strict=True)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ends = ["--input", "in.jsonl", "--output", "o.jsonl", "--label-column", "meta.label"]
    assert "of 6 rows have the label in column 'meta.label'" in run(folder, *ends)[2]
    pd.DataFrame({"text": TEXTS, "label": [json.dumps([label]) for label in RIGHT]}).to_csv("in.csv", index=False)
    code, err = asked(run, folder)
    assert (code, "of 6 rows have the label in column 'label'" in err) == (0, True)
