"""Parts of a classifier by their depth: embeddings, the layers of the encoder, the head; and some of them frozen."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from textclf.errors import ConfigError
from textclf.models.options import EMBEDDINGS, ENCODER
from textclf.models.transformer.layers import layer_stack

log = logging.getLogger(__name__)

POOLER = "pooler"
"""What reads one token for the head. In BERT it is kept inside the encoder, and counts as the head all the same."""


class Depths(NamedTuple):
    """How deep each weight of a classifier lies."""

    of: dict[str, int]
    """By the name of a weight: 0 for embeddings, 1 for the first layer and so on, and most for the head. What follows
    the layers inside the encoder, as a last normalisation, is as deep as the last of them."""
    head: int


def number_of_layers(model: PreTrainedModel) -> int | None:
    """Return how many layers an encoder has; none where they are not to be found as one list."""
    stack = layer_stack(model)
    return None if stack is None else len(stack.layers)


def is_of_encoder(model: PreTrainedModel, name: str) -> bool:
    """Return whether a weight or module belongs to the encoder and not to the head."""
    return name.startswith(f"{model.base_model_prefix}.") and POOLER not in name.split(".")


def depths_of(model: PreTrainedModel) -> Depths:
    """Return how deep each weight lies; an encoder whose layers are not one list counts as a single layer.

    An architecture registers its weights in the order in which they are computed, so what stands before the first layer
    are the embeddings. A table that comes after the layers, with what follows it there, serves all of them: DeBERTa's
    relative positions and their normalisation.

    Args:
        model: An encoder with a classification head; its weights may be on the device `meta`.
    """
    stack = layer_stack(model)
    layers = "" if stack is None else f"{stack.path}."
    count = 1 if stack is None else len(stack.layers)
    tables = {path for path, module in model.named_modules() if isinstance(module, nn.Embedding)}
    depths, begun, shared = {}, False, None
    for name, _ in model.named_parameters(remove_duplicate=False):
        module = name.rpartition(".")[0]
        if stack is not None and begun and module in tables and not name.startswith(layers):
            shared = module.rpartition(".")[0]
        if not is_of_encoder(model, name):
            depths[name] = count + 1
        elif stack is not None and name.startswith(layers):
            depths[name], begun = int(name.removeprefix(layers).partition(".")[0]) + 1, True
        elif stack is None and any(part.isdecimal() for part in name.split(".")):
            depths[name], begun = 1, True
        elif not begun or (shared is not None and name.startswith(f"{shared}.")):
            depths[name] = 0
        else:
            depths[name] = 0 if stack is None and "emb" in name else count
    return Depths(depths, count + 1)


def check_freeze(model: PreTrainedModel, freeze: str | int) -> None:
    """Refuse to freeze what an architecture does not have.

    Args:
        model: Its skeleton.
        freeze: As `model.freeze`.

    Raises:
        ConfigError: If it has fewer layers, or does not keep them as one list, or no encoder apart from its head.
    """
    kind = model.config.model_type
    if not any(is_of_encoder(model, name) for name, _ in model.named_parameters()):
        raise ConfigError(
            f"model.freeze={freeze}: a {kind} does not keep its encoder apart from its head. Leave model.freeze out."
        )
    if freeze in (EMBEDDINGS, ENCODER):
        return
    count = number_of_layers(model)
    if count is None:
        raise ConfigError(
            f"model.freeze={freeze}: the layers of a {kind} are not kept as one list, of which the first could be "
            f"frozen. Set model.freeze={EMBEDDINGS} or model.freeze={ENCODER}."
        )
    if int(freeze) > count:
        raise ConfigError(
            f"model.freeze must be at most {count}, the layers of this {kind}, got {freeze}. Set fewer, or "
            f"model.freeze={ENCODER} for all of them."
        )


def freeze_weights(model: PreTrainedModel, freeze: str | int, lacking: Collection[str] = ()) -> None:
    """Keep a part of a classifier as it is in training: its weights get no gradient.

    Args:
        model: An encoder with a classification head; changed in place.
        freeze: `embeddings`, `encoder`, or how many of the first layers beside the embeddings.
        lacking: Weights that the checkpoint does not have. They begin at random, so they are trained wherever they are.

    Raises:
        ConfigError: As `check_freeze`.
    """
    check_freeze(model, freeze)
    depths = depths_of(model)
    last = 0 if freeze == EMBEDDINGS else depths.head - 1 if freeze == ENCODER else int(freeze)
    keep(model, [name for name, depth in depths.of.items() if depth <= last], lacking)


def keep(model: PreTrainedModel, names: Collection[str], lacking: Collection[str]) -> None:
    """Let these weights get no gradient, but for those that the checkpoint lacks.

    Args:
        model: Changed in place.
        names: The weights.
        lacking: Weights that the checkpoint does not have.
    """
    random = sorted(set(names) & set(lacking))
    if random:
        log.info("the checkpoint lacks %s and %d others, so they are trained too", random[0], len(random) - 1)
    kept = set(names) - set(random)
    for name, weight in model.named_parameters(remove_duplicate=False):
        if name in kept:
            weight.requires_grad_(False)


def check_layer_decay(kind: str, layers: int | None) -> None:
    """Refuse learning rates by layer where the layers are not known.

    Args:
        kind: The kind of the architecture, such as `bert`.
        layers: How many layers it has, as `number_of_layers` says.

    Raises:
        ConfigError: If there is no such number.
    """
    if layers is None:
        raise ConfigError(
            f"trainer.layer_decay: the layers of a {kind} are not kept as one list, so none can have a lower learning "
            f"rate than the next. Leave trainer.layer_decay out, or choose another checkpoint."
        )
