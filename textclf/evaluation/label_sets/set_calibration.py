"""Calibration of the probabilities of labels: what each says against how often it is so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textclf.evaluation.calibration import (
    BINS,
    MATTERS,
    Bin,
    bin_error,
    bin_numbers,
    bins_of,
    error_by_chance,
)
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.proportions import Proportion

MOST_DRAWN = 200_000
"""Pairs of a text and a label above which the error by chance is drawn for a sample of them."""


@dataclass(frozen=True)
class LabelCalibration:
    """Probabilities of a label, or of all labels together, against the share of texts that have it."""

    ece: float
    """Expected calibration error: mean distance of bins' share and probability, weighted by texts."""
    by_chance: float
    """The error that 95 of 100 perfectly calibrated classifiers with these probabilities would stay below."""
    bins: tuple[Bin, ...]
    """`accuracy` is the share of texts in the bin that have the label."""

    @property
    def is_shown_wrong(self) -> bool:
        """Whether the probabilities are further off than chance explains."""
        return self.ece > self.by_chance


def label_calibration(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_], bins: int = BINS
) -> LabelCalibration:
    """Return how far the probabilities of a label are from the shares of texts that have it.

    Args:
        probabilities: float32 (n,), at least one.
        truth: Whether each text has it, bool (n,).
        bins: Bins of equal width.
    """
    said, is_so = probabilities.astype(np.float64), truth.astype(np.float64)
    chance = _by_chance(said, bin_numbers(said, bins), bins)
    return LabelCalibration(bin_error(said, is_so, bins), chance, bins_of(said, is_so, bins))


def _by_chance(said: NDArray[np.float64], where: NDArray[np.int64], bins: int) -> float:
    """Return the error by chance; of very many probabilities from a sample of them."""
    if len(said) > MOST_DRAWN:
        chosen = np.random.default_rng(0).choice(len(said), MOST_DRAWN, replace=False)
        scale = float(np.sqrt(MOST_DRAWN / len(said)))
        return scale * _by_chance(said[chosen], where[chosen], bins)
    return error_by_chance(said, where, np.bincount(where, said, bins), bins)


def whole_calibration(predictions: SetPredictions, bins: int = BINS) -> LabelCalibration:
    """Return the calibration of all labels together."""
    return label_calibration(predictions.probabilities.ravel(), predictions.truth.ravel(), bins)


def set_trust_words(own: LabelCalibration) -> str:
    """Return in words how far a label's probability is to be believed; empty unless it is off beyond chance."""
    if not own.is_shown_wrong:
        return ""
    held = [one for one in own.bins if one.count and one.accuracy is not None]

    def beyond(one: Bin) -> float:
        low, high = Proportion(round((one.accuracy or 0.0) * one.count), one.count).interval
        return max(one.confidence - high, low - one.confidence, 0.0)

    worst = max(held, key=lambda one: beyond(one) * one.count)
    if beyond(worst) < MATTERS:
        return ""
    said, is_so = (f"{min(share, 0.99) * 100:.0f} %" for share in (worst.confidence, worst.accuracy or 0.0))
    return f"a label's probability of {said} means about {is_so} here; model.calibration=temperature may mend it"
