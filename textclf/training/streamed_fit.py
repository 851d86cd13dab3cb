"""Fitting a classifier to more texts than have room in memory as features: a part of them at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import load_npz, save_npz
from sklearn.feature_extraction.text import HashingVectorizer

from textclf.data.texts import MappedTexts
from textclf.models.base import UNWEIGHED, Balance
from textclf.models.classical.hashed_tfidf import HashedTfidf
from textclf.models.classical.vectorizing import transform

log = logging.getLogger(__name__)

PART = 1 << 16
"""Texts whose features are in memory at once; fewer are fitted in the usual way, in as many epochs as that takes."""
ENOUGH = 1 << 18
"""Examples, counted again in each epoch, after which gradient descent has learned about all that it will."""


def is_streamed(features: Any, classifier: Any, num_texts: int, balance: Balance) -> bool:
    """Whether texts are so many, and the parts of the model such, that they are fitted a part at a time.

    The vectorizer must have features that do not depend on the texts, as `HashingVectorizer`, and the classifier must
    take parts.
    """
    settled = isinstance(features, (HashingVectorizer, HashedTfidf))
    return num_texts > PART and settled and hasattr(classifier, "partial_fit") and balance == UNWEIGHED


def fit_streamed(features: Any, classifier: Any, texts: Sequence[str], labels: NDArray[np.int64], seed: int) -> int:
    """Fit a classifier in place to all texts in random order, `PART` of them at a time, until it has seen `ENOUGH`.

    The weights of features, where they have any, are learned from the first part. Where it takes more than one epoch,
    the features of the parts are kept in temporary files meanwhile.

    Args:
        features: A vectorizer whose features do not depend on the texts.
        classifier: An unfitted classifier with `partial_fit`.
        texts: The n texts; those on disk are read as they are needed.
        labels: int64 (n,).
        seed: Seed of the order.

    Returns:
        The number of epochs.
    """
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(texts))
    parts = np.split(order, range(PART, len(texts), PART))
    classes = np.unique(labels)
    epochs = math.ceil(ENOUGH / len(texts))
    with TemporaryDirectory(prefix="textclf-features-") as folder:
        paths = [Path(folder) / f"{number}.npz" for number in range(len(parts))]
        for path, rows in zip(paths, parts, strict=True):
            chosen = _chosen(texts, rows)
            if rows is parts[0]:
                features.fit(chosen)
            part = transform(features, chosen, None)
            classifier.partial_fit(part, labels[rows], classes=classes)
            if epochs > 1:
                save_npz(path, part, compressed=False)
        for epoch in range(1, epochs):
            log.debug("epoch %d of %d done", epoch, epochs)
            for number in chance.permutation(len(parts)):
                classifier.partial_fit(load_npz(paths[number]), labels[parts[number]])
    return epochs


def _chosen(texts: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    """Return the texts of some rows."""
    if not isinstance(texts, MappedTexts):
        return [texts[int(row)] for row in rows]
    place = np.argsort(rows)  # in the order of the file, which is far faster to read
    out = np.empty(len(rows), dtype=object)
    out[place] = list(MappedTexts(texts.rows.select(rows[place]), texts.column, texts.change))
    return list(out)
