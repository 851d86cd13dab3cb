"""Thresholds of the probability: answer only above one, and of two classes predict the second from one on.

Every threshold is chosen on validation and reported with what it reaches on test.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from textclf.evaluation.predictions import Predictions
from textclf.evaluation.proportions import Proportion

POINTS = 200
"""Points of the curve of coverage and accuracy."""


class Wanted(Enum):
    """Goal that a threshold of the top probability is chosen for."""

    precision = "precision"
    """A share of the answers on validation is right."""
    promised_precision = "promised precision"
    """The same, for the low end of the share's 95 % interval."""
    coverage = "coverage"
    """A share of the texts of validation is answered."""


@dataclass(frozen=True)
class Answers:
    """Coverage and precision of answering only texts whose top probability reaches a threshold."""

    answered: Proportion
    """Texts that are answered."""
    right: Proportion
    """Answers that are right."""


@dataclass(frozen=True)
class AnswerThreshold:
    """A threshold of the top probability, chosen on validation for a wanted share."""

    wanted: Wanted
    share: float
    """The share wanted, 0 to 1."""
    threshold: float | None
    """Answer from this probability on; none where nothing on validation reaches the share."""
    validation: Answers | None
    test: Answers | None


@dataclass(frozen=True)
class Decisions:
    """Precision and recall of predicting the second of two classes from a probability on."""

    precision: Proportion
    """Of the examples predicted to be of the second class, those that are."""
    recall: Proportion
    """Of the examples of the second class, those predicted to be."""

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; none where the class neither occurs nor is predicted."""
        cases = self.precision.total + self.recall.total
        return 2 * self.precision.count / cases if cases else None


@dataclass(frozen=True)
class DecisionThreshold:
    """A threshold of one class's probability, chosen on validation."""

    label: int
    """The class that it is about: the rarer of two, of equals the second."""
    purpose: str
    """`precision`, `best F1`, or `default` (one half)."""
    share: float | None
    """The precision wanted."""
    threshold: float | None
    """Predict the class from this probability on; none where nothing on validation reaches the share."""
    validation: Decisions | None
    test: Decisions | None
    is_sure: bool
    """Whether validation is large enough: the low end of its interval reaches the share too; true without one."""


@dataclass(frozen=True)
class Curve:
    """Accuracy of the surest examples of a split, by how many are answered."""

    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]


def answers_at(predictions: Predictions, threshold: float) -> Answers:
    """Return coverage and precision of answering from a top probability on."""
    answered = _confidence(predictions) >= threshold
    right = predictions.predicted == predictions.labels
    return Answers(
        Proportion(int(answered.sum()), len(answered)), Proportion(int((answered & right).sum()), int(answered.sum()))
    )


def answer_threshold(wanted: Wanted, share: float, validation: Predictions, test: Predictions) -> AnswerThreshold:
    """Choose a threshold of the top probability on validation, and return what it reaches on test.

    Args:
        wanted: For a precision the lowest threshold is taken that reaches it, for a coverage the highest.
        share: The share that is wanted, 0 to 1.
        validation: What to choose on.
        test: What to report on.
    """
    confidence = _confidence(validation)
    right = validation.predicted == validation.labels
    thresholds, answered, hits = _steps(confidence, right)
    reaches = {
        Wanted.precision: hits / answered,
        Wanted.promised_precision: proportion_confint(hits, answered, method="wilson")[0],
        Wanted.coverage: answered / len(confidence),
    }[wanted]
    places = np.flatnonzero(reaches >= share - 1e-12)
    if not len(places):
        return AnswerThreshold(wanted, share, None, None, None)
    threshold = float(thresholds[places[0] if wanted is Wanted.coverage else places[-1]])
    return AnswerThreshold(wanted, share, threshold, answers_at(validation, threshold), answers_at(test, threshold))


def decisions_at(predictions: Predictions, threshold: float, label: int = 1) -> Decisions:
    """Return precision and recall of predicting one of two classes from a probability of it on."""
    flagged, true = predictions.probabilities[:, label] >= threshold, predictions.labels == label
    both = int((flagged & true).sum())
    return Decisions(Proportion(both, int(flagged.sum())), Proportion(both, int(true.sum())))


def decision_thresholds(
    wanted_precision: float | None, validation: Predictions, test: Predictions
) -> tuple[DecisionThreshold, ...]:
    """Return thresholds of one of two classes: one half, the best for F1, and that for a wanted precision.

    It is the class that is rarer on validation, of equals the second. The last two are chosen on
    validation: of equal F1 the highest threshold, and of those that reach the precision the one with
    the most recall. Other numbers of classes have none.
    """
    if len(validation.label_names) != 2:
        return ()
    label = 0 if 2 * int((validation.labels == 1).sum()) > len(validation.labels) else 1

    def chosen_for(purpose: str, share: float | None, threshold: float) -> DecisionThreshold:
        chosen, reached = decisions_at(validation, threshold, label), decisions_at(test, threshold, label)
        is_sure = share is None or chosen.precision.interval[0] >= share
        return DecisionThreshold(label, purpose, share, threshold, chosen, reached, is_sure)

    found = [chosen_for("default", None, 0.5)]
    true = validation.labels == label
    if not true.any():
        return tuple(found)
    thresholds, flagged, hits = _steps(validation.probabilities[:, label], true)
    found.append(chosen_for("best F1", None, float(thresholds[np.argmax(2 * hits / (flagged + true.sum()))])))
    if wanted_precision is not None:
        reached = np.flatnonzero((hits / flagged >= wanted_precision - 1e-12) & (hits > 0))
        if len(reached):
            best = reached[hits[reached] == hits[reached].max()]
            found.append(chosen_for("precision", wanted_precision, float(thresholds[best[0]])))
        else:
            found.append(DecisionThreshold(label, "precision", wanted_precision, None, None, None, False))
    return tuple(found)


def coverage_curve(predictions: Predictions) -> Curve:
    """Return the accuracy of the surest examples for every share answered; equally sure ones come together."""
    right = predictions.predicted == predictions.labels
    _, answered, hits = _steps(_confidence(predictions), right)
    chosen = np.unique(np.linspace(0, len(answered) - 1, min(POINTS, len(answered))).astype(int))
    return Curve(
        tuple((answered[chosen] / len(right)).tolist()),
        tuple((hits[chosen] / answered[chosen]).tolist()),
    )


def _confidence(predictions: Predictions) -> NDArray[np.float32]:
    return predictions.probabilities.max(axis=1)


def _steps(
    scores: NDArray[np.float32], hit: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return every distinct score from the highest down, with the examples and the hits that reach it."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return scores[order][last], last + 1, np.cumsum(hit[order], dtype=np.int64)[last]
