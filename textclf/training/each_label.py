"""Fit a classical model to sets of labels: a classifier of two classes for each label, or a chain of them.

The result is what scikit-learn's `OneVsRestClassifier` or `ClassifierChain` would be. It is put together here because
each label is fitted as a single class is (with weights for rare ones, or a part at a time), and several at once.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.preprocessing import LabelBinarizer
from threadpoolctl import threadpool_limits

from textclf.errors import ConfigError
from textclf.models.options import Balance, Imbalance
from textclf.training.balanced_fit import fit_balanced

WORTH_SHARING = 5.0
"""Seconds of work below which it is not worth to start others beside it."""
CALIBRATION_FOLDS = 5


def with_probabilities(classifier: BaseEstimator, has: NDArray[np.bool_], seed: int) -> BaseEstimator:
    """Return a classifier with probabilities: one without gets a sigmoid of its scores on held-out folds.

    Args:
        classifier: An unfitted classifier of two classes.
        has: Which labels the examples have, bool (n, num_labels); the rarest one limits the folds.
        seed: Seed of the folds.
    """
    if hasattr(classifier, "predict_proba"):
        return classifier
    counts = has.sum(axis=0)
    fewest = int(min(counts.min(), (len(has) - counts).min()))
    if fewest < 2:
        raise ConfigError(
            f"A {type(classifier).__name__} has no probabilities of its own, and needs 2 texts with each label and 2 "
            f"without it to be calibrated on; the rarest has {fewest}. Use model=tfidf_logreg, or leave rare labels "
            f"out with dataset.min_class_examples=2."
        )
    folds = StratifiedKFold(min(CALIBRATION_FOLDS, fewest), shuffle=True, random_state=seed)
    return CalibratedClassifierCV(classifier, method="sigmoid", ensemble=False, cv=folds)


def fit_each_label(classifier: Any, features: Any, has: NDArray[np.bool_], balance: Balance, seed: int) -> Any:
    """Return a classifier of each label, fitted by itself.

    Args:
        classifier: An unfitted classifier of two classes, with probabilities.
        features: The n examples, as the classifier takes them.
        has: Which labels they have, bool (n, num_labels).
        balance: How examples are weighed, for each label anew.
        seed: Seed of what is drawn.
    """

    def fitted(label: int) -> Any:
        own = clone(classifier)
        fit_balanced(own, features, has[:, label].astype(np.int64), balance, seed)
        return own

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with threadpool_limits(1, user_api="blas"):  # its threads wait for one another on vectors as short as these
        start = time.perf_counter()
        found, rest = [fitted(0)], range(1, has.shape[1])
        if cores > 1 and (time.perf_counter() - start) * len(rest) > WORTH_SHARING:
            with ThreadPoolExecutor(cores) as pool:
                found += pool.map(fitted, rest)
        else:
            found += [fitted(label) for label in rest]
    return assembled(classifier, found)


def fit_chain(classifier: Any, features: Any, has: NDArray[np.bool_], balance: Balance, seed: int) -> Any:
    """Return a chain of classifiers: each is also given the labels before it, the most frequent first.

    Args:
        classifier: An unfitted classifier of two classes, with probabilities.
        features: The n examples, as the classifier takes them.
        has: Which labels they have, bool (n, num_labels).
        balance: Must weigh nothing.
        seed: Seed of what is drawn.

    Raises:
        ConfigError: If examples are to be weighed, which a chain cannot do for each label.
    """
    if balance.imbalance is not Imbalance.none:
        raise ConfigError(
            f"model.label_chain=true and model.imbalance={balance.imbalance.value} contradict each other: a chain "
            f"weighs no examples. Leave one of them out."
        )
    order = np.argsort(-has.sum(axis=0), kind="stable")
    return ClassifierChain(classifier, order=order, random_state=seed).fit(features, has.astype(np.int64))


def assembled(classifier: Any, fitted: list[Any]) -> OneVsRestClassifier:
    """Return scikit-learn's classifier of sets of labels from one that is fitted for each label."""
    whole = OneVsRestClassifier(clone(classifier))
    whole.estimators_ = fitted
    whole.classes_ = np.arange(len(fitted))
    whole.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(np.eye(len(fitted), dtype=np.int64))
    if hasattr(fitted[0], "n_features_in_"):
        whole.n_features_in_ = fitted[0].n_features_in_
    return whole
