"""Write classifiers as ONNX graphs: scikit-learn pipelines through skl2onnx, transformers through torch's exporter.

Functions import torch, transformers and skl2onnx, so that writing the one kind needs nothing of the other.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf.errors import ArtifactError, first_line
from textclf.models.belonging import list_files
from textclf.models.onnx_folder import FAMILY, LOGITS, MODEL, PROBABILITIES, TOKENIZER, open_session
from textclf.models.saved import write_description

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto
    from transformers import PreTrainedTokenizerBase

    from textclf.models.base import Classifier
    from textclf.models.classical.pipeline import ClassicalClassifier
    from textclf.models.embeddings.embeddings_classifier import EmbeddingsClassifier
    from textclf.models.transformer.classifier import TransformerClassifier
    from textclf.models.transformer.encoded import Lengths, TokenizedTexts

OPSET = 18
"""The version of ONNX's operators; onnxruntime reads it since 1.14."""
WORDS = r"(?u)\b\w\w+\b"
"""scikit-learn's words: two or more letters, digits or underscores in a row."""
WORDS_IN_ONNX = r"[\p{L}\p{N}_]{2,}"
"""The same in the regular expressions of onnxruntime, where `\\w` is ASCII alone."""
TRACED = ["A first text, long enough to have some more tokens than the other.", "Short."]
"""Texts run through the model while its graph is traced: of two lengths, so that one is padded."""


def write_pipeline(classifier: ClassicalClassifier, folder: Path) -> None:
    """Write graph and description of a pipeline.

    Texts are lowercased before the graph: the operator for that depends on the machine's locale.

    Args:
        classifier: The classifier.
        folder: An empty folder.

    Raises:
        ArtifactError: If it reads pairs, splits texts otherwise than by words, or has a part without an operator.
    """
    from onnx import save_model
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.pipeline import Pipeline

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
        _correct_sublinear(model)
    if PROBABILITIES not in {output.name for output in model.graph.output}:
        raise ArtifactError(f"The graph of a {type(last).__name__} has no probabilities.")
    imports = sorted(model.opset_import, key=lambda used: used.domain)  # skl2onnx writes them in the order of a set
    del model.opset_import[:]
    model.opset_import.extend(imports)
    save_model(model, str(folder / MODEL))
    options = {"kind": "pipeline", "lowercase": lowercase, "features": len(vectorizer.vocabulary_)}
    write_description(folder, FAMILY, classifier, options)
    list_files(folder)


def _refuse_unsupported(vectorizer: Any) -> None:
    """Refuse vectorizers whose words the graph would find otherwise."""
    from sklearn.feature_extraction.text import CountVectorizer

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
    """Return the same classifier of scikit-learn's own parts, which skl2onnx knows."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    from textclf.models.classical.linear_classes import LinearClasses, as_scikit_learns
    from textclf.models.classical.nb_svm import NBSVM

    if isinstance(classifier, NBSVM):
        linear = LinearSVC()
        linear.classes_, linear.coef_, linear.intercept_ = classifier.classes_, classifier.coef_, classifier.intercept_
        linear.n_features_in_ = classifier.n_features_in_
        return linear
    if isinstance(classifier, LinearClasses):
        return as_scikit_learns(classifier)
    if isinstance(classifier, CalibratedClassifierCV):
        for calibrated in classifier.calibrated_classifiers_:
            calibrated.estimator = _as_linear(calibrated.estimator)
    if isinstance(classifier, OneVsRestClassifier):
        classifier.estimators_ = [_as_linear(one) for one in classifier.estimators_]
    return classifier


def _correct_sublinear(model: ModelProto) -> None:
    """Make the graph take 1 + ln(count) of a word that occurs, as scikit-learn does; skl2onnx writes ln(1 + count).

    Its `Add, Log` after the counts become `Max(count, 1), Log` and the addition of `Sign(count)`.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    counting = next(node for node in graph.node if node.op_type == "TfIdfVectorizer")
    counts = counting.output[0]
    added = next((node for node in graph.node if node.op_type == "Add" and node.input[0] == counts), None)
    logged = next(
        (node for node in graph.node if node.op_type == "Log" and added and node.input[0] == added.output[0]), None
    )
    if added is None or logged is None:
        raise ArtifactError("skl2onnx writes sublinear counts in an unknown way, so they cannot be corrected.")
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


def write_transformer(classifier: TransformerClassifier, folder: Path) -> None:
    """Write graph, tokenizer and description of a transformer; it is moved to the CPU and to float32 for that.

    The graph is traced (`dynamo=False`): torch's newer exporter takes ten times as long, cannot follow XLNet, and
    writes graphs that onnxruntime cannot quantise.

    Args:
        classifier: The classifier.
        folder: An empty folder.

    Raises:
        ArtifactError: If the tokenizer has no form that runs without transformers, or the architecture no graph.
    """
    import torch

    model = classifier.move_to(torch.device("cpu")).float().eval()
    pairs = TRACED[::-1] if classifier.has_pairs else None
    tokens = classifier.tokenize(TRACED, pairs)
    options = {"padding": classifier.padding.value, **_lengths(classifier.lengths)}
    _write_tokens(classifier, lambda batch: model(**batch).logits, model, classifier.tokenizer, tokens, folder, options,
                  classifier.pad_length)  # fmt: skip


def write_embeddings(classifier: EmbeddingsClassifier, folder: Path) -> None:
    """Write a sentence encoder and its head as one graph, tokenizer and description.

    Args:
        classifier: The classifier.
        folder: An empty folder.

    Raises:
        ArtifactError: If it reads pairs, its encoder is no transformer, or has no graph.
    """
    import torch

    from textclf.models.embeddings.sentence_encoder import SentenceEncoder

    encoder = classifier.encoder
    if not isinstance(encoder, SentenceEncoder) or classifier.has_pairs:
        raise ArtifactError(
            "Embeddings have an ONNX graph where a transformer makes them of single texts; this classifier reads "
            + ("pairs of texts." if classifier.has_pairs else "word vectors.")
            + " Keep the run's own classifier/, or use --to space."
        )
    module = encoder.module.to(torch.device("cpu")).float().eval()
    weight, bias = torch.from_numpy(classifier.head.weight), torch.from_numpy(classifier.head.bias)
    options = {"padding": "dynamic", "prefix": encoder.prefix, "lowercase": encoder.recipe.lowercase}
    _write_tokens(classifier, lambda batch: torch.nn.functional.linear(module(**batch), weight, bias), module,
                  encoder.tokenizer, encoder.tokenize(TRACED), folder, options | _lengths(encoder.lengths))  # fmt: skip


def _write_tokens(
    classifier: Classifier,
    logits: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    tokens: TokenizedTexts,
    folder: Path,
    options: Mapping[str, Any],
    pad_length: int | None = None,
) -> None:
    """Write a graph from token ids to logits, the tokenizer and the description.

    Args:
        classifier: What is exported.
        logits: Takes a batch of token ids, and gives logits, (texts, num_labels).
        model: What computes them.
        tokenizer: Its tokenizer.
        tokens: Two texts, of different lengths, to trace with.
        folder: An empty folder.
        options: What else is to be known to use it.
        pad_length: Tokens that every text is padded to; none where the batch decides.

    Raises:
        ArtifactError: If the tokenizer has no form that runs without transformers, or the architecture no graph.
    """
    import torch
    from transformers import PreTrainedTokenizerFast

    from textclf.models.transformer.tokenizer import pad, pad_ids_of

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ArtifactError(
            f"This checkpoint's tokenizer ({type(tokenizer).__name__}) is written in Python and runs with transformers "
            f"alone, so the classifier cannot be exported to ONNX. Use --to safetensors."
        )
    batch = pad(tokenizer, tokens, [0, 1], pad_length)
    batch.pop("windows", None)
    names = list(batch)
    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {LOGITS: {0: "texts"}}
    with warnings.catch_warnings(), _plain_attention(model):
        warnings.simplefilter("ignore")  # about the tracing of Python values, which the check on real texts covers
        try:
            torch.onnx.export(
                _logits_alone(model, logits, names).eval(),  # the wrapper too: the exporter sets the mode by it
                tuple(batch.values()),
                str(folder / MODEL),
                input_names=names,
                output_names=[LOGITS],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter raises many kinds
            raise ArtifactError(
                f"A {type(model).__name__} has no ONNX graph: {first_line(error)} Use --to safetensors."
            ) from error
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
    pad_ids = pad_ids_of(tokenizer)
    write_description(
        folder,
        FAMILY,
        classifier,
        {
            "kind": "transformer",
            "architecture": type(model).__name__,
            "inputs": [given.name for given in open_session(folder / MODEL).get_inputs()],
            "pad_id": pad_ids.token,
            "pad_type_id": pad_ids.token_type,
            "padding_side": pad_ids.side,
            **options,
        },
    )
    list_files(folder)


@contextmanager
def _plain_attention(module: torch.nn.Module) -> Iterator[None]:
    """Have transformers compute attention by products and a softmax inside the context, not by torch's one function.

    Its graph guards each layer against tokens that attend to nothing, of which a text has none, and is slower by it.
    """
    from transformers import PreTrainedModel

    models = [part for part in module.modules() if isinstance(part, PreTrainedModel)]
    before = [model.config._attn_implementation for model in models]
    try:
        for model, found in zip(models, before, strict=True):
            if found == "sdpa":
                model.set_attn_implementation("eager")
        yield
    finally:
        for model, found in zip(models, before, strict=True):
            if found == "sdpa":
                model.set_attn_implementation(found)


def _lengths(lengths: Lengths) -> dict[str, Any]:
    """Return how long inputs may be, as a description keeps it."""
    return {
        "max_length": lengths.max_length,
        "truncation": lengths.truncation.value,
        "long_text": lengths.long_text.value,
        "window_overlap": lengths.window_overlap,
        "max_windows": lengths.max_windows,
    }


def _logits_alone(
    model: torch.nn.Module, logits: Callable[[dict[str, torch.Tensor]], torch.Tensor], inputs: list[str]
) -> torch.nn.Module:
    """Return a module with its inputs in a fixed order and logits alone as output."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            return logits(dict(zip(inputs, values, strict=True)))

    return Logits()


def quantise(folder: Path) -> None:
    """Make the weights of a graph 8-bit integers, each output channel with a scale of its own, in place.

    Activations are quantised as they come (dynamic quantisation). Seven bits are used where a processor without
    VNNI could overflow otherwise, so that the folder gives the same answers everywhere.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = folder / f"float32-{MODEL}"
    (folder / MODEL).rename(whole)
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # it recommends preparations that fail on some graphs and change nothing here
    try:
        quantize_dynamic(whole, folder / MODEL, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    finally:
        log.setLevel(level)
        whole.unlink()
    list_files(folder)
