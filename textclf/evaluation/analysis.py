"""The error analysis of a run: mistakes, confusions, slices, calibration, thresholds, attributions."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf.data.dataset import TextData, labels_of
from textclf.evaluation.attributions import Attribution, attributions
from textclf.evaluation.calibration import Calibration, calibration_of, fit_temperature, tempered
from textclf.evaluation.mistakes import ConfusedPair, Mistake, confident_mistakes, confused_pairs
from textclf.evaluation.options import AnalysisOptions
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.proportions import Proportion
from textclf.evaluation.slices import Slice, shown_slices, slice_scores, worst_slice
from textclf.evaluation.thresholds import (
    AnswerThreshold,
    Curve,
    DecisionThreshold,
    Wanted,
    answer_threshold,
    coverage_curve,
    decision_thresholds,
)

if TYPE_CHECKING:
    from textclf.models.base import Classifier


@dataclass(frozen=True)
class TemperatureEffect:
    """Calibration on the test split with and without a temperature."""

    temperature: float
    is_applied: bool
    """Whether the classifier has it; else it is the one fitted on validation."""
    before: Calibration
    after: Calibration


@dataclass(frozen=True)
class Analysis:
    """The errors of a run on the test split."""

    label_names: tuple[str, ...]
    accuracy: Proportion
    majority: Proportion
    """Accuracy of always predicting the most frequent class of the training data."""
    calibration: Calibration | None
    """Of the classifier as it is; none of one that names classes without probabilities."""
    temperature: TemperatureEffect | None
    """None where there is no calibration."""
    num_mistakes: int
    mistakes: tuple[Mistake, ...]
    """The surest ones."""
    pairs: tuple[ConfusedPair, ...]
    """All pairs of classes that were confused, the most frequent first."""
    slices: tuple[Slice, ...]
    num_validation: int
    """Examples that thresholds were chosen on."""
    curve: Curve | None
    """None where there are no probabilities."""
    answers: tuple[AnswerThreshold, ...]
    decisions: tuple[DecisionThreshold, ...]
    """Of two classes; none for others."""
    attributions: tuple[Attribution, ...]
    seconds: float
    """Duration of the analysis without the attributions."""
    attribution_seconds: float
    options: AnalysisOptions
    unnamed: int = 0
    """Answers that named no class; they count as wrong."""

    @property
    def shown_slices(self) -> list[Slice]:
        """The slices to show in their order; of many, those that are worse and then those with most examples."""
        return shown_slices(self.slices)

    @property
    def worst_slice(self) -> Slice | None:
        """The least accurate of the slices that are worse than the rest beyond chance."""
        return worst_slice(self.slices)


def analyse(
    classifier: Classifier, data: TextData, validation: Predictions, test: Predictions, options: AnalysisOptions
) -> Analysis:
    """Analyse the errors of a fitted classifier.

    Args:
        classifier: What predicted; asked again to weigh the words of single texts.
        data: The data.
        validation: What it predicted on `data.validation`; thresholds are chosen here.
        test: What it predicted on `data.test`, of at least one example.
        options: How far to look.
    """
    begun = time.perf_counter()
    frequent = int(np.bincount(labels_of(data.train), minlength=data.num_labels).argmax())
    wanted = {
        Wanted.precision: options.wanted_precision,
        Wanted.promised_precision: options.wanted_precision,
        Wanted.coverage: options.wanted_coverage,
    }
    surely = test.have_probabilities and validation.have_probabilities
    calibration = calibration_of(test, options.bins) if surely else None
    effect = None
    if calibration is not None:
        effect = _temperature_effect(classifier.temperature, validation, test, calibration, options.bins)
    found = Analysis(
        label_names=test.label_names,
        accuracy=Proportion(int((test.predicted == test.labels).sum()), len(test.labels)),
        majority=Proportion(int((test.labels == frequent).sum()), len(test.labels)),
        calibration=calibration,
        temperature=effect,
        num_mistakes=int((test.predicted != test.labels).sum()),
        mistakes=confident_mistakes(data, test, options.mistakes),
        pairs=confused_pairs(test),
        slices=slice_scores(data, test, options.fewest_examples, options.alpha),
        num_validation=len(validation.labels),
        curve=coverage_curve(test) if surely else None,
        answers=tuple(
            answer_threshold(what, share, validation, test)
            for what, share in wanted.items()
            if share is not None and surely
        ),
        decisions=decision_thresholds(options.wanted_precision, validation, test) if surely else (),
        attributions=(),
        seconds=0.0,
        attribution_seconds=0.0,
        options=options,
        unnamed=int((~test.answered).sum()),
    )
    middle = time.perf_counter()
    weighed: tuple[Attribution, ...] = ()
    if options.attributions and surely and classifier.billed is None:  # each word left out is one more text to pay for
        weighed = attributions(classifier, data, test, options.attributions, options.attributed_words)
    ended = time.perf_counter()
    return replace(found, attributions=weighed, seconds=middle - begun, attribution_seconds=ended - middle)


def _temperature_effect(
    applied: float, validation: Predictions, test: Predictions, as_it_is: Calibration, bins: int
) -> TemperatureEffect:
    """Return what the classifier's temperature did or, where it has none, what one fitted on validation would do."""
    if applied != 1.0:
        raw = replace(test, probabilities=tempered(test.probabilities, 1 / applied))
        return TemperatureEffect(applied, True, calibration_of(raw, bins), as_it_is)
    temperature = fit_temperature(validation)
    scaled = replace(test, probabilities=tempered(test.probabilities, temperature))
    return TemperatureEffect(temperature, False, as_it_is, calibration_of(scaled, bins))


def plain_analysis(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain values for JSON; the attributions, which have a file of their own, left out."""
    content = plain_values(replace(analysis, attributions=()))
    del content["attributions"]
    return content


def plain_attributions(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the attributions as plain values for JSON."""
    return plain_values(analysis.attributions)


def plain_values(value: Any) -> Any:
    """Return an analysis, or a part of it, as plain values for JSON."""
    if isinstance(value, Proportion):
        return value.plain()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [plain_values(inner) for inner in value] if isinstance(value, (list, tuple)) else value
