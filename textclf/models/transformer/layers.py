"""Layers of an encoder: some of them left out, and the last computed for the one token that the head reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
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


class _Point(NamedTuple):
    """Where a layer's tokens stop meeting each other, and which of them the head reads."""

    module: str
    """The first module after the attention, by its path in the layer."""
    dim: int
    """The dimension of its inputs that holds the tokens."""
    token: int
    """0 for the first, -1 for the last."""


POINTS = (
    _Point("attention.output", 1, 0),  # BERT, RoBERTa, XLM-RoBERTa, ELECTRA, DeBERTa
    _Point("sa_layer_norm", 1, 0),  # DistilBERT
    _Point("rel_attn.layer_norm", 0, -1),  # XLNet, whose tokens come first
)


def read_one_token(model: PreTrainedModel) -> bool:
    """Compute the last layer for the token that the head reads alone, where this gives the same logits.

    The model is tried with and without on two short made-up inputs; where the logits differ, as with heads that read
    all tokens, or where the encoder is built in a way that is not known here, it is left as it was.

    Args:
        model: An encoder with a classification head, its weights on the CPU; hooks are put on it in place.

    Returns:
        Whether it is done.
    """
    found = _find(model)
    if found is None:
        return False
    module, point = found
    with torch.random.fork_rng(devices=[]):
        inputs = _made_up(model)
        whole = _logits(model, inputs)
        hook = module.register_forward_pre_hook(lambda _, given: tuple(_one(values, point) for values in given))
        try:
            same = torch.allclose(_logits(model, inputs), whole, rtol=1e-3, atol=1e-6)
        except (RuntimeError, ValueError, IndexError):  # shapes that the head cannot take
            same = False
    if not same:
        hook.remove()
    return same


def _find(model: PreTrainedModel) -> tuple[nn.Module, _Point] | None:
    """Return where the last layer is to be cut, if it is known."""
    if getattr(model.config, "chunk_size_feed_forward", 0):
        return None
    stacks = layer_stack(model)
    if stacks is None:
        return None
    last = stacks.layers[-1]
    for point in POINTS:
        try:
            return last.get_submodule(point.module), point
        except AttributeError:
            continue
    return None


def _one(values: torch.Tensor, point: _Point) -> torch.Tensor:
    """Return a view of one token of each example."""
    return values.narrow(point.dim, point.token % values.shape[point.dim], 1)


def _made_up(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return two inputs, one padded on either side."""
    ids = torch.randint(1, model.config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :2] = mask[1, -1] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _logits(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits without dropout, float32 (2, num_labels)."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        logits = model(**inputs).logits
    model.train(was_training)
    return logits
