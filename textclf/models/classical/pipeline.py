"""Classical baselines: scikit-learn pipelines with probabilities, for texts and pairs of texts."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

from textclf.errors import ArtifactError, DataError, listed
from textclf.models.base import Classifier, FitResult, RunContext
from textclf.models.classical.overlap import WordOverlap
from textclf.models.classical.parts import make_parts
from textclf.models.classical.saving import write_pipeline
from textclf.models.classical.vectorizing import FeatureIndex, fit_transform, index_of, pays, transform
from textclf.models.classical.vocabularies import read_into, written_apart
from textclf.models.cleaning import cleaned
from textclf.models.options import ClassicalModel
from textclf.models.saved import read_description, write_description
from textclf.system.imports import left_out
from textclf.training.classical import fit_balanced
from textclf.training.streamed_fit import fit_streamed, is_streamed

with left_out(*(f"sklearn.externals.array_api_compat.{library}" for library in ("torch", "cupy", "dask"))):
    import skops.io  # walks through all of scikit-learn, which would import these whole libraries

if TYPE_CHECKING:
    from textclf.data.dataset import TextData

log = logging.getLogger(__name__)

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
CALIBRATION_FOLDS = 5
PART = 1 << 16
"""Texts that are predicted at once: as many as have features of bounded size."""
WEIGHTS = ("coef_", "intercept_", "feature_log_prob_", "class_log_prior_", "class_prior_")
"""Attributes in which scikit-learn's linear and naive Bayes classifiers keep what they learned."""


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
            return self.pipeline[0].transform(_inputs(texts, text_pairs))
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


def fit_classical(
    options: ClassicalModel, data: TextData, context: RunContext
) -> tuple[ClassicalClassifier, FitResult]:
    """Fit the pipeline that the options describe.

    Raises:
        ConfigError: If a part is not allowed, not there, or refuses its arguments.
        DataError: If a class has too few examples to calibrate on, or no word is left of the texts.
    """
    from textclf.data.dataset import labels_of, texts_of  # reading a saved classifier needs no datasets

    vectorizer, classifier = make_parts(options)
    labels = labels_of(data.train)
    texts, pairs = texts_of(data.train)
    if options.text_cleaning:
        texts = cleaned(texts, options.text_cleaning)
        pairs = None if pairs is None else cleaned(pairs, options.text_cleaning)
    features: BaseEstimator = vectorizer
    if pairs is not None:
        features = ColumnTransformer(
            [("text", vectorizer, 0), ("text_pair", clone(vectorizer), 1), ("overlap", WordOverlap(), [0, 1])]
        )
    for part in (vectorizer, classifier):
        if part.get_params().get("random_state", 0) is None:
            part.set_params(random_state=context.seed)
    if not hasattr(classifier, "predict_proba"):
        classifier = _calibrated(classifier, labels, data.label_names, context.seed)

    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            index = None
            if is_streamed(features, classifier, len(texts), options.balance):
                fit_streamed(features, classifier, texts, labels, context.seed)
            else:
                inputs, index = _fitted(features, texts, pairs)
                fit_balanced(classifier, inputs, labels, options.balance, context.seed)
        except ValueError as error:
            raise DataError(f"{options.name} could not be fitted to {data.name}: {error}") from error
    pipeline = Pipeline([("features", features), ("classifier", classifier)])
    seconds = time.perf_counter() - start
    for message in dict.fromkeys(str(w.message).split("\n")[0] for w in caught if w.category is ConvergenceWarning):
        log.warning("%s: %s", options.name, message)
    result = FitResult(
        num_parameters=_count_weights(classifier),
        train_seconds=seconds,
        train_examples=len(labels),
        device="cpu",
        precision="fp64",
    )
    fitted = ClassicalClassifier(
        label_names=data.label_names,
        cleaning=tuple(options.text_cleaning),
        has_pairs=data.has_pairs,
        pipeline=pipeline,
        index=index,
    )
    return fitted, result


def _fitted(features: Any, texts: Sequence[str], text_pairs: Sequence[str] | None) -> tuple[Any, FeatureIndex | None]:
    """Fit what makes features in place, and return those of the n texts or pairs, (n, num_features)."""
    if text_pairs is None:
        return fit_transform(features, texts)
    return features.fit_transform(_inputs(texts, text_pairs)), None


def _calibrated(
    classifier: BaseEstimator, labels: NDArray[np.int64], label_names: Sequence[str], seed: int
) -> CalibratedClassifierCV:
    """Give a classifier probabilities, by a sigmoid of its scores on held-out folds."""
    counts = np.bincount(labels, minlength=len(label_names))
    scarce = int(counts.argmin())
    if counts[scarce] < 2:
        raise DataError(
            f"class {label_names[scarce]!r} has {counts[scarce]} training example, and a classifier without "
            f"probabilities of its own needs 2 of each to be calibrated. Use model=tfidf_logreg or add examples."
        )
    folds = StratifiedKFold(min(CALIBRATION_FOLDS, counts.min()), shuffle=True, random_state=seed)
    return CalibratedClassifierCV(classifier, method="sigmoid", ensemble=False, cv=folds)


def _inputs(texts: Sequence[str], text_pairs: Sequence[str] | None) -> Sequence[str] | NDArray[np.object_]:
    """Return what the pipeline takes: texts, or pairs as object (n, 2)."""
    if text_pairs is None:
        return texts
    return np.array(list(zip(texts, text_pairs, strict=True)), dtype=object).reshape(-1, 2)


def _count_weights(classifier: BaseEstimator) -> int:
    """Return how many numbers the fitted classifier has learned."""
    if isinstance(classifier, CalibratedClassifierCV):
        return _count_weights(classifier.calibrated_classifiers_[0].estimator)
    return sum(int(np.size(getattr(classifier, name))) for name in WEIGHTS if hasattr(classifier, name))


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
