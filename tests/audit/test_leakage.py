import json

import numpy as np
import pytest

from tests.audit.factory import as_data, clean, rows
from textclf.audit.leakage import Leakage, find_leakage, without_leakage
from textclf.errors import DataError


def spoiled():
    """Row 3 of train is in test, row 5 nearly; row 7 of train in validation; row 9 of validation in test."""
    train, validation, test = clean()
    test[0] = [train[3][0].upper() + "  ", train[3][1]]
    test[1] = [train[5][0] + " indeed", train[5][1]]
    validation[4] = list(train[7])
    test[2] = list(validation[9])
    return as_data(train, validation, test)


def test_every_leak_is_found_and_nothing_else():
    leakage = find_leakage(spoiled())
    leak = leakage.between("train", "test")
    assert (leak.exact_rows.tolist(), leak.near_rows.tolist()) == ([3], [5])
    assert (leak.exact_target_rows.tolist(), leak.near_target_rows.tolist()) == ([0], [1])
    assert [(m.row, m.target_row, m.similarity) for m in leak.exact_matches] == [(3, 0, 1.0)]
    assert [(m.row, m.target_row) for m in leak.near_matches] == [(5, 1)]
    assert 0.7 <= leak.near_matches[0].similarity < 1
    assert leakage.between("train", "validation").exact_rows.tolist() == [7]
    assert leakage.between("validation", "test").exact_rows.tolist() == [9]
    assert leakage.train_rows.tolist() == [3, 5, 7]
    assert leakage.validation_rows.tolist() == [9]


def test_clean_data_leaks_nothing():
    leakage = find_leakage(as_data(*clean()))
    assert all(len(leak.rows) == len(leak.target_rows) == 0 for leak in leakage.leaks)


def test_without_leakage_nothing_leaks_and_test_is_whole():
    data = spoiled()
    kept = without_leakage(data, find_leakage(data))
    assert len(kept.train) == len(data.train) - 3
    assert set(data.train["example"]) - set(kept.train["example"]) == {3, 5, 7}
    assert set(data.validation["example"]) - set(kept.validation["example"]) == {9}
    assert list(kept.test["text"]) == list(data.test["text"])
    assert kept.fingerprint != data.fingerprint
    again = find_leakage(kept)
    assert not len(again.train_rows)
    assert not len(again.validation_rows)


def test_near_duplicates_can_be_left_out():
    leakage = find_leakage(spoiled(), near=False)
    assert leakage.train_rows.tolist() == [3, 7]
    assert not leakage.near


def test_too_many_texts_are_searched_exactly_and_that_is_said():
    leakage = find_leakage(spoiled(), most_texts=100)
    assert leakage.train_rows.tolist() == [3, 7]
    assert not leakage.near
    assert "more than 100" in leakage.remark


def test_all_copies_are_taken_out():
    train, validation, test = clean()
    train[10] = train[20] = [test[0][0], test[0][1]]
    assert find_leakage(as_data(train, validation, test)).train_rows.tolist() == [10, 20]


def test_blank_texts_do_not_leak():
    train, validation, test = clean()
    train[0], test[0] = ["  ", 0], ["", 0]
    assert not len(find_leakage(as_data(train, validation, test)).train_rows)


def test_of_pairs_both_texts_count():
    train, validation, test = (
        [[text, f"is it {i} of them", label] for i, (text, label) in enumerate(part)] for part in clean()
    )
    test[0] = [train[0][0], "something else is asked", 0]
    test[1] = list(train[1])
    assert find_leakage(as_data(train, validation, test)).train_rows.tolist() == [1]


def test_a_class_that_would_vanish_is_refused():
    train, validation, test = clean()
    train = [row for row in train if row[1] == 0] + [list(test[1])]
    data = as_data(train, validation, test)
    with pytest.raises(DataError, match="nothing is left of positive in train"):
        without_leakage(data, find_leakage(data))


def test_it_survives_json():
    leakage = find_leakage(spoiled())
    again = Leakage.from_dict(json.loads(json.dumps(leakage.to_dict())))
    assert again.to_dict() == leakage.to_dict()
    assert np.array_equal(again.train_rows, leakage.train_rows)
    with pytest.raises((KeyError, TypeError, ValueError)):
        Leakage.from_dict({"leaks": []})


def test_the_order_of_rows_does_not_matter():
    train, validation, test = clean()
    test += [[text + " today", label] for text, label in train[:30]]
    forwards = find_leakage(as_data(train, validation, test)).train_rows
    backwards = find_leakage(as_data(train[::-1], validation, test[::-1])).train_rows
    assert sorted(len(train) - 1 - backwards) == forwards.tolist() == list(range(30))


def test_an_untouched_split_stays_the_same_object():
    data = as_data(rows(40, 1), rows(20, 2), rows(20, 3))
    assert without_leakage(data, find_leakage(data)).train is data.train
