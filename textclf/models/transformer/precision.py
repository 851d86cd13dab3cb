"""The arithmetics that a transformer computes in, and which of them this machine is fast at."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Names of the arithmetics of a forward pass."""


def cpu_is_fast_at_bf16() -> bool:
    """Whether this CPU has units for bfloat16; one without takes about three times as long in it as in float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_tile") or able.get("avx512_bf16"))


M = TypeVar("M", bound=nn.Module)


def in_bf16(model: M) -> M:
    """Return a copy whose weights are bfloat16, for prediction: autocast would convert them in each forward pass."""
    own = copy.deepcopy(model)
    nn.Module.to(own, torch.bfloat16)
    return own.eval()


def follow_autocast(model: PreTrainedModel) -> None:
    """Let attention that adds biases itself, as DeBERTa's does, compute under autocast in its arithmetic.

    Such biases make queries float32 under autocast while the scores are 16 bits wide; the smallest number of the one,
    with which scores are masked, is none of the other.

    Args:
        model: An encoder with a classification head; changed in place. Without autocast it computes as before.
    """
    for module in model.modules():
        if isinstance(getattr(module, "q_bias", None), nn.Parameter) and hasattr(module, "transpose_for_scores"):
            vars(module)["transpose_for_scores"] = partial(_in_autocast, module)


def _in_autocast(module: Any, values: torch.Tensor) -> torch.Tensor:
    """Return what each head of an attention module sees, in the arithmetic of autocast where that is on."""
    heads = type(module).transpose_for_scores(module, values)
    kind = heads.device.type
    return heads.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else heads
