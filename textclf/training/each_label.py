"""Fit a classical model to many classes or to sets of labels: a classifier of two classes for each, or a chain of them.

The result says what scikit-learn's `OneVsRestClassifier` or `ClassifierChain` would. It is put together here because
each label is fitted as a single class is (with weights for rare ones, or a part at a time), several at once, and
because of a linear model only the weights are kept.

Of many classes a classifier for each costs a fraction of one of all: that one works on a matrix of classes times words
at every step, of which each class has a column of its own in memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from threadpoolctl import threadpool_limits

from textclf.errors import ConfigError, ResourceError
from textclf.models.classical.linear_classes import LinearClasses, log_odds, one_versus_rest
from textclf.models.options import Balance, Imbalance
from textclf.system.memory import free_memory
from textclf.training.balanced_fit import fit_balanced

WORTH_SHARING = 5.0
"""Seconds of work below which it is not worth to start others beside it."""
CALIBRATION_FOLDS = 5
BYTES = 4
"""Of a weight."""
GIGABYTE = 1e9


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

    return assembled(classifier, _fitted_each(fitted, has.shape[1], _fits_apart(classifier)), has.shape[1])


def fit_each_class(classifier: Any, features: Any, labels: NDArray[np.int64]) -> Any:
    """Return a classifier of each class against the rest.

    Args:
        classifier: An unfitted classifier of two classes, with probabilities.
        features: The n examples, as the classifier takes them.
        labels: int64 (n,), of three classes or more.
    """
    classes = np.unique(labels)

    def fitted(place: int) -> Any:
        return clone(classifier).fit(features, labels == classes[place])

    return assembled(classifier, _fitted_each(fitted, len(classes), _fits_apart(classifier)), classes)


def _fits_apart(classifier: Any) -> bool:
    """Whether two fits at once know nothing of each other, known of two classifiers alone.

    liblinear and libsvm draw from one generator of the whole process, so that the digits of two fits at once would
    depend on which comes first.
    """
    inner = getattr(classifier, "estimator", classifier)
    return isinstance(inner, SGDClassifier) or (isinstance(inner, LogisticRegression) and inner.solver == "lbfgs")


def _fitted_each(fitted: Callable[[int], Any], count: int, may_share: bool) -> Iterator[Any]:
    """Yield what is fitted for each number below `count`, several at once where they may and that pays."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with threadpool_limits(1, user_api="blas"):  # its threads wait for one another on vectors as short as these
        start = time.perf_counter()
        first, rest = fitted(0), range(1, count)
        if may_share and cores > 1 and (time.perf_counter() - start) * len(rest) > WORTH_SHARING:
            yield first
            with ThreadPoolExecutor(cores) as pool:
                yield from pool.map(fitted, rest)
        else:
            yield first
            yield from map(fitted, rest)


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


def assembled(
    classifier: Any, fitted: Iterable[Any], classes: int | NDArray[np.int64]
) -> LinearClasses | OneVsRestClassifier:
    """Return one classifier from those that are fitted for each class or label.

    Args:
        classifier: An unfitted one.
        fitted: One for each, in their order. Of linear models it keeps the weights alone, as they come.
        classes: The number of labels of sets, or the classes of which each example has one, sorted, int64
            (num_classes,).

    Raises:
        ResourceError: If the weights of all of them are more than fits in memory.
    """
    sets = isinstance(classes, int)
    known = np.arange(classes) if sets else np.asarray(classes)
    each = iter(fitted)
    first = next(each)
    if (model := log_odds(first)) is None:
        return one_versus_rest(classifier, [first, *each], known, sets)
    _refuse_beyond_memory(len(model[0]), len(known))
    whole = LinearClasses(sets).set_size(len(model[0]), known)
    whole.set_class(0, *model)
    del first
    for place, one in enumerate(each, start=1):
        model = log_odds(one)
        assert model is not None  # all of them are of one kind
        whole.set_class(place, *model)
    return whole


def _refuse_beyond_memory(num_features: int, num_classes: int) -> None:
    """Refuse weights for which there is no room, once they are numbers and once as the bytes of their file.

    Raises:
        ResourceError: If there is none.
    """
    needed, free = 2 * BYTES * num_features * num_classes, free_memory()
    if needed > free:
        raise ResourceError(
            f"{num_classes:,} classes or labels of {num_features:,} features each have weights that take "
            f"{needed / GIGABYTE:,.1f} GB of memory to learn and to save, and {free / GIGABYTE:,.1f} GB are free. "
            f"Leave out the words of one text alone, which are most of them (model.vectorizer.min_df=2), keep the "
            f"frequent ones (model.vectorizer.max_features=100000), or leave out rare classes "
            f"(dataset.min_class_examples=5)."
        )
