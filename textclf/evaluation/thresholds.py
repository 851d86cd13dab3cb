"""Where to draw the line: answers only above a probability, and of two classes when to say the second.

Every threshold is chosen on validation and told with what it reaches on test.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from textclf.evaluation.predictions import Predictions
from textclf.evaluation.proportions import Share

POINTS = 200
"""Points of the curve of coverage and accuracy."""


class Wanted(Enum):
    """What a threshold of the top probability is chosen for."""

    precision = "precision"
    """A share of the answers on validation is right."""
    promised_precision = "promised precision"
    """The same, for the low end of the share's 95 % interval."""
    coverage = "coverage"
    """A share of the texts of validation is answered."""


@dataclass(frozen=True)
class Answers:
    """What comes of answering only texts whose top probability reaches a threshold."""

    answered: Share
    """Texts that are answered."""
    right: Share
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
    """What comes of saying the second of two classes from a probability on."""

    precision: Share
    """Of the examples said to be of the second class, those that are."""
    recall: Share
    """Of the examples of the second class, those said to be."""

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; none where the class neither occurs nor is said."""
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
    """Say the class from this probability on; none where nothing on validation reaches the share."""
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
    """Return what comes of answering from a top probability on."""
    said = _confidence(predictions) >= threshold
    right = predictions.predicted == predictions.labels
    return Answers(Share(int(said.sum()), len(said)), Share(int((said & right).sum()), int(said.sum())))


def answer_threshold(wanted: Wanted, share: float, validation: Predictions, test: Predictions) -> AnswerThreshold:
    """Choose a threshold of the top probability on validation, and say what it reaches on test.

    Args:
        wanted: For a precision the lowest threshold is taken that reaches it, for a coverage the highest.
        share: The share that is wanted, 0 to 1.
        validation: What to choose on.
        test: What to tell.
    """
    confidence = _confidence(validation)
    right = validation.predicted == validation.labels
    thresholds, said, hits = _steps(confidence, right)
    reaches = {
        Wanted.precision: hits / said,
        Wanted.promised_precision: proportion_confint(hits, said, method="wilson")[0],
        Wanted.coverage: said / len(confidence),
    }[wanted]
    places = np.flatnonzero(reaches >= share - 1e-12)
    if not len(places):
        return AnswerThreshold(wanted, share, None, None, None)
    threshold = float(thresholds[places[0] if wanted is Wanted.coverage else places[-1]])
    return AnswerThreshold(wanted, share, threshold, answers_at(validation, threshold), answers_at(test, threshold))


def decisions_at(predictions: Predictions, threshold: float, label: int = 1) -> Decisions:
    """Return what comes of saying one of two classes from a probability of it on."""
    said, true = predictions.probabilities[:, label] >= threshold, predictions.labels == label
    both = int((said & true).sum())
    return Decisions(Share(both, int(said.sum())), Share(both, int(true.sum())))


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

    def told(purpose: str, share: float | None, threshold: float) -> DecisionThreshold:
        chosen, reached = decisions_at(validation, threshold, label), decisions_at(test, threshold, label)
        is_sure = share is None or chosen.precision.interval[0] >= share
        return DecisionThreshold(label, purpose, share, threshold, chosen, reached, is_sure)

    found = [told("default", None, 0.5)]
    true = validation.labels == label
    if not true.any():
        return tuple(found)
    thresholds, said, hits = _steps(validation.probabilities[:, label], true)
    found.append(told("best F1", None, float(thresholds[np.argmax(2 * hits / (said + true.sum()))])))
    if wanted_precision is not None:
        reached = np.flatnonzero((hits / said >= wanted_precision - 1e-12) & (hits > 0))
        if len(reached):
            best = reached[hits[reached] == hits[reached].max()]
            found.append(told("precision", wanted_precision, float(thresholds[best[0]])))
        else:
            found.append(DecisionThreshold(label, "precision", wanted_precision, None, None, None, False))
    return tuple(found)


def coverage_curve(predictions: Predictions) -> Curve:
    """Return the accuracy of the surest examples for every share answered; equally sure ones come together."""
    right = predictions.predicted == predictions.labels
    _, said, hits = _steps(_confidence(predictions), right)
    chosen = np.unique(np.linspace(0, len(said) - 1, min(POINTS, len(said))).astype(int))
    return Curve(
        tuple((said[chosen] / len(right)).tolist()),
        tuple((hits[chosen] / said[chosen]).tolist()),
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
