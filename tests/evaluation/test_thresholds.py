from dataclasses import replace

import numpy as np
import pytest

from textclf.evaluation.predictions import Predictions
from textclf.evaluation.thresholds import (
    Wanted,
    answer_threshold,
    answers_at,
    coverage_curve,
    decision_thresholds,
    decisions_at,
)


def two(labels, positive):
    positive = np.array(positive, dtype=np.float32)
    return Predictions(np.array(labels), np.stack([1 - positive, positive], axis=1), ("no", "yes"))


# Top probabilities 0.9 right, 0.8 right, 0.7 wrong, 0.6 right, 0.55 wrong.
SPLIT = two([1, 0, 0, 1, 0], [0.9, 0.2, 0.7, 0.6, 0.55])


def test_hand_worked_answers():
    for share, threshold, answered, right in [(1.0, 0.8, 2, 2), (0.75, 0.6, 4, 3), (0.6, 0.55, 5, 3)]:
        found = answer_threshold(Wanted.precision, share, SPLIT, SPLIT)
        assert found.threshold == pytest.approx(threshold)
        assert (found.test.answered.count, found.test.right.count) == (answered, right)
    for share, threshold in [(0.2, 0.9), (0.5, 0.7), (0.8, 0.6), (0.81, 0.55)]:
        assert answer_threshold(Wanted.coverage, share, SPLIT, SPLIT).threshold == pytest.approx(threshold)


def test_the_threshold_is_of_validation_and_test_is_only_told():
    other = two([0, 1, 1], [0.85, 0.95, 0.5])
    found = answer_threshold(Wanted.precision, 1.0, SPLIT, other)
    assert found.validation == answers_at(SPLIT, found.threshold)
    assert (found.test.answered.count, found.test.right.count) == (2, 1)


def test_what_is_not_reached_has_no_threshold():
    wrong = two([0, 0], [0.9, 0.8])
    found = answer_threshold(Wanted.precision, 0.9, wrong, wrong)
    assert (found.threshold, found.test) == (None, None)


def test_a_promise_needs_examples():
    """Of n answers that are all right Wilson's low end is n / (n + 3.84): 0.95 needs 73."""
    many = lambda count: two([1] * count, np.linspace(0.9, 0.8, count))  # noqa: E731
    assert answer_threshold(Wanted.promised_precision, 0.95, many(72), many(72)).threshold is None
    assert answer_threshold(Wanted.promised_precision, 0.95, many(73), many(73)).threshold == pytest.approx(0.8)
    assert answer_threshold(Wanted.precision, 0.95, many(5), many(5)).threshold is not None


def test_equally_sure_examples_come_together():
    same = two([1, 1, 0, 0], [0.8, 0.8, 0.8, 0.8])
    assert answer_threshold(Wanted.precision, 0.6, same, same).threshold is None
    assert answer_threshold(Wanted.coverage, 0.5, same, same).test.answered.count == 4
    curve = coverage_curve(same)
    assert (curve.coverage, curve.accuracy) == ((1.0,), (0.5,))


def test_hand_worked_curve():
    curve = coverage_curve(SPLIT)
    assert curve.coverage == pytest.approx((0.2, 0.4, 0.6, 0.8, 1.0))
    assert curve.accuracy == pytest.approx((1, 1, 2 / 3, 3 / 4, 3 / 5))


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    generator = np.random.default_rng(0)
    long = two(generator.integers(0, 2, 5000), generator.random(5000))
    curve = coverage_curve(long)
    assert len(curve.coverage) == 200
    assert curve.coverage[-1] == 1.0
    assert curve.accuracy[-1] == pytest.approx((long.predicted == long.labels).mean())


def test_hand_worked_decisions():
    """By score: 0.9 yes, 0.7 no, 0.6 yes, 0.55 no, 0.2 no. F1 from 0.6: 2·2/(3+2) = 0.8, its best."""
    default, best, precise = decision_thresholds(0.95, SPLIT, SPLIT)
    assert (default.purpose, default.threshold) == ("default", 0.5)
    assert default.test.precision.value == pytest.approx(2 / 4)
    assert (best.purpose, best.threshold) == ("best F1", pytest.approx(0.6))
    assert best.test.f1 == pytest.approx(0.8)
    assert (best.test.precision.count, best.test.precision.total, best.test.recall.total) == (2, 3, 2)
    assert (precise.purpose, precise.threshold) == ("precision", pytest.approx(0.9))
    assert precise.test.recall.value == 0.5
    assert not precise.is_sure


def test_decisions_without_cases():
    none = two([0, 0], [0.1, 0.2])
    assert [one.purpose for one in decision_thresholds(0.9, none, none)] == ["default"]
    assert decisions_at(none, 0.5).f1 is None
    backwards = two([1, 0], [0.1, 0.9])
    *_, precise = decision_thresholds(0.9, backwards, backwards)
    assert precise.threshold is None
    three = Predictions(np.array([0]), np.ones((1, 3), dtype=np.float32) / 3, ("a", "b", "c"))
    assert decision_thresholds(0.9, three, three) == ()


def test_decisions_are_about_the_rarer_class():
    mirrored = Predictions(1 - SPLIT.labels, SPLIT.probabilities[:, ::-1].copy(), SPLIT.label_names)
    plain, turned = (decision_thresholds(0.95, split, split) for split in (SPLIT, mirrored))
    assert {one.label for one in plain} == {1}
    assert {one.label for one in turned} == {0}
    assert [replace(one, label=1) for one in turned] == list(plain)
