"""Runs that went wrong are named where they are compared."""

import numpy as np

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.compare_runs import compare
from textclf.compare.options import CompareOptions


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
