import pytest

from textclf.evaluation.words import WordMask, count_words, words_of

TEXTS = [
    ("It's fine,  really.\n", ["It's", "fine,", "really."]),
    ("", []),
    (" \n", []),
    ("这部电影很好 ok", ["这", "部", "电", "影", "很", "好", "ok"]),
    ("映画はガッカリ", ["映", "画", "は", "ガ", "ッ", "カ", "リ"]),
    ("ガ", ["ガ"]),  # the voicing mark stays with its syllable
    ("เก่ามาก", ["เก่", "า", "ม", "า", "ก"]),  # vowels in front, tones above
    ("فيلم رائع", ["فيلم", "رائع"]),
    ("한국어 영화", ["한국어", "영화"]),
]


@pytest.mark.parametrize(("text", "words"), TEXTS)
def test_words_of_any_script(text, words):
    assert words_of(text) == words
    assert count_words(text) == len(words)


@pytest.mark.parametrize("text", [text for text, _ in TEXTS])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_all_kept_is_the_text_itself(text, most):
    mask = WordMask(text, most)
    assert mask.without([True] * len(mask.words)) == text
    assert len(mask.words) == min(most, len(words_of(text)))
    assert mask.is_cut == (len(words_of(text)) > most)
    assert [word + gap for word, gap in zip(mask.words, mask.gaps, strict=True)] == mask.pieces


def test_a_word_goes_with_the_space_after_it_and_the_rest_stays():
    mask = WordMask(" one two  three four", 3)
    assert mask.without([True, False, True]) == " one three four"
    assert mask.without([False, False, False]) == " four"
    assert WordMask("很好看", 3).without([True, False, True]) == "很看"


def test_leaving_a_word_out_glues_no_others_together():
    mask = WordMask("很好 ok 看", 9)
    assert mask.without([True, False, True, True]) == "很 ok 看"
    assert mask.without([True, True, False, True]) == "很好 看"
