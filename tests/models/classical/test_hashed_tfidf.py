import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline

from tests.models.classical.test_vectorizing import some_texts
from textclf.models.classical.hashed_tfidf import HashedTfidf


@pytest.mark.parametrize("sublinear", [False, True])
def test_features_are_those_of_the_two_classes_of_scikit_learn(sublinear):
    texts, more = some_texts(1, 100), some_texts(2, 20)
    expected = make_pipeline(
        HashingVectorizer(n_features=64, ngram_range=(1, 2), alternate_sign=False, norm=None),
        TfidfTransformer(sublinear_tf=sublinear),
    )
    found = HashedTfidf(n_features=64, ngram_range=(1, 2), sublinear_tf=sublinear)
    np.testing.assert_array_equal(found.fit_transform(texts).toarray(), expected.fit_transform(texts).toarray())
    np.testing.assert_array_equal(found.transform(more).toarray(), expected.transform(more).toarray())


def test_it_transforms_nothing_before_it_was_fitted():
    with pytest.raises(NotFittedError):
        HashedTfidf().transform(["a text"])
