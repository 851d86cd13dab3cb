"""Weigh the words of single predictions: each word is left out in turn, and the text predicted again.

It needs `probabilities` alone, so that every kind of classifier can be asked. The page that shows the words is one
HTML file without scripts, every text escaped.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray

from textclf.data.dataset import TextData, texts_of
from textclf.documents.escape import shown
from textclf.documents.wording import signed
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.words import FLOOR, FULL, UNMOVED, WordMask, strength

if TYPE_CHECKING:
    from textclf.models.base import Classifier

TEMPLATE = "attributions.html.j2"
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Attribution:
    """A prediction, and what it owes to each word."""

    example: int
    """The example's row in the source's own split."""
    label: str
    prediction: str
    probability: float
    """Of the prediction."""
    words: tuple[str, ...]
    """The words that were left out in turn; those of a pair's second text come after the first's."""
    gaps: tuple[str, ...]
    """Text between each word and the next."""
    weights: tuple[float, ...]
    """How far the log-odds of the prediction fall without each word; below 0, the word speaks against it."""
    first_words: int
    """Number of words that are of the first text."""
    is_cut: bool
    """Whether the text goes on after the last of them."""

    def strongest(self, count: int) -> list[tuple[str, float]]:
        """Return the words that matter most either way and their weights, the most important first; no slight ones."""
        able = [place for place, weight in enumerate(self.weights) if strength(weight)]
        order = sorted(able, key=lambda place: -abs(self.weights[place]))
        return [(self.words[place], self.weights[place]) for place in order[:count]]


def attributions(
    classifier: Classifier, data: TextData, test: Predictions, count: int, most_words: int
) -> tuple[Attribution, ...]:
    """Weigh the words of a few test examples: the surest mistakes, and as many that are right.

    Of those that are right, the surest of each class in turn is taken. Texts without words are left out.

    Args:
        classifier: What predicted.
        data: The data.
        test: What it predicted on `data.test`.
        count: Examples to weigh.
        most_words: Words of each, from its start; each costs a prediction.
    """
    rows = _chosen(test, count)
    found = []
    for row in rows:
        texts, pairs = texts_of(data.test.select([row]))
        masks = [WordMask(texts[0], most_words)]
        if pairs is not None:
            masks = [WordMask(texts[0], -(-most_words // 2)), WordMask(pairs[0], -(-most_words // 2))]
        if not any(mask.words for mask in masks):
            continue
        predicted = int(test.predicted[row])
        found.append(
            Attribution(
                example=int(data.test[row]["example"]),
                label=test.label_names[test.labels[row]],
                prediction=test.label_names[predicted],
                probability=float(test.probabilities[row, predicted]),
                words=tuple(word for mask in masks for word in mask.words),
                gaps=tuple(gap for mask in masks for gap in mask.gaps),
                weights=tuple(word_weights(classifier, masks, predicted).tolist()),
                first_words=len(masks[0].words),
                is_cut=any(mask.is_cut for mask in masks),
            )
        )
    return tuple(found)


def word_weights(classifier: Classifier, masks: list[WordMask], predicted: int) -> NDArray[np.float64]:
    """Return how far the log-odds of a class or label fall when each word is left out: float64 (words,).

    Args:
        classifier: What predicts.
        masks: The text, or the two texts of a pair.
        predicted: The class; of sets the label, whose log-odds are those of its own probability.
    """
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


def _chosen(test: Predictions, count: int) -> list[int]:
    """Return rows of the test split: the surest mistakes and, in turn of the classes, the surest right ones."""
    confidence = test.probabilities.max(axis=1)
    right = test.predicted == test.labels
    surest = np.argsort(-confidence, kind="stable")
    wrong = surest[~right[surest]]
    rank_in_class = np.zeros(len(confidence), dtype=np.int64)
    hits = surest[right[surest]]
    for label in np.unique(test.labels[hits]):
        own = hits[test.labels[hits] == label]
        rank_in_class[own] = np.arange(len(own))
    hits = hits[np.argsort(rank_in_class[hits], kind="stable")]
    mistakes = min(len(wrong), max(count // 2, count - len(hits)))
    return [int(row) for row in (*wrong[:mistakes], *hits[: count - mistakes])]


def attributions_page(title: str, attributions: Sequence[Attribution]) -> str:
    """Return the texts with their words coloured and underlined by what a prediction owes to them."""
    page = _template().render(title=title, attributions=attributions)
    return shown(page).strip() + "\n"


@functools.cache
def _template() -> Template:
    """Return the page's template, compiled once in a process."""
    environment = Environment(
        loader=PackageLoader("textclf.evaluation", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(texts=_texts, strength=strength, signed=signed)
    environment.globals.update(full=FULL, floor=FLOOR, unmoved=UNMOVED)
    return environment.get_template(TEMPLATE)


def _texts(one: Attribution) -> list[list[tuple[str, str, float]]]:
    """Return the words of each text with the gap after them and their weight; a text without words is left out."""
    rows = list(zip(one.words, one.gaps, one.weights, strict=True))
    return [part for part in (rows[: one.first_words], rows[one.first_words :]) if part]
