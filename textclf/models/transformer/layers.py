"""Layers of an encoder: some of them left out, and the last computed for the one token that the head reads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from textclf.errors import ConfigError

OF_EACH_LAYER = ("layer_types", "mlp_layer_types", "attention_window", "attention_layers", "no_rope_layers")
"""Lists in a configuration that say something of each layer."""


class LayerStack(NamedTuple):
    """The layers of an encoder, and where they are kept."""

    path: str
    """Where they are in the model, such as `bert.encoder.layer`."""
    layers: nn.ModuleList


def layer_stack(model: PreTrainedModel) -> LayerStack | None:
    """Return the layers of an encoder; none where they are not to be found as one list."""
    depth = getattr(model.config, "num_hidden_layers", 0)
    stacks = [
        LayerStack(path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    return stacks[0] if len(stacks) == 1 else None


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Return a model of only these layers of an encoder, in this order.

    DistilBERT starts from every second layer of BERT (Sanh et al. 2019). Without the distillation
    that follows there, a shallow encoder has only its fine-tuning to recover by.

    The model is made anew of a configuration of fewer layers, so that it is the one that will be read from its folder.

    Args:
        model: A pretrained encoder with its head; its weights may be on the device `meta`.
        layers: Numbers of layers, from 0.

    Raises:
        ConfigError: If the encoder has no such layers, keeps them where they are not found, or has layers that cannot
            stand in each other's places.
    """
    kind, depth = model.config.model_type, getattr(model.config, "num_hidden_layers", 0)
    stack = layer_stack(model)
    config = copy.deepcopy(model.config)
    try:
        config.num_hidden_layers = len(layers)
    except NotImplementedError:  # Funnel's are in blocks
        stack = None
    if stack is None:
        raise ConfigError(
            f"model.keep_layers: the layers of a {kind} are not kept as one list, of which some could be left out. "
            f"Leave model.keep_layers out, or choose another checkpoint."
        )
    if outside := [layer for layer in layers if not 0 <= layer < depth]:
        raise ConfigError(f"model.keep_layers names {outside}, but the encoder has layers 0 to {depth - 1}.")
    for name in OF_EACH_LAYER:
        values = getattr(model.config, name, None)
        if isinstance(values, list | tuple) and len(values) == depth:
            setattr(config, name, [values[layer] for layer in layers])
    numbers = {str(layer): str(place) for place, layer in enumerate(layers)}
    weights = {}
    for name, weight in model.state_dict().items():
        number, _, rest = name.removeprefix(f"{stack.path}.").partition(".")
        if not name.startswith(f"{stack.path}."):
            weights[name] = weight
        elif number in numbers:
            weights[f"{stack.path}.{numbers[number]}.{rest}"] = weight
    empty = any(weight.is_meta for weight in model.parameters())
    with torch.device("meta" if empty else model.device), torch.random.fork_rng(devices=[]):
        fewer = type(model)(config)
    wanted = {name: weight.shape for name, weight in fewer.state_dict().items()}
    if wanted != {name: weight.shape for name, weight in weights.items()} or _scaled_by_depth(config, layers):
        raise ConfigError(
            f"model.keep_layers={list(layers)}: the layers of a {kind} are not alike, and one of these cannot stand in "
            f"its new place. Keep layers from 0 on without a gap, such as {list(range(len(layers)))}."
        )
    if not empty:
        fewer.load_state_dict(weights)
    return fewer.train(model.training)


def _scaled_by_depth(config: PretrainedConfig, layers: Sequence[int]) -> bool:
    """Return whether GPT-2's attention would be scaled otherwise in another place."""
    moved = list(layers) != list(range(len(layers)))
    return moved and bool(getattr(config, "scale_attn_by_inverse_layer_idx", False))


def keep_attention(model: PreTrainedModel) -> None:
    """Let an encoder with two kinds of attention, as BigBird, choose afresh for each input.

    At the first short input it goes over to full attention for good, so that what it says of a long text would depend
    on the texts before.

    Args:
        model: An encoder with a classification head; a hook is put on it in place.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and hasattr(module, "set_attention_type"):
            module.register_forward_pre_hook(_as_configured)


def _as_configured(encoder: Any, _: object) -> None:
    """Give an encoder the attention of its configuration."""
    if encoder.attention_type != encoder.config.attention_type:
        with torch.random.fork_rng(devices=[]):  # it makes layers, whose first weights are thrown away
            encoder.set_attention_type(encoder.config.attention_type)


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
    config = model.config
    if getattr(config, "chunk_size_feed_forward", 0) or getattr(config, "attention_type", "") == "block_sparse":
        return None  # BigBird chooses its attention by the length of the input, and counts tokens after the last layer
    stacks = layer_stack(model)
    if stacks is None or not hasattr(config, "vocab_size"):  # CANINE reads characters, several for each position
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
