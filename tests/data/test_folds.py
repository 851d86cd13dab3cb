"""Every example of a pool is tested once in each repeat, and by nothing that has seen it."""

import random
from dataclasses import replace
from string import ascii_lowercase

import numpy as np
import pytest

from tests.conftest import write_jsonl
from textclf.audit.gate import pass_gate
from textclf.data.dataset import labels_of, summary
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset, OnLeakage
from textclf.errors import ConfigError, DataError


def text_of(number):
    """Return a text that resembles no other one."""
    chance = random.Random(number)
    return " ".join("".join(chance.choices(ascii_lowercase, k=6)) for _ in range(6)) + f" {number}"


def rows(count, start=0):
    """Return different texts of two classes, a third of them of the second."""
    return [
        {"text": text_of(i), "label": "b" if i % 3 == 0 else "a", "author": f"author {i % 20}"}
        for i in range(start, start + count)
    ]


def folded(given, **options):
    return load(InMemoryDataset(**{"name": "mine", "train": given, "folds": 5} | options))


def texts(split, chosen=None):
    return set((split if chosen is None else split.select(chosen))["text"])


@pytest.mark.parametrize(("count", "folds", "repeats"), [(90, 5, 1), (60, 3, 2), (48, 2, 1)])
def test_each_example_is_tested_once_in_each_repeat(count, folds, repeats):
    data = folded(rows(count), folds=folds, fold_repeats=repeats)
    assert len(data.folds.pool) == count
    assert data.folds.numbers.shape == (repeats, count)
    for repeat in range(repeats):
        parts = [part for part in data.folds.parts if part.repeat == repeat]
        tested = np.concatenate([part.test for part in parts])
        np.testing.assert_array_equal(np.sort(tested), np.arange(count))
        for part in parts:
            whole = np.concatenate([part.train, part.validation, part.test])
            np.testing.assert_array_equal(np.sort(whole), np.arange(count))
            shares = [labels_of(data.folds.pool.select(own)).mean() for own in (part.train, part.test)]
            np.testing.assert_allclose(shares, 1 / 3, atol=0.07)
    if repeats > 1:
        assert (data.folds.numbers[0] != data.folds.numbers[1]).any()
    first = data.fold(data.folds.parts[0])
    assert texts(first.test) == texts(data.test) == texts(data.folds.pool, data.folds.parts[0].test)


def test_the_partition_is_that_of_the_split_seed_alone():
    one, same, other = (folded(rows(60), split_seed=seed) for seed in (0, 0, 1))
    assert one.folds.fingerprint == same.folds.fingerprint != other.folds.fingerprint
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.test_fingerprint == other.test_fingerprint


def test_a_test_split_of_the_source_is_left_alone_unless_it_is_asked_for():
    splits = {"train": rows(60), "validation": rows(20, 100), "test": rows(30, 200)}
    data = folded(splits["train"], validation=splits["validation"], test=splits["test"])
    assert texts(data.folds.fixed_test) == {row["text"] for row in splits["test"]}
    assert texts(data.folds.pool) == {row["text"] for row in [*splits["train"], *splits["validation"]]}
    assert len(set(data.folds.pool["example"])) == 80
    said = summary(data)
    assert "each tested" in said
    assert "5 folds, 58 examples to train on in each" in said
    everything = folded(splits["train"], validation=splits["validation"], test=splits["test"], fold_test=True)
    assert everything.folds.fixed_test is None
    assert len(set(everything.folds.pool["example"])) == len(everything.folds.pool) == 110
    few = folded(splits["train"], test=splits["test"], max_train_examples=40, max_eval_examples=10)
    assert (len(few.folds.pool), len(few.folds.fixed_test)) == (40, 10)


def test_copies_of_a_text_are_tested_together():
    given = [*rows(60), *rows(20)]
    data = folded(given)
    for part in data.folds.parts:
        own = data.fold(part)
        assert not texts(own.test) & (texts(own.train) | texts(own.validation))


def test_groups_are_tested_together():
    data = folded(rows(240), group_column="author")
    author = np.array([int(text.split()[-1]) % 20 for text in data.folds.pool["text"]])
    for part in data.folds.parts:
        parts = [set(author[own]) for own in (part.train, part.validation, part.test)]
        assert sum(map(len, parts)) == len(parts[0] | parts[1] | parts[2])


def test_further_examples_are_trained_on_in_every_fold(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", rows(60))
    further = write_jsonl(tmp_path / "more.jsonl", rows(6, 500))
    data = load(FilesDataset(train=str(tmp_path / "train.jsonl"), extra_train=str(further), folds=3))
    own = [data.fold(part) for part in data.folds.parts]
    assert all(text_of(500) in texts(one.train) for one in own)
    assert not any(text_of(500) in texts(one.test) for one in own)
    assert text_of(500) in texts(data.whole_pool().train)


def test_what_the_test_split_shares_with_the_folds_is_dropped_from_them():
    data = folded(rows(60), test=rows(20, 50))
    with pytest.raises(DataError, match="10 texts of test are in train too"):
        pass_gate(data, OnLeakage.fail)
    assert pass_gate(data, OnLeakage.warn)[0] is data
    kept, said = pass_gate(data, OnLeakage.drop)
    assert said["dropped"] == {"train": 10, "validation": 0}
    assert not texts(kept.folds.pool) & texts(kept.folds.fixed_test)
    tested = np.concatenate([part.test for part in kept.folds.parts])
    np.testing.assert_array_equal(np.sort(tested), np.arange(50))
    assert kept.folds.numbers.max() == 4


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (rows(60), {"folds": 25}, "needs at least 25 different texts of each class: 'b' has 20. Ask for fewer folds"),
        ([*rows(60)[:40], *[{**rows(1)[0]}] * 30], {"folds": 15}, "'b' has 14"),
        (rows(60), {"folds": 25, "group_column": "author"}, "at least 25 groups .* and there are 20"),
        (rows(60), {"folds": 1}, "folds must be at least 2"),
        (rows(60), {"folds": None, "fold_repeats": 3}, "there are none"),
        (rows(60), {"fold_repeats": 0}, "fold_repeats must be at least 1"),
        (rows(60), {"draw_seed": 1}, "no two seeds could be compared"),
    ],
)
def test_folds_that_cannot_be_are_refused(given, options, said):
    with pytest.raises((ConfigError, DataError), match=said):
        folded(given, **options)


def test_a_fold_is_no_part_of_its_name_twice():
    data = folded(rows(60), folds=3, fold_repeats=2)
    assert data.name == "mine[folds=3x2]"
    assert replace(data, folds=None).name == data.name
