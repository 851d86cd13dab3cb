"""The simulation of cross-validations: its learners, its rule, and a small run."""

import sys

import numpy as np
import pytest

from experiments import fold_calibration, simulated_learners
from experiments.fold_calibration import DRAWS, Cell, as_kept, chosen, kept_of, passes_of
from experiments.simulated_learners import LEARNERS, POPULATIONS, predictions, stratified
from textclf.compare.statistics import differences, example_weights, fold_scores, fold_scores_of_confusions

RNG = np.random.default_rng(0)
SAMPLE = POPULATIONS["uneven"](150, RNG)
PARTITIONS = {5: np.stack([stratified(SAMPLE.labels, 5, RNG) for _ in range(3)])}


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize(("seeds", "repeats"), [(1, 1), (3, 3)])
def test_the_rule_that_is_judged_is_that_of_the_library(metric, seeds, repeats):
    weights = np.concatenate(list(example_weights(150, DRAWS)))
    predicted = {
        name: predictions(name, SAMPLE, PARTITIONS, 3, np.random.default_rng(1))[5] for name in ("random_tree", "bayes")
    }
    sides = [passes_of(SAMPLE, rows, PARTITIONS[5], weights) for rows in predicted.values()]
    cell = Cell("chosen on", "uneven", 150, "random_tree", "bayes", metric, 5, repeats, seeds)
    kept = as_kept(np.array([kept_of(cell, *sides, (sides[0], sides[1]), PARTITIONS[5][0] == 0)]))
    variance, freedom = chosen(cell, kept)
    rows, parts = [given[:seeds, :repeats] for given in predicted.values()], PARTITIONS[5][:repeats]
    if metric == "accuracy":
        scores = fold_scores([given == SAMPLE.labels for given in rows], parts)
    else:
        scores = fold_scores_of_confusions(SAMPLE.labels, rows, 3, [metric], parts, DRAWS)[metric]
    expected = differences(scores, 0, 1)
    assert kept["difference"][0] == pytest.approx(expected.value[0])
    assert variance[0] == pytest.approx(expected.standard_error[0] ** 2)
    assert freedom[0] == pytest.approx(expected.degrees_of_freedom[0])


@pytest.mark.parametrize("learner", [*LEARNERS, "nearest"])
def test_no_learner_sees_the_label_that_it_predicts(learner):
    """A label is changed, and what is predicted of this example stays."""
    population = "words" if "word" in learner else "uneven"
    sample = POPULATIONS[population](120, np.random.default_rng(2))
    folds = {4: stratified(sample.labels, 4, np.random.default_rng(3))[None]}
    before = predictions(learner, sample, folds, 1, np.random.default_rng(4))[4]
    labels = sample.labels.copy()
    labels[7] = (labels[7] + 1) % sample.num_labels
    changed = simulated_learners.Sample(sample.features, labels, sample.num_labels)
    after = predictions(learner, changed, folds, 1, np.random.default_rng(4))[4]
    same_fold = folds[4][0] == folds[4][0, 7]
    assert np.array_equal(before[..., same_fold], after[..., same_fold])


def test_folds_have_as_many_of_each_class_as_can_be():
    folds = stratified(SAMPLE.labels, 5, RNG)
    for label in range(3):
        counts = np.bincount(folds[SAMPLE.labels == label], minlength=5)
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(folds)) <= 1


def test_a_quick_run_writes_the_page_and_goes_on_from_what_was_kept(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    command = ["fold_calibration.py", "--quick", "--half", "judged on", "--keep", str(tmp_path), "--write", str(page)]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(fold_calibration, "SIZES", {60: 4})
    monkeypatch.setattr(fold_calibration, "HALVES", {"judged on": {"rings": [("random_tree", "nearest")]}})
    fold_calibration.main()
    first = page.read_text()
    assert "the target of 6% of false claims is" in first
    assert "| rings        | random_tree | nearest" in first
    monkeypatch.setattr(fold_calibration, "simulate", None)
    fold_calibration.main()
    assert page.read_text() == first
