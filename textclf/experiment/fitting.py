"""Fitting of an experiment's model, and what it does on validation."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.documents.wording import parameters, points
from textclf.errors import listed
from textclf.evaluation.calibration import calibrate
from textclf.evaluation.collapse import collapse_words, entropy_of
from textclf.evaluation.evaluate import Evaluation, evaluate_split, measure_predictions
from textclf.evaluation.label_sets.set_collapse import set_collapse_words
from textclf.evaluation.label_sets.set_predictions import SetPredictions, set_predictions
from textclf.evaluation.label_sets.set_thresholds import ChosenThresholds, choose_thresholds, fit_set_temperature
from textclf.evaluation.predictions import Predictions
from textclf.experiment.options import Experiment
from textclf.models.base import Classifier
from textclf.models.llm.options import LlmModel
from textclf.models.llm.questions import CUT_OFF
from textclf.models.options import (
    CalibrationMethod,
    ClassicalModel,
    Imbalance,
    LabelThresholds,
    SentenceEncoderModel,
    StaticEmbeddingsModel,
    ZeroShotModel,
)
from textclf.models.prediction import tempered_each
from textclf.training.fit import fit as fit_model
from textclf.training.fit import labels_per_class
from textclf.training.result import FitResult, RunContext

log = logging.getLogger("textclf.experiment")

SHOWN_ANSWERS = 5
"""Answers that name no class that a warning shows."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of fitting and testing, before it is analysed and written."""

    classifier: Classifier
    """What is kept."""
    fit: FitResult
    """How it was fitted."""
    data: TextData
    """The splits; `test` is what `test` predicts."""
    validated: Predictions | SetPredictions
    """What was predicted on validation, where thresholds are chosen."""
    test: Evaluation
    """What was predicted on test; of several passes the first."""
    metrics: dict[str, float]
    """All metrics by name, as `validation/accuracy`."""
    passes: tuple[Predictions, ...] | tuple[SetPredictions, ...]
    """Predictions of the whole test split, one for each repeat of a cross-validation."""
    splits: dict[str, Dataset]
    """What a fit is trained on, chooses by and is tested on; of a cross-validation the first fold's, but all that is
    tested."""
    folds: dict[str, Any] = field(default_factory=dict)
    """For the record: how the folds came out; empty where there are none."""
    fold_numbers: NDArray[np.int64] | None = None
    """The fold that tested each example, int64 (repeats, n); none where there are no folds."""
    costs: dict[str, float] = field(default_factory=dict)
    """Costs that only this way of testing has."""
    thresholds: ChosenThresholds | None = None
    """How the thresholds of sets of labels were chosen; none where each text has one class, or the folds chose."""


def fit_and_tell(
    experiment: Experiment, data: TextData, context: RunContext, tell: bool = True
) -> tuple[Classifier, FitResult]:
    """Fit the model, and log how it went.

    Args:
        experiment: What to fit.
        data: The data.
        context: The run that this is part of.
        tell: Log it; of many fits the last.
    """
    if not tell:
        pass
    elif isinstance(experiment.model, (SentenceEncoderModel, ZeroShotModel)):
        log.info("of the trainer's options only device and precision apply to %s", experiment.model.name)
    elif isinstance(experiment.model, StaticEmbeddingsModel) and experiment.model.distil:
        log.info("of the trainer's options only the device applies to %s", experiment.model.name)
    elif isinstance(experiment.model, LlmModel):
        log.info("%s is asked and not trained; the trainer's options do not apply", experiment.model.name)
    elif experiment.engine == "none":
        log.info("%s is fitted by scikit-learn; the trainer's options do not apply", experiment.model.name)
    classifier, fit = fit_model(experiment.model, data, experiment.trainer, context)
    fit = replace(fit, labels_per_class=labels_per_class(experiment.model, data.has_sets))
    if experiment.dataset.draws(experiment.seed) and fit.labels_per_class != 0:
        fit = replace(fit, draws_seed=True)  # its examples are those of the seed
    if not tell:
        return classifier, fit
    log.info(
        "%s %s in %.1f s: %s%s in %s",
        experiment.model.name,
        "made ready" if classifier.billed is not None else "fitted",
        fit.train_seconds,
        "" if fit.num_parameters is None else f"parameters {parameters(fit.num_parameters, fit.num_trainable)}, ",
        fit.device,
        fit.precision,
    )
    return classifier, fit


@dataclass(frozen=True)
class Validated:
    """What a fitted classifier predicts on validation, where its last choices are made."""

    predictions: Predictions | SetPredictions
    metrics: dict[str, float]
    thresholds: ChosenThresholds | None = None
    """How the thresholds of sets of labels were chosen."""


def validate(experiment: Experiment, classifier: Classifier, data: TextData, fit: FitResult) -> Validated:
    """Return what is predicted on validation, after the classifier was calibrated and given its thresholds there."""
    if data.has_sets:
        return _validate_sets(experiment, classifier, data, fit)
    predictions, metrics = _validate_classes(experiment, classifier, data, fit)
    return Validated(predictions, metrics)


def _validate_sets(experiment: Experiment, classifier: Classifier, data: TextData, fit: FitResult) -> Validated:
    """Choose the thresholds of the labels on validation, after the temperature where one is asked for."""
    model, found = experiment.model, fit.validation_probabilities
    if found is None:
        texts, pairs = texts_of(data.validation)
        found = classifier.probabilities(texts, pairs)
    predictions = set_predictions(data, "validation", found, classifier.gives_probabilities)
    if model.calibration is CalibrationMethod.temperature:
        classifier.temperature *= (temperature := fit_set_temperature(predictions))
        predictions = replace(predictions, probabilities=tempered_each(predictions.probabilities, temperature))
        log.info("temperature %.2f, fitted on validation", classifier.temperature)
    if classifier.gives_probabilities:
        chosen = choose_thresholds(predictions, model.label_thresholds, model.threshold_beta)
    else:  # labels are named or not, which any threshold says
        answers = replace(predictions, probabilities=np.nan_to_num(predictions.probabilities))
        chosen = choose_thresholds(answers, LabelThresholds.half, model.threshold_beta)
    classifier.thresholds = tuple(map(float, chosen.thresholds))
    predictions = predictions.at(chosen.thresholds)
    said = "" if chosen.optimism is None else f"; validation is flattered by it by about {points(chosen.optimism)}"
    log.info(
        "thresholds %.2f to %.2f (%s), chosen on validation%s",
        chosen.thresholds.min(), chosen.thresholds.max(), model.label_thresholds.value, said,
    )  # fmt: skip
    return Validated(predictions, measure_predictions(data, "validation", predictions), chosen)


def _validate_classes(
    experiment: Experiment, classifier: Classifier, data: TextData, fit: FitResult
) -> tuple[Predictions, dict[str, float]]:
    """Return what the fitted classifier predicts on validation, with its metrics, calibrated first where asked for."""
    if fit.validation_probabilities is None:
        found = evaluate_split(classifier, data, "validation")
        assert isinstance(found.predictions, Predictions)
        predictions, metrics = found.predictions, found.metrics
    else:
        predictions = Predictions(labels_of(data.validation), fit.validation_probabilities, data.label_names)
        metrics = fit.best_metrics
    if experiment.model.calibration is not CalibrationMethod.temperature:
        return predictions, metrics
    if not predictions.have_probabilities:
        log.warning("not every validation text has probabilities, so no temperature is fitted")
        return predictions, metrics
    change = calibrate(classifier, predictions)
    log.info(
        "temperature %.2f, fitted on validation: log loss there %.4f, was %.4f; calibration error %.3f, was %.3f",
        change.temperature,
        change.after.log_loss,
        change.before.log_loss,
        change.after.ece,
        change.before.ece,
    )
    return change.predictions, measure_predictions(data, "validation", change.predictions)


def warned_of_collapse(
    experiment: Experiment, data: TextData, fit: FitResult, validated: Predictions | SetPredictions
) -> FitResult:
    """Return the fit, with a warning where the classifier gives every validation text the same class.

    Nothing is said of a model that is meant to (`model=majority`).
    """
    model = experiment.model
    if isinstance(model, ClassicalModel) and str(model.classifier.get("_target_", "")).startswith("sklearn.dummy."):
        return fit
    if isinstance(validated, SetPredictions):
        words = set_collapse_words(validated)
        return fit if words is None else _warned(fit, words)
    losses = [epoch.train_loss for epoch in fit.epochs if epoch.epoch == fit.best_epoch]
    plain = model.imbalance is Imbalance.none and not experiment.trainer.label_smoothing
    words = collapse_words(
        validated.labels,
        validated.predicted,
        data.label_names,
        losses[0] if losses and plain else None,
        entropy_of(np.bincount(labels_of(data.train), minlength=data.num_labels)),
    )
    return fit if words is None else _warned(fit, words)


def warned_of_unread(fit: FitResult, classifier: Classifier, split: str) -> FitResult:
    """Return the fit, with a warning where answers on a split named no label."""
    account = classifier.billed
    if account is None or not account.unread:
        return fit
    count = sum(account.unread.values())
    most = sorted(account.unread.items(), key=lambda item: -item[1])
    shown = listed((f"{said!r} ({times:,})" for said, times in most), SHOWN_ANSWERS)
    cut_off = account.unread.get(CUT_OFF, 0)
    remedy = " Those cut off need a higher model.max_answer_tokens." if cut_off else ""
    what = "no set of the labels" if classifier.has_sets else "no class"
    words = (
        f"answers: {count:,} of {account.texts:,} answers on {split} name {what}, such as {shown}. Each counts as "
        f"wrong; nothing was guessed in its place.{remedy}"
    )
    return _warned(fit, words)


def _warned(fit: FitResult, words: str) -> FitResult:
    """Return the fit with a warning, which is told too."""
    log.warning("%s", words)
    return replace(fit, warnings=(*fit.warnings, words))
