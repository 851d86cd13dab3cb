"""Tests over draws: against scipy, and with what is added to their variance."""

import numpy as np
import pytest
from scipy import stats

from textclf.compare.draws import error_of_score, error_of_test, separate_draws, shared_draws

A = np.array([0.81, 0.84, 0.79, 0.86, 0.83])
B = np.array([0.78, 0.80, 0.77, 0.83, 0.81])


def test_shared_draws_are_students_t_of_their_differences():
    found = shared_draws(A, B, unit=0.0001).estimate()
    expected = stats.ttest_rel(A, B)
    assert found.p_values()[0] == pytest.approx(expected.pvalue)
    assert [end[0] for end in found.interval()] == pytest.approx(tuple(expected.confidence_interval()))


def test_separate_draws_claim_less_than_welch_and_have_its_degrees_of_freedom():
    found = separate_draws(A, B[:4], unit=0.0001).estimate()
    welch = stats.ttest_ind(A, B[:4], equal_var=False)
    assert found.value[0] == pytest.approx(A.mean() - B[:4].mean())
    assert found.p_values()[0] > welch.pvalue
    expected = np.sqrt(A.var(ddof=1) / 4 + B[:4].var(ddof=1) / 3)  # one draw less: a correction for few
    assert found.standard_error[0] == pytest.approx(expected)


def test_test_examples_widen_the_interval_by_what_independent_errors_would():
    examples = error_of_test(0.8, 0.7, 500)
    assert examples == pytest.approx((0.8 * 0.2 + 0.7 * 0.3) / 500)
    found = shared_draws(A, B, 0.0001, examples, 500).estimate()
    assert found.standard_error[0] ** 2 == pytest.approx((A - B).var(ddof=1) / 4 + examples)
    assert found.seed_share[0] == pytest.approx((A - B).var(ddof=1) / 4 / found.standard_error[0] ** 2)
    assert error_of_test(1.0, 1.0, 50) > 0  # fifty right answers are no proof of a hundred


def test_folds_share_training_examples():
    folds = shared_draws(A, B, 0.0001, folds=True)
    ratio = folds.estimate().standard_error / shared_draws(A, B, 0.0001).estimate().standard_error
    assert ratio[0] == pytest.approx(np.sqrt(1 + 5 / 4))  # Nadeau & Bengio: 1/k + test/train instead of 1/k
    assert folds.needed_draws(0.05) is None


def test_scores_that_were_rounded_alike_prove_little():
    same = shared_draws(np.full(3, 0.9), np.full(3, 0.8), unit=0.1).estimate()
    assert same.p_values()[0] > 0.05
    assert shared_draws(np.full(3, 0.9), np.full(3, 0.8), unit=0.001).estimate().p_values()[0] < 0.001


def test_the_draws_that_it_would_take_are_the_fewest_that_do():
    rng = np.random.default_rng(0)
    gaps = 0.01 + 0.03 * rng.standard_normal(5)
    test = shared_draws(gaps, np.zeros(5), 0.0001)
    needed = test.needed_draws(0.05)
    assert needed is not None
    detectable = [test.estimate(np.array([float(k)])).smallest_detectable(0.05)[0] for k in (needed - 1, needed)]
    assert detectable[1] <= abs(gaps.mean()) < detectable[0]
    assert shared_draws(gaps, np.zeros(5), 0.0001, error_of_test(0.5, 0.5, 20), 20).needed_draws(0.05) is None


def test_a_score_is_known_by_its_draws_and_its_test_examples():
    alone = error_of_score(A, 0.0001, None)
    low, high = stats.t.interval(0.95, 4, A.mean(), A.std(ddof=1) / np.sqrt(5))
    assert [end[0] for end in alone.interval()] == pytest.approx([low, high])
    one = error_of_score(A[:1], 0.0001, 100)
    assert one.standard_error[0] == pytest.approx(np.sqrt(0.81 * 0.19 / 100))
