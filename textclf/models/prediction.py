"""A prediction of one text, the checks of what is predicted, and probabilities under a temperature."""

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
    """Name of the most probable class; `abstain` where its probability is below the threshold."""
    score: float
    """Probability of the most probable class, 0 to 1, also where it abstains."""
    probabilities: dict[str, float]
    """Probability of each class by name, in label order."""

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


def predictions_of(
    probabilities: NDArray[np.float32], label_names: Sequence[str], threshold: float | None = None
) -> list[Prediction]:
    """Return each row of probabilities, float32 (n, num_labels), as a prediction.

    Args:
        probabilities: Each class's probability of each text.
        label_names: Names of the classes, in label order.
        threshold: The probability, 0 to 1, below which the label is `abstain`; none always takes a class.
    """
    found = []
    for row in probabilities.tolist():
        best = max(range(len(row)), key=row.__getitem__)
        sure = threshold is None or row[best] >= threshold
        found.append(
            Prediction(
                label=label_names[best] if sure else ABSTAIN,
                score=row[best],
                probabilities=dict(zip(label_names, row, strict=True)),
            )
        )
    return found


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


def check_inputs(texts: Sequence[str], text_pairs: Sequence[str] | None, has_pairs: bool | None) -> None:
    """Refuse what is not a list of texts, and single texts where pairs are due, or the reverse.

    Args:
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        has_pairs: Whether the classifier was fitted on pairs; none where that is not known.

    Raises:
        DataError: If one string is given for a list, an entry is no string or no Unicode, or pairs are wrong or of
            unequal number.
    """
    for name, given in (("texts", texts), ("text_pairs", text_pairs)):
        if isinstance(given, (str, bytes)):
            raise DataError(f"{name} must be a list of texts, got one {type(given).__name__}; write [text] instead.")
        if isinstance(given, list):
            for row, text in enumerate(given):
                if not isinstance(text, str):
                    raise DataError(f"{name}[{row}] must be a string, got {type(text).__name__}.")
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise DataError(
                        f"{name}[{row}] is no valid Unicode: half a surrogate pair stands at character {error.start}."
                    ) from error
    if text_pairs is None and has_pairs:
        raise DataError("This classifier was fitted on pairs of texts: give the second texts as text_pairs.")
    if text_pairs is not None and has_pairs is False:
        raise DataError("This classifier was fitted on single texts: leave text_pairs out.")
    if text_pairs is not None and len(text_pairs) != len(texts):
        raise DataError(f"Pairs need as many second texts as first ones, got {len(texts)} and {len(text_pairs)}.")


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


def log_softmax(logs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the logarithms of the softmax of logits, float64 (n, num_labels), over a temperature."""
    import numpy as np

    scaled = logs / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
