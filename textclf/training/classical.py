"""Fit a classical model; weigh rare classes, give it probabilities, and stream what does not fit in memory."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import load_npz, save_npz
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline

from textclf.data.dataset import MappedTexts, TextData, label_sets_of, labels_of, texts_of
from textclf.errors import ConfigError, DataError, first_line
from textclf.models.classical.hashed_tfidf import HashedTfidf
from textclf.models.classical.pipeline import (
    ClassicalClassifier,
    WordOverlap,
    make_one_vs_rest,
    make_parts,
    pipeline_inputs,
)
from textclf.models.classical.vectorizing import FeatureIndex, fit_transform, transform
from textclf.models.cleaning import cleaned
from textclf.models.options import UNWEIGHED, Balance, ClassicalModel, Imbalance
from textclf.system.unfinished import temporary_folder
from textclf.training.balanced_fit import check_balance, fit_balanced
from textclf.training.each_label import assembled, fit_chain, fit_each_class, fit_each_label, with_probabilities
from textclf.training.result import FitResult, RunContext

log = logging.getLogger(__name__)

CALIBRATION_FOLDS = 5
WEIGHTS = (
    ("coef_", "intercept_"),
    ("weights_", "intercept_"),
    ("feature_log_prob_", "class_log_prior_"),
    ("coefs_", "intercepts_"),
    ("class_prior_",),
)
"""Attributes in which scikit-learn's linear, naive Bayes, network and dummy classifiers keep what they learned; one
that has not the first of any group keeps it elsewhere."""
PART = 1 << 16
"""Texts whose features are in memory at once; fewer are fitted in the usual way, in as many epochs as that takes."""
ENOUGH = 1 << 18
"""Examples, counted again in each epoch, after which gradient descent has learned about all that it will."""


def fit_classical(
    options: ClassicalModel, data: TextData, context: RunContext
) -> tuple[ClassicalClassifier, FitResult]:
    """Fit the pipeline that the options describe.

    Raises:
        ConfigError: If a part is not allowed, not there, or refuses its arguments.
        DataError: If a class has too few examples to calibrate on, or no word is left of the texts.
    """
    vectorizer, classifier = make_parts(options)
    check_balance(classifier, options.balance)
    of_two = make_one_vs_rest(options) if data.has_sets or data.num_labels > 2 else None
    each_class = of_two is not None and not data.has_sets and options.balance == UNWEIGHED
    if of_two is not None and (data.has_sets or each_class):
        classifier = of_two
    has = label_sets_of(data.train, data.num_labels) if data.has_sets else None
    labels = labels_of(data.train) if has is None else np.zeros(0, dtype=np.int64)
    texts, pairs = texts_of(data.train)
    if options.text_cleaning:
        texts = cleaned(texts, options.text_cleaning)
        pairs = None if pairs is None else cleaned(pairs, options.text_cleaning)
    features: BaseEstimator = vectorizer
    if pairs is not None:
        features = ColumnTransformer(
            [("text", vectorizer, 0), ("text_pair", clone(vectorizer), 1), ("overlap", WordOverlap(), [0, 1])]
        )
    for part in (vectorizer, classifier):
        if part.get_params().get("random_state", 0) is None:
            part.set_params(random_state=context.seed)
    if has is not None:
        classifier = with_probabilities(classifier, has, context.seed)
    elif not hasattr(classifier, "predict_proba"):
        classifier = _calibrated(classifier, labels, data.label_names, context.seed)

    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            index = None
            if is_streamed(features, classifier, len(texts), options.balance):
                if has is None:
                    fit_streamed(features, [classifier], texts, labels[:, None], context.seed)
                else:
                    each = [clone(classifier) for _ in data.label_names]
                    fit_streamed(features, each, texts, has.astype(np.int64), context.seed)
                    classifier = assembled(classifier, each, len(each))
            elif has is not None:
                inputs, index = _fitted(features, texts, pairs)
                fit_sets = fit_chain if options.label_chain else fit_each_label
                classifier = fit_sets(classifier, inputs, has, options.balance, context.seed)
            elif each_class:
                inputs, index = _fitted(features, texts, pairs)
                classifier = fit_each_class(classifier, inputs, labels)
            else:
                inputs, index = _fitted(features, texts, pairs)
                fit_balanced(classifier, inputs, labels, options.balance, context.seed)
        except ValueError as error:
            raise DataError(f"{options.name} could not be fitted to {data.name}: {error}") from error
        except (TypeError, AttributeError, IndexError, NotImplementedError) as error:
            raise ConfigError(
                f"{options.name} could not be fitted to {data.name}: {first_line(error)} The parts that "
                f"model.vectorizer and model.classifier name do not fit texts or each other."
            ) from error
    pipeline = Pipeline([("features", features), ("classifier", classifier)])
    seconds = time.perf_counter() - start
    for message in dict.fromkeys(str(w.message).split("\n")[0] for w in caught if w.category is ConvergenceWarning):
        log.warning("%s: %s", options.name, message)
    weights = _count_weights(classifier)
    result = FitResult(
        num_parameters=weights,
        num_trainable=weights,
        train_seconds=seconds,
        train_examples=len(data.train),
        device="cpu",
        precision="fp64",
        draws_seed=draws_from_seed(options),
    )
    fitted = ClassicalClassifier(
        label_names=data.label_names,
        cleaning=tuple(options.text_cleaning),
        has_pairs=data.has_pairs,
        columns=data.columns,
        thresholds=None if has is None else (0.5,) * data.num_labels,
        pipeline=pipeline,
        index=index,
    )
    return fitted, result


class _DrawnError(Exception):
    """Something was drawn."""


class _Untouched(np.random.RandomState):
    """Random numbers of which none may be drawn; copies of it are itself."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            raise _DrawnError
        return super().__getattribute__(name)

    def __deepcopy__(self, memo: Any) -> _Untouched:
        return self

    def __reduce__(self) -> Any:
        raise _DrawnError


PROBE = [
    f"{word} {other} {word}ly {other}s" for word in ("good", "bad", "new", "old") for other in ("film", "book")
] * 5
"""Texts on which it is tried whether a model draws from its seed."""


def draws_from_seed(options: ClassicalModel) -> bool:
    """Whether a fit draws from the run's seed: tried on a few texts, with random numbers that let none be drawn.

    Raises:
        ConfigError: If a part is not allowed, not there, or refuses its arguments.
    """
    vectorizer, classifier = make_parts(options)
    balance = options.balance
    streams = is_streamed(vectorizer, classifier, PART + 1, balance)
    if balance.imbalance is Imbalance.oversample or streams or not hasattr(classifier, "predict_proba"):
        return True
    classifiers = [classifier, *filter(None, [make_one_vs_rest(options)])]
    for part in (vectorizer, *classifiers):
        if part.get_params().get("random_state", 0) is None:
            part.set_params(random_state=_Untouched())
    before = _global_state()
    labels = np.arange(len(PROBE)) % 16 < 8
    try:
        with warnings.catch_warnings(action="ignore"):
            features = vectorizer.fit_transform(PROBE)
            for one in classifiers:
                fit_balanced(one, features, labels.astype(np.int64), balance, seed=0)
                one.predict_proba(features)
    except Exception:  # also where these texts do not suit it: nothing is known then
        return True
    return _global_state() != before


def _global_state() -> tuple[bytes, int]:
    """Return the state of numpy's own random numbers, from which parts within parts draw."""
    state: Any = np.random.get_state()
    return state[1].tobytes(), state[2]


def _fitted(features: Any, texts: Sequence[str], text_pairs: Sequence[str] | None) -> tuple[Any, FeatureIndex | None]:
    """Fit what makes features in place, and return those of the n texts or pairs, (n, num_features)."""
    if text_pairs is None:
        return fit_transform(features, texts)
    return features.fit_transform(pipeline_inputs(texts, text_pairs)), None


def _calibrated(
    classifier: BaseEstimator, labels: NDArray[np.int64], label_names: Sequence[str], seed: int
) -> CalibratedClassifierCV:
    """Give a classifier probabilities, by a sigmoid of its scores on held-out folds."""
    counts = np.bincount(labels, minlength=len(label_names))
    scarce = int(counts.argmin())
    if counts[scarce] < 2:
        raise DataError(
            f"class {label_names[scarce]!r} has {counts[scarce]} training example, and a classifier without "
            f"probabilities of its own needs 2 of each to be calibrated. Use model=tfidf_logreg or add examples."
        )
    folds = StratifiedKFold(min(CALIBRATION_FOLDS, counts.min()), shuffle=True, random_state=seed)
    return CalibratedClassifierCV(classifier, method="sigmoid", ensemble=False, cv=folds)


def _count_weights(classifier: BaseEstimator) -> int | None:
    """Return how many numbers the fitted classifier has learned; none where it is not known where it keeps them."""
    if isinstance(classifier, (OneVsRestClassifier, ClassifierChain)):
        counts = [_count_weights(one) for one in classifier.estimators_]
        return None if None in counts else sum(count for count in counts if count is not None)
    if isinstance(classifier, CalibratedClassifierCV):
        return _count_weights(classifier.calibrated_classifiers_[0].estimator)
    for first, *others in WEIGHTS:
        if hasattr(classifier, first):
            return sum(_size(getattr(classifier, name)) for name in (first, *others) if hasattr(classifier, name))
    return None


def _size(learned: Any) -> int:
    """Return how many numbers an array, or a list of arrays, holds."""
    return sum(map(_size, learned)) if isinstance(learned, list) else int(np.size(learned))


def is_streamed(features: Any, classifier: Any, num_texts: int, balance: Balance) -> bool:
    """Whether texts are so many, and the parts of the model such, that they are fitted a part at a time.

    The vectorizer must have features that do not depend on the texts, as `HashingVectorizer`, and the classifier must
    take parts.
    """
    settled = isinstance(features, (HashingVectorizer, HashedTfidf))
    return num_texts > PART and settled and hasattr(classifier, "partial_fit") and balance == UNWEIGHED


def fit_streamed(
    features: Any, classifiers: Sequence[Any], texts: Sequence[str], labels: NDArray[np.int64], seed: int
) -> int:
    """Fit classifiers in place, each to its column of labels, until they have seen `ENOUGH` texts.

    They are shown all texts in random order, `PART` of them at a time.

    The weights of features, where they have any, are learned from the first part. Where it takes more than one epoch,
    the features of the parts are kept in temporary files meanwhile.

    Args:
        features: A vectorizer whose features do not depend on the texts.
        classifiers: Unfitted classifiers with `partial_fit`.
        texts: The n texts; those on disk are read as they are needed.
        labels: int64 (n, len(classifiers)).
        seed: Seed of the order.

    Returns:
        The number of epochs.
    """
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(texts))
    parts = np.split(order, range(PART, len(texts), PART))
    classes = [np.unique(column) for column in labels.T]

    def learn(part: Any, rows: NDArray[np.int64]) -> None:
        for number, classifier in enumerate(classifiers):
            classifier.partial_fit(part, labels[rows, number], classes=classes[number])

    epochs = math.ceil(ENOUGH / len(texts))
    with temporary_folder("textclf-features-") as folder:
        paths = [folder / f"{number}.npz" for number in range(len(parts))]
        for path, rows in zip(paths, parts, strict=True):
            chosen = _chosen(texts, rows)
            if rows is parts[0]:
                features.fit(chosen)
            part = transform(features, chosen, None)
            learn(part, rows)
            if epochs > 1:
                save_npz(path, part, compressed=False)
        for epoch in range(1, epochs):
            log.debug("epoch %d of %d done", epoch, epochs)
            for number in chance.permutation(len(parts)):
                learn(load_npz(paths[number]), parts[number])
    return epochs


def _chosen(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """Return the texts of some rows."""
    if not isinstance(texts, MappedTexts):
        return [texts[int(row)] for row in rows]
    place = np.argsort(rows)  # in the order of the file, which is far faster to read
    out = np.empty(len(rows), dtype=object)
    out[place] = list(MappedTexts(texts.rows.select(rows[place]), texts.column, texts.change))
    return list(out)
