"""Optimizer, schedule, device and precision, for both engines."""

from __future__ import annotations

import math
import os

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import get_parameter_names

from textclf.errors import ConfigError
from textclf.models.transformer.parts import check_layer_decay, depths_of, number_of_layers
from textclf.models.transformer.precision import cpu_is_fast_at_bf16
from textclf.training.options import Device, Precision, Schedule, TrainerOptions

NO_DECAY = [r"bias", r"layernorm", r"layer_norm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


def make_optimizer(model: nn.Module, options: TrainerOptions) -> torch.optim.AdamW:
    """Return AdamW with weight decay on all but biases and normalisation weights, and what rates layers have.

    Frozen weights are not in it. The first group is of those with the full learning rate.

    Raises:
        ConfigError: If layers are to have rates of their own, and are not known.
    """
    decayed = set(get_parameter_names(model, [nn.LayerNorm], NO_DECAY))
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    rates = _rates(model, options)
    groups = []
    for rate in sorted(set(rates.values()), reverse=True) or [options.learning_rate]:
        own = [(name, weight) for name, weight in named if rates.get(name, rate) == rate]
        groups += [
            {"params": [w for name, w in own if name in decayed], "weight_decay": options.weight_decay, "lr": rate},
            {"params": [w for name, w in own if name not in decayed], "weight_decay": 0.0, "lr": rate},
        ]
    device = next(model.parameters()).device.type
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=device in ("cuda", "cpu"))


def _rates(model: nn.Module, options: TrainerOptions) -> dict[str, float]:
    """Return the peak learning rate of each weight by its name; nothing where all have the same."""
    if options.layer_decay is None:
        return {}
    assert isinstance(model, PreTrainedModel)
    check_layer_decay(model.config.model_type, number_of_layers(model))
    depths = depths_of(model)
    return {name: options.learning_rate * options.layer_decay ** (depths.head - d) for name, d in depths.of.items()}


def make_schedule(optimizer: torch.optim.Optimizer, options: TrainerOptions, total_steps: int) -> LambdaLR:
    """Return the course of the learning rate: a linear warm-up, then decay to 0 or nothing.

    Raises:
        ConfigError: If the warm-up that is asked for takes all of the steps.
    """
    warmup = options.warmup_steps
    if warmup is None:
        warmup = math.ceil(options.warmup_fraction * total_steps)
    elif warmup >= total_steps:
        raise ConfigError(
            f"trainer.warmup_steps must be below the {total_steps} steps of this training, got {warmup}: the learning "
            f"rate would never get to its peak. Set fewer, or trainer.warmup_fraction instead."
        )

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        progress = (step - warmup) / max(1, total_steps - warmup)
        if options.schedule is Schedule.linear:
            return max(0.0, 1 - progress)
        if options.schedule is Schedule.cosine:
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return 1.0

    return LambdaLR(optimizer, factor)


def choose_device(options: TrainerOptions) -> torch.device:
    """Return where to compute.

    Raises:
        ConfigError: If the device asked for is not there.
    """
    there = {
        Device.cuda: torch.cuda.is_available(),
        Device.mps: torch.backends.mps.is_available(),
        Device.cpu: True,
    }
    if options.device is Device.auto:
        kind = next(device for device, available in there.items() if available)
    else:
        kind = options.device
        if not there[kind]:
            found = ", ".join(device.value for device, available in there.items() if available)
            raise ConfigError(f"trainer.device={kind.value}: this machine has none that PyTorch can use, only {found}.")
    if kind is Device.cuda:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(kind.value)


def choose_precision(options: TrainerOptions, device: torch.device) -> Precision:
    """Return the arithmetic to compute in; never `auto`.

    Raises:
        ConfigError: If the device cannot compute in the one asked for.
    """
    if options.precision is Precision.fp16 and device.type != "cuda":
        raise ConfigError(
            f"trainer.precision=fp16 needs a CUDA GPU, and training is on {device.type}; use bf16 or fp32."
        )
    if options.precision is not Precision.auto:
        return options.precision
    if device.type == "cuda":
        return Precision.bf16 if torch.cuda.get_device_capability(device) >= (8, 0) else Precision.fp16
    if device.type == "cpu":
        return Precision.bf16 if cpu_is_fast_at_bf16() else Precision.fp32
    return Precision.fp32


def describe_device(device: torch.device) -> str:
    """Return the device's name for a person, such as `cpu (2 threads)`."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return device.type
