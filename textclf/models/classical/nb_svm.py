"""NB-SVM: a linear SVM on word counts weighted by naive Bayes log-count ratios."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import LinearSVC
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data


class NBSVM(ClassifierMixin, BaseEstimator):
    """The classifier of Wang and Manning (2012), one against the rest for more than two classes.

    Each feature is multiplied by the log of its relative frequency in the class against that
    outside it; the SVM's weights are then drawn towards their mean, as in the paper.

    Args:
        C: Inverse strength of the SVM's regularisation.
        alpha: Pseudo-count added to each feature.
        beta: Share, 0 to 1, of the SVM's own weights; the rest is their mean magnitude.
        tol: Tolerance at which the SVM's solver stops.
        random_state: Seed of the solver.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "beta": [Interval(Real, 0, 1, closed="both")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803
        alpha: float = 1.0,
        beta: float = 0.25,
        tol: float = 1e-4,
        random_state: int | None = None,
    ):
        self.C = C
        self.alpha = alpha
        self.beta = beta
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: csr_matrix, y: NDArray, sample_weight: NDArray | None = None) -> NBSVM:  # noqa: N803
        """Fit to non-negative features (n, num_features), labels (n,) and weights of the examples (n,)."""
        X, y = validate_data(self, X, y, accept_sparse="csr")  # noqa: N806
        X = csr_matrix(X)  # noqa: N806  (features of few pairs of texts come dense)
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.classes_ = np.unique(y)
        positives = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        fitted = [self._fit_one(X, y == label, weights) for label in positives]
        self.coef_ = np.stack([weights for weights, _ in fitted])
        self.intercept_ = np.array([intercept for _, intercept in fitted])
        return self

    def _fit_one(
        self,
        X: csr_matrix,  # noqa: N803
        positive: NDArray[np.bool_],
        sample_weight: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], float]:
        """Return weights (num_features,) and intercept of one class against the rest."""
        inside = self.alpha + X[positive].T @ sample_weight[positive]
        outside = self.alpha + X[~positive].T @ sample_weight[~positive]
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        svm = LinearSVC(C=self.C, tol=self.tol, random_state=self.random_state)
        svm.fit(X.multiply(ratio).tocsr(), positive, sample_weight)
        weights = svm.coef_.ravel()
        drawn = (1 - self.beta) * np.abs(weights).mean() + self.beta * weights
        return drawn * ratio, float(svm.intercept_[0])

    def decision_function(self, X: csr_matrix) -> NDArray[np.float64]:  # noqa: N803
        """Return scores: (n,) for two classes, else (n, num_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)  # noqa: N806
        scores = np.asarray(X @ self.coef_.T) + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: csr_matrix) -> NDArray:  # noqa: N803
        """Return the class of each row, (n,)."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[chosen]
