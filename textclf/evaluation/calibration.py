"""Calibration of probabilities: reliability bins, calibration error, and one temperature that corrects it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textclf.evaluation.proportions import Proportion
from textclf.models.prediction import TINY, log_softmax, tempered

if TYPE_CHECKING:
    from textclf.evaluation.predictions import Predictions
    from textclf.models.base import Classifier

BINS = 15
"""Bins of the calibration error (Guo et al. 2017)."""
LOG_TEMPERATURES = (np.log(0.05), np.log(20.0))
"""Bounds of the search for a temperature."""
DRAWS = 200
"""Made-up outcomes from which the error of a perfectly calibrated classifier is estimated."""
MATTERS = 0.03
"""Distance of what a probability says and what it is worth, 0 to 1, below which nobody would decide otherwise."""


@dataclass(frozen=True)
class Bin:
    """The examples whose top probability lies between two numbers."""

    low: float
    high: float
    """Included; `low` is not."""
    count: int
    confidence: float
    """Mean top probability; of an empty bin, its middle."""
    accuracy: float | None
    """Share of these examples that is right; none of an empty bin."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of n examples: top probabilities against the shares that are right."""

    ece: float
    """Expected calibration error: mean distance of bins' accuracy and confidence, weighted by examples."""
    by_chance: float
    """The error that 95 of 100 perfectly calibrated classifiers with these probabilities would stay below."""
    brier: float
    """Mean squared distance of the probabilities from the truth, summed over classes: 0 to 2 (Brier 1950)."""
    log_loss: float
    """Mean negative log-probability of the true class, in nats."""
    bins: tuple[Bin, ...]

    @property
    def overconfident(self) -> bool:
        """Whether the mean top probability is above the accuracy."""
        return sum(one.count * (one.confidence - (one.accuracy or 0.0)) for one in self.bins if one.count) > 0

    @property
    def is_shown_wrong(self) -> bool:
        """Whether the probabilities are further off than chance explains."""
        return self.ece > self.by_chance


@dataclass(frozen=True)
class CalibrationChange:
    """Effect of dividing the logits by a temperature on the predictions of a split."""

    temperature: float
    before: Calibration
    after: Calibration
    predictions: Predictions
    """The split's predictions with the temperature applied."""


def expected_calibration_error(probabilities: NDArray, labels: NDArray[np.int64], bins: int = BINS) -> float:
    """Return the expected calibration error of the top class, 0 to 1 (Naeini et al. 2015; Guo et al. 2017).

    Args:
        probabilities: Each class's probability, float (n, num_labels); n at least 1.
        labels: The true classes, int64 (n,).
        bins: Bins of equal width, each open below and closed above.
    """
    return bin_error(*_top(np.asarray(probabilities), labels), bins)


def bin_error(said: NDArray[np.float64], is_so: NDArray[np.float64], bins: int = BINS) -> float:
    """Return the mean distance of probabilities, float64 (n,), and what is so, 0 or 1, over bins of equal width."""
    gaps = np.bincount(bin_numbers(said, bins), is_so - said, bins)
    return float(np.abs(gaps).sum() / len(said))


def bins_of(said: NDArray[np.float64], is_so: NDArray[np.float64], bins: int = BINS) -> tuple[Bin, ...]:
    """Return bins of equal width of probabilities, float64 (n,), with the share of each that is so, 0 or 1."""
    where, edges = bin_numbers(said, bins), np.linspace(0, 1, bins + 1)
    counts, sums, hits = (np.bincount(where, weights, bins) for weights in (None, said, is_so))
    return tuple(
        Bin(
            float(edges[k]),
            float(edges[k + 1]),
            int(counts[k]),
            float(sums[k] / counts[k] if counts[k] else (edges[k] + edges[k + 1]) / 2),
            float(hits[k] / counts[k]) if counts[k] else None,
        )
        for k in range(bins)
    )


def calibration_of(predictions: Predictions, bins: int = BINS) -> Calibration:
    """Return how far the probabilities of predictions, at least one, are from what is right."""
    labels = predictions.labels
    probabilities = predictions.probabilities.astype(np.float64)
    confidence, right = _top(probabilities, labels)
    where = bin_numbers(confidence, bins)
    truth = np.eye(probabilities.shape[1])[labels]
    return Calibration(
        ece=bin_error(confidence, right, bins),
        by_chance=error_by_chance(confidence, where, np.bincount(where, confidence, bins), bins),
        brier=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        log_loss=_log_loss(np.log(np.maximum(probabilities, TINY)), labels, 1.0),
        bins=bins_of(confidence, right, bins),
    )


def calibration_from(plain: Mapping[str, Any]) -> Calibration:
    """Return the calibration that `analysis.json` holds as plain values.

    Raises:
        KeyError: If something is missing.
        TypeError: If it is made of something else.
    """
    figures = {name: float(plain[name]) for name in ("ece", "by_chance", "brier", "log_loss")}
    return Calibration(**figures, bins=tuple(Bin(**one) for one in plain["bins"]))


def trust_words(own: Calibration, mended: Calibration | None) -> str:
    """Return in words how far a probability is to be believed; empty unless it is off beyond chance.

    The example is the bin where most is misjudged, of those that chance does not explain; where no bin
    alone shows it, the means over all.

    Args:
        own: Calibration of the classifier as it is.
        mended: What a temperature would make of it; none where it has one, or where none helps.
    """
    held = [one for one in own.bins if one.count]
    if not own.is_shown_wrong or not held:
        return ""
    sign = 1 if own.overconfident else -1
    beyond = [one for one in held if sign * _gap_beyond_chance(one) > 0]
    found = max(beyond, key=lambda one: one.count * abs(one.confidence - (one.accuracy or 0.0)), default=None)
    if found is not None:
        said, met = found.confidence, found.accuracy or 0.0
        what = f"{_in_words(said)} means about {_in_words(met)} here"
    else:
        total = sum(one.count for one in held)
        said = sum(one.count * one.confidence for one in held) / total
        met = sum(one.count * (one.accuracy or 0.0) for one in held) / total
        what = f"on average they say {_in_words(said)} where {_in_words(met)} are right"
    if abs(said - met) < MATTERS:
        return ""
    text = f"probabilities are too {'sure' if own.overconfident else 'cautious'}: {what}"
    if mended is None or mended.ece >= own.ece:
        return text
    return f"{text}; model.calibration=temperature {'helps' if mended.is_shown_wrong else 'mends it'}"


def trust_of_run(analysis: Mapping[str, Any]) -> str:
    """Return in words how far a run's probabilities are to be believed; empty if they are, or nothing is known.

    Args:
        analysis: What `analysis.json` of the run holds.
    """
    try:
        effect = analysis["temperature"]
        mended = None if effect["is_applied"] else calibration_from(effect["after"])
        return trust_words(calibration_from(analysis["calibration"]), mended)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return ""


def _in_words(share: float) -> str:
    return f"{min(share, 0.99) * 100:.0f} %"


def _gap_beyond_chance(one: Bin) -> float:
    """Return how far a bin's mean probability lies outside the interval of the share that is right; 0 within."""
    low, high = Proportion(round((one.accuracy or 0.0) * one.count), one.count).interval
    return max(one.confidence - high, 0.0) + min(one.confidence - low, 0.0)


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature, 0.05 to 20, under which the predictions have the least log loss (Guo et al. 2017).

    It is 1 where there are fewer than two examples or classes, where all probabilities of each
    example are equal, since no temperature changes these, and where no prediction is wrong, since
    being surer would then be better without end.
    """
    if (predictions.predicted == predictions.labels).all():
        return 1.0
    logs = np.log(np.maximum(predictions.probabilities.astype(np.float64), TINY))
    if len(logs) < 2 or logs.shape[1] < 2 or np.allclose(logs, logs[:, :1]):
        return 1.0
    from scipy.optimize import minimize_scalar  # a third of a second, for those who calibrate

    found = minimize_scalar(
        lambda log_t: _log_loss(logs, predictions.labels, float(np.exp(log_t))),
        bounds=LOG_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def calibrate(classifier: Classifier, validation: Predictions, bins: int = BINS) -> CalibrationChange:
    """Set the classifier's temperature by what it predicted on validation, and say what that changed there.

    Args:
        classifier: A fitted classifier; its `temperature` is multiplied by what is fitted.
        validation: What it predicts on the validation split as it is.
        bins: Bins of the calibration error.
    """
    temperature = fit_temperature(validation)
    classifier.temperature *= temperature
    after = replace(validation, probabilities=tempered(validation.probabilities, temperature))
    return CalibrationChange(temperature, calibration_of(validation, bins), calibration_of(after, bins), after)


def _top(probabilities: NDArray, labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each example's top probability and whether it is right, float64 (n,)."""
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(labels)), predicted].astype(np.float64)
    return confidence, (predicted == labels).astype(np.float64)


def bin_numbers(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each probability, int64 (n,); bins are closed above."""
    return np.clip(np.ceil(np.round(confidence * bins, 6)).astype(np.int64) - 1, 0, bins - 1)


def error_by_chance(confidence: NDArray, where: NDArray[np.int64], sums: NDArray, bins: int) -> float:
    """Return the calibration error that perfect calibration stays below 95 times in 100 (Bröcker and Smith 2007)."""
    generator = np.random.default_rng(0)
    errors = []
    for _ in range(DRAWS):
        hits = np.bincount(where[generator.random(len(confidence)) < confidence], minlength=bins)
        errors.append(np.abs(hits - sums).sum() / len(confidence))
    return float(np.quantile(errors, 0.95))


def _log_loss(logs: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> float:
    return float(-log_softmax(logs, temperature)[np.arange(len(labels)), labels].mean())
