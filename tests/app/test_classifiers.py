import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.app.conftest import IMAGE, MARKDOWN
from textclf.app.classifiers import load
from textclf.app.run_list import read_choice
from textclf.errors import DataError


@pytest.fixture(scope="module")
def loaded(outputs):
    return load(read_choice(outputs / "runs" / "first").classifier)


def test_a_prediction_is_the_classifiers_own(loaded):
    found = loaded.predict("a lovely film")
    assert found == loaded.classifier.predict(["a lovely film"])[0]
    assert found.label == "positive"


def test_words_weigh_what_leaving_them_out_changes(loaded):
    text = "it is a lovely film"
    label = loaded.predict(text).label
    weighed = loaded.weigh(text, None, label, most=60)
    (words,) = weighed.texts
    assert "".join(word.word + word.gap for word in words) == text
    assert weighed.strongest(1)[0].word == "lovely"
    odds = [np.log(p / (1 - p)) for p in loaded.predict_proba([text, "it is a film"])[:, 1].astype(float)]
    assert weighed.strongest(1)[0].weight == pytest.approx(odds[0] - odds[1], rel=1e-4)
    assert loaded.weigh(text, None, label, most=2).is_cut
    assert len(loaded.weigh(text, None, label, most=2).texts[0]) == 2
    assert loaded.weigh(text, None, label, most=0) is None


def test_a_pair_has_its_words_in_two_texts(pair_classifier):
    loaded = load(pair_classifier)
    assert loaded.label_names == (IMAGE, MARKDOWN)
    assert loaded.has_pairs
    found = loaded.predict("a lovely film", "it is positive")
    assert found.label == MARKDOWN
    weighed = loaded.weigh("a lovely film", "it is positive", found.label, most=60)
    assert [len(words) for words in weighed.texts] == [3, 3]
    with pytest.raises(DataError, match="both texts"):
        loaded.predict("a lovely film", " ")


def test_sessions_take_turns(loaded, monkeypatch):
    inside, most = 0, 0
    gate = threading.Lock()
    whole = type(loaded.classifier).predict_proba

    def watched(self, texts, text_pairs=None):
        nonlocal inside, most
        with gate:
            inside += 1
            most = max(most, inside)
        try:
            return whole(self, texts, text_pairs)
        finally:
            with gate:
                inside -= 1

    monkeypatch.setattr(type(loaded.classifier), "predict_proba", watched)
    texts = ["a lovely film", "an awful lamp"] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(loaded.predict, texts))
    assert [one.label for one in found] == ["positive", "negative"] * 20
    assert most == 1
