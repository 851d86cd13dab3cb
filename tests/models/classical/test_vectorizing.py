import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

from textclf.models.classical import vectorizing, word_counts
from textclf.models.classical.vectorizing import FeatureIndex, fit_transform, index_of, is_covered, pays, transform
from textclf.models.classical.word_counts import words_of

LETTERS = "ab cdé İßΣσς_1²½ \u0301\u0300ä\u200d中文字 \U0001d400\ud800 \x00\n\t-.'AÉ٣ªः\u0e33      "


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Let few and short texts take the fast way, in several chunks."""
    monkeypatch.setattr(vectorizing, "FEWEST_TEXTS", 0)
    monkeypatch.setattr(word_counts, "CHUNK_CHARACTERS", 300)


def some_texts(seed, count):
    """Return texts of any characters, with words among them that occur again and again."""
    chance = random.Random(seed)
    words = ["the", "Film", "été", "ΣΑΣ", "x", "中文", "a_1"]
    return [
        "".join(chance.choice(LETTERS) for _ in range(chance.randrange(40)))
        + " ".join(chance.choice(words) for _ in range(chance.randrange(9)))
        for _ in range(count)
    ]


def assert_same(fast, slow, exactly):
    slow.sort_indices()  # its `fit_transform` leaves them in the order in which it met the words
    fast.sort_indices()
    assert (type(fast), fast.dtype, fast.shape) == (type(slow), slow.dtype, slow.shape)
    assert fast.indices.dtype == slow.indices.dtype
    np.testing.assert_array_equal(fast.indptr, slow.indptr)
    np.testing.assert_array_equal(fast.indices, slow.indices)
    np.testing.assert_allclose(fast.data, slow.data, rtol=0 if exactly else 1e-14)


def state(vectorizer):
    """Return what was fitted, but for the identity of the stop words that scikit-learn remembers."""
    own = {name: value for name, value in vars(vectorizer).items() if name not in ("_tfidf", "_stop_words_id")}
    weights = vars(vectorizer._tfidf) if hasattr(vectorizer, "_tfidf") else {}
    return own, {name: np.asarray(value).tolist() for name, value in weights.items()}


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CountVectorizer, {}),
        (CountVectorizer, {"binary": True, "min_df": 2, "max_features": 20}),
        (CountVectorizer, {"lowercase": False, "max_df": 0.3, "max_features": 7}),
        (TfidfVectorizer, {"sublinear_tf": True}),
        (TfidfVectorizer, {"min_df": 0.02, "max_df": 50, "norm": "l1", "smooth_idf": False}),
        (TfidfVectorizer, {"use_idf": False, "norm": None, "min_df": 3, "max_features": 30}),
        (TfidfVectorizer, {"binary": True, "max_features": 9}),
    ],
)
def test_features_vocabulary_and_state_are_those_of_scikit_learn(kind, options, ngrams):
    for seed in range(2):
        texts, more = some_texts(seed, 150), some_texts(seed + 100, 40)
        slow, fast = (kind(ngram_range=ngrams, **options) for _ in range(2))
        expected = slow.fit_transform(texts)
        found, index = fit_transform(fast, texts)
        assert index is not None
        assert_same(found, expected, exactly=kind is CountVectorizer)
        assert state(fast) == state(slow)
        for own in (index, index_of(fast), index_of(slow)):
            assert isinstance(own, FeatureIndex)
            assert_same(transform(fast, more, own), slow.transform(more), exactly=True)


@pytest.mark.slow
def test_words_are_found_as_by_the_pattern_over_all_of_unicode():
    """Each character once alone, once beside a letter and once twice."""
    codes = [chr(code) for code in range(0x110000)]
    texts = [
        "".join(f" {one} a{one} {one}{one}b" for one in codes[at : at + 4096]) for at in range(0, len(codes), 4096)
    ]
    slow = CountVectorizer().build_analyzer()
    words, counts = words_of(texts, lowercase=True)
    expected = [slow(text) for text in texts]
    assert counts.tolist() == [len(own) for own in expected]
    assert words.to_pylist() == [word for own in expected for word in own]


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        (["", " ", "a ! é"], {}),
        (["one two", "three four"], {"min_df": 2}),
        (["one", "one"], {"max_df": 1}),
        (["one", "two"], {"min_df": 2, "max_df": 1}),
        (["one", "two"], {"ngram_range": (2, 3)}),
    ],
)
def test_what_scikit_learn_refuses_is_refused_in_its_words(texts, options):
    with pytest.raises(ValueError, match="vocabulary|pruning|max_df") as expected:
        TfidfVectorizer(**options).fit_transform(texts)
    with pytest.raises(ValueError, match="vocabulary|pruning|max_df") as found:
        fit_transform(TfidfVectorizer(**options), texts)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    "vectorizer",
    [
        CountVectorizer(analyzer="char"),
        CountVectorizer(token_pattern=r"\S+"),
        TfidfVectorizer(stop_words="english"),
        TfidfVectorizer(strip_accents="unicode"),
        CountVectorizer(vocabulary=["film"]),
        CountVectorizer(tokenizer=str.split, token_pattern=None),
        TfidfVectorizer(dtype=np.float32),
        HashingVectorizer(n_features=8),
    ],
)
def test_other_vectorizers_are_left_to_themselves(vectorizer):
    texts = ["a lovely film", "ein schöner Film", "the end"]
    assert not is_covered(vectorizer)
    found, index = fit_transform(vectorizer, texts)
    assert index is None
    np.testing.assert_array_equal(transform(vectorizer, texts, index).toarray(), found.toarray())


def test_groups_of_more_words_than_have_room_in_an_integer_are_left_to_scikit_learn():
    texts = some_texts(1, 200)
    slow, fast = CountVectorizer(ngram_range=(1, 9)), CountVectorizer(ngram_range=(1, 9))
    found, index = fit_transform(fast, texts)
    assert index is None
    assert_same(found, slow.fit_transform(texts), exactly=True)
    assert index_of(slow) is None


def test_a_vocabulary_in_another_order_has_no_index():
    vectorizer = CountVectorizer().fit(["one two three"])
    assert index_of(vectorizer) is not None
    vectorizer.vocabulary_ = {"two": 0, "one": 1, "three": 2}
    assert index_of(vectorizer) is None


def test_an_index_pays_once_texts_are_many():
    vectorizer = CountVectorizer().fit([" ".join(f"word{i}" for i in range(1000))])
    assert not pays(vectorizer, 1)
    assert pays(vectorizer, 1000)
