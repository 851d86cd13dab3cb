import math

import pytest

from textclf.models.llm.token_probabilities import Token, divided


def token(text, share=1.0, **others):
    listed = [(text, math.log(share)), *((name, math.log(p)) for name, p in others.items())]
    return Token(text, math.log(share), tuple(listed))


def test_a_token_for_each_label_gives_each_its_share():
    found = divided([token("positive", 0.7, negative=0.2, Other=0.1)], ("negative", "positive"), in_json=False)
    assert found.probabilities == pytest.approx((0.2 / 0.9, 0.7 / 0.9))
    assert found.alike == ()


def test_the_same_label_in_other_spellings_is_added_up():
    others = {" positive": 0.1, "Positive": 0.05, "negative": 0.25}
    found = divided([token("positive", 0.6, **others)], ("negative", "positive"), in_json=False)
    assert found.probabilities == pytest.approx((0.25, 0.75))


def test_the_label_is_found_inside_of_json():
    tokens = [token('{"'), token("label"), token('":'), token(' "'), token("spam", 0.9, ham=0.1), token('"}')]
    assert divided(tokens, ("ham", "spam"), in_json=True).probabilities == pytest.approx((0.1, 0.9))
    glued = [token('{"label": "spam', 0.9, **{'{"label": "ham': 0.1}), token('"}')]
    assert divided(glued, ("ham", "spam"), in_json=True).probabilities == pytest.approx((0.1, 0.9))
    assert divided([token("spam")], ("ham", "spam"), in_json=True) is None


def test_labels_that_begin_alike_are_told_apart_where_the_answer_went_on():
    tokens = [token("very", 0.8, poor=0.2), token(" good", 0.75, **{" bad": 0.25})]
    found = divided(tokens, ("very good", "very bad", "poor"), in_json=False)
    assert found.probabilities == pytest.approx((0.6, 0.2, 0.2))
    assert found.alike == ()


def test_labels_that_begin_alike_are_not_told_apart_where_another_was_said():
    found = divided([token("poor", 0.6, very=0.4)], ("very good", "very bad", "poor"), in_json=False)
    assert found.alike == (0, 1)
    little = divided([token("poor", 0.995, very=0.005)], ("very good", "very bad", "poor"), in_json=False)
    assert little.alike == ()


def test_a_label_that_begins_another_ends_where_the_answer_does():
    ends = [token("bug", 0.9, praise=0.1), token('"', 0.6, **{" report": 0.4}), token("}")]
    said = [token('{"label": "'), *ends]
    found = divided(said, ("bug", "bug report", "praise"), in_json=True)
    assert found.probabilities == pytest.approx((0.54, 0.36, 0.1))
    assert divided([token("bug")], ("bug", "bug report"), in_json=False).probabilities[0] > 0.99


def test_labels_that_are_not_listed_share_what_is_left_below_the_least_that_is():
    names = tuple("abcd")
    found = divided([token("a", 0.9, b=0.02)], names, in_json=False)
    assert found.probabilities[2] == found.probabilities[3] == pytest.approx(0.02 / 0.96)
    assert sum(found.probabilities) == pytest.approx(1)


def test_a_model_that_thinks_first_is_read_after_its_thoughts():
    tokens = [token("<think>"), token("spam"), token("?"), token("</think>"), token("\n"), token("ham", 0.8, spam=0.2)]
    assert divided(tokens, ("ham", "spam"), in_json=False).probabilities == pytest.approx((0.8, 0.2))
