"""Predictions with names, thresholds that abstain, and inputs that are refused before work."""

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


@pytest.mark.parametrize(
    ("texts", "pairs", "has_pairs", "message"),
    [
        ("one text", None, None, r"write \[text\]"),
        (["x", None], None, None, r"texts\[1\] must be a string, got NoneType"),
        (["x", "a \ud800"], None, None, r"texts\[1\] is no valid Unicode: .* at character 2"),
        (["x"], [3], None, r"text_pairs\[0\] must be a string, got int"),
        (["x"], None, True, "fitted on pairs"),
        (["x"], ["y"], False, "fitted on single texts"),
        (["x"], ["y", "z"], True, "got 1 and 2"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts, pairs, has_pairs, message):
    classifier = Fixed(label_names=("a", "b", "c"), has_pairs=has_pairs)
    with pytest.raises(DataError, match=message):
        classifier.predict_proba(texts, pairs)
