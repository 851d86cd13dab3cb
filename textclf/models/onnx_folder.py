"""A classifier exported to ONNX: predicts through onnxruntime and tokenizers, without torch or transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError, cut, listed
from textclf.models.base import Classifier
from textclf.models.options import Padding
from textclf.models.prediction import sigmoid
from textclf.models.saved import DESCRIPTION, Fields, read_description
from textclf.models.transformer.encoded import (
    WINDOWS,
    Lengths,
    PadIds,
    batches_by_length,
    encoded_by_backend,
    padded,
    read_lengths,
    tokenized,
)
from textclf.system.paths import MEGABYTE, refuse_larger, refuse_links_out

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

FAMILY = "onnx"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""All that a transformer's graph may take."""
MOST_FEATURES = 1 << 31
MOST_OF_A_TOKENIZER = 256 * MEGABYTE
LOGITS = "logits"
"""The output of a transformer's graph."""
PROBABILITIES = "probabilities"
"""The output of a classical pipeline's graph."""
TEXTS_AT_ONCE = 16_384
"""Texts that are tokenised and sorted by length together."""
COUNTS_AT_ONCE = 16_000_000
"""Counts of a batch of texts, which the graph holds in full: 64 MB."""
TOKENS_PER_BATCH = 2048
"""Padded tokens of a batch: about as many as stay in a CPU's cache."""


@dataclass
class OnnxTransformer(Classifier):
    """A transformer as a graph from token ids to logits, and its tokenizer."""

    folder: Path
    session: InferenceSession
    tokenizer: Tokenizer
    """Cuts texts to length by itself, as it was told when it was read."""
    pad_ids: PadIds
    inputs: tuple[str, ...]
    """What the graph takes."""
    lengths: Lengths = field(default_factory=Lengths)
    padding: Padding = Padding.dynamic
    prefix: str = ""
    """What is put before each text."""
    lowercase: bool = False
    """Whether texts are lowercased before they are tokenised."""

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        pad_length = self.lengths.max_length if self.padding is Padding.max_length else None
        encode = partial(encoded_by_backend, self.tokenizer)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = slice(start, start + TEXTS_AT_ONCE)
            pairs = None if text_pairs is None else text_pairs[part]
            tokens = tokenized(encode, self._given(texts[part]), pairs, self.lengths, "token_type_ids" in self.inputs)
            for rows in batches_by_length(tokens.lengths, TOKENS_PER_BATCH, pad_length):
                batch = padded(self.pad_ids, tokens, rows, pad_length)
                counts = batch.pop(WINDOWS, None)
                logits: Any = self.session.run([LOGITS], {name: batch[name] for name in self.inputs})[0]
                logits = _pooled(logits, counts)
                out[start + rows] = sigmoid(logits) if self.has_sets else softmax(logits)
        return out

    def _given(self, texts: Sequence[str]) -> Sequence[str]:
        """Return texts as the tokenizer is to read them."""
        if not self.prefix and not self.lowercase:
            return texts
        texts = [self.prefix + text for text in texts]
        return [text.lower() for text in texts] if self.lowercase else texts

    def save(self, directory: Path) -> None:
        """Copy the exported folder, whose graph holds the weights."""
        _copy(self.folder, directory)


@dataclass
class OnnxPipeline(Classifier):
    """A classical pipeline as a graph from strings to probabilities."""

    folder: Path
    session: InferenceSession
    lowercase: bool
    """Whether texts are lowercased before the graph."""
    features: int
    """Words and word sequences that the graph counts."""

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        name = self.session.get_inputs()[0].name
        size = max(1, COUNTS_AT_ONCE // max(self.features, 1))
        for start in range(0, len(texts), size):
            part = [text.lower() if self.lowercase else text for text in texts[start : start + size]]
            rows = np.array(part, dtype=object).reshape(-1, 1)
            found: Any = self.session.run([PROBABILITIES], {name: rows})[0]
            out[start : start + len(part)] = found
        return out

    def save(self, directory: Path) -> None:
        """Copy the exported folder, whose graph holds the weights."""
        _copy(self.folder, directory)


def load_onnx(directory: Path) -> Classifier:
    """Read what `textclf.export` wrote.

    Raises:
        ArtifactError: If onnxruntime is not installed, or a file is missing or damaged.
    """
    directory = Path(directory)
    description = read_description(directory, FAMILY)
    given = Fields(description.options, directory / DESCRIPTION)
    refuse_links_out(directory)
    kind = given.text("kind")
    if kind == "pipeline":
        lowercase, features = given.flag("lowercase"), given.count("features", 1, MOST_FEATURES)
        session = open_session(directory / MODEL)
        _check_graph(session, PROBABILITIES, None, directory)
        return OnnxPipeline(
            **description.common, folder=directory, session=session, lowercase=lowercase, features=features
        )
    if kind != "transformer":
        raise ArtifactError(f"{given.path} is damaged: kind must be pipeline or transformer, got {cut(kind)!r}.")
    lengths, padding = read_lengths(given), given.choice("padding", Padding)
    side, inputs = given.text("padding_side"), given.texts("inputs")
    pad_ids = PadIds(given.count("pad_id", 0, MOST_FEATURES), given.count("pad_type_id", 0, MOST_FEATURES), side)
    if side not in ("left", "right"):
        raise ArtifactError(f"{given.path} is damaged: padding_side must be left or right, got {cut(side)!r}.")
    if not {"input_ids"} <= set(inputs) <= set(INPUTS):
        raise ArtifactError(f"{given.path} is damaged: inputs must be of {listed(INPUTS)}, got {listed(inputs)}.")
    session = open_session(directory / MODEL)
    _check_graph(session, LOGITS, inputs, directory)
    return OnnxTransformer(
        **description.common,
        folder=directory,
        session=session,
        tokenizer=read_tokenizer(directory / TOKENIZER, lengths),
        pad_ids=pad_ids,
        inputs=inputs,
        lengths=lengths,
        padding=padding,
        prefix=given.text("prefix") if description.options.get("prefix") else "",
        lowercase="lowercase" in description.options and given.flag("lowercase"),
    )


def _check_graph(session: InferenceSession, output: str, inputs: tuple[str, ...] | None, directory: Path) -> None:
    """Refuse a graph that takes or gives something else than its description says.

    Raises:
        ArtifactError: If it does.
    """
    takes, gives = [node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()]
    if output not in gives or (len(takes) != 1 if inputs is None else sorted(takes) != sorted(inputs)):
        wanted = "one input" if inputs is None else listed(inputs)
        raise ArtifactError(
            f"{MODEL} and {DESCRIPTION} in {directory} do not belong together: the graph takes {listed(takes)} and "
            f"gives {listed(gives)}, where {wanted} and {output} are said. Export it again."
        )


def open_session(path: Path) -> InferenceSession:
    """Open a graph on the CPU, with as many threads as OMP_NUM_THREADS says, or one a core.

    Raises:
        ArtifactError: If onnxruntime is not installed, or the file is missing or damaged.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ArtifactError(
            'A classifier in ONNX needs onnxruntime, which is not installed: pip install "textclf[onnx]".'
        ) from error
    onnxruntime.set_default_logger_severity(3)
    if hasattr(onnxruntime, "disable_telemetry_events"):  # newer ones send what they are used for to their maker
        onnxruntime.disable_telemetry_events()
    try:
        options = onnxruntime.SessionOptions()
        threads = os.environ.get("OMP_NUM_THREADS", "")
        options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a kind of its own for each fault
        raise ArtifactError(f"{path} holds no usable graph: {error}") from error


def read_tokenizer(path: Path, lengths: Lengths) -> Tokenizer:
    """Read a tokenizer and tell it where to cut.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    from tokenizers import Tokenizer

    try:
        refuse_larger(path, MOST_OF_A_TOKENIZER)
        tokenizer = Tokenizer.from_file(str(path))
    except ArtifactError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower
        raise ArtifactError(f"{path} holds no usable tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lengths.tokenizer_cuts is not None:
        tokenizer.enable_truncation(lengths.tokenizer_cuts, strategy="longest_first", direction=lengths.cutting_side)
    return tokenizer


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities of logits, both float32 (n, num_labels)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _pooled(logits: NDArray[np.float32], counts: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """Return the mean logits of each text's windows: float32 (n, num_labels); `counts` is int64 (n,), none for one."""
    if counts is None:
        return logits
    starts = np.cumsum(counts) - counts
    return (np.add.reduceat(logits, starts, axis=0) / counts[:, None]).astype(np.float32)


def _copy(source: Path, directory: Path) -> None:
    """Copy the files of an exported folder."""
    import shutil

    shutil.copytree(source, directory, dirs_exist_ok=True)
