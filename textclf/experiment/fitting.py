"""The two steps of a run that decide its result: fitting the model, and scoring it on validation."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from textclf.data.dataset import TextData, labels_of
from textclf.evaluation.calibration import calibrate
from textclf.evaluation.collapse import collapse_words, entropy_of
from textclf.evaluation.evaluate import evaluate_split, measure_predictions
from textclf.evaluation.predictions import Predictions
from textclf.models.base import Classifier
from textclf.models.options import CalibrationMethod, ClassicalModel, Imbalance
from textclf.training.fit import fit
from textclf.training.result import FitResult, RunContext

if TYPE_CHECKING:
    from textclf.experiment.experiment import Experiment

log = logging.getLogger("textclf.experiment")


def fit_model(experiment: Experiment, data: TextData, context: RunContext) -> tuple[Classifier, FitResult]:
    """Fit the model, and say how it went."""
    if experiment.engine == "none":
        log.info("%s is fitted by scikit-learn; the options of trainer have no part in it", experiment.model.name)
    classifier, result = fit(experiment.model, data, experiment.trainer, context)
    log.info(
        "%s fitted in %.1f s: %s parameters, %s in %s",
        experiment.model.name,
        result.train_seconds,
        f"{result.num_parameters:,}",
        result.device,
        result.precision,
    )
    return classifier, result


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
