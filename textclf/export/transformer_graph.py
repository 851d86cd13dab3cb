"""A transformer as an ONNX graph, in float32 or with 8-bit weights, through torch's own exporter."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from textclf.errors import ArtifactError, first_line
from textclf.models.onnx_folder import FAMILY, LOGITS, MODEL, TOKENIZER, open_session
from textclf.models.saved import write_description
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.tokenizer import pad, pad_ids_of

OPSET = 18
"""The version of ONNX's operators; onnxruntime reads it since 1.14."""
TRACED = ["A first text, long enough to have some more tokens than the other.", "Short."]
"""What is run through the model while its graph is written: of two lengths, so that one is padded."""


class _Logits(torch.nn.Module):
    """The model with its inputs in a fixed order and its logits alone as output."""

    def __init__(self, model: torch.nn.Module, inputs: list[str]):
        super().__init__()
        self.model = model
        self.inputs = inputs

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.model(**dict(zip(self.inputs, values, strict=True))).logits


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
    tokenizer = classifier.tokenizer
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ArtifactError(
            f"This checkpoint's tokenizer ({type(tokenizer).__name__}) is written in Python and runs with transformers "
            f"alone, so the classifier cannot be exported to ONNX. Use --to safetensors."
        )
    model = classifier.move_to(torch.device("cpu")).float().eval()
    pairs = TRACED[::-1] if classifier.has_pairs else None
    batch = pad(tokenizer, classifier.tokenize(TRACED, pairs), [0, 1], classifier.pad_length)
    batch.pop("windows", None)
    names = list(batch)
    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {LOGITS: {0: "texts"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the tracing of Python values, which the check on real texts covers
        try:
            torch.onnx.export(
                _Logits(model, names).eval(),  # the wrapper too: the exporter sets the mode by it
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
    lengths = classifier.lengths
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
            "padding": classifier.padding.value,
            "max_length": lengths.max_length,
            "truncation": lengths.truncation.value,
            "long_text": lengths.long_text.value,
            "window_overlap": lengths.window_overlap,
            "max_windows": lengths.max_windows,
        },
    )


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
