import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.utils import murmurhash3_32

from tests.models.classical.test_vectorizing import assert_same, some_texts
from textclf.models.classical import hashing, vectorizing, word_counts
from textclf.models.classical.hashing import hashed, is_hashed, murmurhash


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let few and short texts take the fast way, in several chunks."""
    monkeypatch.setattr(hashing, "FEWEST_TEXTS", 1)
    monkeypatch.setattr(word_counts, "CHUNK_CHARACTERS", 300)


def test_hashes_are_those_of_scikit_learn():
    chance = np.random.default_rng(1)
    letters = chance.integers(0, 256, size=4000, dtype=np.uint8)
    starts = chance.integers(0, 3000, size=500)
    lengths = np.concatenate([np.arange(300), chance.integers(0, 900, size=200)])
    expected = [murmurhash3_32(letters[a : a + b].tobytes()) for a, b in zip(starts, lengths, strict=True)]
    assert murmurhash(letters, starts, lengths).tolist() == expected


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alternate_sign": False, "norm": None},
        {"n_features": 7},
        {"n_features": 1, "norm": "l1"},
        {"n_features": 2**31 - 1, "lowercase": False},
        {"binary": True, "dtype": np.float32},
    ],
)
def test_features_are_those_of_scikit_learn(ngrams, options):
    vectorizer = HashingVectorizer(ngram_range=ngrams, **options)
    assert is_hashed(vectorizer)
    long = ["é" * 500 + " zz", f"{'x' * 300} y1 {'q' * 256} 中 中文 b", ""]
    texts = some_texts(3, 150) + long
    assert_same(hashed(vectorizer, texts), vectorizer.transform(texts), exactly=True)
    for way in (
        vectorizing.transform(vectorizer, texts, None),
        vectorizing.fit_transform(vectorizer, texts)[0],
    ):
        assert_same(way, vectorizer.transform(texts), exactly=True)


def test_texts_without_words_have_no_features():
    texts = ["", "a b c", "!?"]
    assert_same(hashed(HashingVectorizer(), texts), HashingVectorizer().transform(texts), exactly=True)


@pytest.mark.parametrize(
    "vectorizer",
    [HashingVectorizer(analyzer="char"), HashingVectorizer(stop_words=["film"]), HashingVectorizer(token_pattern=r"\S+"),
     CountVectorizer()],
)  # fmt: skip
def test_others_are_left_to_scikit_learn(vectorizer):
    assert not is_hashed(vectorizer)
    texts = ["a lovely film", "ein schöner Film"]
    found, _ = vectorizing.fit_transform(vectorizer, texts)
    np.testing.assert_array_equal(found.toarray(), vectorizer.transform(texts).toarray())
