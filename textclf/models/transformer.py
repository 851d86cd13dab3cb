"""A fine-tuned transformer: loaded from a checkpoint, predicting, saved and read again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from textclf.errors import ArtifactError, ConfigError
from textclf.hub import hub_or_cache
from textclf.models.base import Classifier
from textclf.models.checkpoint import open_checkpoint
from textclf.models.last_layer import read_one_token
from textclf.models.layers import keep_layers
from textclf.models.options import Attention, LongText, Padding, TransformerModel, Truncation
from textclf.models.saved import read_description, write_description
from textclf.models.token_rows import WINDOWS, Lengths, TokenizedTexts, batches_by_length
from textclf.models.tokens import pad, pool_windows, tokenize

log = logging.getLogger(__name__)

FAMILY = "transformer"
WINDOW = 16_384
"""Texts that are tokenised and sorted by length together when predicting."""
TOKENS_PER_BATCH = {"cpu": 2048}
"""Padded tokens of a prediction batch: on CPUs about as many as stay in the cache."""
TOKENS_PER_GPU_BATCH = 65_536
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Names of the arithmetics of a forward pass."""
DROPOUT_NAMES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
    "summary_last_dropout",
    "pooler_dropout",
    "classifier_dropout",
)


@dataclass
class TransformerClassifier(Classifier):
    """An encoder with a classification head, its tokenizer, and where and how it computes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    lengths: Lengths = field(default_factory=Lengths)
    """The longest input, and what becomes of longer texts."""
    padding: Padding = Padding.dynamic
    autocast: torch.dtype | None = None
    """Arithmetic of the forward pass; none for that of the weights (float32)."""
    attention: Attention = Attention.auto
    """The implementation of attention that was asked for."""
    reads_one_token: bool = field(init=False)
    """Whether the last layer is computed for the one token alone that the head reads."""
    _in_training: str | None = field(default=None, init=False, repr=False)
    _in_prediction: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._in_prediction = self.model.config._attn_implementation or "eager"
        self.reads_one_token = read_one_token(self.model)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def move_to(self, device: torch.device) -> PreTrainedModel:
        """Move the weights to a device, and return the model."""
        nn.Module.to(self.model, device)
        return self.model

    @property
    def pad_length(self) -> int | None:
        """Tokens that every text is padded to; none where the batch decides."""
        return self.lengths.max_length if self.padding is Padding.max_length else None

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which a forward pass belongs."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    @contextlib.contextmanager
    def attending(self, implementation: str) -> Iterator[None]:
        """Train with another implementation of attention inside the context; predictions are made with their own."""
        self._in_training, before = implementation, self._in_training
        try:
            yield
        finally:
            self._in_training = before
            self.set_training(False)

    def set_training(self, training: bool) -> None:
        """Go over to training, or to prediction."""
        self.model.train(training)
        wanted = self._in_training if training and self._in_training else self._in_prediction
        if self.model.config._attn_implementation != wanted:
            self.model.set_attn_implementation(wanted)

    def prediction_arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """Return the context of a prediction: as in training, but float32 on a CPU that is slow in anything less."""
        slow = self.device.type == "cpu" and not (self.autocast is torch.bfloat16 and cpu_is_fast_at_bf16())
        return contextlib.nullcontext() if slow else self.arithmetic()

    def tokenize(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> TokenizedTexts:
        """Return the token ids of cleaned texts, or pairs of texts."""
        return tokenize(self.tokenizer, texts, text_pairs, self.lengths)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        if self.model.training:  # asked first, since going over visits every module
            self.set_training(False)
        for start in range(0, len(texts), WINDOW):
            part = slice(start, start + WINDOW)
            pairs = None if text_pairs is None else text_pairs[part]
            tokens = self.tokenize(texts[part], pairs)
            budget = TOKENS_PER_BATCH.get(self.device.type, TOKENS_PER_GPU_BATCH)
            for rows in batches_by_length(tokens.lengths, budget, self.pad_length):
                batch = {k: v.to(self.device) for k, v in pad(self.tokenizer, tokens, rows, self.pad_length).items()}
                counts = batch.pop(WINDOWS, None)
                with torch.inference_mode(), self.prediction_arithmetic():
                    logits = pool_windows(self.model(**batch).logits, counts)  # (batch, num_labels)
                out[start + rows] = logits.float().softmax(dim=-1).cpu().numpy()
        return out

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), tokenizer and description."""
        self.model.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)
        precision = next(name for name, dtype in AUTOCAST.items() if dtype is self.autocast)
        write_description(
            directory,
            FAMILY,
            self,
            {
                "max_length": self.lengths.max_length,
                "truncation": self.lengths.truncation.value,
                "long_text": self.lengths.long_text.value,
                "window_overlap": self.lengths.window_overlap,
                "max_windows": self.lengths.max_windows,
                "padding": self.padding.value,
                "precision": precision,
            },
        )


def cpu_is_fast_at_bf16() -> bool:
    """Whether this CPU has units for bfloat16; one without takes about three times as long in it as in float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_tile") or able.get("avx512_bf16"))


def load_checkpoint(options: TransformerModel, label_names: Sequence[str], seed: int) -> TransformerClassifier:
    """Load a pretrained checkpoint with a new head for these labels.

    Args:
        options: Which checkpoint, and how it is used.
        label_names: Names of the classes, in label order.
        seed: Seed of the head's initial weights.

    Raises:
        ArtifactError: If the checkpoint cannot be had.
        ConfigError: If the architecture does not have what the options ask for.
    """
    checkpoint = open_checkpoint(options)
    config = checkpoint.config
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: label for label, name in enumerate(label_names)}
    config.problem_type = "single_label_classification"
    if options.dropout is not None:
        for name in DROPOUT_NAMES:
            if getattr(config, name, None) is not None:
                setattr(config, name, options.dropout)
    torch.manual_seed(seed)
    local = Path(checkpoint.source).is_dir()
    with contextlib.nullcontext() if local else hub_or_cache():
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.source, revision=checkpoint.revision, trust_remote_code=False
            )
            model = AutoModelForSequenceClassification.from_pretrained(
                checkpoint.source,
                revision=checkpoint.revision,
                config=config,
                dtype=torch.float32,
                attn_implementation=_attention(options, config),
                ignore_mismatched_sizes=True,  # another task's head is replaced
                trust_remote_code=False,
            )
        except (OSError, ValueError) as error:
            raise ArtifactError(f"Checkpoint {options.checkpoint!r} could not be loaded: {error}") from error
    if options.keep_layers:
        keep_layers(model, options.keep_layers)
    if tokenizer.pad_token_id is None:
        raise ArtifactError(f"Checkpoint {options.checkpoint!r} has no padding token, so its texts cannot be batched.")
    return TransformerClassifier(
        label_names=tuple(label_names),
        cleaning=tuple(options.text_cleaning),
        model=model,
        tokenizer=tokenizer,
        lengths=Lengths(
            options.max_length, options.truncation, options.long_text, options.window_overlap, options.max_windows
        ),
        padding=options.padding,
        attention=options.attention,
    )


def _attention(options: TransformerModel, config: PretrainedConfig) -> str:
    """Return the implementation of attention to use, by what the architecture has."""
    classes = AutoModelForSequenceClassification._model_mapping
    if type(config) not in classes:
        raise ConfigError(f"model.checkpoint={options.checkpoint}: a {config.model_type} cannot classify texts.")
    architecture: Any = classes[type(config)]
    has = {
        Attention.eager: True,
        Attention.sdpa: architecture._supports_sdpa,
        Attention.flash_attention_2: architecture._supports_flash_attn,
    }
    if options.attention is Attention.auto:
        return "sdpa" if has[Attention.sdpa] else "eager"
    if not has[options.attention]:
        available = ", ".join(kind.value for kind, there in has.items() if there)
        raise ConfigError(
            f"model.attention={options.attention.value}: {architecture.__name__} does not have it, only {available}."
        )
    return options.attention.value


def load_transformer(directory: Path) -> TransformerClassifier:
    """Read what `TransformerClassifier.save` wrote.

    Raises:
        ArtifactError: If a file is missing or damaged.
    """
    description = read_description(directory, FAMILY)
    options = description.options
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
        raise ArtifactError(f"{directory} does not hold a usable transformer: {error}") from error
    default = Lengths()
    return TransformerClassifier(
        **description.common,
        model=model,
        tokenizer=tokenizer,
        lengths=Lengths(
            max_length=int(options["max_length"]),
            truncation=Truncation(options.get("truncation", default.truncation.value)),
            long_text=LongText(options.get("long_text", default.long_text.value)),
            window_overlap=int(options.get("window_overlap", default.window_overlap)),
            max_windows=int(options.get("max_windows", default.max_windows)),
        ),
        padding=Padding(options["padding"]),
        autocast=AUTOCAST[options["precision"]],
    )
