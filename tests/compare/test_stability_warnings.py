"""Runs that went wrong are named where they are compared."""

import numpy as np
import pytest

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.compare_runs import compare
from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import scores_table
from textclf.compare.options import CompareOptions
from textclf.compare.runs import find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.compare.summary import pareto_front


def test_a_collapsed_run_is_named_in_the_table_the_report_and_the_notes(tmp_path, capsys):
    labels = labels_of(60)
    for seed in (1, 2, 3):
        write_run(tmp_path / f"a{seed}", "steady", seed, labels, guess(labels, 0.9, seed))
        predicted = np.ones_like(labels) if seed == 2 else guess(labels, 0.8, seed)
        fit = {"device": "cpu", "warnings": ["divergence: the mean training loss"] if seed == 3 else []}
        write_run(tmp_path / f"b{seed}", "shaky", seed, labels, predicted, fit=fit)
    compare([tmp_path], CompareOptions(), tmp_path / "out")
    shown, report = capsys.readouterr().out, (tmp_path / "out" / "report.md").read_text("utf-8")
    for said in (shown, report.replace("\\", "")):
        assert "shaky (collapsed: 1 of 3)" in said
        assert "shaky collapsed with seed 2 (1 of 3)" in said
        assert "shaky, seed 3: divergence" in said
        assert "steady (collapsed" not in said


def test_a_model_that_is_meant_to_say_one_thing_has_not_collapsed(tmp_path, capsys):
    labels = labels_of(60)
    dummy = {"classifier": {"_target_": "sklearn.dummy.DummyClassifier"}}
    write_run(tmp_path / "a", "majority", 1, labels, np.ones_like(labels), options=dummy)
    write_run(tmp_path / "b", "steady", 1, labels, guess(labels, 0.9, 1))
    compare([tmp_path], CompareOptions(), tmp_path / "out")
    assert "collapsed" not in capsys.readouterr().out


def compared(folder):
    (test,) = shared_tests(find_runs([folder]).runs)
    return Comparison(TestScores(test), CompareOptions())


def write(folder, model, predicted, labels, **costs):
    base = {"train_seconds": 2.0, "test_examples_per_second": 100.0, "latency_median_seconds": 0.01}
    write_run(folder / model, model, 1, labels, predicted, costs={**base, **costs})


def test_a_collapsed_setup_is_neither_cheaper_nor_best_nor_unbeaten(tmp_path):
    labels = np.array([0] * 110 + [1] * 90)
    write(tmp_path, "stuck", np.zeros(200, int), labels, num_parameters=10.0, train_seconds=1.0)
    write(tmp_path, "trained", guess(labels, 0.5, 1), labels, num_parameters=1000.0)
    comparison = compared(tmp_path)
    assert comparison.rows[0].name == "stuck"
    assert comparison.best.name == "trained"
    assert comparison.reference.name == "trained"
    assert "cheaper" not in comparison.sentences(comparison.pairs)[0]
    strong = [row[0].text for row in scores_table(comparison).rows if row[0].strong]
    assert strong == ["trained"]
    for cost in ("train_seconds", "num_parameters"):
        assert pareto_front(comparison.rows, "accuracy", cost) == ["trained"]


def test_setups_that_have_all_collapsed_are_still_compared(tmp_path):
    labels = np.array([0] * 110 + [1] * 90)
    for number, name in enumerate(("stuck", "fixed")):
        write(tmp_path / "runs", name, np.full(200, number), labels, num_parameters=10.0 + number)
    compare([tmp_path / "runs"], CompareOptions(), tmp_path / "out")
    assert "collapsed" in (tmp_path / "out" / "report.md").read_text("utf-8")


def said_of(tmp_path, first, second):
    labels = labels_of(200)
    write(tmp_path, "first", guess(labels, 0.8, 1), labels, **first)
    write(tmp_path, "second", guess(labels, 0.8, 2), labels, **second)
    comparison = compared(tmp_path)
    return comparison.sentences(comparison.pairs)[0]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((10.0, 50.0), (1000.0, 100.0), "first is the smaller one, with 1 % of the parameters, but at 0.5 times the speed."),
        ((10.0, 200.0), (1000.0, 100.0), "first is the cheaper one, with 1 % of the parameters at 2.0 times the speed."),
        ((10.0, 100.0), (10.0, 300.0), "second is the cheaper one, at 3.0 times the speed."),
        ((None, 300.0), (10.0, 100.0), "first is the cheaper one, at 3.0 times the speed."),
        ((0.0, 100.0), (10.0, 100.0), "would usually go unnoticed."),
        ((10.0, 100.0), (10.0, 100.0), "would usually go unnoticed."),
        ((10.0, 110.0), (10.0, 100.0), "would usually go unnoticed."),
        ((10.0, 110.0, 70.0), (10.0, 100.0, 7.0), "second is the cheaper one, trained in 10 % of the time."),
        ((10.0, 300.0, 7.0), (10.0, 100.0, 14.0), "first is the cheaper one, at 3.0 times the speed, trained in 50 % of the time."),
        ((10.0, 300.0, 14.0), (10.0, 100.0, 7.0), "first is the faster one, at 3.0 times the speed, but with 2.0 times the time of training."),
        ((10.0, 100.0, 90.0), (1000.0, 100.0, 30.0), "first is the smaller one, with 1 % of the parameters at 1.0 times the speed, but with 3.0 times the time of training."),
        ((10.0, 100.0, 0.9), (1000.0, 100.0, 0.1), "first is the cheaper one, with 1 % of the parameters at 1.0 times the speed."),
    ],
)  # fmt: skip
def test_cheaper_is_said_of_no_slower_one_nor_of_what_was_not_counted(first, second, said, tmp_path):
    names = ("num_parameters", "test_examples_per_second", "train_seconds")
    costs = [
        {name: cost for name, cost in zip(names, given, strict=False) if cost is not None} for given in (first, second)
    ]
    assert said_of(tmp_path, *costs).endswith(said)
