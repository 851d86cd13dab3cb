"""A scikit-learn pipeline as a file of which every byte depends on the pipeline alone.

skops names the parts of its archive by their addresses in memory and stamps them with the time, and scikit-learn's
vectorizers keep the address of their stop words, so that the same pipeline, written twice, gives two files. Here the
parts are numbered in the order in which they occur, the time is the earliest that an archive can bear, and addresses
are left out. A pipeline that was written with them is read as before.

What is large is kept apart, in files that are read as fast as a disk gives them: the words of the vectorizers, and the
weights of a matrix of classes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from textclf.errors import ArtifactError
from textclf.models.classical.linear_classes import LinearClasses
from textclf.system.paths import MEGABYTE, refuse_larger

SCHEMA = "schema.json"
STAMP = (1980, 1, 1, 0, 0, 0)
FILE = "vocabularies.json"
"""A list for each vectorizer: its words, in the order of their features."""
WEIGHTS = "model.safetensors"
"""The matrix of a `LinearClasses`, float32 (num_features, num_classes)."""
ADDRESSES = ("_stop_words_id",)
"""Attributes in which scikit-learn keeps an address in memory; where one is missing, it is made again."""


MOST_OF_A_SCHEMA = 64 * MEGABYTE
"""The trees of a large forest take 50 MB."""
MOST_OF_ALL_WORDS = 1024 * MEGABYTE
UNPACKED = 10
"""Times its own size that an archive may take when it is read; textclf packs nothing more tightly than it was."""


def check_archive(path: Path) -> None:
    """Refuse an archive of skops that says it holds far more than a pipeline does, before it is read.

    Raises:
        ArtifactError: If it is too large unpacked, or no archive.
    """
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, BadZipFile, ValueError, NotImplementedError) as error:
        raise ArtifactError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    whole, schema = sum(part.file_size for part in parts), sum(p.file_size for p in parts if p.filename == SCHEMA)
    if schema > MOST_OF_A_SCHEMA or whole > UNPACKED * path.stat().st_size + MEGABYTE:
        raise ArtifactError(
            f"{path} would take {whole / MEGABYTE:,.0f} MB unpacked, {schema / MEGABYTE:,.0f} MB of it for {SCHEMA}, "
            f"which no pipeline of its size does; it was not read."
        )


def write_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline with skops, never pickle; the same pipeline always gives the same bytes."""
    import skops.io  # where saving and reading classifiers begins, it is imported with care

    _forget_addresses(pipeline, set())
    written = io.BytesIO()
    skops.io.dump(pipeline, written)
    numbers: dict[str, int] = {}
    with ZipFile(written) as source, ZipFile(path, "w") as target:
        schema = _numbered(json.loads(source.read(SCHEMA)), numbers)
        for name in source.namelist():
            stem, dot, ending = name.partition(".")
            if name != SCHEMA:
                target.writestr(ZipInfo(f"{numbers[stem]}{dot}{ending}", STAMP), source.read(name))
        target.writestr(ZipInfo(SCHEMA, STAMP), json.dumps(schema, indent=2))


def _forget_addresses(part: Any, seen: set[int]) -> None:
    """Take the addresses out of an estimator and all estimators in it."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, Mapping):
        inner: Iterable[Any] = part.values()
    elif isinstance(part, (list, tuple)):
        inner = part
    elif isinstance(part, BaseEstimator) or type(part).__module__.startswith("sklearn."):
        own = getattr(part, "__dict__", {})  # what is written in C may have none
        for name in ADDRESSES:
            own.pop(name, None)
        inner = own.values()
    else:
        return
    for value in inner:
        _forget_addresses(value, seen)


def _numbered(node: Any, numbers: dict[str, int]) -> Any:
    """Return a node of the schema with its addresses, and the files named by them, as numbers."""
    if isinstance(node, list):
        return [_numbered(item, numbers) for item in node]
    if not isinstance(node, dict):
        return node
    if "__loader__" not in node:  # the content of a dictionary, whose keys are the pipeline's own
        return {key: _numbered(value, numbers) for key, value in node.items()}
    changed = {}
    for key, value in node.items():
        if key == "__id__":
            changed[key] = numbers.setdefault(str(value), len(numbers) + 1)
        elif key == "file" and isinstance(value, str):
            stem, dot, ending = value.partition(".")
            changed[key] = f"{numbers.setdefault(stem, len(numbers) + 1)}{dot}{ending}"
        else:
            changed[key] = _numbered(value, numbers)
    return changed


@contextmanager
def written_apart(pipeline: Pipeline, directory: Path) -> Iterator[None]:
    """Write the vocabularies of a fitted pipeline, and the weights of classes, which it has not inside the context."""
    vectorizers = _vectorizers(pipeline)
    vocabularies = [vectorizer.vocabulary_ for vectorizer in vectorizers]
    words = [sorted(vocabulary, key=vocabulary.__getitem__) for vocabulary in vocabularies]
    (directory / FILE).write_text(json.dumps(words), encoding="utf-8")
    last = pipeline[-1]
    weights = last.weights_ if isinstance(last, LinearClasses) else None
    if weights is not None:
        save_file({"weights": weights}, directory / WEIGHTS)
    try:
        for vectorizer in vectorizers:
            vectorizer.vocabulary_ = {}
        if weights is not None:
            last.weights_ = weights[:0]
        yield
    finally:
        for vectorizer, vocabulary in zip(vectorizers, vocabularies, strict=True):
            vectorizer.vocabulary_ = vocabulary
        if weights is not None:
            last.weights_ = weights


def read_into(pipeline: Pipeline, directory: Path) -> None:
    """Give a pipeline what was written apart; one that was saved with its vocabularies keeps them.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    if isinstance(last := pipeline[-1], LinearClasses):
        last.weights_ = _read_weights(last, directory / WEIGHTS)
    vectorizers = [vectorizer for vectorizer in _vectorizers(pipeline) if not vectorizer.vocabulary_]
    if not vectorizers:
        return
    path = directory / FILE
    refuse_larger(path, MOST_OF_ALL_WORDS)
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        for vectorizer, own in zip(vectorizers, words, strict=True):
            vectorizer.vocabulary_ = {word: feature for feature, word in enumerate(own)}
            if not (isinstance(own, list) and all(isinstance(word, str) for word in own)):
                raise ValueError("it must hold lists of words")
            if len(vectorizer.vocabulary_) != len(own):
                raise ValueError("a word occurs twice in it")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{path} is missing or damaged: {error}") from error


def _read_weights(classifier: LinearClasses, path: Path) -> NDArray[np.float32]:
    """Return the weights of classes that were written apart, float32 (num_features, num_classes).

    Raises:
        ArtifactError: If they are missing or damaged, or of another classifier.
    """
    try:
        weights = load_file(path)["weights"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is missing or damaged: {type(error).__name__}: {error}") from error
    wanted = (classifier.n_features_in_, len(classifier.classes_))
    if not np.isfinite(weights.sum(dtype=np.float64)):
        raise ArtifactError(f"{path} is damaged: it holds weights that are no numbers. Copy it again.")
    if weights.dtype != np.float32 or weights.shape != wanted:
        raise ArtifactError(
            f"{path} holds weights of {weights.dtype} {weights.shape}, and the pipeline beside it wants float32 "
            f"{wanted}: they do not belong together. Copy the whole folder again from where it was saved."
        )
    return weights


def _vectorizers(pipeline: Pipeline) -> list[Any]:
    """Return the fitted vectorizers of a pipeline that have a vocabulary; of pairs, one for each text."""
    features = pipeline.steps[0][1]
    parts = [part for _, part, _ in features.transformers_] if isinstance(features, ColumnTransformer) else [features]
    return [part for part in parts if hasattr(part, "vocabulary_")]
