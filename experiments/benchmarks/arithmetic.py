"""How much arithmetic a transformer needs, and how much the machine gives where nothing else is done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

TOKENS = 2048
"""Rows of the matrices that the ceiling is measured with: the tokens of a batch."""
REPEATS = 3
"""A rate is the best of so many measurements, each of at least `LEAST_SECONDS`."""
LEAST_SECONDS = 0.08
PROBE_TOKENS, PROBE_WIDTH, PROBE_PRODUCTS = 1024, 768, 4
"""Rows and columns of the matrices of the probe, and how many products are timed together: a tenth of a second."""


@dataclass(frozen=True)
class Shape:
    """What the work of an encoder depends on."""

    layers: int
    hidden: int
    intermediate: int
    num_labels: int

    @property
    def products(self) -> list[tuple[int, int, int]]:
        """The matrix products of a layer: how often, inputs and outputs of the weights."""
        return [(4, self.hidden, self.hidden), (1, self.hidden, self.intermediate), (1, self.intermediate, self.hidden)]


def shape_of(config: Any) -> Shape:
    """Return the shape that a BERT, RoBERTa or DistilBERT configuration describes."""
    if config.model_type == "distilbert":
        return Shape(config.n_layers, config.dim, config.hidden_dim, config.num_labels)
    return Shape(config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_labels)


def forward_flops(shape: Shape, lengths: ArrayLike) -> float:
    """Return the floating-point operations of one forward pass over texts of these lengths, without padding.

    A product of (m, k) and (k, n) counts 2·m·k·n. Counted are the weights of the layers, the scores and the
    weighted sums of attention, the pooler and the head; not the embeddings, normalisation and activations.

    Args:
        shape: The encoder.
        lengths: Tokens of each text, int (n,).
    """
    tokens = np.asarray(lengths, dtype=np.float64)
    weights = sum(2 * often * into * out for often, into, out in shape.products)
    layers = shape.layers * (weights * tokens.sum() + 4 * shape.hidden * (tokens**2).sum())
    return float(layers + len(tokens) * 2 * shape.hidden * (shape.hidden + shape.num_labels))


def training_flops(shape: Shape, lengths: ArrayLike) -> float:
    """Return the operations of a training step over these texts: the backward pass is two forward passes' worth."""
    return 3 * forward_flops(shape, lengths)


def ceiling(shape: Shape, dtype: torch.dtype, device: str, training: bool, tokens: int = TOKENS) -> float:
    """Return the FLOP/s at which the machine multiplies the matrices of a layer, and nothing else.

    For training the products of the backward pass are among them: the gradients of inputs and of weights.
    """
    flops = seconds = 0.0
    for often, into, out in shape.products:
        inputs = torch.randn(tokens, into, dtype=dtype, device=device)
        outputs = torch.randn(tokens, out, dtype=dtype, device=device)
        weight = torch.randn(into, out, dtype=dtype, device=device)
        pairs = [(inputs, weight)] + ([(outputs, weight.T), (inputs.T, outputs)] if training else [])
        for left, right in pairs:
            work = 2.0 * tokens * into * out
            flops += often * work
            seconds += often * work / matmul_rate(left, right)
    return flops / seconds


def matmul_rate(left: torch.Tensor, right: torch.Tensor) -> float:
    """Return the FLOP/s of a matrix product, the best of several measurements."""
    work = 2.0 * left.shape[0] * left.shape[1] * right.shape[1]
    torch.mm(left, right)
    best, times = 0.0, 1
    for _ in range(REPEATS):
        while True:
            _wait(left)
            start = time.perf_counter()
            for _ in range(times):
                torch.mm(left, right)
            _wait(left)
            taken = time.perf_counter() - start
            if taken >= LEAST_SECONDS:
                break
            times *= 2
        best = max(best, times * work / taken)
    return best


class Probe:
    """A short matrix product, to tell a slow period of the machine from a slow program."""

    def __init__(self, device: str = "cpu"):
        self.left = torch.randn(PROBE_TOKENS, PROBE_WIDTH, device=device)
        self.right = torch.randn(PROBE_WIDTH, PROBE_WIDTH, device=device)

    def __call__(self) -> float:
        """Return the FLOP/s that the machine gives now, in float32."""
        rate, work = 0.0, PROBE_PRODUCTS * 2.0 * PROBE_TOKENS * PROBE_WIDTH**2
        for _ in range(REPEATS):
            _wait(self.left)
            start = time.perf_counter()
            for _ in range(PROBE_PRODUCTS):
                torch.mm(self.left, self.right)
            _wait(self.left)
            rate = max(rate, work / (time.perf_counter() - start))
        return rate


def _wait(tensor: torch.Tensor) -> None:
    """Wait for the GPU, where the tensor is on one."""
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
