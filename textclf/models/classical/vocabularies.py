"""The vocabularies of a pipeline, kept as lists of words beside it.

skops writes each word of a vocabulary as a node of its own: of IMDb's 1.4 million words and pairs of words it takes a
minute to write, another to read, and 0.9 GB. As a list they take a second and a fraction of the space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from textclf.errors import ArtifactError

FILE = "vocabularies.json"
"""A list for each vectorizer: its words, in the order of their features."""


@contextmanager
def written_apart(pipeline: Pipeline, directory: Path) -> Iterator[None]:
    """Write the vocabularies of a fitted pipeline, which has none inside the context."""
    vectorizers = _vectorizers(pipeline)
    vocabularies = [vectorizer.vocabulary_ for vectorizer in vectorizers]
    words = [sorted(vocabulary, key=vocabulary.__getitem__) for vocabulary in vocabularies]
    (directory / FILE).write_text(json.dumps(words), encoding="utf-8")
    try:
        for vectorizer in vectorizers:
            vectorizer.vocabulary_ = {}
        yield
    finally:
        for vectorizer, vocabulary in zip(vectorizers, vocabularies, strict=True):
            vectorizer.vocabulary_ = vocabulary


def read_into(pipeline: Pipeline, directory: Path) -> None:
    """Give a pipeline the vocabularies that were written apart; one that was saved with them is left alone.

    Raises:
        ArtifactError: If they are missing or damaged.
    """
    vectorizers = [vectorizer for vectorizer in _vectorizers(pipeline) if not vectorizer.vocabulary_]
    if not vectorizers:
        return
    path = directory / FILE
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        for vectorizer, own in zip(vectorizers, words, strict=True):
            vectorizer.vocabulary_ = {str(word): feature for feature, word in enumerate(own)}
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is missing or damaged: {error}") from error


def _vectorizers(pipeline: Pipeline) -> list[Any]:
    """Return the fitted vectorizers of a pipeline that have a vocabulary; of pairs, one for each text."""
    features = pipeline.steps[0][1]
    parts = [part for _, part, _ in features.transformers_] if isinstance(features, ColumnTransformer) else [features]
    return [part for part in parts if hasattr(part, "vocabulary_")]
