import numpy as np
import pytest

from textclf.data.splits import stratified_choice, stratified_slice
from textclf.errors import DataError

NAMES = ("a", "b", "c")


def test_shares_are_kept_and_rounded_by_largest_remainder():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    chosen = stratified_choice(labels, 20, 0, NAMES, "a test")
    assert np.bincount(labels[chosen]).tolist() == [12, 6, 2]
    assert (np.diff(chosen) > 0).all()


@pytest.mark.parametrize("count", [3, 4, 7, 50, 98, 99])
def test_any_count_gives_exactly_as_many_and_every_class(count):
    labels = np.array([0] * 90 + [1] * 8 + [2] * 2)
    chosen = stratified_choice(labels, count, 1, NAMES, "a test")
    assert len(set(chosen.tolist())) == count
    assert set(labels[chosen].tolist()) == {0, 1, 2}


def test_seed_decides_the_choice():
    labels = np.tile([0, 1, 2], 50)
    first, again, other = (stratified_choice(labels, 30, seed, NAMES, "a test").tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_more_than_there_are_is_all():
    assert stratified_choice(np.array([0, 1]), 9, 0, NAMES, "a test").tolist() == [0, 1]


def test_fewer_than_classes_is_refused():
    with pytest.raises(DataError, match="cannot hold one of each of the 3 classes"):
        stratified_choice(np.array([0, 1, 2, 2]), 2, 0, NAMES, "a test")


def test_slice_divides_without_overlap_or_loss():
    labels = np.array([0] * 50 + [1] * 50)
    first, second = stratified_slice(labels, 0.1, 0, NAMES[:2], "validation")
    assert sorted([*first, *second]) == list(range(100))
    assert np.bincount(labels[second]).tolist() == [5, 5]


def test_slice_refuses_a_class_of_one():
    with pytest.raises(DataError, match="too few examples in train: 'b' has 1"):
        stratified_slice(np.array([0, 0, 0, 1]), 0.5, 0, NAMES[:2], "validation")
