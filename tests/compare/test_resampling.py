import numpy as np
import pytest
from sklearn import metrics as sk

from textclf.compare.resampling import (
    OF_CONFUSIONS,
    bootstrap,
    confusions,
    drawn_confusions,
    example_weights,
)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 400)
PREDICTED = np.where(RNG.random((2, 400)) < 0.7, LABELS, RNG.integers(0, 3, (2, 400)))
OURS_AND_THEIRS = {
    "accuracy": sk.accuracy_score,
    "macro_f1": lambda a, b: sk.f1_score(a, b, average="macro"),
    "weighted_f1": lambda a, b: sk.f1_score(a, b, average="weighted"),
    "macro_precision": lambda a, b: sk.precision_score(a, b, average="macro"),
    "weighted_precision": lambda a, b: sk.precision_score(a, b, average="weighted"),
    "macro_recall": lambda a, b: sk.recall_score(a, b, average="macro"),
    "weighted_recall": lambda a, b: sk.recall_score(a, b, average="weighted"),
    "mcc": sk.matthews_corrcoef,
}


@pytest.mark.parametrize("metric", OF_CONFUSIONS)
def test_each_metric_is_that_of_scikit_learn(metric):
    ours = OF_CONFUSIONS[metric](confusions(LABELS, PREDICTED[0], 3))
    assert float(ours) == pytest.approx(OURS_AND_THEIRS[metric](LABELS, PREDICTED[0]))


def test_weights_are_draws_with_replacement_and_the_same_each_time():
    weights = np.concatenate(list(example_weights(400, 50)))
    assert weights.shape == (50, 400)
    assert (weights.sum(axis=1) == 400).all()
    assert weights.var() == pytest.approx(1, rel=0.05)  # nearly Poisson
    assert np.array_equal(weights, np.concatenate(list(example_weights(400, 50))))


@pytest.mark.parametrize("num_labels", [3, 9])
def test_a_draw_is_scored_as_if_its_examples_were_given(num_labels):
    """Both ways of counting: dense with few classes, sparse with many."""
    labels = RNG.integers(0, num_labels, 120)
    predicted = RNG.integers(0, num_labels, (2, 120))
    weights = next(example_weights(120, 4))
    counts = drawn_confusions(labels, predicted, num_labels, weights)
    for run in range(2):
        for draw in range(4):
            chosen = np.repeat(np.arange(120), weights[draw].astype(int))
            expected = confusions(labels[chosen], predicted[run][chosen], num_labels)
            assert np.array_equal(counts[run, draw], expected)


def test_blocks_do_not_change_the_result(monkeypatch):
    whole = bootstrap(LABELS, PREDICTED, 3, ["macro_f1"], 40)["macro_f1"]
    monkeypatch.setattr("textclf.compare.resampling.BLOCK_BYTES", 4 * 400 * 7)
    parts = bootstrap(LABELS, PREDICTED, 3, ["macro_f1"], 40)["macro_f1"]
    assert np.array_equal(whole, parts)


def test_bootstrap_has_the_error_of_the_theory():
    drawn = bootstrap(LABELS, PREDICTED, 3, ["accuracy"], 2000)["accuracy"]
    right = (PREDICTED == LABELS).mean(axis=1)
    assert drawn.std(axis=1) == pytest.approx(np.sqrt(right * (1 - right) / 400), rel=0.06)


def test_a_class_that_a_draw_leaves_out_does_not_count():
    matrix = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert OF_CONFUSIONS["macro_f1"](matrix) == 1
    assert OF_CONFUSIONS["mcc"](np.array([[5.0, 0], [5, 0]])) == 0
