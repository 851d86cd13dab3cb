"""Fitting a classifier to more texts than have room in memory as features: a part of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.data.texts import MappedTexts
from textclf.models.base import UNWEIGHED, Balance

log = logging.getLogger(__name__)

PART = 1 << 16
"""Texts whose features are in memory at once; fewer are fitted in the usual way, in as many epochs as that takes."""


def is_streamed(features: Any, classifier: Any, num_texts: int, balance: Balance) -> bool:
    """Whether texts are so many, and the parts of the model such, that they are fitted a part at a time.

    The vectorizer must have nothing to learn, as `HashingVectorizer`, and the classifier must take parts.
    """
    stateless = getattr(features, "__sklearn_tags__", None) is not None and not features.__sklearn_tags__().requires_fit
    return num_texts > PART and stateless and hasattr(classifier, "partial_fit") and balance == UNWEIGHED


def fit_streamed(features: Any, classifier: Any, texts: Sequence[str], labels: NDArray[np.int64], seed: int) -> None:
    """Fit a classifier in place: every text once, in random order, `PART` of them at a time.

    Args:
        features: A vectorizer that has nothing to learn.
        classifier: An unfitted classifier with `partial_fit`.
        texts: The n texts; those on disk are read as they are needed.
        labels: int64 (n,).
        seed: Seed of the order.
    """
    order = np.random.default_rng(seed).permutation(len(texts))
    classes = np.unique(labels)
    for start in range(0, len(texts), PART):
        rows = order[start : start + PART]
        classifier.partial_fit(features.transform(_chosen(texts, rows)), labels[rows], classes=classes)
        log.debug("fitted to %d of %d texts", start + len(rows), len(texts))


def _chosen(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """Return the texts of some rows."""
    if not isinstance(texts, MappedTexts):
        return [texts[int(row)] for row in rows]
    place = np.argsort(rows)  # in the order of the file, which is far faster to read
    out = np.empty(len(rows), dtype=object)
    out[place] = list(MappedTexts(texts.rows.select(rows[place]), texts.column, texts.change))
    return list(out)
