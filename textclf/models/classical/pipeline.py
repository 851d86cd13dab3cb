"""Classical baselines: scikit-learn pipelines with probabilities, for texts and pairs of texts."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline

from textclf.errors import ArtifactError, ConfigError, did_you_mean, first_line, listed
from textclf.models.base import Classifier
from textclf.models.belonging import list_files
from textclf.models.classical.harmless import LEFT_OUT, strange_option, strange_part
from textclf.models.classical.linear_classes import LinearClasses
from textclf.models.classical.saving import check_archive, read_into, write_pipeline, written_apart
from textclf.models.classical.vectorizing import FeatureIndex, index_of, pays, transform
from textclf.models.options import ClassicalModel
from textclf.models.saved import DESCRIPTION, read_description, write_description
from textclf.system.imports import left_out
from textclf.system.paths import refuse_links_out

with left_out(*(f"sklearn.externals.array_api_compat.{library}" for library in ("torch", "cupy", "dask"))):
    import skops.io  # walks through all of scikit-learn, which would import these whole libraries

FAMILY = "classical"
PIPELINE = "pipeline.skops"
TRUSTED = (
    "textclf.models.classical.hashed_tfidf.HashedTfidf",
    "textclf.models.classical.linear_classes.LinearClasses",
    "textclf.models.classical.nb_svm.NBSVM",
    "textclf.models.classical.pipeline.WordOverlap",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.model_selection._split.StratifiedKFold",
)
"""Types beyond skops' own list that a saved pipeline may hold."""
PART = 1 << 16
"""Texts that are predicted at once: as many as have features of bounded size."""
ALLOWED = ("sklearn.", "textclf.models.")
"""Where the classes that a config names must come from."""
WORD = re.compile(r"\w+")


@dataclass
class ClassicalClassifier(Classifier):
    """A fitted scikit-learn pipeline."""

    pipeline: Pipeline
    index: FeatureIndex | None = field(default=None, repr=False, compare=False)
    """The vectorizer's features by number; one that was read from disk gets it once enough texts were predicted."""
    texts_without_index: int = field(default=0, repr=False, compare=False)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's or label's probability for each cleaned text: float32 (n, num_labels)."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        for start in range(0, len(texts), PART):
            part = slice(start, start + PART)
            features = self._features(texts[part], None if text_pairs is None else text_pairs[part])
            found = self.pipeline[-1].predict_proba(features)
            if self.has_sets:
                out[part] = found
            else:
                out[part, self.pipeline.classes_] = found
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
        """Write the pipeline (skops, never pickle), what is large in it beside it, and its description."""
        write_description(directory, FAMILY, self, {})
        with written_apart(self.pipeline, directory):
            write_pipeline(self.pipeline, directory / PIPELINE)
        list_files(directory)


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
    refuse_links_out(Path(directory))
    path = Path(directory) / PIPELINE
    check_archive(path)
    try:
        unknown = set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED)
        if unknown:
            older = any(name.startswith("textclf.") for name in unknown)
            raise ArtifactError(
                f"{path} holds types that are not trusted ({listed(sorted(unknown))}); not loaded."
                + (" It was saved by an older textclf, whose modules lay elsewhere: train it again." if older else "")
            )
        pipeline = skops.io.load(path, trusted=list(TRUSTED))
    except ArtifactError:
        raise
    except Exception as error:  # a damaged archive raises whatever its parser does
        raise ArtifactError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(pipeline, Pipeline):
        raise ArtifactError(f"{path} holds a {type(pipeline).__name__}, not a pipeline.")
    if strange := strange_part(pipeline):
        raise ArtifactError(
            f"{path} could do more than compute, and was not loaded: {strange}. textclf writes no such pipeline; train "
            f"it again, or use one of people you trust."
        )
    _check_classes(pipeline, len(description.label_names), description.thresholds is not None, path)
    read_into(pipeline, Path(directory))
    return ClassicalClassifier(**description.common, pipeline=pipeline)


def check_is_read_again(options: ClassicalModel) -> None:
    """Refuse a pipeline that would be written, but not read again, before it is fitted to the data.

    It is fitted to a few texts: which types it holds then does not depend on the texts.

    Raises:
        ConfigError: If it holds types beyond those that a saved pipeline may hold.
    """
    vectorizer, classifier = make_parts(options)
    one_of_each = make_one_vs_rest(options)
    texts = [f"a {'good' if number % 2 else 'bad'} film number {number % 5}" for number in range(24)]
    for option, part in (("classifier", classifier), ("one_vs_rest", one_of_each)):
        if part is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = Pipeline([("features", vectorizer), (option, part)]).fit(texts, np.arange(24) % 2)
                written = skops.io.dumps(fitted)
        except Exception:
            continue  # it may want more texts, or other ones; fitting to the data says so
        if unknown := set(skops.io.get_untrusted_types(data=written)) - set(TRUSTED):
            raise ConfigError(
                f"model.{option}: a fitted {type(part).__name__} holds {listed(sorted(unknown))}, which textclf "
                f"reads from no file, since a stranger's file could do harm by it. So it could not be used after the "
                f"run. Choose another, or add save_classifier=false to see its scores all the same."
            )


def _check_classes(pipeline: Pipeline, num_labels: int, are_sets: bool, path: Path) -> None:
    """Refuse a pipeline that was not fitted to as many classes, or labels of sets, as the description names.

    Raises:
        ArtifactError: If it was not, or has no classes.
    """
    last = pipeline.steps[-1][1] if pipeline.steps else None
    of_sets = (
        isinstance(last, ClassifierChain)
        or (isinstance(last, LinearClasses) and last.sets)
        or (isinstance(last, OneVsRestClassifier) and getattr(last, "multilabel_", False))
    )
    if are_sets != of_sets:
        had, said = ("single classes", "sets of labels") if are_sets else ("sets of labels", "single classes")
        raise ArtifactError(
            f"{path} gives {had} and {DESCRIPTION} says {said}: they do not belong together. Copy the whole folder "
            f"again from where it was saved."
        )
    classes = getattr(last, "classes_", None)
    if isinstance(last, ClassifierChain):
        classes = np.arange(len(getattr(last, "estimators_", ())))
    if not (isinstance(classes, np.ndarray) and np.array_equal(classes, np.arange(num_labels))):
        had = len(classes) if isinstance(classes, np.ndarray) and classes.ndim == 1 else "no"
        raise ArtifactError(
            f"{path} was fitted to {had} classes and {DESCRIPTION} names {num_labels:,}: they do not belong together. "
            f"Copy the whole folder again from where it was saved."
        )


def make_parts(options: ClassicalModel) -> tuple[BaseEstimator, BaseEstimator]:
    """Make the vectorizer and the classifier, unfitted.

    Raises:
        ConfigError: If a class is not allowed or not there, or refuses its arguments.
    """
    vectorizer = _make(options.vectorizer, "model.vectorizer")
    classifier = _make(options.classifier, "model.classifier")
    if not hasattr(vectorizer, "transform"):
        raise ConfigError(f"model.vectorizer: a {type(vectorizer).__name__} does not turn texts into features.")
    if not (hasattr(classifier, "predict") and is_classifier(classifier)):
        raise ConfigError(f"model.classifier: a {type(classifier).__name__} does not predict classes.")
    return vectorizer, classifier


def make_one_vs_rest(options: ClassicalModel) -> BaseEstimator | None:
    """Make the classifier of each class of several, unfitted; none where `options` name none.

    Raises:
        ConfigError: If its class is not allowed or not there, or refuses its arguments.
    """
    if not options.one_vs_rest:
        return None
    classifier = _make(options.one_vs_rest, "model.one_vs_rest")
    if not (hasattr(classifier, "predict_proba") and is_classifier(classifier)):
        raise ConfigError(
            f"model.one_vs_rest: a {type(classifier).__name__} has no probabilities of classes, by which they are held "
            f"against each other. Use sklearn.linear_model.LogisticRegression, or leave it out (null)."
        )
    return classifier


def _make(node: Mapping[str, Any], option: str) -> BaseEstimator:
    """Make one scikit-learn object from its `_target_` and arguments."""
    target = node.get("_target_")
    if not isinstance(target, str) or not target.startswith(ALLOWED):
        raise ConfigError(
            f"{option}._target_ must name a class of scikit-learn or of textclf.models, got {target!r}. "
            f"A config is data and cannot run other code."
        )
    module, _, name = target.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{option}._target_={target}: there is no such class ({error}).") from error
    if not (isinstance(cls, type) and issubclass(cls, BaseEstimator)):
        raise ConfigError(f"{option}._target_={target} is no scikit-learn estimator.")
    arguments = {key: _argument(value, f"{option}.{key}") for key, value in node.items() if key != "_target_"}
    if f"{cls.__module__}.".startswith(LEFT_OUT):
        raise ConfigError(f"{option}._target_={target} calls functions, and a config is data: it has none.")
    for key, value in arguments.items():
        if strange := strange_option(str(key), value):
            raise ConfigError(f"{option}.{key} {strange}.")
    try:
        known = set(cls._get_param_names())
        for key in arguments:
            if key not in known:
                raise ConfigError(
                    f"{option}.{key}: {name} has no such argument; it has {listed(sorted(known), 40)}."
                    f"{did_you_mean(key, known)}"
                )
        estimator = cls(**arguments)
        estimator._validate_params()
    except ConfigError:
        raise
    except Exception as error:  # a class that is none to be used by itself fails in whatever it lacks
        raise ConfigError(f"{option}._target_={target} cannot be used so: {first_line(error)}") from error
    return estimator


def _argument(value: Any, option: str) -> Any:
    """Return an argument as scikit-learn wants it: lists as tuples but for stop words, nested estimators made."""
    if isinstance(value, Mapping):
        return _make(value, option) if "_target_" in value else dict(value)
    return tuple(value) if isinstance(value, list) and not option.endswith(".stop_words") else value


class WordOverlap(TransformerMixin, BaseEstimator):
    """Two measures of the words that the texts of a pair share.

    Coverage is the share of the second text's words that occur in the first, the baseline of
    the RTE challenges; Jaccard is the shared part of all words of both.
    """

    def fit(self, X: NDArray[np.object_], y: object = None) -> WordOverlap:  # noqa: N803
        """Learn nothing."""
        self.n_features_in_ = 2
        return self

    def transform(self, X: NDArray[np.object_]) -> NDArray[np.float64]:  # noqa: N803
        """Return coverage and Jaccard, float64 (n, 2), of pairs of texts, object (n, 2)."""
        measures = np.zeros((len(X), 2))
        for i, (text, pair) in enumerate(X):
            first, second = (set(WORD.findall(part.lower())) for part in (text, pair))
            shared = len(first & second)
            measures[i] = shared / max(len(second), 1), shared / max(len(first | second), 1)
        return measures

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the two measures."""
        return np.array(["coverage", "jaccard"], dtype=object)
