"""The last layer of an encoder, computed for the one token that the classification head reads.

A head reads the first token of the last layer's output (XLNet's the last). All that follows the attention of that
layer treats each token by itself, so it need not be done for the others. Of an encoder with six layers this saves an
eighth of the arithmetic, in training and in prediction, and the logits stay the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from textclf.models.transformer.layers import layer_stack


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
