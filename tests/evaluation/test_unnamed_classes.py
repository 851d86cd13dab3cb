"""Answers that name no class: right nowhere, counted against their true class alone, in every score."""

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

from textclf.compare.statistics import OF_CONFUSIONS, confusions, fold_scores_of_confusions
from textclf.compare.statistics.resampling import bootstrap
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.metrics import evaluate_predictions
from textclf.evaluation.mistakes import confused_pairs
from textclf.evaluation.predictions import Predictions

NAMES = ("a", "b", "c")


def drawn(unnamed=20, are_given=False):
    chance = np.random.default_rng(0)
    labels, predicted = chance.integers(3, size=(2, 200))
    probabilities = np.eye(3, dtype=np.float32)[np.where(chance.random(200) < 0.5, labels, predicted)]
    probabilities[:unnamed] = np.nan
    return Predictions(labels, probabilities, NAMES, are_given)


def test_every_score_is_that_of_a_further_class_which_is_never_true():
    predictions = drawn()
    given = predictions.predicted
    assert (given[:20] == -1).all()
    found = evaluate_predictions(predictions)
    assert found["accuracy"] == pytest.approx((given == predictions.labels).mean())
    for average in ("macro", "weighted"):
        wanted = precision_recall_fscore_support(predictions.labels, given, labels=[0, 1, 2], average=average)
        names = ("precision", "recall", "f1")
        assert [found[f"{average}_{name}"] for name in names] == pytest.approx(list(wanted[:3]))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(predictions.labels, given))
    assert not {"log_loss", "roc_auc", "ece"} & set(found)
    for metric in set(OF_CONFUSIONS) & set(found):
        again = OF_CONFUSIONS[metric](confusions(predictions.labels, given, 3))
        assert float(again) == pytest.approx(found[metric]), metric


def test_a_single_answer_without_a_class_leaves_no_metric_of_probabilities():
    assert "log_loss" in evaluate_predictions(drawn(0, are_given=True))
    assert "log_loss" not in evaluate_predictions(drawn(1, are_given=True))
    assert "log_loss" not in evaluate_predictions(drawn(0, are_given=False))


def test_draws_and_folds_know_them_too():
    predictions = drawn()
    labels, given = predictions.labels, predictions.predicted
    other = drawn(0).predicted
    both = bootstrap(labels, np.stack([given, other]), 3, ["macro_f1", "accuracy", "mcc"], draws=50)
    alone = bootstrap(labels, other[None], 3, ["macro_f1", "accuracy", "mcc"], draws=50)
    for metric, values in both.items():
        assert values[1] == pytest.approx(alone[metric][0])
        assert values[0].mean() < values[1].mean()
    folds = np.arange(200)[None] % 4
    scores = fold_scores_of_confusions(labels, [given[None, None]], 3, ["accuracy"], folds, draws=20)
    assert scores["accuracy"].means[0] == pytest.approx((given == labels).mean())


def test_they_are_no_confusion_with_a_class():
    predictions = drawn()
    wrong = (predictions.predicted != predictions.labels) & predictions.answered
    assert sum(pair.count for pair in confused_pairs(predictions)) == wrong.sum()


def test_no_answer_about_a_set_is_wrong_even_where_there_is_no_label():
    truth = np.array([[True, False], [False, False], [False, False]])
    probabilities = np.array([[np.nan, np.nan], [np.nan, np.nan], [0, 0]], dtype=np.float32)
    predictions = SetPredictions(truth, probabilities, ("a", "b"), np.full(2, 0.5), are_given=False)
    assert predictions.right.tolist() == [False, False, True]
    found = evaluate_sets(predictions)
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert not {"log_loss", "roc_auc", "ranking_precision"} & set(found)
