"""Metrics of predicted sets of labels, each a function over scikit-learn's.

An undefined metric (a ratio without cases) is left out; no value is made up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, hamming_loss, label_ranking_average_precision_score, roc_auc_score

from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.metric_names import METRICS
from textclf.models.prediction import TINY

Floats = NDArray[np.float64]


def label_figures(predictions: SetPredictions) -> dict[str, Floats]:
    """Return F1, precision, recall and support of each label, float64 (num_labels,) each.

    A label that is never given has no precision (nan), one that no example has no recall, and one of which both are
    true no F1.
    """
    truth, given = predictions.truth, predictions.predicted
    hits, flagged, support = ((truth & given).sum(axis=0), given.sum(axis=0), truth.sum(axis=0))
    return {
        "f1": _ratio(2 * hits, flagged + support),
        "precision": _ratio(hits, flagged),
        "recall": _ratio(hits, support),
        "support": support.astype(np.float64),
    }


def evaluate_sets(predictions: SetPredictions) -> dict[str, float]:
    """Return every metric that is defined for these predictions, at least one example, by name."""
    found = _given(predictions) | (_ranked(predictions) if predictions.have_probabilities else {})
    return {name: float(found[name]) for name in METRICS if name in found and np.isfinite(found[name])}


def _given(predictions: SetPredictions) -> dict[str, float]:
    """Return the metrics of the labels that are given."""
    truth, given = predictions.truth, predictions.predicted
    figures = label_figures(predictions)
    weights = figures["support"] / max(figures["support"].sum(), 1)
    hits = (truth & given).sum()
    found = {
        "subset_accuracy": float(predictions.right.mean()),
        "hamming_loss": float(hamming_loss(truth, given)),
        "micro_f1": _one(2 * hits, truth.sum() + given.sum()),
        "micro_precision": _one(hits, given.sum()),
        "micro_recall": _one(hits, truth.sum()),
    }
    own, has, got = (truth & given).sum(axis=1), truth.sum(axis=1), given.sum(axis=1)
    nothing = (has == 0) & (got == 0)  # as it should be
    found["samples_f1"] = float(np.where(nothing, 1.0, 2 * own / np.maximum(has + got, 1)).mean())
    for name in ("f1", "precision", "recall"):
        found[f"macro_{name}"] = float(np.mean(figures[name]))  # nan where a label has none
        counted = weights > 0
        found[f"weighted_{name}"] = float(np.sum((figures[name] * weights)[counted])) if counted.any() else np.nan
    return found


def _ranked(predictions: SetPredictions) -> dict[str, float]:
    """Return the metrics of the probabilities, which no threshold touches."""
    truth, probabilities = predictions.truth, predictions.probabilities.astype(np.float64)
    held = np.clip(probabilities, TINY, 1 - 2.0**-52)
    found = {"log_loss": float(-(np.log(np.where(truth, held, 1 - held))).mean())}
    some = truth.any(axis=1)
    if some.any():
        found["ranking_precision"] = label_ranking_average_precision_score(truth[some], probabilities[some])
    if truth.any() and not truth.all():
        found["micro_roc_auc"] = roc_auc_score(truth.ravel(), probabilities.ravel())
        found["micro_average_precision"] = average_precision_score(truth.ravel(), probabilities.ravel())
    if (truth.any(axis=0) & ~truth.all(axis=0)).all():
        found["roc_auc"] = roc_auc_score(truth, probabilities, average="macro")
        found["average_precision"] = average_precision_score(truth, probabilities, average="macro")
    return found


def _ratio(above: NDArray, below: NDArray) -> Floats:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def _one(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
