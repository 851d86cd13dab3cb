"""A fitted classifier of any family: labels and probabilities for texts, saved and read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.data.text_columns import UNNAMED, TextColumns
from textclf.models.given_texts import Texts, given_texts
from textclf.models.options import Cleaning
from textclf.models.prediction import (
    Prediction,
    SetPrediction,
    check_threshold,
    predictions_of,
    set_predictions_of,
    tempered,
    tempered_each,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf.models.llm.money import Account


@dataclass
class Classifier(ABC):
    """A fitted model: what predicting, serving and exporting hold."""

    label_names: tuple[str, ...] = field(kw_only=True)
    """Names of the classes, in the order of the probabilities."""
    cleaning: tuple[Cleaning, ...] = field(default=(), kw_only=True)
    """Steps of cleaning that every text goes through first."""
    temperature: float = field(default=1.0, kw_only=True)
    """What the logits are divided by before they become probabilities; above 1 makes them less sure."""
    has_pairs: bool | None = field(default=None, kw_only=True)
    """Whether it was fitted on pairs of texts; none where that is not known."""
    thresholds: tuple[float, ...] | None = field(default=None, kw_only=True)
    """The probability of each label, 0 to 1, from which on it is given to a text; none where each text has one class.
    With thresholds, probabilities are each label's own and do not sum to 1."""
    columns: TextColumns = field(default=UNNAMED, kw_only=True)
    """The columns of the data that it was fitted to: those of a table are read by these names."""

    @property
    def billed(self) -> Account | None:
        """What its answers took, where it has them of a service that counts tokens; none where it computes itself."""
        return None

    @property
    def gives_probabilities(self) -> bool:
        """Whether its probabilities are its own; if not, they only say which class or labels it named."""
        return True

    def clean(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts as the model is to read them."""
        if not self.cleaning:
            return texts
        from textclf.models.cleaning import cleaned

        return cleaned(texts, self.cleaning)

    def predict_proba(self, texts: Texts, text_pairs: Texts | None = None) -> NDArray[np.float32]:
        """Return each class's probability for each text.

        Args:
            texts: The n texts, or the first texts of n pairs: a list, tuple, Series, array of one dimension or column
                of a dataset; or a table (DataFrame, `datasets.Dataset`, mapping of columns) with the columns that the
                classifier was trained on, or `text` and `text_pair`.
            text_pairs: The second texts of the pairs; none for single texts, and for pairs in a table.

        Returns:
            float32 (n, num_labels), in the order of the texts; rows sum to 1, but for sets of labels. An empty input
            gives (0, num_labels). A language model whose answer names no label gives a row of NaN.

        Raises:
            DataError: If these are no texts, a table lacks the columns, an entry is missing, no string or empty (its
                position is named), or there are no pairs where the classifier wants them, or the reverse.
        """
        return self.probabilities(*given_texts(texts, text_pairs, self.columns, self.has_pairs))

    @property
    def has_sets(self) -> bool:
        """Whether it gives each text a set of labels instead of one class."""
        return self.thresholds is not None

    def predict(
        self, texts: Texts, text_pairs: Texts | None = None, threshold: float | None = None
    ) -> list[Prediction] | list[SetPrediction]:
        """Return a label, its probability and those of all classes for each text; or its set of labels.

        Args:
            texts: As for `predict_proba`.
            text_pairs: As for `predict_proba`.
            threshold: The probability, 0 to 1, below which the label is `abstain`; none always takes a class. Of sets
                of labels the one from which on a label is given, in place of its own.

        Raises:
            DataError: As for `predict_proba`; also if the threshold is no probability.
        """
        check_threshold(threshold, () if self.has_sets else self.label_names)
        if self.thresholds is not None:
            least = self.thresholds if threshold is None else (threshold,) * len(self.label_names)
            found = self.predict_proba(texts, text_pairs)
            return set_predictions_of(found, self.label_names, least, self.gives_probabilities)
        found = self.predict_proba(texts, text_pairs)
        return predictions_of(found, self.label_names, threshold, self.gives_probabilities)

    def probabilities(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Return each class's probability for each text, as `predict_proba` does, of texts that need no check.

        Those of a dataset were checked when it was read; they may lie on disk, and some may be empty where a title may
        stand alone.

        Args:
            texts: The n texts, or the first texts of n pairs.
            text_pairs: The second texts of the pairs; none for single texts.

        Returns:
            float32 (n, num_labels); rows sum to 1, but for sets of labels.
        """
        pairs = None if text_pairs is None else self.clean(text_pairs)
        found = self.uncalibrated_proba(self.clean(texts), pairs)
        if self.temperature == 1.0:
            return found
        return tempered_each(found, self.temperature) if self.has_sets else tempered(found, self.temperature)

    @abstractmethod
    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text, before the temperature: float32 (n, num_labels)."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the classifier so that `load_classifier(directory)` gives the same predictions."""
