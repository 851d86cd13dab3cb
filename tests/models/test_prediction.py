"""Predictions with names, and thresholds that abstain."""

import numpy as np
import pytest

from textclf.errors import DataError
from textclf.models.base import Classifier
from textclf.models.prediction import ABSTAIN


class Fixed(Classifier):
    """Says the same of every text."""

    def uncalibrated_proba(self, texts, text_pairs):
        return np.tile(np.array([[0.25, 0.5, 0.25]], dtype=np.float32), (len(texts), 1))

    def save(self, directory):
        raise NotImplementedError


@pytest.fixture
def classifier():
    return Fixed(label_names=("a", "b", "c"))


def test_label_score_and_every_class(classifier):
    (found,) = classifier.predict(["x"])
    assert (found.label, found.score) == ("b", 0.5)
    assert found.probabilities == {"a": 0.25, "b": 0.5, "c": 0.25}
    assert found.top(2) == [("b", 0.5), ("a", 0.25)]
    assert classifier.predict([]) == []


def test_below_the_threshold_it_abstains_and_at_it_it_does_not(classifier):
    assert classifier.predict(["x"], threshold=0.5)[0].label == "b"
    found = classifier.predict(["x"], threshold=0.51)[0]
    assert (found.label, found.score) == (ABSTAIN, 0.5)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(classifier, threshold):
    with pytest.raises(DataError, match="between 0 and 1"):
        classifier.predict(["x"], threshold=threshold)


def test_a_class_called_abstain_leaves_no_room_for_a_threshold():
    classifier = Fixed(label_names=("a", "abstain", "c"))
    assert classifier.predict(["x"])[0].label == "abstain"
    with pytest.raises(DataError, match="A class is called 'abstain'"):
        classifier.predict(["x"], threshold=0.9)
