"""Fit a linear head to text embeddings: the texts are encoded once, and the head's strength is chosen on validation.

Of sets of labels each label has a logistic regression of its own, all of them of one strength.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from textclf.data.dataset import TextData, texts_of, truth_of
from textclf.data.label_sets import rarest_label
from textclf.errors import DataError
from textclf.models.embeddings.embeddings_classifier import EmbeddingsClassifier, TextEncoder, features_of
from textclf.models.embeddings.linear_head import LinearHead
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import Balance, EmbeddingsModel, Imbalance, LabelEmbeddingsModel, StaticEmbeddingsModel
from textclf.training.balanced_fit import fit_balanced
from textclf.training.options import TrainerOptions
from textclf.training.result import FitResult, RunContext

log = logging.getLogger(__name__)

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Values of the head's C that are tried, from the weakest to the strongest fit."""
MOST_ITERATIONS = 300
PATIENCE = 2
"""Strengths in a row without a smaller loss, after which no stronger one is tried."""
FEWEST_TO_CHOOSE = 50
"""Validation examples below which, if train has more, the strength is chosen by cross-validation in train."""
FOLDS = 5
Heads = Sequence[LogisticRegression]
"""The logistic regression of all classes, or one for each label."""


def fit_embeddings(
    options: EmbeddingsModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[EmbeddingsClassifier, FitResult]:
    """Encode the texts and fit a head to them.

    Args:
        options: The encoder and its head.
        data: The data.
        trainer: Its device and precision are those of the encoder.
        context: The run that this is part of.

    Raises:
        TextclfError: If the encoder cannot be had, or the data are too few.
    """
    from textclf.models.embeddings.sentence_encoder import load_encoder  # with torch
    from textclf.training.optim import choose_device, choose_precision, describe_device

    device = choose_device(trainer)
    encoder = load_encoder(options, device, choose_precision(trainer, device).value)
    classifier, result = fit_head(encoder, options, data, context)
    return classifier, replace(
        result,
        num_parameters=(result.num_parameters or 0) + encoder.num_parameters,
        device=describe_device(device),
        precision=encoder.arithmetic,
    )


def fit_static(
    options: StaticEmbeddingsModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[EmbeddingsClassifier, FitResult]:
    """Load word vectors, or distil them from a sentence encoder, and fit a head to their averages.

    Args:
        options: The vectors and the head.
        data: The data.
        trainer: Its device is that of a distillation.
        context: The run that this is part of.

    Raises:
        TextclfError: If the vectors cannot be had, or the data are too few.
    """
    begun, saved = time.perf_counter(), VECTORS.seconds_saved
    if options.distil:
        from textclf.models.embeddings.distillation import distil  # with torch
        from textclf.training.optim import choose_device

        encoder = distil(options, choose_device(trainer))
        loaded = time.perf_counter() - begun + VECTORS.seconds_saved - saved
    else:
        from textclf.models.embeddings.word_vectors import load_vectors

        encoder, loaded = load_vectors(options), 0.0
    classifier, result = fit_head(encoder, options, data, context)
    return classifier, replace(
        result,
        num_parameters=(result.num_parameters or 0) + encoder.num_parameters,
        train_seconds=result.train_seconds + loaded,
    )


def without_head(
    options: EmbeddingsModel | StaticEmbeddingsModel | LabelEmbeddingsModel, data: TextData, encoder: TextEncoder
) -> EmbeddingsClassifier:
    """Return the classifier that a head is to be made for: it cleans and embeds texts, and classifies none."""
    return EmbeddingsClassifier(
        label_names=data.label_names,
        cleaning=tuple(options.text_cleaning),
        has_pairs=data.has_pairs,
        columns=data.columns,
        thresholds=(0.5,) * data.num_labels if data.has_sets else None,
        encoder=encoder,
        head=LinearHead(np.zeros((data.num_labels, 0), np.float32), np.zeros(data.num_labels, np.float32)),
    )


def fit_head(
    encoder: TextEncoder, options: EmbeddingsModel | StaticEmbeddingsModel, data: TextData, context: RunContext
) -> tuple[EmbeddingsClassifier, FitResult]:
    """Fit a head to the embeddings that an encoder gives.

    Args:
        encoder: The encoder, which stays as it is.
        options: How the head is fitted.
        data: The data.
        context: The run that this is part of.

    Raises:
        DataError: If a class has no training example.
    """
    classifier = without_head(options, data, encoder)
    labels = truth_of(data.train, data.num_labels)
    counts = labels.sum(axis=0) if data.has_sets else np.bincount(labels, minlength=data.num_labels)
    if not counts.all():
        kind = "label" if data.has_sets else "class"
        raise DataError(
            f"{kind} {data.label_names[int(counts.argmin())]!r} has no training example, and a head cannot be fitted "
            f"to {options.name} without. Add examples, or leave the {kind} out."
        )
    begun, saved = time.perf_counter(), VECTORS.seconds_saved
    features = _features(classifier, data.train)
    encoded = time.perf_counter() - begun + VECTORS.seconds_saved - saved
    validation = Examples(_features(classifier, data.validation), truth_of(data.validation, data.num_labels))
    start = time.perf_counter()
    found = choose_head(Examples(features, labels), validation, options.strength, options.balance, context.seed)
    seconds = encoded + time.perf_counter() - start
    log.info("head with C = %g, %s", found.strength, found.chosen)
    classifier.head = found.head
    result = FitResult(
        num_parameters=found.head.weight.size + found.head.bias.size,
        num_trainable=found.head.weight.size + found.head.bias.size,
        train_seconds=seconds,
        train_examples=len(labels),
        device="cpu",
        precision="fp32",
        validation_probabilities=None,
        draws_seed=options.imbalance is Imbalance.oversample,
        warnings=() if found.warning is None else (found.warning,),
    )
    return classifier, result


def _features(classifier: EmbeddingsClassifier, rows: Dataset) -> NDArray[np.float32]:
    """Return what the head reads of a split: float32 (n, num_features)."""
    texts, pairs = texts_of(rows)
    return features_of(classifier.encoder, classifier.clean(texts), None if pairs is None else classifier.clean(pairs))


@dataclass(frozen=True)
class Examples:
    """Features and labels of n examples."""

    features: NDArray[np.float32]
    """float32 (n, num_features)."""
    labels: NDArray
    """int64 (n,), or of sets of labels bool (n, num_labels)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def columns(self) -> list[NDArray[np.int64]]:
        """What one logistic regression each is fitted to: the classes, or of sets whether a text has each label."""
        return [self.labels] if self.labels.ndim == 1 else [*self.labels.T.astype(np.int64)]

    @property
    def classes(self) -> NDArray[np.int64]:
        """A class of each example by which folds are drawn, int64 (n,): its own, or the rarest label of its set."""
        return self.labels if self.labels.ndim == 1 else rarest_label(self.labels)

    @property
    def fewest(self) -> int:
        """Examples of the rarest class; of sets those that have the rarest label, or lack the most frequent."""
        if self.labels.ndim == 1:
            return int(np.bincount(self.labels).min())
        counts = self.labels.sum(axis=0)
        return int(min(counts.min(), len(self) - counts.max()))

    def rows(self, chosen: NDArray[np.int64]) -> Examples:
        """Return some of them."""
        return Examples(self.features[chosen], self.labels[chosen])


@dataclass(frozen=True)
class ChosenHead:
    """A fitted head, and how its strength was chosen."""

    head: LinearHead
    strength: float
    chosen: str
    """How the strength was chosen, for a person."""
    warning: str | None = None


def choose_head(
    train: Examples, validation: Examples, strength: float | None, balance: Balance, seed: int
) -> ChosenHead:
    """Fit a multinomial logistic regression, its strength as given or the one of the least log loss.

    To sets of labels one of two classes is fitted for each label, all of them of the strength of the least log loss
    over all labels.

    Args:
        train: What it is fitted to; every class must occur.
        validation: What the strength is chosen on.
        strength: The head's C; none to choose it.
        balance: How examples are weighed.
        seed: Seed of what is drawn.
    """
    scale = float(1 / np.sqrt(np.mean(np.square(train.features, dtype=np.float64).sum(1)) or 1.0))
    scaled = replace(train, features=train.features * np.float32(scale))
    how = "as it was given"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        if strength is None and (len(validation) >= FEWEST_TO_CHOOSE or len(validation) >= len(train)):
            held = replace(validation, features=validation.features * np.float32(scale))
            losses, models = _path(scaled, held, balance, seed)
            fitted = models[min(losses, key=losses.__getitem__)]
            how = f"chosen on {len(validation)} validation examples"
        else:
            if strength is None and train.fewest > 1:
                strength, how = (
                    _by_folds(scaled, min(FOLDS, train.fewest), balance, seed),
                    "chosen by cross-validation in train",
                )
            elif strength is None:
                strength, how = 10.0, "the usual one, since a class has a single example"
            fitted = _fitted(scaled, strength, balance, seed)
    strength = float(fitted[0].C)
    stopped = max(model.n_iter_.max() for model in fitted) >= MOST_ITERATIONS and bool(caught)
    weight = np.vstack([np.atleast_2d(model.coef_) for model in fitted]) * scale
    bias = np.concatenate([model.intercept_ for model in fitted])
    if (
        train.labels.ndim == 1 and len(fitted[0].classes_) == 2
    ):  # scikit-learn keeps the difference between the two classes alone
        weight, bias = np.vstack([-weight, weight]) / 2, np.array([-bias[0], bias[0]]) / 2
    head = LinearHead(weight.astype(np.float32), bias.astype(np.float32))
    return ChosenHead(
        head, strength, how, f"the head was stopped after {MOST_ITERATIONS} iterations." if stopped else None
    )


def _path(
    train: Examples, held: Examples, balance: Balance, seed: int
) -> tuple[dict[float, float], dict[float, Heads]]:
    """Return the mean log loss on held examples, and the heads, of strengths up to where it rises for good."""
    losses: dict[float, float] = {}
    models: dict[float, Heads] = {}
    rows = np.arange(len(held))
    heads = None
    for strength in STRENGTHS:
        heads = models[strength] = _fitted(train, strength, balance, seed, heads)
        with np.errstate(divide="ignore"):  # of a probability that is rounded to 0
            logs = [
                model.predict_log_proba(held.features)[rows, labels]
                for model, labels in zip(heads, held.columns, strict=True)
            ]
        losses[strength] = float(-np.mean(np.maximum(logs, -50.0)))
        if min(losses.values()) < min(list(losses.values())[-PATIENCE:]):
            break
    return losses, models


def _by_folds(train: Examples, folds: int, balance: Balance, seed: int) -> float:
    """Return the strength of the least mean log loss over folds of train."""
    found = []
    for own, rest in StratifiedKFold(folds, shuffle=True, random_state=0).split(train.features, train.classes):
        losses, _ = _path(train.rows(own), train.rows(rest), balance, seed)
        worst = max(losses.values())
        found.append([losses.get(strength, worst) for strength in STRENGTHS])
    return STRENGTHS[int(np.argmin(np.mean(found, axis=0)))]


def _fitted(train: Examples, strength: float, balance: Balance, seed: int, begun: Heads | None = None) -> Heads:
    """Return a head of a strength, or one for each label, begun where a weaker one ended."""
    heads = []
    for number, labels in enumerate(train.columns):
        model = LogisticRegression(C=strength, max_iter=MOST_ITERATIONS, warm_start=begun is not None)
        if begun is not None:
            weaker = begun[number]
            model.coef_, model.intercept_ = weaker.coef_.copy(), weaker.intercept_.copy()
            model.classes_, model.n_features_in_ = weaker.classes_, weaker.n_features_in_
        if train.labels.ndim == 2 and labels.min() == labels.max():
            _leave_constant(model, labels, train.features.shape[1])
        else:
            fit_balanced(model, train.features, labels, balance, seed)
        heads.append(model)
    return heads


def _leave_constant(model: LogisticRegression, labels: NDArray[np.int64], num_features: int) -> None:
    """Give a label that no example of a fold has, or that all of them have, its share with half an example of each."""
    has = float(labels.sum())
    model.coef_ = np.zeros((1, num_features))
    model.intercept_ = np.array([np.log((has + 0.5) / (len(labels) - has + 0.5))])
    model.classes_, model.n_features_in_, model.n_iter_ = np.array([0, 1]), num_features, np.zeros(1, np.int32)
