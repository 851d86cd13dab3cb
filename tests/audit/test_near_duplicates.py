import numpy as np
import pytest

from tests.audit.factory import COMMON, rows
from textclf.audit import near_duplicates
from textclf.audit.near_duplicates import near_pairs

TRAIN, TEST = 1, 4


def changed(text, count, seed=0):
    """A text with some of its words replaced."""
    rng = np.random.default_rng(seed)
    words = text.split()
    for place in rng.choice(len(words), count, replace=False):
        words[place] = f"changed{place}"
    return " ".join(words)


def members(train, test):
    return np.array([TRAIN] * train + [TEST] * test, dtype=np.uint8)


def long_text(seed, words=120):
    return " ".join(np.random.default_rng(seed).choice(COMMON, words))


def test_long_near_duplicates_are_found_and_only_they():
    train = [long_text(seed) for seed in range(60)]
    test = [changed(train[seed], 3) for seed in range(20)] + [long_text(seed) for seed in range(1000, 1040)]
    found = near_pairs([*train, *test], None, members(60, 60))
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(i, 60 + i) for i in range(20)]
    assert (found.similarity > 0.7).all()
    assert not found.capped


def test_short_near_duplicates_are_found_and_only_they():
    train = ["Central bank raises interest rates again", "Striker signs for two years"]
    test = [
        "Central bank raises interest rates again!",
        "Central bank lowers its forecast",
        "Keeper signs for one year",
    ]
    found = near_pairs([*train, *test], None, members(2, 3))
    assert found.first.tolist() == [0]
    assert found.second.tolist() == [2]


def test_texts_on_both_sides_of_the_limit_are_compared():
    words = long_text(5, 20)
    shorter = words.rsplit(" ", 2)[0]
    assert len(shorter.split()) < near_duplicates.LONG_WORDS <= len(words.split())
    assert len(near_pairs([words, shorter], None, members(1, 1)).first) == 1


def test_pairs_within_one_split_are_left_out():
    text = long_text(1)
    assert len(near_pairs([text, changed(text, 2)], None, members(2, 0)).first) == 0


def test_of_pairs_both_texts_have_to_match():
    text, other = long_text(1), long_text(2)
    question, unlike = "who left the village in winter", "what did the teacher buy"
    firsts = [text, changed(text, 2), changed(text, 2), other]
    seconds = [question, question, unlike, question]
    found = near_pairs(firsts, seconds, members(1, 3))
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]


def test_unspaced_scripts():
    text = "这部电影真的非常好看我和家人一起看了两遍每个演员都很出色故事也很感人音乐配得恰到好处推荐给大家"
    found = near_pairs([text, text.replace("两遍", "三遍"), "今天天气很好我们去公园散步吧"], None, members(1, 2))
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]


def test_many_alike_texts_are_capped_and_said_to_be():
    texts = [f"the same long template sentence about the weather in town number {i}" for i in range(200)]
    found = near_pairs(texts, None, members(100, 100))
    assert found.capped
    assert len(np.unique(found.first)) > 90


def test_every_claim_rests_on_the_exact_overlap():
    texts = [text for text, _ in rows(100, 1)] + [
        changed(text, k % 4) + " end" for k, (text, _) in enumerate(rows(100, 1))
    ]
    found = near_pairs(texts, None, members(100, 100), threshold=0.6)
    from textclf.audit.shingles import grams, jaccard, words_of

    pieces = grams(words_of(texts), 3)
    exact = {(i, j): jaccard(pieces.of(i), pieces.of(j)) for i in range(100) for j in range(100, 200)}
    expected = {pair for pair, share in exact.items() if share >= 0.6}
    claimed = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert claimed <= expected
    assert len(claimed) >= 0.9 * len(expected) > 20
    assert all(
        exact[pair] == pytest.approx(s)
        for pair, s in zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.similarity, strict=True)
    )


def test_nothing_to_compare():
    assert len(near_pairs([], None, members(0, 0)).first) == 0
    assert len(near_pairs(["!!", "??"], None, members(1, 1)).first) == 0
