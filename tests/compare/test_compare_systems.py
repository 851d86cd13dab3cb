"""`compare_systems`, the call for people outside of textclf."""

import doctest

import numpy as np
import pytest

from textclf.compare.statistics import compare_systems, differences, fold_scores, holm, scores_of_means, systems

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 400)
FOLDS = np.stack([RNG.permutation(np.arange(400) % 4) for _ in range(2)])


def predicted(accuracy, *shape):
    return np.where(RNG.random((*shape, 400)) < accuracy, LABELS, 1 - LABELS)


def test_the_example_runs():
    assert doctest.testmod(systems).attempted > 5
    assert not doctest.testmod(systems).failed


@pytest.mark.parametrize("partitions", [None, FOLDS])
def test_each_pair_has_the_numbers_of_the_test_corrected_for_all(partitions):
    shape = (3,) if partitions is None else (2, 2)
    given = {name: predicted(accuracy, *shape) for name, accuracy in (("a", 0.9), ("b", 0.8), ("c", 0.82))}
    found = compare_systems(LABELS, given, partitions)
    rights = [rows == LABELS for rows in given.values()]
    scores = scores_of_means(rights) if partitions is None else fold_scores(rights, partitions)
    expected = differences(scores, [0, 0, 1], [1, 2, 2])
    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.p_value for pair in found] == pytest.approx(holm(expected.p_values()))
    assert [pair.low for pair in found] == pytest.approx(expected.interval()[0])
    assert [pair.smallest_detectable for pair in found] == pytest.approx(expected.smallest_detectable(0.05 / 3))
    assert [pair.verdict for pair in found] == ["better", "better", "cannot tell"]


def test_verdicts():
    first = predicted(0.9, 3)
    worse, same = compare_systems(LABELS, {"a": predicted(0.7, 3), "b": first, "c": first})[0], None
    assert worse.verdict == "worse"
    [same] = compare_systems(LABELS, {"b": first, "c": first}, margin=0.1)
    assert same.verdict == "equivalent"


def test_one_seed_makes_no_claim_about_systems_but_folds_do():
    one = {"a": predicted(0.9, 1), "b": predicted(0.8, 1)}
    assert compare_systems(LABELS, one)[0].about == "classifiers"
    crossed = {name: predicted(0.8, 1, 2) for name in "ab"}
    assert compare_systems(LABELS, crossed, FOLDS, metric="mcc")[0].about == "systems"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predicted": {"a": predicted(0.9, 3)}}, "two systems"),
        ({"metric": "bleu"}, "metric must be one of accuracy"),
        ({"alpha": 1.0}, "alpha must lie"),
        ({"predicted": {"a": predicted(0.9, 3), "b": predicted(0.9, 3)[:, 1:]}}, "b: predictions must have the shape"),
        ({"partitions": FOLDS}, r"a: predictions must have the shape \(seeds, repeats, n\)"),
        ({"predicted": {"a": predicted(0.9, 3) - 1, "b": predicted(0.9, 3)}}, "a: classes must be integers"),
        ({"labels": LABELS[:, None]}, "labels must have the shape"),
    ],
)
def test_what_makes_no_comparison_is_refused(changes, said):
    given = {"labels": LABELS, "predicted": {"a": predicted(0.9, 3), "b": predicted(0.8, 3)}} | changes
    with pytest.raises(ValueError, match=said):
        compare_systems(**given)
