"""Skeleton of a checkpoint: its model without weights, by which options are checked before anything large is read."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import AutoModel, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line

DROPOUT = re.compile(r"dropout|pdrop")
"""Names of the rates of dropout in a configuration."""
NO_DROPOUT = re.compile(r"layer_?drop")
"""Leaves out whole layers, which is something else."""


MOST_LAYERS = 1000
"""The deepest published models have some 200 layers."""
MOST_WEIGHTS = 50_000
"""Tensors of a model of which no weights are at hand; the largest published mixtures of experts have about as many."""
PER_WEIGHT = 4
"""Tensors of a model for each that its files hold, and values likewise: a new head and a missing decoder are fewer."""
MORE_WEIGHTS, MORE_VALUES = 1000, 50_000_000
"""What a model may have beside those of its files."""


def skeleton(config: PretrainedConfig, folder: Path | None = None, head: bool = True) -> PreTrainedModel:
    """Return the classifier that a configuration describes, all of its weights without memory or values.

    Args:
        config: The configuration.
        folder: Where its weights are; what it describes must then be about as large as they are.
        head: Whether it has a head for classes; without one it gives token vectors.

    Raises:
        ArtifactError: If it describes no model, or one that its weights cannot fill.
    """
    files = sorted(folder.glob("*.safetensors")) if folder is not None else []
    sizes = [size for file in files for size in weights_in(file)]
    most = PER_WEIGHT * len(sizes) + MORE_WEIGHTS if sizes else MOST_WEIGHTS
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]), _at_most(most):
            model = (AutoModelForSequenceClassification if head else AutoModel).from_config(config)
    except (TextclfError, MemoryError):
        raise
    except Exception as error:  # each architecture fails in its own way at what it cannot be
        raise ArtifactError(
            f"The configuration of this {config.model_type} describes no model that can be built: {first_line(error)}"
        ) from error
    if sizes:
        check_values(model, sizes)
    return model


def weights_in(file: Path) -> list[int]:
    """Return how many values each tensor in a file of safetensors has; nothing where it cannot be read."""
    try:
        with safe_open(file, "pt") as weights:
            return [math.prod(weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118
    except (OSError, SafetensorError, ValueError):
        return []


def check_values(model: PreTrainedModel, sizes: list[int]) -> None:
    """Refuse a skeleton that is far larger than the weights which are to fill it, since the rest would be made up.

    Args:
        model: The skeleton.
        sizes: Values of each tensor in the files of its weights.

    Raises:
        ArtifactError: If it is.
    """
    needed, held = sum(weight.numel() for weight in model.parameters()), sum(sizes)
    if needed > PER_WEIGHT * held + MORE_VALUES:
        raise ArtifactError(
            f"config.json describes a {model.config.model_type} of {needed:,} weights, and the files beside it hold "
            f"{held:,}. They do not belong together, and it was not loaded."
        )


def check_size(config: PretrainedConfig) -> None:
    """Refuse a configuration of more layers than any model has, before anything is made of it.

    Raises:
        ArtifactError: With the number of layers.
    """
    for part in (config, *(part for part in vars(config).values() if isinstance(part, PretrainedConfig))):
        layers = getattr(part, "num_hidden_layers", None)
        if isinstance(layers, int) and layers > MOST_LAYERS:
            raise ArtifactError(
                f"config.json describes a {config.model_type} of {layers:,} layers, and at most {MOST_LAYERS:,} are "
                f"built; it was not loaded."
            )


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Stop at the first weight beyond a number of them that is made inside the context."""
    here, made = threading.get_ident(), 0

    def seen(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        nonlocal made
        if threading.get_ident() != here or weight is None:
            return
        made += 1
        if made > count:
            raise ArtifactError(
                f"config.json describes a model of more than {count:,} tensors, far more than the files of its weights "
                f"hold; it was not loaded."
            )

    hook = register_module_parameter_registration_hook(seen)
    try:
        yield
    finally:
        hook.remove()


def longest_input(model: PreTrainedModel) -> int | None:
    """Return the most tokens that a model has positions for; none if it has no such limit."""
    limits = [rows - first for rows, first in _position_tables(model)]
    said = getattr(model.config, "max_position_embeddings", None)
    if isinstance(said, int) and said > 0:
        limits.append(said)
    return min(limits, default=None)


def counts_from_padding(model: PreTrainedModel) -> bool:
    """Return whether positions are counted from the id of the padding token, as in RoBERTa."""
    return any(getattr(table, "padding_idx", None) is not None for table in _tables(model))


def _position_tables(model: PreTrainedModel) -> list[tuple[int, int]]:
    """Return the rows of each table of positions, and the row of the first token."""
    found = []
    for table in _tables(model):
        padding = getattr(table, "padding_idx", None)
        found.append((len(table.weight), getattr(table, "offset", 0) if padding is None else padding + 1))
    return found


def _tables(model: PreTrainedModel) -> list[Any]:
    """Return the embeddings of absolute positions."""
    return [
        module
        for name, module in model.named_modules()
        if hasattr(module, "padding_idx") and _names_positions(name.rpartition(".")[2])
    ]


def _names_positions(name: str) -> bool:
    """Return whether this is what architectures call the embeddings of absolute positions."""
    return name == "wpe" or ("position" in name and "relative" not in name)


def set_dropout(config: PretrainedConfig, rate: float) -> None:
    """Set every rate of dropout in a configuration."""
    for name, value in config.to_dict().items():
        is_rate = isinstance(value, int | float) and not isinstance(value, bool)
        if is_rate and DROPOUT.search(name) and not NO_DROPOUT.search(name):
            setattr(config, name, rate)


def dropouts(model: PreTrainedModel) -> list[nn.Dropout]:
    """Return what drops out in a model by a module of its own."""
    return [module for module in model.modules() if isinstance(module, nn.Dropout)]


def check_dropout(model: PreTrainedModel) -> None:
    """Refuse to set the dropout of an architecture that has none.

    Raises:
        ConfigError: If neither its configuration nor a module has a rate of dropout.
    """
    named = any(DROPOUT.search(name) and not NO_DROPOUT.search(name) for name in model.config.to_dict())
    if not named and not dropouts(model):
        raise ConfigError(
            f"model.dropout: a {model.config.model_type} has no dropout that could be set. Leave model.dropout out."
        )


def weights_of_labels(model: PreTrainedModel) -> list[str]:
    """Return the names of the weights that have a row for each label, such as `classifier.weight`.

    Args:
        model: A whole classifier, as its configuration describes it.
    """
    more = type(model.config).from_dict(model.config.to_dict())
    more.num_labels = len(model.config.id2label or {}) + 1
    wider = {name: weight.shape for name, weight in skeleton(more).named_parameters()}
    return [name for name, weight in model.named_parameters() if weight.shape != wider[name]]
