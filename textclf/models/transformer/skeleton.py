"""Skeleton of a checkpoint: its model without weights, by which options are checked before anything large is read."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from textclf.errors import ConfigError

DROPOUT = re.compile(r"dropout|pdrop")
"""Names of the rates of dropout in a configuration."""
NO_DROPOUT = re.compile(r"layer_?drop")
"""Leaves out whole layers, which is something else."""


def skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """Return the classifier that a configuration describes, all of its weights without memory or values."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return AutoModelForSequenceClassification.from_config(config)


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


def weights_of_labels(config: PretrainedConfig) -> list[str]:
    """Return the names of the weights that have a row for each label, such as `classifier.weight`."""
    more = type(config).from_dict(config.to_dict())
    more.num_labels = len(config.id2label or {}) + 1
    shapes, wider = ({n: w.shape for n, w in skeleton(c).named_parameters()} for c in (config, more))
    return [name for name, shape in shapes.items() if wider[name] != shape]
