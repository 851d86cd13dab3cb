"""A scikit-learn pipeline as an ONNX graph from texts to probabilities, as far as skl2onnx can write it."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper, save_model
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from textclf.errors import ArtifactError, first_line
from textclf.models.classical.nb_svm import NBSVM
from textclf.models.classical.pipeline import ClassicalClassifier
from textclf.models.onnx_folder import FAMILY, MODEL, PROBABILITIES
from textclf.models.saved import write_description

OPSET = 18
WORDS = r"(?u)\b\w\w+\b"
"""scikit-learn's words: two or more letters, digits or underscores in a row."""
WORDS_IN_ONNX = r"[\p{L}\p{N}_]{2,}"
"""The same in the regular expressions of onnxruntime, where `\\w` is ASCII alone."""


def write_pipeline(classifier: ClassicalClassifier, folder: Path) -> None:
    """Write graph and description of a pipeline.

    Texts are lowercased before the graph: the operator for that depends on the machine's locale.

    Args:
        classifier: The classifier.
        folder: An empty folder.

    Raises:
        ArtifactError: If it reads pairs, splits texts otherwise than by words, or has a part without an operator.
    """
    pipeline = copy.deepcopy(classifier.pipeline)
    vectorizer, last = pipeline[0], pipeline[-1]
    _refuse_unsupported(vectorizer)
    lowercase, vectorizer.lowercase = vectorizer.lowercase, False
    last = _as_linear(last)
    pipeline = Pipeline([("features", vectorizer), ("classifier", last)])
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        model: Any = to_onnx(
            pipeline,
            initial_types=[("text", StringTensorType([None, 1]))],
            options={id(vectorizer): {"tokenexp": WORDS_IN_ONNX}, id(last): {"zipmap": False}},
            target_opset=OPSET,
        )
    except Exception as error:  # converters raise whatever comes
        raise ArtifactError(
            f"A {type(last).__name__} on a {type(vectorizer).__name__} has no ONNX graph in skl2onnx "
            f"({type(error).__name__}: {first_line(error)}) Keep the run's own classifier/, or use --to space."
        ) from error
    if getattr(vectorizer, "sublinear_tf", False):
        _mend_sublinear(model)
    if PROBABILITIES not in {output.name for output in model.graph.output}:
        raise ArtifactError(f"The graph of a {type(last).__name__} has no probabilities.")
    save_model(model, str(folder / MODEL))
    options = {"kind": "pipeline", "lowercase": lowercase, "features": len(vectorizer.vocabulary_)}
    write_description(folder, FAMILY, classifier, options)


def _refuse_unsupported(vectorizer: Any) -> None:
    """Refuse vectorizers whose words the graph would find otherwise."""
    if not isinstance(vectorizer, CountVectorizer):
        raise ArtifactError(
            f"Only pipelines of single texts on scikit-learn's CountVectorizer or TfidfVectorizer have an ONNX graph; "
            f"this one begins with a {type(vectorizer).__name__}. Keep the run's own classifier/, or use --to space."
        )
    own = {
        "analyzer": (vectorizer.analyzer, "word"),
        "token_pattern": (vectorizer.token_pattern, WORDS),
        "strip_accents": (vectorizer.strip_accents, None),
        "preprocessor": (vectorizer.preprocessor, None),
        "tokenizer": (vectorizer.tokenizer, None),
        "stop_words": (vectorizer.stop_words, None),
    }
    if strange := [f"{name}={given!r}" for name, (given, usual) in own.items() if given != usual]:
        raise ArtifactError(
            f"A vectorizer with {', '.join(strange)} has no ONNX graph that finds the same words. Keep the run's own "
            f"classifier/, or use --to space."
        )


def _as_linear(classifier: Any) -> Any:
    """Return the same classifier, an NBSVM in it as the linear SVM that it is once it was fitted."""
    if isinstance(classifier, NBSVM):
        linear = LinearSVC()
        linear.classes_, linear.coef_, linear.intercept_ = classifier.classes_, classifier.coef_, classifier.intercept_
        linear.n_features_in_ = classifier.n_features_in_
        return linear
    if isinstance(classifier, CalibratedClassifierCV):
        for calibrated in classifier.calibrated_classifiers_:
            calibrated.estimator = _as_linear(calibrated.estimator)
    return classifier


def _mend_sublinear(model: ModelProto) -> None:
    """Let the graph take 1 + ln(count) of a word that occurs, as scikit-learn does; skl2onnx writes ln(1 + count).

    Its `Add, Log` after the counts become `Max(count, 1), Log` and the addition of `Sign(count)`.
    """
    graph = model.graph
    counting = next(node for node in graph.node if node.op_type == "TfIdfVectorizer")
    counts = counting.output[0]
    added = next((node for node in graph.node if node.op_type == "Add" and node.input[0] == counts), None)
    logged = next(
        (node for node in graph.node if node.op_type == "Log" and added and node.input[0] == added.output[0]), None
    )
    if added is None or logged is None:
        raise ArtifactError("skl2onnx writes sublinear counts in an unknown way, so they cannot be mended.")
    first = list(graph.node).index(added)
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.float32), "textclf_one"))
    nodes = [
        helper.make_node("Max", [counts, "textclf_one"], ["textclf_at_least_one"]),
        helper.make_node("Log", ["textclf_at_least_one"], ["textclf_log"]),
        helper.make_node("Sign", [counts], ["textclf_occurs"]),
        helper.make_node("Add", ["textclf_log", "textclf_occurs"], [logged.output[0]]),
    ]
    graph.node.remove(added)
    graph.node.remove(logged)
    for place, node in enumerate(nodes):
        graph.node.insert(first + place, node)
