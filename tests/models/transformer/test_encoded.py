"""Sequences: -1 for the tokenizer's own tokens, 0 and 1 for those of the first and second text."""

from itertools import pairwise

import numpy as np
import pytest

from textclf.models.transformer.encoded import head_tail, windows


def single(tokens):
    return np.array([-1, *[0] * tokens, -1])


def pair(first, second):
    return np.array([-1, *[0] * first, -1, *[1] * second, -1])


def test_head_and_tail_of_a_text():
    assert head_tail(single(20), 10).tolist() == [0, 1, 2, 15, 16, 17, 18, 19, 20, 21]


@pytest.mark.parametrize("length", [4, 5, 8, 11])
@pytest.mark.parametrize(("first", "second"), [(20, 3), (3, 20), (20, 20), (1, 30)])
def test_of_a_pair_the_longer_text_is_cut_first(first, second, length):
    sequences = pair(first, second)
    kept = sequences[head_tail(sequences, length)]
    assert len(kept) == length
    assert (kept == -1).sum() == 3
    while first + second > length - 3:
        first, second = (first - 1, second) if first > second else (first, second - 1)
    assert abs((kept == 0).sum() - first) <= 1


def test_windows_cover_every_token_and_overlap():
    parts = list(windows(single(25), 12, overlap=4, most=99))
    assert [len(part) for part in parts] == [12, 12, 12, 12]
    assert set(np.concatenate(parts).tolist()) == set(range(27))
    assert all(0 in part and 26 in part for part in parts)
    for one, two in pairwise(parts):
        assert len(set(one) & set(two) - {0, 26}) >= 4


def test_no_window_that_adds_nothing():
    for tokens in range(11, 60):
        parts = list(windows(single(tokens), 12, overlap=4, most=99))
        seen: set[int] = set()
        for part in parts:
            assert set(part.tolist()) - seen
            seen |= set(part.tolist())
        assert seen == set(range(tokens + 2))


def test_more_windows_than_allowed_are_spread_over_the_text():
    every = list(windows(single(200), 12, overlap=0, most=99))
    some = list(windows(single(200), 12, overlap=0, most=3))
    assert len(every) == 20
    assert [part.tolist() for part in some] == [every[i].tolist() for i in (0, 10, 19)]


def test_windows_of_a_pair_hold_the_second_text():
    sequences = pair(30, 4)
    for part in windows(sequences, 15, overlap=2, most=99):
        kept = sequences[part]
        assert (len(kept), (kept == 1).sum(), (kept == 0).sum()) == (15, 4, 8)


def test_a_long_second_text_is_cut_to_half():
    sequences = pair(30, 40)
    for part in windows(sequences, 15, overlap=2, most=99):
        assert ((sequences[part] == 1).sum(), (sequences[part] == 0).sum()) == (6, 6)


def test_a_short_first_text_leaves_its_room_to_the_second():
    sequences = pair(2, 40)
    (part,) = windows(sequences, 15, overlap=2, most=99)
    assert ((sequences[part] == 1).sum(), (sequences[part] == 0).sum()) == (10, 2)
