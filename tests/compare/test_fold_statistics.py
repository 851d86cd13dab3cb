"""The scores of cross-validations and their error, against hand-worked cases, known variances and degenerate ones."""

import numpy as np
import pytest

from textclf.compare.statistics import (
    FEW_FOLDS,
    OF_CONFUSIONS,
    SHARED,
    confusions,
    differences,
    fold_scores,
    fold_scores_of_confusions,
    levels,
)

RNG = np.random.default_rng(0)
FOLDS = np.stack([RNG.permutation(np.arange(60) % 5) for _ in range(3)])
LABELS = RNG.integers(0, 3, 60)
A, B = (np.where(RNG.random((seeds, 3, 60)) < 0.7, LABELS, RNG.integers(0, 3, (seeds, 3, 60))) for seeds in (2, 1))


def test_a_difference_of_one_repeat_worked_by_hand():
    parts = np.array([[0, 0, 0, 1, 1, 1]])
    a = np.array([[[1, 1, 1, 0, 1, 0]]])
    b = np.array([[[0, 0, 1, 0, 1, 0]]])
    estimate = differences(fold_scores([a, b], parts), 0, 1)
    examples = np.array([1, 1, 0, 0, 0, 0]).var(ddof=1) / 6
    folds = np.array([2 / 3, 0]).var(ddof=1) / 2 * (1 + FEW_FOLDS / 1)
    trainings = folds - examples
    assert estimate.value[0] == pytest.approx(1 / 3)
    assert estimate.standard_error[0] ** 2 == pytest.approx(SHARED * examples + trainings)
    assert estimate.seed_share[0] == pytest.approx(trainings / (SHARED * examples + trainings))
    total = SHARED * examples + trainings
    assert estimate.degrees_of_freedom[0] == pytest.approx(total**2 / (trainings**2 / 1 + (SHARED * examples) ** 2 / 5))


def test_folds_that_vary_no_more_than_examples_add_nothing():
    values = np.tile([1.0, 0.0], 30)[None, None]
    parts = (np.arange(60) // 2 % 5)[None]
    scores = fold_scores([values, np.zeros_like(values)], parts)
    estimate = differences(scores, 0, 1)
    assert estimate.seed_share[0] == 0
    assert estimate.standard_error[0] ** 2 == pytest.approx(SHARED * values.var(ddof=1) / 60)


def test_accuracy_is_the_same_as_a_mean_and_as_a_function_of_the_matrix():
    mean = fold_scores([A == LABELS, B == LABELS], FOLDS)
    matrix = fold_scores_of_confusions(LABELS, [A, B], 3, ["accuracy"], FOLDS, draws=4000)["accuracy"]
    assert mean.folds is not None
    assert matrix.folds is not None
    assert np.allclose(mean.folds.by_fold, matrix.folds.by_fold)
    assert np.allclose(mean.covariance, matrix.covariance, rtol=0.1, atol=2e-4)
    assert np.allclose(mean.folds.covariance, matrix.folds.covariance, rtol=0.1, atol=2e-4)
    assert np.allclose(mean.means, [(A == LABELS).mean(), (B == LABELS).mean()])


def test_with_folds_of_one_size_the_score_of_a_fold_is_its_mean():
    scores = fold_scores([A == LABELS], FOLDS)
    assert scores.folds is not None
    for repeat, fold in np.ndindex(3, 5):
        inside = FOLDS[repeat] == fold
        expected = (A == LABELS)[:, repeat, inside].mean()
        assert scores.folds.by_fold[0, repeat, fold] == pytest.approx(expected)


def test_a_score_is_that_of_all_predictions_of_a_repeat():
    scores = fold_scores_of_confusions(LABELS, [A, B], 3, ["macro_f1"], FOLDS, draws=50)["macro_f1"]
    f1 = OF_CONFUSIONS["macro_f1"]
    assert scores.by_seed[0][1] == pytest.approx(np.mean([f1(confusions(LABELS, row, 3)) for row in A[1]]))


def test_a_class_that_a_fold_has_not():
    labels = np.array([0] * 10 + [1] * 9 + [2])
    parts = np.stack([np.arange(20) % 5, (np.arange(20) + 2) % 5])
    predicted = np.tile(labels, (1, 2, 1))
    other = predicted.copy()
    other[0, 0, 3] = 1
    for metric, scores in fold_scores_of_confusions(
        labels, [predicted, other], 3, list(OF_CONFUSIONS), parts, 100
    ).items():
        estimate = differences(scores, 0, 1)
        assert estimate.value[0] > 0, metric
        assert 0 <= estimate.p_values()[0] <= 1, metric
        assert np.isfinite(levels(scores).standard_error).all(), metric


def test_where_all_agree_no_difference_is_claimed_and_few_examples_prove_none():
    for count, proven in ((40, False), (20_000, True)):
        parts = np.arange(count)[None] % 2
        ones = np.ones((1, 1, count))
        estimate = differences(fold_scores([ones, ones], parts), 0, 1)
        assert estimate.p_values()[0] == 1
        assert (estimate.equivalence_p_values(0.01)[0] < 0.05) == proven


def test_names_of_folds_and_order_of_examples_do_not_matter():
    order = RNG.permutation(60)
    one = differences(fold_scores([A == LABELS, B == LABELS], FOLDS), 0, 1)
    renamed = FOLDS * 7 + 3
    two = differences(fold_scores([(x == LABELS)[..., order] for x in (A, B)], renamed[:, order]), 0, 1)
    assert one.standard_error[0] == pytest.approx(two.standard_error[0])


@pytest.mark.parametrize("spread", [0.0, 0.05])
@pytest.mark.parametrize("folds", [2, 5])
def test_the_error_is_that_of_examples_and_trainings(spread, folds):
    """Classifiers of known accuracy, each training a little better or worse; no example is trained on."""
    rng = np.random.default_rng(1)
    n, repeats, found, variances, wrong = 500, 3, [], [], []
    for _ in range(300):
        parts = np.stack([rng.permutation(np.arange(n) % folds) for _ in range(repeats)])
        pair = []
        for _setup in range(2):
            level = 0.8 + spread * rng.standard_normal((1, repeats, folds))
            chance = np.take_along_axis(level, parts[None], axis=2)
            pair.append(rng.random((1, repeats, n)) < chance)
        estimate = differences(fold_scores(pair, parts), 0, 1)
        found.append(estimate.value[0])
        variances.append(estimate.standard_error[0] ** 2)
        wrong.append(estimate.p_values()[0] < 0.05)
    ratio = np.mean(variances) / np.var(found)
    assert 0.95 < ratio < (3.2 if folds == 2 else 2.3)  # the larger, the fewer folds
    assert np.mean(wrong) < 0.08


@pytest.mark.parametrize(
    ("values", "parts", "said"),
    [
        (np.ones((1, 10)), np.arange(10)[None] % 2, "setup 0 must have the shape"),
        (np.ones((1, 2, 10)), np.arange(10)[None] % 2, "setup 0 must have the shape"),
        (np.ones((1, 1, 10)), np.zeros((1, 10), dtype=int), "two or more"),
        (np.ones((1, 2, 10)), np.stack([np.arange(10) % 2, np.arange(10) % 5]), "the same number of folds"),
        (np.ones((1, 1, 10)), np.arange(10.0)[None], "must be integers"),
    ],
)
def test_what_does_not_fit_is_refused(values, parts, said):
    with pytest.raises(ValueError, match=said):
        fold_scores([values], parts)
