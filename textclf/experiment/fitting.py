"""Fitting of an experiment's model, and what it does on validation."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data.dataset import TextData, labels_of
from textclf.documents.wording import parameters
from textclf.evaluation.calibration import calibrate
from textclf.evaluation.collapse import collapse_words, entropy_of
from textclf.evaluation.evaluate import Evaluation, evaluate_split, measure_predictions
from textclf.evaluation.predictions import Predictions
from textclf.experiment.options import Experiment
from textclf.models.base import Classifier
from textclf.models.options import CalibrationMethod, ClassicalModel, EmbeddingsModel, Imbalance, StaticEmbeddingsModel
from textclf.training.fit import fit as fit_model
from textclf.training.result import FitResult, RunContext

log = logging.getLogger("textclf.experiment")


@dataclass(frozen=True)
class Outcome:
    """Outcome of fitting and testing, before it is analysed and written."""

    classifier: Classifier
    """What is kept."""
    fit: FitResult
    """How it was fitted."""
    data: TextData
    """The splits; `test` is what `test` predicts."""
    validated: Predictions
    """What was predicted on validation, where thresholds are chosen."""
    test: Evaluation
    """What was predicted on test; of several passes the first."""
    metrics: dict[str, float]
    """All metrics by name, as `validation/accuracy`."""
    passes: tuple[Predictions, ...]
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
    elif isinstance(experiment.model, EmbeddingsModel):
        log.info("of the trainer's options only device and precision apply to %s", experiment.model.name)
    elif isinstance(experiment.model, StaticEmbeddingsModel) and experiment.model.distil:
        log.info("of the trainer's options only the device applies to %s", experiment.model.name)
    elif experiment.engine == "none":
        log.info("%s is fitted by scikit-learn; the trainer's options do not apply", experiment.model.name)
    classifier, fit = fit_model(experiment.model, data, experiment.trainer, context)
    if experiment.dataset.draws(experiment.seed):
        fit = replace(fit, draws_seed=True)  # its examples are those of the seed
    if not tell:
        return classifier, fit
    log.info(
        "%s fitted in %.1f s: %s%s in %s",
        experiment.model.name,
        fit.train_seconds,
        "" if fit.num_parameters is None else f"parameters {parameters(fit.num_parameters, fit.num_trainable)}, ",
        fit.device,
        fit.precision,
    )
    return classifier, fit


def validate(
    experiment: Experiment, classifier: Classifier, data: TextData, fit: FitResult
) -> tuple[Predictions, dict[str, float]]:
    """Return what the fitted classifier predicts on validation, with its metrics, calibrated first where asked for."""
    if fit.validation_probabilities is None:
        found = evaluate_split(classifier, data, "validation")
        predictions, metrics = found.predictions, found.metrics
    else:
        predictions = Predictions(labels_of(data.validation), fit.validation_probabilities, data.label_names)
        metrics = fit.best_metrics
    if experiment.model.calibration is not CalibrationMethod.temperature:
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


def warned_of_collapse(experiment: Experiment, data: TextData, fit: FitResult, validated: Predictions) -> FitResult:
    """Return the fit, with a warning where the classifier gives every validation text the same class.

    Nothing is said of a model that is meant to (`model=majority`).
    """
    model = experiment.model
    if isinstance(model, ClassicalModel) and str(model.classifier.get("_target_", "")).startswith("sklearn.dummy."):
        return fit
    losses = [epoch.train_loss for epoch in fit.epochs if epoch.epoch == fit.best_epoch]
    plain = model.imbalance is Imbalance.none and not experiment.trainer.label_smoothing
    words = collapse_words(
        validated.labels,
        validated.predicted,
        data.label_names,
        losses[0] if losses and plain else None,
        entropy_of(np.bincount(labels_of(data.train), minlength=data.num_labels)),
    )
    if words is None:
        return fit
    log.warning("%s", words)
    return replace(fit, warnings=(*fit.warnings, words))
