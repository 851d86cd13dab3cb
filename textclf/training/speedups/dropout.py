"""Dropout whose random numbers are drawn in bulk, for training on CPUs.

PyTorch draws a Bernoulli variable for each element, one at a time, which takes a tenth of a training step in float32
and a fifth in bfloat16. Here each 64-bit draw of PyTorch's own generator is cut into four 16-bit ones that are compared
with a threshold: the same variable, its probability rounded to a 65,536th, in a quarter of the time. The state
of the generator is PyTorch's, so a seed gives the same numbers again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

_PLAIN = functional.dropout
STEPS = 1 << 16
"""Values that a 16-bit draw takes."""
LOWEST = -(1 << 15)
"""The smallest of them."""


@contextmanager
def bulk_dropout() -> Iterator[None]:
    """Let dropout of tensors on the CPU draw its random numbers in bulk inside the context.

    It stands in for `torch.nn.functional.dropout`, and so for `torch.nn.Dropout`, whatever the architecture; attention
    that drops out inside one fused call is not reached. PyTorch's modes for such a purpose are off in a backward pass,
    where gradient checkpointing drops out once more.
    """
    functional.dropout = _bulk
    try:
        yield
    finally:
        functional.dropout = _PLAIN


def _bulk(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Drop out as `torch.nn.functional.dropout` does; in place, and away from the CPU, by that function itself."""
    cut = round(p * STEPS)
    if not training or inplace or not 0 < cut < STEPS or input.device.type != "cpu":
        return _PLAIN(input, p, training, inplace)
    dropped: torch.Tensor = _Dropout.apply(input, cut)  # pyright: ignore[reportAssignmentType]
    return dropped


class _Dropout(torch.autograd.Function):
    """Sets cut / 65,536 of the elements to zero, and scales the others up; keeps the 16-bit draws for the gradient."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, cut: int) -> torch.Tensor:
        count = values.numel()
        words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits at random
        draws = words.view(torch.int16)[:count].view(values.shape)
        ctx.save_for_backward(draws)
        ctx.cut = cut
        return _scaled_or_dropped(values, draws, cut)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (draws,) = ctx.saved_tensors
        return _scaled_or_dropped(gradients[0], draws, ctx.cut), None


def _scaled_or_dropped(values: torch.Tensor, draws: torch.Tensor, cut: int) -> torch.Tensor:
    """Return the values whose draw is at least the cut, scaled so that their expectation stays; 0 for the others."""
    kept = torch.ge(draws, cut + LOWEST, out=torch.empty_like(values, memory_format=torch.contiguous_format))
    nothing = values.new_zeros(())  # scales and drops in one pass over the memory, and in bfloat16 rounds once
    return torch.addcmul(nothing, values, kept, value=STEPS / (STEPS - cut), out=kept)
