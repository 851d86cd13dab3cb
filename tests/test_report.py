from dataclasses import replace

from tests.test_records import RECORD
from textclf.report import run_report

FULL = replace(
    RECORD,
    metrics={"validation/accuracy": 0.5, "test/accuracy": 0.25},
    costs={"train_seconds": 1.0, "num_parameters": 10.0, "test_examples_per_second": 5.0},
    data={
        "source": "s",
        "fingerprint": "f",
        "examples": {"train": 1, "validation": 1, "test": 4},
        "label_names": ["a"],
    },
    fit={"epochs": [], "device": "cpu", "precision": "fp64"},
    environment={"textclf": "1", "torch": "2", "transformers": "5"},
)


def test_names_cannot_break_out_of_the_report():
    hostile = "x | y ](http://evil) <img src=x>\n# heading"
    figures = {"precision": None, "recall": 0.5, "f1": 0.5, "support": 4.0}
    report = run_report(replace(FULL, name=hostile), {hostile: figures}, ["a.png"])
    assert "\n# heading" not in report.replace("# x", "", 1)
    assert "<img" not in report.replace("\\<img", "")
    row = next(line for line in report.splitlines() if line.startswith("| x"))
    assert row.replace("\\|", "").count("|") == 6
    assert "–" in row


def test_it_shows_scores_facts_and_pictures():
    report = run_report(FULL, {}, ["confusion_matrix.png"])
    assert "| accuracy |" in report
    assert "0.2500" in report
    assert "![confusion matrix](figures/confusion_matrix.png)" in report
