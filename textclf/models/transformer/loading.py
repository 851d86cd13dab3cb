"""Load a pretrained checkpoint from the Hub, its cache, a folder or an installed package, and give it a new head."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import SAFE_WEIGHTS_NAME, cached_file

from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line, listed
from textclf.models.options import Attention, Peft, TransformerModel
from textclf.models.transformer import transformers_logging  # noqa: F401  (makes transformers quiet)
from textclf.models.transformer.adapters import add_adapters, check_adapters
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.containment import check_tokenizer, check_tokenizer_files
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.head import MANY_LABELS, ONE_LABEL, label_names_of, match_head
from textclf.models.transformer.layers import keep_layers
from textclf.models.transformer.locating import access_to, locate, read_config, refusal
from textclf.models.transformer.parts import check_freeze, freeze_weights, number_of_layers
from textclf.models.transformer.skeleton import (
    check_dropout,
    check_values,
    counts_from_padding,
    dropouts,
    longest_input,
    set_dropout,
    skeleton,
    weights_in,
    weights_of_labels,
)
from textclf.models.transformer.special_tokens import settle_padding_side, settle_special_tokens
from textclf.system.memory import is_out_of_memory

log = logging.getLogger(__name__)


def load_checkpoint(
    options: TransformerModel, label_names: Sequence[str] | None, seed: int, sets: bool = False
) -> TransformerClassifier:
    """Load a pretrained checkpoint with a new head for these labels.

    Args:
        options: Which checkpoint, and how it is used.
        label_names: Names of the classes, in label order; none for the checkpoint's own, whose head is then kept, since
            nothing will be trained.
        seed: Seed of the head's initial weights.
        sets: Whether texts have sets of labels instead of one class.

    A head that the checkpoint has for classes of the same names is kept; for sets of labels only where the checkpoint
    was fine-tuned for them (its `problem_type`), since a softmax's logits are no log-odds of a label. Weights that the
    options freeze get no gradient, and adapters are in their places, until the classifier's `settle`.

    Raises:
        ArtifactError: If the checkpoint cannot be had, or lacks weights that will not be trained.
        ConfigError: If the architecture does not have what the options ask for.
    """
    checkpoint = open_checkpoint(options)
    config = checkpoint.config
    if checkpoint.max_length < options.max_length:
        log.warning(
            "%s takes %d tokens at most, and model.max_length is that", options.checkpoint, checkpoint.max_length
        )
    names = label_names_of(config)
    fits = not sets or config.problem_type == MANY_LABELS
    is_kept = label_names is None
    label_names = names if label_names is None else label_names
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: label for label, name in enumerate(label_names)}
    config.problem_type = MANY_LABELS if sets else ONE_LABEL
    if getattr(config, "use_cache", False):
        config.use_cache = False  # for generating: keys and values of earlier tokens, which nothing reads here
    if options.dropout is not None:
        set_dropout(config, options.dropout)
    with access_to(checkpoint.source, options) as access:
        try:
            if not Path(checkpoint.source).is_dir():  # one that is was looked at when it was opened
                said = get_tokenizer_config(checkpoint.source, revision=checkpoint.revision)
                check_tokenizer(said, f"Checkpoint {options.checkpoint!r}")
                _check_weights(checkpoint)
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.source, revision=checkpoint.revision, trust_remote_code=False
            )
            if Path(checkpoint.source).is_dir():
                check_tokenizer_files(tokenizer, Path(checkpoint.source))
            settle_special_tokens(tokenizer, config, checkpoint.positions_from_padding, options.checkpoint)
            torch.manual_seed(seed)
            model, found = AutoModelForSequenceClassification.from_pretrained(
                checkpoint.source,
                revision=checkpoint.revision,
                config=config,
                dtype=torch.float32,
                attn_implementation=_attention(options, config),
                ignore_mismatched_sizes=True,  # another task's head is replaced
                trust_remote_code=False,
                output_loading_info=True,
            )
            check_tokenizer_files(tokenizer, Path(checkpoint.source))  # of a cache without any, the weights said why
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
            raise ArtifactError(refusal(options, access, error)) from error
    not_loaded = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    if is_kept and not_loaded:
        raise ArtifactError(
            f"Checkpoint {options.checkpoint!r} lacks weights of its own classifier ({listed(sorted(not_loaded), 3)}), "
            f"which would be random, since nothing is trained. Choose another one."
        )
    match_head(model, weights_of_labels(model), not_loaded, names, label_names, seed, fits)
    if options.keep_layers:
        model = keep_layers(model, options.keep_layers)
    if options.dropout is not None:
        for module in dropouts(model):  # those whose rate the architecture does not take from its configuration
            module.p = options.dropout
    if options.freeze is not None:
        freeze_weights(model, options.freeze, not_loaded)
    adapters = add_adapters(model, options, seed, not_loaded) if options.peft is Peft.lora else None
    settle_padding_side(tokenizer, model)
    try:  # it is run once, to see which tokens it reads
        return TransformerClassifier(
            label_names=tuple(label_names),
            cleaning=tuple(options.text_cleaning),
            model=model,
            tokenizer=tokenizer,
            lengths=Lengths(
                checkpoint.max_length,
                options.truncation,
                options.long_text,
                options.window_overlap,
                options.max_windows,
            ),
            padding=options.padding,
            attention=options.attention,
            adapters=adapters,
            thresholds=(0.5,) * len(label_names) if sets else None,
        )
    except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise ArtifactError(
            f"Checkpoint {options.checkpoint!r} cannot be used: its config.json describes a {config.model_type} that "
            f"computes nothing ({first_line(error)})"
        ) from error


def _check_weights(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint of the Hub whose weights are far fewer than its configuration asks for."""
    file = cached_file(
        checkpoint.source,
        SAFE_WEIGHTS_NAME,
        revision=checkpoint.revision,
        _raise_exceptions_for_missing_entries=False,
    )
    if file is not None and (sizes := weights_in(Path(file))):
        check_values(skeleton(checkpoint.config), sizes)


def _attention(options: TransformerModel, config: PretrainedConfig) -> str:
    """Return the implementation of attention to use, by what the architecture has."""
    architecture: Any = AutoModelForSequenceClassification._model_mapping[type(config)]
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


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint was found, and what it says of itself."""

    source: str
    """A local folder, or `owner/name` on the Hub."""
    revision: str | None
    config: PretrainedConfig
    positions_from_padding: bool
    """Whether the model counts positions from the padding's id."""
    max_length: int
    """The longest input that is kept, in tokens: as asked, or all that the model takes where that is less than the
    usual length."""
    num_layers: int | None
    """Layers of the encoder that are kept; none where they are not one list."""


def open_checkpoint(options: TransformerModel) -> Checkpoint:
    """Find a checkpoint, read its configuration, which is small, and hold the options against it.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached or trusted.
        ConfigError: If its architecture cannot classify texts, has no positions for texts as long as the options ask
            for, or lacks the layers, the dropout, the attention or the places of adapters that they name.
    """
    source = locate(options)
    config = read_config(source, options)
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        raise ConfigError(
            f"model.checkpoint={options.checkpoint}: a {config.model_type} cannot classify texts. Choose another one."
        )
    model = skeleton(config, Path(source) if Path(source).is_dir() else None)
    longest = longest_input(model)
    max_length = options.max_length
    if longest is not None and longest < max_length == TransformerModel.max_length:
        max_length = longest
    elif longest is not None and max_length > longest:
        raise ConfigError(
            f"model.max_length must be at most {longest} tokens for {options.checkpoint}, got {options.max_length}."
        )
    _attention(options, config)
    if options.dropout is not None:
        check_dropout(model)
    from_padding = counts_from_padding(model)
    if options.keep_layers:
        model = keep_layers(model, options.keep_layers)
    if options.freeze is not None:
        check_freeze(model, options.freeze)
    if options.peft is Peft.lora:
        check_adapters(model, options)
    return Checkpoint(source, options.revision, config, from_padding, max_length, number_of_layers(model))
