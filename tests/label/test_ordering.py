"""The order in which people are asked, against values worked by hand."""

import numpy as np

from textclf.label.ordering import UNKNOWN, least_certain_first, uncertainty


def test_of_one_class_a_small_margin_is_uncertain():
    found = uncertainty(np.array([[0.5, 0.4, 0.1], [0.45, 0.1, 0.45], [1, 0, 0], [np.nan] * 3], np.float32), None)
    assert np.allclose(found[:3], [0.9, 1.0, 0.0])
    assert found[3] == UNKNOWN


def test_of_sets_a_label_near_its_own_threshold_is_uncertain():
    found = uncertainty(np.array([[0.5, 0.9], [0.2, 0.85], [0.9, 0.1]], np.float32), (0.3, 0.8))
    assert np.allclose(found, [0.9, 0.95, 0.4])


def test_near_duplicates_come_after_all_others():
    long = " ".join(f"word{number}" for number in range(40))
    texts = ["something else entirely", f"{long} once", f"{long} twice", "a third thing, quite unlike"]
    order = least_certain_first(np.array([0.1, 0.9, 0.8, 0.7]), texts, None)
    assert order.tolist() == [1, 3, 0, 2]
    pairs = ["one", "the cat sat on the mat", "something that differs much", "two"]
    assert least_certain_first(np.array([0.1, 0.9, 0.8, 0.7]), texts, pairs).tolist() == [1, 2, 3, 0]


def test_equals_keep_their_order():
    texts = ["alpha beta", "gamma delta", "epsilon zeta"]
    assert least_certain_first(np.zeros(3), texts, None).tolist() == [0, 1, 2]
