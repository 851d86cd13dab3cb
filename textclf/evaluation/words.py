"""Words of a text in any script, with their places, to put it together without some; their weights and colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textclf.data.scripts import UNSPACED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf.models.base import Classifier

TINY = 2.0**-126
"""The smallest normal float32; stands for a probability that was too small for it."""

ATTACHED = (
    "\u0300-\u036f\u0e31\u0e33-\u0e3a\u0e45\u0e47-\u0e4e\u0eb1\u0eb3-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1060"
    "\u17b4-\u17d3\u17dd\u3099\u309a\u30fc\ufe00-\ufe0f\U000e0100-\U000e01ef\u200d"
)
"""Marks that belong to the character before them."""
FULL = 1.0
"""Log-odds that a word has to count for to be shown in full colour: one half becomes 73 %."""
FLOOR = 0.1
"""Log-odds below which a word is not coloured: one half becomes 52.5 %, which nobody would decide otherwise for."""
UNMOVED = "no single word moves this prediction"
"""What is said where every word lies below the floor."""
LEADING = "\u0e40-\u0e44\u0ec0-\u0ec4"
"""Vowels of Thai and Lao that are written before their consonant."""
_CHARACTERS = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
WORD = re.compile(f"[{LEADING}]?[{_CHARACTERS}][{ATTACHED}]*|[^\\s{_CHARACTERS}]+")
"""A run of letters between spaces or, of scripts without spaces, a character with its marks."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in order; of scripts without spaces, each character with its marks is one."""
    return WORD.findall(text)


def strength(weight: float) -> float:
    """Return how strongly a word is coloured, 0 to 1, by what it counts for in log-odds: the same in every text."""
    return min(abs(weight) / FULL, 1.0) if abs(weight) >= FLOOR else 0.0


def count_words(text: str) -> int:
    """Return the number of words of a text."""
    return len(text.split()) if text.isascii() else len(words_of(text))


class WordMask:
    """A text whose first words can be left out, the rest of it staying as it is."""

    def __init__(self, text: str, most: int):
        """Find the words.

        Args:
            text: The text.
            most: How many words, from the start, can be left out.
        """
        spans = [match.span() for match in WORD.finditer(text)]
        self.words = [text[start:end] for start, end in spans[:most]]
        self.is_cut = len(spans) > most
        """Whether there are further words."""
        ends = [start for start, _ in spans[1 : most + 1]]
        if len(ends) < len(self.words):
            ends.append(len(text))
        starts = [start for start, _ in spans[:most]]
        self.before = text[: starts[0]] if starts else text
        self.pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        """Each word with what follows it up to the next."""
        self.gaps = [piece[len(word) :] for word, piece in zip(self.words, self.pieces, strict=True)]
        """Text between each word and the next."""
        self.after = text[ends[-1] :] if starts else ""

    def without(self, kept: Sequence[bool]) -> str:
        """Return the text without the words that are not kept; all kept, the text itself.

        A word takes the space after it along, unless there is none before it that could stand for both.
        """
        parts, space_before = [self.before], True
        for piece, gap, keep in zip(self.pieces, self.gaps, kept, strict=True):
            if keep:
                parts.append(piece)
            elif not space_before:
                parts.append(gap)
            space_before = bool(gap)
        return "".join(parts) + self.after


def word_weights(classifier: Classifier, masks: list[WordMask], predicted: int) -> NDArray[np.float64]:
    """Return how far the log-odds of a class or label fall when each word is left out: float64 (words,).

    Args:
        classifier: What predicts.
        masks: The text, or the two texts of a pair.
        predicted: The class; of sets the label, whose log-odds are those of its own probability.
    """
    import numpy as np  # reading the words themselves needs none

    first = len(masks[0].words)
    count = sum(len(mask.words) for mask in masks)

    def log_odds(kept: NDArray[np.bool_]) -> NDArray[np.float64]:  # (texts, words) -> (texts,)
        rows = kept.tolist()
        texts = [masks[0].without(row[:first]) for row in rows]
        pairs = [masks[1].without(row[first:]) for row in rows] if len(masks) > 1 else None
        probabilities = np.maximum(classifier.probabilities(texts, pairs).astype(np.float64), TINY)
        if classifier.has_sets:
            others = 1 - probabilities[:, predicted]
        else:
            others = np.delete(probabilities, predicted, axis=1).sum(axis=1)
        return np.log(probabilities[:, predicted]) - np.log(np.maximum(others, TINY))

    whole = log_odds(np.ones((1, count), dtype=bool))
    return whole - log_odds(~np.eye(count, dtype=bool))
