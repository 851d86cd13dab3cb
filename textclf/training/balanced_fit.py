"""Fit a classifier of scikit-learn with weights for rare classes or hard examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import has_fit_parameter

from textclf.errors import ConfigError
from textclf.models.options import Balance, Imbalance
from textclf.training.imbalance import class_weights, repetitions

FOCAL_ROUNDS = 6
"""Fits of `imbalance=focal` after the first, each with weights from the one before."""


def check_balance(classifier: BaseEstimator, balance: Balance) -> None:
    """Refuse what a classifier cannot do.

    Raises:
        ConfigError: If it takes no weights of examples, or has no probabilities to weigh them by.
    """
    if balance.imbalance is Imbalance.none:
        return
    name = type(classifier).__name__
    if not has_fit_parameter(classifier, "sample_weight"):
        raise ConfigError(
            f"model.imbalance={balance.imbalance.value}: a {name} does not take weights of examples; "
            f"use imbalance=none or another classifier."
        )
    if balance.imbalance is Imbalance.focal and not hasattr(classifier, "predict_proba"):
        raise ConfigError(
            f"model.imbalance=focal weighs examples by their predicted probability, which a {name} does not have; "
            f"use class_weights or oversample, or a classifier with probabilities such as model=tfidf_logreg."
        )


def fit_balanced(classifier: Any, features: Any, labels: NDArray[np.int64], balance: Balance, seed: int) -> None:
    """Fit a classifier in place.

    Weights do everything: a class by its share (`class_weights`), an example by how often it is drawn
    (`oversample`, so that copies of it never lie on both sides of a calibration fold), or by how hard it still is
    (`focal`: fitted again and again, the weights of each round from the probabilities of the one before).

    Args:
        classifier: An unfitted scikit-learn classifier.
        features: The n examples, as the classifier takes them.
        labels: int64 (n,).
        balance: How examples are weighed.
        seed: Seed of what is drawn.
    """
    if balance.imbalance is Imbalance.class_weights:
        weights = class_weights(labels, int(labels.max()) + 1)[labels]
        classifier.fit(features, labels, sample_weight=weights)
    elif balance.imbalance is Imbalance.oversample:
        times = repetitions(labels, np.random.default_rng(seed)).astype(np.float64)
        classifier.fit(features, labels, sample_weight=times * len(times) / times.sum())
    else:
        classifier.fit(features, labels)
    if balance.imbalance is Imbalance.focal:
        _refit_focal(classifier, features, labels, balance.focal_gamma)


def _refit_focal(classifier: Any, features: Any, labels: NDArray[np.int64], gamma: float) -> None:
    """Bring a classifier that is fitted by cross-entropy to a stationary point of the focal loss.

    The focal loss has the gradient of a cross-entropy in which each example has the weight of `focal_weights`, so
    where a fit with these weights gives the probabilities that they come from, it minimises the focal loss. A step of
    1 / (1 + gamma) in the logarithm of the weights keeps them from swinging to and fro.
    """
    columns = np.searchsorted(classifier.classes_, labels)
    logs = np.zeros(len(labels))
    for _ in range(FOCAL_ROUNDS):
        right = classifier.predict_proba(features)[np.arange(len(labels)), columns]
        logs += (np.log(focal_weights(right, gamma)) - logs) / (1 + gamma)
        weights = np.exp(logs)
        classifier.fit(features, labels, sample_weight=weights * len(weights) / weights.sum())


def focal_weights(probabilities: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    """Return the gradient of the focal loss by that of the cross-entropy, float64 (n,).

    Args:
        probabilities: Those of the true classes, float64 (n,).
        gamma: The focal loss's exponent.
    """
    p = np.clip(probabilities, 1e-9, 1 - 1e-6)
    return (1 - p) ** gamma - gamma * (1 - p) ** (gamma - 1) * p * np.log(p)
