"""Encoders made shallower: some of a checkpoint's layers kept, the others left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from textclf.errors import ConfigError


class LayerStack(NamedTuple):
    """The layers of an encoder, and where they are kept."""

    parent: nn.Module
    name: str
    layers: nn.ModuleList


def layer_stack(model: PreTrainedModel) -> LayerStack | None:
    """Return the layers of an encoder; none where they are not to be found as one list."""
    stacks = [
        LayerStack(parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == model.config.num_hidden_layers
    ]
    return stacks[0] if len(stacks) == 1 else None


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Leave only these layers of an encoder, in this order.

    DistilBERT starts from every second layer of BERT (Sanh et al. 2019). Without the distillation
    that follows there, a shallow encoder has only its fine-tuning to recover by.

    Args:
        model: A pretrained encoder with its head; changed in place.
        layers: Numbers of layers, from 0.

    Raises:
        ConfigError: If the encoder has no such layers, or keeps them where they are not found.
    """
    depth = model.config.num_hidden_layers
    if outside := [layer for layer in layers if not 0 <= layer < depth]:
        raise ConfigError(f"model.keep_layers names {outside}, but the encoder has layers 0 to {depth - 1}.")
    stack = layer_stack(model)
    if stack is None:
        raise ConfigError(
            f"model.keep_layers: the layers of a {model.config.model_type} are not to be found as one list."
        )
    setattr(stack.parent, stack.name, nn.ModuleList(stack.layers[layer] for layer in layers))
    model.config.num_hidden_layers = len(layers)
