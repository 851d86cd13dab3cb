"""Adapters of LoRA (Hu et al. 2022): small matrices that are trained beside an encoder's weights, then added to them.

Where they belong is found here; all else is the library peft's, which is imported where it is used.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from textclf.errors import ConfigError, listed
from textclf.models.options import ALL_LINEAR, TransformerModel
from textclf.models.transformer.parts import is_of_encoder, keep

if TYPE_CHECKING:
    from peft.tuners.lora import LoraModel

log = logging.getLogger(__name__)

ADAPTED = ".lora_"
"""What the names of an adapter's weights hold."""


def check_adapters(model: PreTrainedModel, options: TransformerModel) -> None:
    """Refuse adapters that could not be added.

    Args:
        model: The skeleton of the checkpoint.
        options: Says where they belong.

    Raises:
        ConfigError: If peft is not installed, or a target names no linear layer of the encoder.
    """
    if importlib.util.find_spec("peft") is None:
        raise ConfigError(
            'model.peft=lora needs the library peft, which is not installed: pip install "textclf[peft]". Or train all '
            "weights, with model.peft=none."
        )
    places_of(model, options.lora_targets)


def places_of(model: PreTrainedModel, targets: Sequence[str]) -> list[str]:
    """Return the linear layers of an encoder that get an adapter, by their paths.

    Args:
        model: An encoder with a classification head.
        targets: The ends of their paths, or `all-linear`; none for the projections of attention that peft knows for the
            architecture, and where it knows none, all linear layers.

    Raises:
        ConfigError: If a target names none of them.
    """
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    kind = model.config.model_type
    linear = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and is_of_encoder(model, path)
    ]
    ends = list(targets) or KNOWN.get(kind, [ALL_LINEAR])
    found = {
        end: [path for path in linear if end == ALL_LINEAR or path == end or path.endswith(f".{end}")] for end in ends
    }
    nothing = [end for end, paths in found.items() if not paths]
    if nothing:
        named = list(dict.fromkeys(path.rpartition(".")[2] for path in linear))
        there = f"Name some of {listed(named, 12)}, or {ALL_LINEAR}." if named else "Set model.peft=none."
        raise ConfigError(
            f"model.lora_targets must name linear layers of the encoder, and a {kind} has none called "
            f"{listed(nothing)}. {there}"
        )
    return [path for path in linear if any(path in paths for paths in found.values())]


def add_adapters(
    model: PreTrainedModel, options: TransformerModel, seed: int, lacking: Collection[str] = ()
) -> LoraModel:
    """Add adapters to a classifier, which alone are trained with its head; they change no prediction yet.

    Args:
        model: An encoder with a classification head; changed in place.
        options: Where they belong, and how large they are.
        seed: Seed of their initial weights.
        lacking: Weights that the checkpoint does not have, which are trained too.

    Returns:
        What merges them into the weights.

    Raises:
        ConfigError: If a target names no linear layer of the encoder.
    """
    from peft.tuners.lora import LoraConfig, LoraModel

    places = places_of(model, options.lora_targets)
    own = {name for name, _ in model.named_parameters(remove_duplicate=False) if is_of_encoder(model, name)}
    keep(model, own, lacking)
    trained = {id(weight) for weight in model.parameters() if weight.requires_grad}
    torch.manual_seed(seed)
    config = LoraConfig(
        r=options.lora_rank, lora_alpha=options.lora_alpha, lora_dropout=options.lora_dropout, target_modules=places
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GPT-2's layers, which hold their weights transposed
        adapters = LoraModel(model, config, "default")
    for weight in model.parameters():
        if id(weight) in trained:  # it froze them
            weight.requires_grad_(True)
    kinds = list(dict.fromkeys(path.rpartition(".")[2] for path in places))
    log.info("LoRA of rank %d beside %d linear layers: %s", options.lora_rank, len(places), listed(kinds, 12))
    return adapters
