"""The arithmetics that a transformer computes in, and which of them this machine is fast at."""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Names of the arithmetics of a forward pass."""


def cpu_is_fast_at_bf16() -> bool:
    """Whether this CPU has units for bfloat16; one without takes about three times as long in it as in float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_tile") or able.get("avx512_bf16"))


def in_bf16(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy whose weights are bfloat16, for prediction: autocast would convert them in each forward pass."""
    own = copy.deepcopy(model)
    nn.Module.to(own, torch.bfloat16)
    return own.eval()
