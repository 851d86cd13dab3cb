"""A prediction of one text, the check of its threshold, and probabilities under a temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textclf.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TINY = 2.0**-126
"""The smallest normal float32; stands for a probability that was too small for it."""
ABSTAIN = "abstain"
"""The label where no class reaches the threshold."""


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one text, or pair of texts."""

    label: str
    """Name of the most probable class; `abstain` where its probability is below the threshold, and where an answer of a
    language model named no class, which has 0 for each."""
    score: float
    """Probability of the most probable class, 0 to 1, also where it abstains."""
    probabilities: dict[str, float]
    """Probability of each class by name, in label order."""
    are_given: bool = True
    """Whether the probabilities are the classifier's own; if not, they only say which class it named."""

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


@dataclass(frozen=True)
class SetPrediction:
    """What a classifier of sets of labels says of one text, or pair of texts."""

    labels: tuple[str, ...]
    """Names of the labels whose probability reaches their threshold, the most probable first; it may be empty."""
    probabilities: dict[str, float]
    """Probability of each label by name, in label order; each is a share of 1 of its own."""
    are_given: bool = True
    """Whether the probabilities are the classifier's own; if not, they only say which labels it named."""

    @property
    def label(self) -> str:
        """The labels as one text, as `bug + refund`; `no label` where there is none."""
        return " + ".join(self.labels) or "no label"

    @property
    def score(self) -> float:
        """Probability of the most probable label, given or not, 0 to 1."""
        return max(self.probabilities.values())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the most probable labels with their probabilities, the most probable first, given or not."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


def set_predictions_of(
    probabilities: NDArray[np.float32],
    label_names: Sequence[str],
    thresholds: Sequence[float],
    are_given: bool = True,
) -> list[SetPrediction]:
    """Return each row of probabilities, float32 (n, num_labels), as a set of labels.

    Args:
        probabilities: Each label's probability of each text.
        label_names: Names of the labels, in label order.
        thresholds: The probability of each label, 0 to 1, from which on it is given.
        are_given: Whether the probabilities are the classifier's own.
    """
    found = []
    for row in _without_nan(probabilities):
        given = [label for label, (value, least) in enumerate(zip(row, thresholds, strict=True)) if value >= least]
        given.sort(key=lambda label: -row[label])
        names = tuple(label_names[label] for label in given)
        found.append(SetPrediction(names, dict(zip(label_names, row, strict=True)), are_given))
    return found


def predictions_of(
    probabilities: NDArray[np.float32],
    label_names: Sequence[str],
    threshold: float | None = None,
    are_given: bool = True,
) -> list[Prediction]:
    """Return each row of probabilities, float32 (n, num_labels), as a prediction.

    Args:
        probabilities: Each class's probability of each text.
        label_names: Names of the classes, in label order.
        threshold: The probability, 0 to 1, below which the label is `abstain`; none always takes a class.
        are_given: Whether the probabilities are the classifier's own.
    """
    found = []
    for row in _without_nan(probabilities):
        best = max(range(len(row)), key=row.__getitem__)
        sure = row[best] > 0 and (threshold is None or row[best] >= threshold)
        found.append(
            Prediction(
                label=label_names[best] if sure else ABSTAIN,
                score=row[best],
                probabilities=dict(zip(label_names, row, strict=True)),
                are_given=are_given,
            )
        )
    return found


def _without_nan(probabilities: NDArray[np.float32]) -> list[list[float]]:
    """Return rows of probabilities, with 0 for each class where no class was named."""
    return [[0.0 if value != value else value for value in row] for row in probabilities.tolist()]


def check_threshold(threshold: float | None, label_names: Sequence[str]) -> None:
    """Refuse a threshold that is no probability, or that a class of its own name would make unreadable.

    Raises:
        DataError: If it does not lie between 0 and 1, or a class is called `abstain`.
    """
    if threshold is None:
        return
    if not 0 <= threshold <= 1:
        raise DataError(f"The threshold is a probability and must lie between 0 and 1, got {threshold}.")
    if ABSTAIN in label_names:
        raise DataError(f"A class is called {ABSTAIN!r}, the label below the threshold; predict without a threshold.")


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return what the probabilities become when the logits are divided by a temperature: p^(1/T), renormalised.

    Args:
        probabilities: float32 (n, num_labels).
        temperature: Above 0; above 1 makes the probabilities less sure.
    """
    import numpy as np  # commands that only say what they do reach this module, and need no import of it

    if temperature == 1.0 or not len(probabilities):
        return probabilities
    return np.exp(log_softmax(np.log(np.maximum(probabilities, TINY, dtype=np.float64)), temperature)).astype(
        np.float32
    )


def tempered_each(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return what probabilities that stand each for itself become when their logits are divided by a temperature.

    Args:
        probabilities: float32 (n, num_labels), each in [0, 1].
        temperature: Above 0; above 1 makes the probabilities less sure.
    """
    import numpy as np
    from scipy.special import expit, logit

    if temperature == 1.0 or not len(probabilities):
        return probabilities
    held = np.clip(probabilities.astype(np.float64), TINY, 1 - 2.0**-52)
    return expit(logit(held) / temperature).astype(np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of each label by itself, of its log-odds; both float32 (n, num_labels)."""
    import numpy as np

    powers = np.exp(-np.abs(logits))  # at most 1
    return np.where(logits >= 0, 1 / (1 + powers), powers / (1 + powers)).astype(np.float32)


def log_softmax(logs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the logarithms of the softmax of logits, float64 (n, num_labels), over a temperature."""
    import numpy as np

    scaled = logs / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
