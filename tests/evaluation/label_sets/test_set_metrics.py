import numpy as np
import pytest
from sklearn import metrics as reference

from textclf.errors import ConfigError
from textclf.evaluation.label_sets.metrics import evaluate_sets, label_figures
from textclf.evaluation.label_sets.predictions import SetPredictions
from textclf.evaluation.metric_names import METRICS, OF_CLASSES, check_objective_of


def predicted(truth, probabilities, thresholds=0.5):
    truth = np.array(truth, dtype=bool)
    names = tuple("abcdefgh"[: truth.shape[1]])
    return SetPredictions(truth, np.array(probabilities, np.float32), names, np.full(len(names), thresholds))


def drawn(n=300, labels=6, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.random((n, labels)) < np.linspace(0.5, 0.1, labels)
    return predicted(truth, np.clip(truth * 0.3 + generator.random((n, labels)) * 0.7, 0, 1))


def test_hand_worked_sets():
    """Three texts have {a, b}, {} and {a}; they are given {a}, {} and {a, b}."""
    found = evaluate_sets(predicted([[1, 1], [0, 0], [1, 0]], [[0.9, 0.2], [0.1, 0.4], [0.7, 0.6]]))
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert found["hamming_loss"] == pytest.approx(2 / 6)
    assert found["micro_precision"] == found["micro_recall"] == found["micro_f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert found["samples_f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)  # nothing of nothing is right
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.2, 0.9, 0.6, 0.7, 0.4]).mean(), abs=1e-6)


def test_agrees_with_scikit_learn_to_the_digit():
    one = drawn()
    truth, given, scores = one.truth, one.predicted, one.probabilities
    expected = {
        "subset_accuracy": reference.accuracy_score(truth, given),
        "hamming_loss": reference.hamming_loss(truth, given),
        "ranking_precision": reference.label_ranking_average_precision_score(
            truth[truth.any(axis=1)], scores[truth.any(axis=1)]
        ),
        "roc_auc": reference.roc_auc_score(truth, scores),
        "micro_roc_auc": reference.roc_auc_score(truth, scores, average="micro"),
        "average_precision": reference.average_precision_score(truth, scores),
        "micro_average_precision": reference.average_precision_score(truth, scores, average="micro"),
    }
    for average in ("micro", "macro", "weighted"):
        for name in ("f1", "precision", "recall"):
            expected[f"{average}_{name}"] = getattr(reference, f"{name}_score")(truth, given, average=average)
    expected["samples_f1"] = reference.f1_score(truth, given, average="samples", zero_division=1.0)
    found = evaluate_sets(one)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert list(found) == [name for name in METRICS if name in found]


def test_what_has_no_cases_is_absent():
    nothing_given = evaluate_sets(predicted([[1, 0], [0, 1]], [[0.1, 0.2], [0.1, 0.3]]))
    assert not {"micro_precision", "macro_precision"} & set(nothing_given)
    assert nothing_given["micro_f1"] == 0
    no_truth = evaluate_sets(predicted([[0, 0], [0, 0]], [[0.1, 0.2], [0.1, 0.3]]))
    assert not {"micro_f1", "macro_f1", "roc_auc", "ranking_precision"} & set(no_truth)
    assert no_truth["subset_accuracy"] == 1


def test_figures_of_each_label():
    figures = label_figures(predicted([[1, 0], [1, 0], [0, 0]], [[0.9, 0.2], [0.2, 0.6], [0.9, 0.1]]))
    assert figures["precision"].tolist() == [0.5, 0.0]
    assert figures["recall"][0] == 0.5
    assert np.isnan(figures["recall"][1])
    assert figures["support"].tolist() == [2, 0]


def test_thresholds_of_each_example_are_those_of_its_fold():
    one = predicted([[1, 0], [1, 0]], [[0.4, 0.4], [0.4, 0.4]]).at([0.5, 0.5])
    own = SetPredictions(one.truth, one.probabilities, one.label_names, np.array([[0.3, 0.5], [0.5, 0.3]]))
    assert own.predicted.tolist() == [[True, False], [False, True]]
    assert own.rows(np.array([1])).predicted.tolist() == [[False, True]]


def test_an_objective_must_be_one_of_the_data():
    check_objective_of("validation/macro_f1", has_sets=True)
    with pytest.raises(ConfigError, match=r"each text of these data has a set of labels.*macro_f1, micro_f1"):
        check_objective_of("validation/accuracy", has_sets=True)
    with pytest.raises(ConfigError, match="each text of these data has one class"):
        check_objective_of("validation/hamming_loss", has_sets=False)
    assert "accuracy" in OF_CLASSES
