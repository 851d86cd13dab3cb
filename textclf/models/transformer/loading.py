"""A pretrained checkpoint with a new head, ready to be fine-tuned."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig

from textclf.errors import ArtifactError, ConfigError, TextclfError
from textclf.models.options import Attention, TransformerModel
from textclf.models.transformer.checkpoint import open_checkpoint
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.layers import keep_layers
from textclf.system.hub import hub_or_cache

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
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
            raise ArtifactError(_refusal(options.checkpoint, error)) from error
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


def _refusal(checkpoint: str, error: Exception) -> str:
    """Return why a checkpoint was not loaded."""
    if type(error).__name__ == "UnpicklingError":  # its own text tells how to run the code all the same
        return (
            f"Checkpoint {checkpoint!r} was not loaded: its weights are a pickle (.bin) that holds more than tensors "
            f"or is damaged, and code in it is never run. Use a checkpoint with model.safetensors."
        )
    return f"Checkpoint {checkpoint!r} could not be loaded: {' '.join(str(error).split()) or type(error).__name__}"


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
