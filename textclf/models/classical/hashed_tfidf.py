"""Tf-idf of words and groups of words that have numbers but no names, so that memory does not grow with the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.utils.validation import check_is_fitted

from textclf.models.classical.hashing import hashed


class HashedTfidf(TransformerMixin, BaseEstimator):
    """scikit-learn's `HashingVectorizer`, its counts weighted by its `TfidfTransformer`.

    What is learned from texts is how frequent each number is among them. A sample of the texts tells that well enough.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: HashingVectorizer._parameter_constraints[name] for name in ("n_features", "ngram_range", "lowercase")},
        "sublinear_tf": TfidfTransformer._parameter_constraints["sublinear_tf"],
    }

    def __init__(
        self,
        *,
        n_features: int = 1 << 20,
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        sublinear_tf: bool = False,
    ):
        """Keep the arguments, each as scikit-learn's class of that argument takes it."""
        self.n_features = n_features
        self.ngram_range = ngram_range
        self.lowercase = lowercase
        self.sublinear_tf = sublinear_tf

    def fit(self, X: Sequence[str], y: object = None) -> HashedTfidf:  # noqa: N803
        """Learn the weights of the features from texts."""
        self.tfidf_ = TfidfTransformer(sublinear_tf=self.sublinear_tf).fit(self._counts(X))
        return self

    def transform(self, X: Sequence[str]) -> csr_matrix:  # noqa: N803
        """Return the weighted features of texts, (n, n_features)."""
        check_is_fitted(self)
        return self.tfidf_.transform(self._counts(X), copy=False)

    def _counts(self, texts: Sequence[str]) -> csr_matrix:
        """Return how often each feature occurs in each text, (n, n_features)."""
        hashing = HashingVectorizer(
            n_features=self.n_features,
            ngram_range=self.ngram_range,
            lowercase=self.lowercase,
            alternate_sign=False,
            norm=None,
        )
        return hashed(hashing, texts)
