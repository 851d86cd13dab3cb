"""Size, classes, length and language of the data, as a person is told them before any model is tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset

from textclf.audit.corpus import Corpus
from textclf.audit.languages import languages_of
from textclf.audit.options import AuditOptions
from textclf.data.dataset import TextData, labels_of
from textclf.errors import DataError, listed

LOOKED_AT = 500
"""Texts of each split whose length and language are told."""
ENGLISH = "en"


@dataclass(frozen=True)
class DataFacts:
    """What decides which models are worth trying."""

    sizes: tuple[int, int, int]
    """Examples of train, validation and test."""
    smallest_class: int
    """Training examples of the rarest class."""
    largest_class: int
    num_labels: int
    words: int
    """Median number of words of a text."""
    pairs: bool
    language: str | None
    """Code of the most frequent language; none where the texts are too short to tell."""

    @property
    def is_english(self) -> bool:
        """Whether nothing speaks against English."""
        return self.language in (None, ENGLISH)

    def describe(self, name: str) -> str:
        """Return the facts in a line."""
        train, validation, test = self.sizes
        return (
            f"{name}: {train:,} {'pairs of texts' if self.pairs else 'texts'} to train on ({validation:,} to choose "
            f"by, {test:,} to test), {self.num_labels} classes of {self.smallest_class:,} to {self.largest_class:,} "
            f"training examples, {self.words} words a text (median), language "
            f"{'not told (texts too short)' if self.language is None else self.language}"
        )


def facts_of(data: TextData) -> DataFacts:
    """Tell the facts from the data, lengths and language from a sample.

    Raises:
        DataError: If a class has a single training example: nothing said of it would hold.
    """
    counts = np.bincount(labels_of(data.train), minlength=data.num_labels)
    if single := [data.label_names[label] for label in np.flatnonzero(counts < 2)]:
        raise DataError(
            f"{data.source}: {listed([repr(name) for name in single], 20)} "
            f"{'has' if len(single) == 1 else 'have'} 1 training example, and at least 2 of each class are needed to "
            f"say which model learns it. Add examples, or leave such classes out with dataset.min_class_examples."
        )
    some = replace(data, train=_spread(data.train), validation=_spread(data.validation), test=_spread(data.test))
    corpus = Corpus.of(some)
    languages, _ = languages_of(corpus, AuditOptions(language_sample=LOOKED_AT), None)
    return DataFacts(
        sizes=(len(data.train), len(data.validation), len(data.test)),
        smallest_class=int(counts.min()),
        largest_class=int(counts.max()),
        num_labels=data.num_labels,
        words=int(np.median([len(corpus.whole(row).split()) for row in range(len(corpus))])),
        pairs=data.has_pairs,
        language=languages.rows[0].language if languages.rows else None,
    )


def _spread(split: Dataset) -> Dataset:
    """Return so many rows of a split as are looked at, evenly spread."""
    return split.select(np.unique(np.linspace(0, len(split) - 1, LOOKED_AT).astype(int)))
