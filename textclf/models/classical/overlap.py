"""How much the two texts of a pair have in common, as features for classical models."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

WORD = re.compile(r"\w+")


class WordOverlap(TransformerMixin, BaseEstimator):
    """Two measures of the words that the texts of a pair share.

    Coverage is the share of the second text's words that occur in the first, the baseline of
    the RTE challenges; Jaccard is the shared part of all words of both.
    """

    def fit(self, X: NDArray[np.object_], y: object = None) -> WordOverlap:  # noqa: N803
        """Learn nothing."""
        self.n_features_in_ = 2
        return self

    def transform(self, X: NDArray[np.object_]) -> NDArray[np.float64]:  # noqa: N803
        """Return coverage and Jaccard, float64 (n, 2), of pairs of texts, object (n, 2)."""
        measures = np.zeros((len(X), 2))
        for i, (text, pair) in enumerate(X):
            first, second = (set(WORD.findall(part.lower())) for part in (text, pair))
            shared = len(first & second)
            measures[i] = shared / max(len(second), 1), shared / max(len(first | second), 1)
        return measures

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the two measures."""
        return np.array(["coverage", "jaccard"], dtype=object)
