import json
import re
from dataclasses import replace

import datasets
import numpy as np
import pytest

from tests.conftest import make_data
from textclf.data.dataset import TextData
from textclf.evaluation.attributions import Attribution, attributions, attributions_page
from textclf.evaluation.evaluate import evaluate_split
from textclf.evaluation.words import WordMask, word_weights
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

BAYES = ClassicalModel(
    name="naive_bayes",
    vectorizer={"_target_": "sklearn.feature_extraction.text.CountVectorizer"},
    classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"},
)
DECISIVE = {"lovely", "great", "fine", "superb", "awful", "poor", "dull", "broken"}


def fitted(data, model=BAYES):
    return fit(model, data, TorchTrainer(epochs=1), RunContext())[0]


class Counter:
    """Its log-odds of class 1 are two for each `yes` and minus one for each `no`, in either text."""

    has_sets, thresholds, billed, gives_probabilities = False, None, None, True

    def __init__(self):
        self.calls = []

    def probabilities(self, texts, text_pairs=None):
        self.calls.append(len(texts))
        whole = [f"{a} {b}".split() for a, b in zip(texts, text_pairs or [""] * len(texts), strict=True)]
        odds = np.array([2.0 * words.count("yes") - words.count("no") for words in whole])
        positive = 1 / (1 + np.exp(-odds))
        return np.stack([1 - positive, positive], axis=1).astype(np.float32)


def test_weights_are_what_the_log_odds_lose():
    counter = Counter()
    weights = word_weights(counter, [WordMask("yes and no", 9)], 1)
    np.testing.assert_allclose(weights, [2, 0, -1], atol=1e-5)
    np.testing.assert_allclose(word_weights(counter, [WordMask("yes and no", 9)], 0), [-2, 0, 1], atol=1e-5)
    assert counter.calls[:2] == [1, 3]  # the text itself, and all that lack a word at once


def test_words_of_sets_are_weighed_by_the_log_odds_of_the_one_label():
    class Each:
        """Each label has log-odds of its own, whatever the others have."""

        has_sets = True

        def probabilities(self, texts, text_pairs=None):
            odds = np.array([[2.0 * text.count("yes"), 1.0 - text.count("no"), 3.0] for text in texts])
            return (1 / (1 + np.exp(-odds))).astype(np.float32)

    each = lambda label: word_weights(Each(), [WordMask("yes and no", 9)], label)  # noqa: E731
    np.testing.assert_allclose([each(0), each(1), each(2)], [[2, 0, 0], [0, 0, -1], [0, 0, 0]], atol=1e-5)


def test_words_of_both_texts_of_a_pair_are_weighed_and_long_texts_cut():
    weights = word_weights(Counter(), [WordMask("yes it is yes", 2), WordMask("no no no", 1)], 1)
    np.testing.assert_allclose(weights, [2, 0, -1], atol=1e-5)


def test_the_planted_word_decides_for_a_classical_pipeline(tiny_data):
    classifier = fitted(tiny_data)
    test = evaluate_split(classifier, tiny_data, "test").predictions
    found = attributions(classifier, tiny_data, test, 4, 64)
    assert len(found) == 4
    for one in found:
        assert one.strongest(1)[0][0] in DECISIVE
        assert one.strongest(1)[0][1] > 0
        assert not one.is_cut
    assert {one.prediction for one in found} == {"negative", "positive"}


@pytest.mark.parametrize("pairs", [False, True])
def test_a_transformer_can_be_asked_too(pairs, tiny_checkpoint):
    data = make_data(pairs=pairs)
    classifier = fitted(data, TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32))
    test = evaluate_split(classifier, data, "test").predictions
    found = attributions(classifier, data, test, 2, 6)
    for one in found:
        assert len(one.words) == len(one.weights) == len(one.gaps) <= 6
        assert one.first_words == (3 if pairs else len(one.words))
        assert any(one.weights)
        assert one.probability == pytest.approx(max(test.probabilities[one.example]))


def test_mistakes_come_first_and_make_room_for_each_other(tiny_data):
    classifier = fitted(tiny_data)
    test = evaluate_split(classifier, tiny_data, "test").predictions
    wrong = type(test)(np.where(np.arange(24) < 5, 1 - test.labels, test.labels), test.probabilities, test.label_names)
    said = [one.label == one.prediction for one in attributions(classifier, tiny_data, wrong, 4, 9)]
    assert said == [False, False, True, True]
    all_wrong = type(test)(1 - test.labels, test.probabilities, test.label_names)
    assert [one.label == one.prediction for one in attributions(classifier, tiny_data, all_wrong, 3, 9)] == [False] * 3
    assert len(attributions(classifier, tiny_data, test, 99, 2)) == 24


def test_a_text_without_words_is_left_out():
    split = datasets.Dataset.from_dict({"example": [0, 1], "text": ["", "yes"], "label": [0, 1]})
    data = TextData("d", split, split, split, ("no", "yes"), "tests")
    counter = Counter()
    test = evaluate_split(counter, data, "test").predictions
    assert [one.words for one in attributions(counter, data, test, 4, 9)] == [("yes",)]


def test_certain_probabilities_have_finite_weights():
    class Certain:
        has_sets = False

        def probabilities(self, texts, text_pairs=None):
            return np.array([[0.0, 1.0] if "x" in text else [1.0, 0.0] for text in texts], dtype=np.float32)

    weights = word_weights(Certain(), [WordMask("x y", 9)], 1)
    assert np.isfinite(weights).all()
    assert weights[0] > 100
    assert weights[1] == 0
    json.dumps(weights.tolist(), allow_nan=False)


HOSTILE = Attribution(
    example=3, label="<b>a</b>", prediction='"><script>alert(1)</script>', probability=0.9,
    words=("<script>alert(1)</script>", 'x"onmouseover="y', "שלום", "quiet\u202e"), gaps=(" ", " ", "\n", ""),
    weights=(2.0, -1.0, 0.5, 0.0), first_words=3, is_cut=True,
)  # fmt: skip


def test_the_page_escapes_every_text_and_has_no_script():
    page = attributions_page("<script>t</script>", [HOSTILE])
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'x"onmouseover' not in page
    assert "\u202e" not in page
    assert "script-src" not in page
    assert "default-src 'none'" in page
    assert page.count('class="text" dir="auto"') == 2  # a pair


def test_signs_are_told_by_more_than_colour():
    page = attributions_page("t", [HOSTILE])
    assert re.search(r'title="\+2\.00" class="for"', page)
    assert re.search(r'title="−1\.00" class="against"', page)
    assert re.search(r'title="\+0\.00">quiet', page)  # what changes nothing bears no line
    assert ".for" in page
    assert "dotted" in page


def test_colours_are_on_one_scale_and_there_are_none_below_the_floor():
    weights = (8.38, 1.0, 0.5, -0.5, 0.09, -0.03)
    one = Attribution(0, "a", "a", 0.9, tuple("abcdef"), (" ",) * 6, weights, 6, False)
    strong = re.findall(r'title="(\S+)" class="(\w+)" style="--a:([\d.]+)"', attributions_page("t", [one]))
    assert strong == [
        ("+8.38", "for", "0.55"), ("+1.00", "for", "0.55"), ("+0.50", "for", "0.28"), ("−0.50", "against", "0.28"),
    ]  # fmt: skip
    assert [word for word, _ in one.strongest(6)] == list("abcd")
    slight = replace(one, weights=(0.03, 0.02, 0.0, -0.03, 0.09, 0.01))
    page = attributions_page("t", [slight])
    assert 'class="for" style="--a:0' not in page.partition("<h2>")[2]
    assert "No single word moves this prediction." in page
    assert slight.strongest(6) == []


def test_the_page_of_words_without_any_weight():
    flat = Attribution(0, "a", "a", 0.5, ("x", "y"), (" ", ""), (0.0, 0.0), 2, False)
    assert 'class="for" style="--a:0' not in attributions_page("t", [flat])
