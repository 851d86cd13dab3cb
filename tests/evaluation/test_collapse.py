"""A collapse is said to be one, and a rare class that nobody finds is not."""

import math

import numpy as np
import pytest

from textclf.evaluation.collapse import collapse_words, collapsed_class, entropy_of

NAMES = ("negative", "positive")
HALF = np.array([0, 1] * 10)


def test_one_answer_to_everything_is_a_collapse():
    assert collapsed_class(HALF, np.ones(20, dtype=np.int64)) == 1
    said = collapse_words(HALF, np.ones(20, dtype=np.int64), NAMES, 0.70, entropy_of(np.array([50, 50])))
    assert said.startswith("collapse: all 20 validation predictions are 'positive', which 10 of the examples are")
    assert "training loss of 0.700 is no better than" in said
    learned = collapse_words(HALF, np.ones(20, dtype=np.int64), NAMES, 0.30, entropy_of(np.array([50, 50])))
    assert "training loss" not in learned


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        (HALF, np.r_[np.ones(19, dtype=np.int64), 0]),  # two answers
        (np.zeros(20, dtype=np.int64), np.zeros(20, dtype=np.int64)),  # one class
        (np.r_[np.zeros(96, dtype=np.int64), np.ones(4, dtype=np.int64)], np.zeros(100, dtype=np.int64)),  # a rare one
        (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)),
    ],
)
def test_what_is_none(labels, predicted):
    assert collapsed_class(labels, predicted) is None
    assert collapse_words(labels, predicted, NAMES) is None


def test_entropy():
    assert entropy_of(np.array([5, 5, 0])) == pytest.approx(math.log(2))
    assert entropy_of(np.array([7, 0])) == 0.0
