import json
import shutil

from textclf.app import facts
from textclf.predict.examples_to_try import LONGEST_EXAMPLE, examples
from textclf.tracking.record import read_record


def test_a_run_says_its_scores_costs_and_failures(outputs):
    folder = outputs / "runs" / "first"
    record, analysis = read_record(folder), facts.read_analysis(folder)
    scores = facts.metrics_table(record)
    assert scores.rows[0][0].text == "macro F1 (selected by)"
    assert scores.rows[0][1].text == f"{record.metrics['test/macro_f1']:.3f}"
    assert any(row[0] == "Parameters" for row in facts.costs_table(record).rows)
    wrong = round(40 * (1 - record.metrics["test/accuracy"]))
    assert facts.failing(analysis)[0].startswith(f"{wrong} of 40 test examples are wrong.")
    assert {"confusion_matrix", "roc_curve"} <= {figure.path.stem for figure in facts.figures(folder)}
    assert facts.report_page(folder).startswith(b"<!DOCTYPE html>")


def test_what_an_older_run_lacks_is_left_out(tmp_path):
    assert facts.read_analysis(tmp_path) == {}
    assert facts.failing({}) == []
    assert facts.confused_table({}) is facts.mistakes_table({}) is facts.report_page(tmp_path) is None
    assert facts.figures(tmp_path) == []
    (tmp_path / "analysis.json").write_text(json.dumps(["odd"]))
    assert facts.read_analysis(tmp_path) == {}


def test_costs_have_units():
    assert facts.format_cost("size_bytes", 2_500_000) == "2.5 MB"
    assert facts.format_cost("size_bytes", 2.5e9) == "2,500 MB"
    assert facts.format_cost("latency_median_seconds", 0.00123) == "1.2 ms"
    assert facts.format_cost("train_seconds", 1234.5) == "1,234.5 s"
    assert facts.format_cost("num_parameters", 15909.0) == "15,909"


def test_a_run_says_what_it_is_and_offers_its_own_examples(outputs, tmp_path):
    folder = outputs / "runs" / "first"
    record = read_record(folder)
    said = facts.introduction(record)
    assert said.startswith(
        "naive_bayes, trained on 80 examples of reviews, tells apart negative and positive. It was right "
    )
    assert said.endswith("on 40 test examples.")
    found = examples(folder)
    assert {one.what for one in found} <= {"sure and right", "sure and wrong", "unsure"}
    assert found[0].what == "sure and right"
    assert len({one.text for one in found}) == len(found)
    assert all(0 < len(one.text) <= LONGEST_EXAMPLE and one.text_pair is None for one in found)
    assert examples(tmp_path) == []
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    (copy / "predictions.parquet").write_bytes(b"PAR1")
    assert examples(copy) == []
