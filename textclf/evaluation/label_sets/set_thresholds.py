"""Thresholds of labels: the probability from which on a label is given, chosen on validation.

A threshold that is best on few positives is best by chance. So each label's own is drawn towards the one that is best
for all labels together, by `PRIOR` positives' worth; and what the choice flatters validation by is measured: thresholds
are chosen on four fifths of it and scored on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from textclf.evaluation.calibration import LOG_TEMPERATURES
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.models.options import LabelThresholds
from textclf.models.prediction import TINY, tempered_each

PRIOR = 10.0
"""Positives that the common threshold counts for beside a label's own."""
PARTS = 5
"""Parts of validation in turn scored with thresholds that were chosen on the others."""
BOUNDS = (0.001, 0.999)
HALF = 0.5


@dataclass(frozen=True)
class ChosenThresholds:
    """Thresholds, and how far validation flatters them."""

    thresholds: NDArray[np.float64]
    """float64 (num_labels,)."""
    common: float
    """The one that is best for all labels together."""
    positives: NDArray[np.int64]
    """Positives on validation that each was chosen on, int64 (num_labels,)."""
    optimism: float | None
    """By how much the F-score on validation, where they were chosen, is above what they reach on examples that they
    were not chosen on; none where validation is too small to tell."""


def choose_thresholds(validation: SetPredictions, how: LabelThresholds, beta: float, seed: int = 0) -> ChosenThresholds:
    """Choose the thresholds of the labels on validation.

    Args:
        validation: What was predicted on it.
        how: One for each label, one for all, or one half.
        beta: Weight of recall in the F-score that is made largest: 1 for F1, 2 where misses cost more, 0.5 where false
            labels do. With one threshold for all it is that over all labels together (micro), else each label's own.
        seed: Seed of the parts by which the optimism is measured.
    """
    chosen = _chosen(validation, how, beta)
    optimism = None if how is LabelThresholds.half else _optimism(validation, how, beta, seed)
    return ChosenThresholds(chosen, best_common(validation, beta), validation.truth.sum(axis=0), optimism)


def best_common(validation: SetPredictions, beta: float = 1.0) -> float:
    """Return the threshold for all labels at which their F-score together is largest; one half where none has any."""
    return _best(validation.probabilities.ravel(), validation.truth.ravel(), beta)


def fit_set_temperature(validation: SetPredictions) -> float:
    """Return the temperature that makes the log loss of the labels on validation least (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        found = tempered_each(validation.probabilities, float(np.exp(log_temperature))).astype(np.float64)
        held = np.clip(np.where(validation.truth, found, 1 - found), TINY, 1)
        return float(-np.log(held).mean())

    from scipy.optimize import minimize_scalar  # a third of a second, for those who calibrate

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def _chosen(validation: SetPredictions, how: LabelThresholds, beta: float) -> NDArray[np.float64]:
    count = len(validation.label_names)
    if how is LabelThresholds.half:
        return np.full(count, HALF)
    common = best_common(validation, beta)
    if how is LabelThresholds.one:
        return np.full(count, common)
    own = np.array([_best(validation.probabilities[:, k], validation.truth[:, k], beta, common) for k in range(count)])
    share = validation.truth.sum(axis=0) / (validation.truth.sum(axis=0) + PRIOR)
    return expit(share * logit(np.clip(own, *BOUNDS)) + (1 - share) * logit(np.clip(common, *BOUNDS)))


def _best(scores: NDArray[np.float32], true: NDArray[np.bool_], beta: float, otherwise: float = HALF) -> float:
    """Return the threshold with the largest F-score, midway between two scores; another one where nothing is true."""
    if not true.any():
        return otherwise
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits, flagged = np.cumsum(true[order])[last], last + 1
    reached = (1 + beta**2) * hits / (flagged + beta**2 * true.sum())
    at = int(np.argmax(reached))
    below = ranked[last[at] + 1] if last[at] + 1 < len(ranked) else 0.0
    return float((ranked[last[at]] + below) / 2)


def _optimism(validation: SetPredictions, how: LabelThresholds, beta: float, seed: int) -> float | None:
    """Return the F-score where thresholds were chosen, less that on examples left out, averaged over the parts."""
    if len(validation) < 2 * PARTS:
        return None
    part = np.random.default_rng(seed).permutation(len(validation)) % PARTS
    outside = np.zeros_like(validation.truth)
    inside = []
    for number in range(PARTS):
        rest = validation.rows(part != number)
        chosen = _chosen(rest, how, beta)
        outside[part == number] = validation.probabilities[part == number] >= chosen
        inside.append(_f_score(rest.truth, rest.probabilities >= chosen, how, beta))
    return float(np.mean(inside) - _f_score(validation.truth, outside, how, beta))


def _f_score(truth: NDArray[np.bool_], given: NDArray[np.bool_], how: LabelThresholds, beta: float) -> float:
    """Return the F-score that thresholds are chosen for: over all labels together, or the mean of each label's own."""
    axis = None if how is LabelThresholds.one else 0
    hits, flagged, support = (np.asarray(part.sum(axis=axis)) for part in (truth & given, given, truth))
    counted = (flagged + support) > 0
    scores = (1 + beta**2) * hits / np.maximum(flagged + beta**2 * support, 1e-12)
    return float(scores[counted].mean()) if counted.any() else 0.0
