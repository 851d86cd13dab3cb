"""Classifiers in memory, each asked by one session at a time, and what a page wants to know of a text."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from textclf.errors import DataError
from textclf.evaluation.words import WordMask, strength, word_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf.models.base import Classifier
    from textclf.models.prediction import Prediction, SetPrediction


@dataclass(frozen=True)
class Word:
    """A word, and what the prediction owes to it."""

    word: str
    gap: str
    """What stands between it and the next."""
    weight: float
    """How far the log-odds of the prediction fall without it; below 0, the word speaks against it."""

    @property
    def strength(self) -> float:
        """How strongly it is coloured, 0 to 1: the same for the same weight in every text."""
        return strength(self.weight)

    @property
    def is_marked(self) -> bool:
        """Whether it is strong enough to stand out."""
        return self.strength > 0


@dataclass(frozen=True)
class Weighed:
    """The words of a text, or of both texts of a pair, and what the prediction owes to each."""

    texts: tuple[tuple[Word, ...], ...]
    is_cut: bool
    """Whether a text goes on after its last word here."""

    def strongest(self, count: int) -> list[Word]:
        """Return the words that matter most either way, the most important first."""
        words = [word for text in self.texts for word in text if word.is_marked]
        return sorted(words, key=lambda word: -abs(word.weight))[:count]


@dataclass
class Loaded:
    """A classifier in memory."""

    classifier: Classifier
    seconds: float
    """How long it took to load."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while it predicts."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.classifier.label_names

    @property
    def has_pairs(self) -> bool:
        """Whether it wants two texts."""
        return bool(self.classifier.has_pairs)

    @property
    def has_sets(self) -> bool:
        """Whether it gives each text a set of labels instead of one class."""
        return self.classifier.has_sets

    @property
    def is_billed(self) -> bool:
        """Whether each text that it is asked about costs money or a request to a service."""
        return self.classifier.billed is not None

    @property
    def gives_probabilities(self) -> bool:
        """Whether its probabilities are its own; if not, they only say which labels it named."""
        return self.classifier.gives_probabilities

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """The probability of each label from which on it is given; none where each text has one class."""
        return self.classifier.thresholds

    @contextmanager
    def alone(self) -> Iterator[Classifier]:
        """Give the classifier to one session at a time."""
        with self.lock:
            yield self.classifier

    def predict_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Return each class's probability for each text, as the classifier does; sessions take turns at each call."""
        with self.alone() as classifier:
            return classifier.predict_proba(texts, text_pairs)

    def predict(self, text: str, text_pair: str | None = None) -> Prediction | SetPrediction:
        """Return what the classifier says of a text, or of a pair.

        Raises:
            DataError: If there is no text, or a second one is missing or not wanted.
        """
        check_text(text, text_pair, self.has_pairs)
        with self.alone() as classifier:
            return classifier.predict([text], [text_pair] if text_pair is not None else None)[0]

    def weigh(self, text: str, text_pair: str | None, label: str, most: int) -> Weighed | None:
        """Return what the prediction of a label owes to each word; nothing for texts without words.

        Args:
            text: The text, or the first of a pair.
            text_pair: The second of a pair.
            label: Name of the class.
            most: How many words, from the start, are left out in turn; of a pair, half of them in each text.
        """
        if most < 1 or self.is_billed:  # each word left out would be one more text to pay for
            return None
        masks = [WordMask(text, most)]
        if text_pair is not None:
            masks = [WordMask(text, -(-most // 2)), WordMask(text_pair, -(-most // 2))]
        if not any(mask.words for mask in masks):
            return None
        with self.alone() as classifier:
            weights = word_weights(classifier, masks, self.label_names.index(label)).tolist()
        texts, begin = [], 0
        for mask in masks:
            own = weights[begin : begin + len(mask.words)]
            rows = zip(mask.words, mask.gaps, own, strict=True)
            texts.append(tuple(Word(*row) for row in rows))
            begin += len(own)
        return Weighed(tuple(texts), any(mask.is_cut for mask in masks))


def check_text(text: str, text_pair: str | None, has_pairs: bool) -> None:
    """Refuse what there is nothing to predict for.

    Raises:
        DataError: If a text is empty, or a second one is missing or not wanted.
    """
    if not text.strip() or (has_pairs and not (text_pair or "").strip()):
        raise DataError("Type both texts of the pair first." if has_pairs else "Type a text first.")
    if text_pair is not None and not has_pairs:
        raise DataError("This classifier takes single texts, not pairs.")


def load(folder: Path, has_pairs: bool | None = None) -> Loaded:
    """Read a classifier from its folder.

    Args:
        folder: The classifier's folder.
        has_pairs: Whether the run had pairs, for an older folder that does not say.

    Raises:
        ArtifactError: If it is missing or damaged, or not as its run left it.
    """
    from textclf.models.families import load_classifier
    from textclf.tracking.find_runs import run_of
    from textclf.tracking.record import CLASSIFIER, refuse_changed

    begun = perf_counter()
    if (run := run_of(folder)) is not None:
        refuse_changed(run, CLASSIFIER)
    classifier = load_classifier(folder)
    if classifier.has_pairs is None:
        classifier.has_pairs = has_pairs
    return Loaded(classifier, perf_counter() - begun)
