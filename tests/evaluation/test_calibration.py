import numpy as np
import pytest

from textclf.evaluation.calibration import (
    calibrate,
    calibration_of,
    expected_calibration_error,
    fit_temperature,
    tempered,
)
from textclf.evaluation.predictions import Predictions


def predictions(labels, probabilities, names=("a", "b")):
    return Predictions(np.array(labels), np.array(probabilities, dtype=np.float32), names)


def drawn(count, temperature, num_labels=3, seed=0):
    """Labels drawn from softmax(logits), and the probabilities softmax(logits · temperature), which are too sure."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, num_labels))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (generator.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1)
    sure = np.exp(logits * temperature)
    return predictions(labels, sure / sure.sum(axis=1, keepdims=True), tuple("abcdefgh"[:num_labels]))


def test_hand_worked_error():
    """Bins of a fifth: (0.8, 1] has 0.9 right, 0.85 wrong; (0.6, 0.8] has 0.8 right (closed above), 0.7 right."""
    table = [[0.9, 0.1], [0.15, 0.85], [0.2, 0.8], [0.7, 0.3]]
    labels = [0, 0, 1, 0]
    expected = (abs(1 - 1.75) + abs(2 - 1.5)) / 4
    assert expected_calibration_error(np.array(table), np.array(labels), bins=5) == pytest.approx(expected)
    found = calibration_of(predictions(labels, table), bins=5)
    assert found.ece == pytest.approx(expected)
    assert [(one.count, one.accuracy) for one in found.bins] == [(0, None), (0, None), (0, None), (2, 1.0), (2, 0.5)]
    assert found.bins[4].confidence == pytest.approx(0.875)
    assert found.brier == pytest.approx(2 * (0.1**2 + 0.85**2 + 0.2**2 + 0.3**2) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.15, 0.8, 0.7]).mean())
    assert found.overconfident


def test_what_chance_shows_of_perfect_calibration_is_told():
    calibrated, sure = calibration_of(drawn(4000, 1.0)), calibration_of(drawn(4000, 2.0))
    assert calibrated.ece < calibrated.by_chance < 0.05
    assert sure.ece > 2 * sure.by_chance
    assert calibration_of(drawn(50, 1.0)).by_chance > calibrated.by_chance  # the fewer, the more by chance


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature):
    sample = drawn(20_000, temperature)
    assert fit_temperature(sample) == pytest.approx(temperature, rel=0.05)


def test_tempered_is_a_softmax_of_divided_logits():
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    softmax = lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)  # noqa: E731
    found = tempered(softmax(logits).astype(np.float32), 1.7)
    np.testing.assert_allclose(found, softmax(logits / 1.7), atol=1e-6)
    np.testing.assert_allclose(tempered(found, 1 / 1.7), softmax(logits), atol=1e-6)
    assert found.dtype == np.float32
    certain = tempered(np.array([[1.0, 0.0]], dtype=np.float32), 3.0)
    assert np.isfinite(certain).all()
    assert certain.argmax() == 0


@pytest.mark.parametrize(
    ("labels", "table"),
    [([0], [[0.9, 0.1]]), ([0, 1, 1], [[0.5, 0.5]] * 3), ([], np.zeros((0, 2)))],
)
def test_nothing_to_fit_is_one(labels, table):
    assert fit_temperature(predictions(np.array(labels, dtype=int), table)) == 1.0


def test_validation_without_a_mistake_tells_no_temperature():
    """The surer the better there, without end; that must not be believed."""
    assert fit_temperature(predictions([0, 1], [[0.9, 0.1], [0.1, 0.9]])) == 1.0
    assert fit_temperature(predictions([0, 0], [[0.9, 0.1], [0.1, 0.9]])) > 1.0


def test_calibrate_sets_the_temperature_and_keeps_labels():
    class Sure:
        temperature = 1.0

    sample, classifier = drawn(5000, 3.0), Sure()
    change = calibrate(classifier, sample)
    assert classifier.temperature == change.temperature == pytest.approx(3.0, rel=0.1)
    assert change.after.ece < change.before.ece / 3
    assert change.after.log_loss < change.before.log_loss
    assert (change.predictions.predicted == sample.predicted).all()
