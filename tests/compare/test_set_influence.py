"""Scores of sets of labels as means over examples: they are scikit-learn's, with the variance that a bootstrap finds."""

import doctest

import numpy as np
import pytest
from sklearn.metrics import f1_score, hamming_loss

from textclf.compare.statistics import OF_SETS, label_f1_values, scores_of_means, set_bootstrap, set_influence
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.label_sets.set_predictions import SetPredictions

SHARES = np.array([0.45, 0.3, 0.2, 0.12, 0.08])


def sets(n, seed=0, wrong=0.15):
    """Return sets of labels and what three seeds give, of which a part is wrong: bool (n, L), (3, n, L)."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, len(SHARES))) < SHARES
    return truth, truth ^ (rng.random((3, n, len(SHARES))) < wrong * SHARES / SHARES.mean())


TRUTH, GIVEN = sets(400)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(set_influence) == (0, 6)


@pytest.mark.parametrize("given", GIVEN)
def test_the_mean_of_the_values_is_the_metric(given):
    found = {name: values(TRUTH, given).mean() for name, values in OF_SETS.items()}
    assert found["macro_f1"] == pytest.approx(f1_score(TRUTH, given, average="macro"), abs=1e-12)
    assert found["micro_f1"] == pytest.approx(f1_score(TRUTH, given, average="micro"), abs=1e-12)
    assert found["hamming_loss"] == pytest.approx(hamming_loss(TRUTH, given), abs=1e-12)
    assert label_f1_values(TRUTH, given).mean(axis=0) == pytest.approx(f1_score(TRUTH, given, average=None), abs=1e-12)
    of_a_run = evaluate_sets(SetPredictions(TRUTH, given.astype(np.float32), tuple("abcde"), np.full(5, 0.5)))
    assert found == pytest.approx({name: of_a_run[name] for name in found}, abs=1e-12)


@pytest.mark.parametrize("metric", OF_SETS)
def test_the_variance_is_that_of_a_bootstrap_over_examples(metric):
    truth, given = sets(1500, seed=3)
    drawn = set_bootstrap(truth, given, 4000)[metric]
    scores = scores_of_means([[OF_SETS[metric](truth, one)] for one in given])
    assert np.diag(scores.covariance) == pytest.approx(drawn.var(axis=1, ddof=1), rel=0.05)
    gap = scores.covariance[0, 0] + scores.covariance[1, 1] - 2 * scores.covariance[0, 1]
    assert gap == pytest.approx((drawn[0] - drawn[1]).var(ddof=1), rel=0.05)


def test_a_label_that_does_not_occur_and_is_not_given_has_no_f1():
    truth, given = (np.column_stack([one, np.zeros(len(one), bool)]) for one in (TRUTH, GIVEN[0]))
    assert np.isnan(label_f1_values(truth, given)[:, -1]).all()
    assert np.isnan(OF_SETS["macro_f1"](truth, given)).all()
    assert OF_SETS["micro_f1"](truth, given) == pytest.approx(OF_SETS["micro_f1"](TRUTH, GIVEN[0]))
    nothing = np.zeros((5, 2), bool)
    assert np.isnan(OF_SETS["micro_f1"](nothing, nothing)).all()
    assert OF_SETS["subset_accuracy"](nothing, nothing).mean() == 1


def test_a_draw_without_a_label_leaves_it_out_of_its_macro_f1():
    truth = np.zeros((20, 2), bool)
    truth[:10, 0], truth[0, 1] = True, True  # the second occurs once, so that a third of the draws are without it
    drawn = set_bootstrap(truth, truth[None], 200)
    assert (drawn["macro_f1"] == 1).all()
    assert (drawn["micro_f1"] == 1).all()
