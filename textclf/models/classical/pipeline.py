"""Classical baselines: scikit-learn pipelines with probabilities, for texts and pairs of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from textclf.errors import ArtifactError, listed
from textclf.models.base import Classifier
from textclf.models.classical.saving import write_pipeline
from textclf.models.classical.vectorizing import FeatureIndex, index_of, pays, transform
from textclf.models.classical.vocabularies import read_into, written_apart
from textclf.models.saved import read_description, write_description
from textclf.system.imports import left_out

with left_out(*(f"sklearn.externals.array_api_compat.{library}" for library in ("torch", "cupy", "dask"))):
    import skops.io  # walks through all of scikit-learn, which would import these whole libraries

FAMILY = "classical"
PIPELINE = "pipeline.skops"
TRUSTED = (
    "textclf.models.classical.hashed_tfidf.HashedTfidf",
    "textclf.models.classical.nb_svm.NBSVM",
    "textclf.models.classical.overlap.WordOverlap",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.model_selection._split.StratifiedKFold",
)
"""Types beyond skops' own list that a saved pipeline may hold."""
PART = 1 << 16
"""Texts that are predicted at once: as many as have features of bounded size."""


@dataclass
class ClassicalClassifier(Classifier):
    """A fitted scikit-learn pipeline."""

    pipeline: Pipeline
    index: FeatureIndex | None = field(default=None, repr=False, compare=False)
    """The vectorizer's features by number; one that was read from disk gets it once enough texts were predicted."""
    texts_without_index: int = field(default=0, repr=False, compare=False)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        for start in range(0, len(texts), PART):
            part = slice(start, start + PART)
            features = self._features(texts[part], None if text_pairs is None else text_pairs[part])
            out[part, self.pipeline.classes_] = self.pipeline[-1].predict_proba(features)
        return out

    def _features(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> Any:
        """Return the features of n texts or pairs, (n, num_features)."""
        if text_pairs is not None:
            return self.pipeline[0].transform(pipeline_inputs(texts, text_pairs))
        if self.index is None:
            self.texts_without_index += len(texts)
            if pays(self.pipeline[0], self.texts_without_index):
                self.index = index_of(self.pipeline[0])
        return transform(self.pipeline[0], texts, self.index)

    def save(self, directory: Path) -> None:
        """Write the pipeline (skops, never pickle), its vocabularies and its description."""
        write_description(directory, FAMILY, self, {})
        with written_apart(self.pipeline, directory):
            write_pipeline(self.pipeline, directory / PIPELINE)


def pipeline_inputs(texts: Sequence[str], text_pairs: Sequence[str] | None) -> Sequence[str] | NDArray[np.object_]:
    """Return what the pipeline takes: texts, or pairs as object (n, 2)."""
    if text_pairs is None:
        return texts
    return np.array(list(zip(texts, text_pairs, strict=True)), dtype=object).reshape(-1, 2)


def load_classical(directory: Path) -> ClassicalClassifier:
    """Read what `ClassicalClassifier.save` wrote.

    Raises:
        ArtifactError: If a file is missing or damaged, or holds a type that is not trusted.
    """
    description = read_description(directory, FAMILY)
    path = Path(directory) / PIPELINE
    try:
        unknown = set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)
        if unknown:
            raise ArtifactError(f"{path} holds types that are not trusted ({listed(sorted(unknown))}); not loaded.")
        pipeline = skops.io.load(path, trusted=list(TRUSTED))
    except ArtifactError:
        raise
    except Exception as error:  # a damaged archive raises whatever its parser does
        raise ArtifactError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(pipeline, Pipeline):
        raise ArtifactError(f"{path} holds a {type(pipeline).__name__}, not a pipeline.")
    read_into(pipeline, Path(directory))
    return ClassicalClassifier(**description.common, pipeline=pipeline)
