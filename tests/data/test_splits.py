import numpy as np
import pytest

from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.data.splits import some_of_each, stratified_choice, stratified_slice
from textclf.errors import ConfigError, DataError

NAMES = ("a", "b", "c")


def reviews(**changes):
    """Return the bundled reviews."""
    files = {split: f"bundled:reviews/{split}.jsonl" for split in ("train", "validation", "test")}
    return FilesDataset(name="reviews", **files, **changes)


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


def test_some_of_each_are_as_many_of_each_and_the_seed_decides_which():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 5)
    first, again, other = (some_of_each(labels, 5, seed, NAMES, "train").tolist() for seed in (1, 1, 2))
    assert first == again != other == sorted(other)
    assert np.bincount(labels[first]).tolist() == [5, 5, 5]
    with pytest.raises(DataError, match=r"class 'c' has 5 training examples, and dataset.examples_per_class=6 wants 6"):
        some_of_each(labels, 6, 1, NAMES, "train")
    assert np.bincount(labels[some_of_each(labels, 6, 1, NAMES, "validation")]).tolist() == [6, 6, 5]


def test_a_draw_changes_train_and_validation_and_leaves_test_alone():
    drawn = [load(reviews(examples_per_class=4, draw_seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0].fingerprint == drawn[1].fingerprint != drawn[2].fingerprint
    assert len({data.test_fingerprint for data in drawn}) == 1
    assert [len(drawn[0].split(split)) for split in ("train", "validation", "test")] == [8, 8, 200]
    subsets = [load(reviews(max_train_examples=20, draw_seed=seed)) for seed in (1, 2)]
    assert subsets[0].validation["text"][:] == subsets[1].validation["text"][:]
    assert subsets[0].train["text"][:] != subsets[1].train["text"][:]
    assert not reviews(draw_seed=1).draws(1)
    assert reviews(examples_per_class=4, draw_seed=1).draws(1)
    with pytest.raises(ConfigError, match="give one of them"):
        reviews(max_train_examples=20, examples_per_class=4)


def test_slice_divides_without_overlap_or_loss():
    labels = np.array([0] * 50 + [1] * 50)
    first, second = stratified_slice(labels, 0.1, 0, NAMES[:2], "validation")
    assert sorted([*first, *second]) == list(range(100))
    assert np.bincount(labels[second]).tolist() == [5, 5]


def test_slice_refuses_a_class_of_one():
    with pytest.raises(DataError, match="too few examples in train: 'b' has 1"):
        stratified_slice(np.array([0, 0, 0, 1]), 0.5, 0, NAMES[:2], "validation")
