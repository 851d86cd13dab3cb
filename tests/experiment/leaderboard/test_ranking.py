"""Setups in their order, seeds in one row, test sets apart."""

import math

import pytest

from tests.experiment.leaderboard.folders import finished, sweep
from textclf.evaluation.proportions import Proportion
from textclf.experiment.leaderboard.entries import read_entries
from textclf.experiment.leaderboard.ranking import rankings, wilson


def ranked(folder):
    found = read_entries(folder)
    return rankings(found.finished, found.sweeps)


def test_seeds_are_one_row_with_mean_and_deviation_and_the_best_is_first(tmp_path):
    for seed, score in ((1, 0.7), (2, 0.8), (3, 0.9)):
        finished(tmp_path / f"bert{seed}", "bert", seed, score, fit={"draws_seed": True})
    finished(tmp_path / "bayes", "bayes", 1, 0.75)
    finished(tmp_path / "svm", "svm", 1, 0.85)
    (ranking,) = ranked(tmp_path)
    assert [(row.name, row.seeds) for row in ranking.rows] == [("svm", 1), ("bert", 3), ("bayes", 1)]
    bert = ranking.rows[1]
    assert bert.score == pytest.approx(0.8)
    assert bert.deviation == pytest.approx(0.1)
    assert math.isnan(ranking.rows[0].deviation)


def test_a_repeated_seed_counts_once_the_first_of_them(tmp_path):
    finished(tmp_path / "b", score=0.9, started="2026-01-02T00:00:00+00:00")
    finished(tmp_path / "a", score=0.6, started="2026-01-01T00:00:00+00:00")
    ((row,),) = (ranking.rows for ranking in ranked(tmp_path))
    assert (row.score, row.seeds, len(row.runs)) == (0.6, 1, 2)


def test_a_model_without_chance_has_no_deviation(tmp_path):
    for seed in (1, 2):
        finished(tmp_path / str(seed), seed=seed, fit={"draws_seed": False})
    ((row,),) = (ranking.rows for ranking in ranked(tmp_path))
    assert math.isnan(row.deviation)


def test_of_a_loss_less_is_better(tmp_path):
    for model, loss in (("bad", 0.9), ("good", 0.2)):
        metrics = {"validation/log_loss": loss, "test/log_loss": loss}
        finished(tmp_path / model, model, objective="validation/log_loss", metrics=metrics)
    finished(tmp_path / "none", "undefined", objective="validation/log_loss", metrics={})
    (ranking,) = ranked(tmp_path)
    assert [row.name for row in ranking.rows] == ["good", "bad", "undefined"]


def test_other_test_sets_and_folds_are_rankings_of_their_own(tmp_path):
    finished(tmp_path / "a", started="2026-01-01T00:00:00+00:00")
    finished(tmp_path / "b", dataset="imdb", started="2026-01-03T00:00:00+00:00")
    folds = {"folds": 5, "repeats": 2, "fingerprint": "f"}
    finished(tmp_path / "c", folds=folds, started="2026-01-02T00:00:00+00:00")
    found = ranked(tmp_path)
    assert [(ranking.dataset, ranking.folds) for ranking in found] == [
        ("imdb", ""),
        ("reviews", "5 folds drawn 2 times"),
        ("reviews", ""),
    ]
    assert all(len(ranking.rows) == 1 for ranking in found)


def test_setups_of_a_model_are_told_apart_by_what_their_commands_gave(tmp_path):
    for rate in ("1e-5", "2e-5"):
        finished(tmp_path / rate, "bert", given=(f"trainer.learning_rate={rate}", "trainer.epochs=3"))
    finished(tmp_path / "a", "quiet", command="", config={"model": {"a": 1}})
    finished(tmp_path / "b", "quiet", command="", config={"model": {"a": 2}})
    (ranking,) = ranked(tmp_path)
    assert {row.name for row in ranking.rows} == {
        "bert learning_rate=1e-5",
        "bert learning_rate=2e-5",
        "quiet #1",
        "quiet #2",
    }


def test_sets_of_labels_are_ranked_with_the_share_of_whole_sets_that_are_right(tmp_path):
    for model, f1 in (("bayes", 0.6), ("svm", 0.7)):
        scores = {"test/macro_f1": f1, "test/micro_f1": f1 + 0.1, "test/subset_accuracy": f1 - 0.1}
        metrics = scores | {"validation/macro_f1": 0.5}
        finished(tmp_path / model, model, metrics=metrics, objective="validation/macro_f1")
    (ranking,) = ranked(tmp_path)
    assert ranking.has_sets
    assert [(row.name, row.score) for row in ranking.rows] == [("svm", 0.7), ("bayes", 0.6)]
    first = ranking.rows[0]
    assert (first.of_test("micro_f1"), first.accuracy) == pytest.approx((0.8, 0.6))
    assert first.interval == pytest.approx(wilson(0.6, 100))
    assert first.of_test("accuracy") is None


def test_of_a_search_its_best_trial_on_validation_stands_for_all(tmp_path):
    folder = sweep(tmp_path / "s", search=True)
    for job, (chosen, tested) in enumerate([(0.9, 0.6), (0.8, 0.95)]):
        metrics = {"validation/accuracy": chosen, "test/accuracy": tested}
        finished(folder / f"job{job}", given=(f"model.alpha={job}",), metrics=metrics)
    finished(tmp_path / "alone", "svm", score=0.5)
    (ranking,) = ranked(tmp_path)
    assert [(row.score, row.trials) for row in ranking.rows] == [(0.6, 2), (0.5, 0)]


@pytest.mark.parametrize(("right", "total"), [(0, 10), (7, 10), (10, 10), (9000, 10_000)])
def test_the_interval_is_that_of_proportions(right, total):
    assert wilson(right / total, total) == pytest.approx(Proportion(right, total).interval)
    assert wilson(0.5, 0) is None
