"""Descriptions of runs and sweeps in the tracker."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tracking.test_record import RECORD
from textclf.evaluation.predictions import Predictions
from textclf.experiment.notes import (
    best_figures,
    best_run,
    costs_words,
    is_collapsed,
    rounded_figures,
    run_note,
    sweep_note,
)

LABELS = np.array([0] * 50 + [1] * 50)


def run(name, validation, test=0.5, **changes):
    metrics = {"validation/accuracy": validation, "test/accuracy": test, "validation/ece": 0.1}
    return replace(RECORD, name=name, metrics=metrics, data={"test_fingerprint": "t"}, **changes)


def predicted(right):
    """Return predictions of which the first so many are right."""
    answers = np.where(np.arange(100) < right, LABELS, 1 - LABELS)
    return Predictions(LABELS, np.eye(2, dtype=np.float32)[answers], ("a", "b"))


COLLAPSED = {"warnings": ["collapse: all 10 validation predictions are 'a'."]}


@pytest.mark.parametrize(
    ("right", "fit", "verdict"),
    [
        (90, {}, "Better than always giving the most frequent class (accuracy 0.5000)."),
        (55, {}, "Not shown to be more often right than"),
        (10, {}, "Less often right than"),
        (50, COLLAPSED, "It has collapsed"),
    ],
)
def test_a_run_says_what_it_is_its_score_a_verdict_and_its_folder(right, fit, verdict):
    note = run_note(run("r", 0.5, right / 100, fit=fit), predicted(right), Path("/runs/here"))
    assert note.startswith(f"m on d, seed 1: test accuracy 0.{right}00 on 100 test examples. {verdict}")
    assert note.endswith("Folder: /runs/here")


def test_folds_are_named():
    assert " on 5 folds of 100 test examples." in run_note(run("r", 0.5, folds={"folds": 5}), predicted(90), Path("/r"))


def test_costs_are_said_where_they_were_measured():
    costs = {"train_seconds": 0.017, "folds_seconds": 75.0, "latency_median_seconds": 0.0042, "size_bytes": 268e6}
    assert costs_words(replace(RECORD, costs=costs)) == "1 min 15 s training, 4.2 ms a text, 268 MB"
    assert costs_words(replace(RECORD, costs={})) == ""


def test_the_best_run_is_chosen_on_validation_and_has_not_collapsed():
    worse, best = run("worse", 0.7, 0.95), run("best", 0.8, 0.81234)
    collapsed = run("collapsed", 0.9, fit=COLLAPSED)
    assert best_run([worse, collapsed, best]) is best
    assert best_figures(best) == {"test/accuracy": 0.8123, "validation/accuracy": 0.8}
    assert best_run([collapsed]) is None
    assert best_run([]) is None


@pytest.mark.parametrize(("others", "collapsed"), [("", False), (" and 2 more", False), (" and 4 more", True)])
def test_folds_have_collapsed_where_all_of_them_have(others, collapsed):
    fit = {"warnings": [f"in fold 1{others}: collapse: all 10 validation predictions are 'a'."]}
    assert is_collapsed(run("r", 0.5, folds={"folds": 5}, fit=fit)) is collapsed


def test_lower_is_better_where_the_objective_is_a_loss():
    low, high = (replace(run(str(loss), 0.5), metrics={"validation/log_loss": loss}, objective="validation/log_loss")
                 for loss in (0.2, 0.4))  # fmt: skip
    assert best_run([high, low]) is low


@pytest.mark.parametrize("other", [{"data": {"test_fingerprint": "u"}}, {"folds": {"fingerprint": "f"}}])
def test_runs_on_different_test_sets_have_no_best(other):
    assert best_run([run("a", 0.7), replace(run("b", 0.8), **other)]) is None


def test_a_sweep_says_which_run_its_scores_are_of():
    note = sweep_note(run("best", 0.8, 0.75), 3, "**d** the verdicts", Path("/s"))
    assert "3 runs finished. Folder: /s" in note
    assert "those of best, the best on validation (validation/accuracy 0.8000)" in note
    assert note.endswith("**d** the verdicts")
    assert "has no scores" in sweep_note(None, 2, "", Path("/s"))
    assert "scores" not in sweep_note(None, 0, "", Path("/s"))
    assert len(sweep_note(None, 2, "x" * 9000, Path("/s"))) <= 5000


def test_four_digits():
    figures = {"a": 0.912345, "b": 0.0123456, "c": 22713986.0, "d": 1.23456, "e": 1.0, "f": float("inf")}
    assert rounded_figures(figures) == {
        "a": 0.9123,
        "b": 0.01235,
        "c": 22713986.0,
        "d": 1.235,
        "e": 1.0,
        "f": figures["f"],
    }
    assert str(rounded_figures({"g": float("nan")})["g"]) == "nan"
