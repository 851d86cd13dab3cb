"""Options of training a transformer, the same for both engines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from textclf.errors import refuse_unless

USUAL_EPOCHS = 4
"""Passes over data that are enough for them (Devlin et al. 2019, appendix A.3)."""
NEVER = "never"
WARMUP_FRACTION = 0.06
"""Share of the steps in which the learning rate rises where neither that nor steps are asked for."""
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
FORMS = "a number of steps such as 500, a duration such as 90s, 10min or 1h, or never"


@dataclass(frozen=True)
class Interval:
    """A number of steps, a duration, or neither for never."""

    steps: int | None = None
    seconds: float | None = None

    @property
    def is_never(self) -> bool:
        """Whether no state is ever kept."""
        return self.steps is None and self.seconds is None


def parse_interval(text: str) -> Interval:
    """Read an interval, such as `500` (steps), `90s`, `10min`, `1h` or `never`.

    Raises:
        ValueError: If it is none of the forms, or nothing at all, such as `0s`.
    """
    if text == NEVER:
        return Interval()
    found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?) ?(s|min|h)", text)
    if found is None:
        raise ValueError(text)
    steps, amount, unit = found.groups()
    interval = Interval(steps=int(steps)) if steps else Interval(seconds=float(amount) * SECONDS[unit])
    if not (interval.steps or interval.seconds):
        raise ValueError(text)
    return interval


def is_interval(text: str) -> bool:
    """Return whether a text can be read as an interval."""
    try:
        parse_interval(text)
    except ValueError:
        return False
    return True


class Precision(Enum):
    """Arithmetic of the forward and backward pass; weights stay float32."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Schedule(Enum):
    """Course of the learning rate after warm-up."""

    linear = "linear"
    cosine = "cosine"
    constant = "constant"


class Device(Enum):
    """Where the arithmetic is done."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


@dataclass(frozen=True)
class TrainerOptions:
    """Gradient training of a pretrained transformer.

    Defaults are from the ranges of BERT's authors for fine-tuning (Devlin et al. 2019, appendix
    A.3), with a warm-up as in RoBERTa (Liu et al. 2019, table 10).
    """

    epochs: int | None = None
    """Most passes over the training data, as many as are given. None takes 4, and more where the data are so few that
    these would be fewer than `min_steps` steps."""
    min_steps: int = 50
    """Fewest optimizer steps that are planned where `epochs` is not given, since few steps leave little data unused; 0
    for none. The best epoch on validation is kept."""
    max_steps: int | None = None
    """Optimizer steps to take, in place of epochs: as many passes as that needs, the last one cut short; none for whole
    epochs."""
    batch_size: int = 16
    """Examples per optimizer step, over all devices."""
    gradient_accumulation: int = 1
    """Parts that a step's batch is cut into, so that only one need fit in memory at a time."""
    learning_rate: float = 5e-5
    """Peak learning rate of AdamW, reached at the end of the warm-up."""
    layer_decay: float | None = None
    """What the learning rate of each layer is of that of the next, from the head down to the embeddings, which have the
    lowest (Howard and Ruder 2018); none gives all of them the same."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases and normalisation weights are left out."""
    warmup_fraction: float = WARMUP_FRACTION
    """Share of all steps, 0 to 1, over which the learning rate rises from 0."""
    warmup_steps: int | None = None
    """Steps over which it rises, in place of that share; none for the share."""
    schedule: Schedule = Schedule.linear
    """What follows the warm-up: linear or cosine decay to 0, or constant."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    label_smoothing: float = 0.0
    """Probability, 0 to 1, spread evenly over all classes in the training target."""
    patience: int | None = None
    """Stop after this many epochs without a better objective; none runs every epoch."""
    length_bucketing: bool = True
    """Batch texts of similar length together, which saves padding; the order stays random."""
    precision: Precision = Precision.auto
    """auto: bf16 where the hardware is fast at it, fp16 on older GPUs, else fp32."""
    device: Device = Device.auto
    """auto: the first of CUDA, MPS and CPU that is there."""
    speedups: bool = True
    """Let training choose what is faster on the device: bulk dropout, explicit attention, embeddings of the tokens that
    occur alone. false trains as plainly as transformers does; the numbers differ like those of another seed."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: about a third more time, less memory."""
    cpu_fallback: bool = False
    """Train again on the CPU where a GPU has not even memory for one example at a time, which may take very long."""
    log_every: int = 10
    """Steps between two points of the logged training curve."""
    checkpoint_every: str = "10min"
    """How often a checkpoint is written, from which an interrupted run resumes: a number of steps (`500`), a
    duration (`90s`, `10min`, `1h`), or `never`. It changes no result."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        refuse_unless(
            *(
                (value >= 1, f"{option} must be at least 1, got {value}.")
                for option, value in [
                    ("epochs", USUAL_EPOCHS if self.epochs is None else self.epochs),
                    ("batch_size", self.batch_size),
                    ("gradient_accumulation", self.gradient_accumulation),
                    ("log_every", self.log_every),
                    ("max_steps", 1 if self.max_steps is None else self.max_steps),
                    ("patience", 1 if self.patience is None else self.patience),
                ]
            ),
            (
                0 < self.learning_rate < 1,
                f"learning_rate must lie between 0 and 1, got {self.learning_rate}.",
            ),
            (
                self.layer_decay is None or 0 < self.layer_decay <= 1,
                f"layer_decay must be above 0 and at most 1 (all layers alike), got {self.layer_decay}.",
            ),
            (
                0 <= self.weight_decay < 1,
                f"weight_decay must be 0 or more and below 1, got {self.weight_decay}.",
            ),
            (
                0 <= self.warmup_fraction < 1,
                f"warmup_fraction must be in [0, 1), got {self.warmup_fraction}.",
            ),
            (
                self.warmup_steps is None or self.warmup_steps >= 0,
                f"warmup_steps must be 0 or more, got {self.warmup_steps}.",
            ),
            (
                self.max_steps is None or self.epochs is None,
                f"epochs={self.epochs} contradicts max_steps={self.max_steps}, which stands in for epochs; set one.",
            ),
            (
                self.warmup_steps is None or self.warmup_fraction == WARMUP_FRACTION,
                f"warmup_fraction={self.warmup_fraction} contradicts warmup_steps={self.warmup_steps}, which stands in "
                f"for it; set one.",
            ),
            (
                self.warmup_steps is None or self.max_steps is None or self.warmup_steps < self.max_steps,
                f"warmup_steps ({self.warmup_steps}) must be below max_steps ({self.max_steps}), or the learning rate "
                f"never gets to its peak.",
            ),
            (
                0 <= self.label_smoothing < 1,
                f"label_smoothing must be in [0, 1), got {self.label_smoothing}.",
            ),
            (self.min_steps >= 0, f"min_steps must be 0 (off) or more, got {self.min_steps}."),
            (self.max_grad_norm >= 0, f"max_grad_norm must be 0 (off) or more, got {self.max_grad_norm}."),
            (
                self.gradient_accumulation < 1 or self.batch_size % self.gradient_accumulation == 0,
                f"batch_size ({self.batch_size}) must be a multiple of gradient_accumulation "
                f"({self.gradient_accumulation}): each step's batch is cut into that many equal parts.",
            ),
            (
                not (self.precision is Precision.fp16 and self.device in (Device.cpu, Device.mps)),
                f"precision=fp16 needs a CUDA GPU and contradicts device={self.device.value}; use bf16 or fp32.",
            ),
            (is_interval(self.checkpoint_every), f"checkpoint_every must be {FORMS}, got {self.checkpoint_every!r}."),
        )

    def planned_epochs(self, steps: int) -> int:
        """Return the most passes over training data that take so many optimizer steps once."""
        return self.epochs or max(USUAL_EPOCHS, -(-self.min_steps // steps))

    @property
    def micro_batch_size(self) -> int:
        """Examples in one forward pass of training, over all devices."""
        return self.batch_size // self.gradient_accumulation

    def on_cpu(self) -> TrainerOptions:
        """Return the same options for training on the CPU, which does not compute in float16."""
        precision = Precision.auto if self.precision is Precision.fp16 else self.precision
        return replace(self, device=Device.cpu, precision=precision)


@dataclass(frozen=True)
class TorchTrainer(TrainerOptions):
    """A plain PyTorch loop: forward, loss, backward, step (`textclf.training.torch_engine`)."""


@dataclass(frozen=True)
class HFTrainer(TrainerOptions):
    """`transformers.Trainer` over the same batches, optimizer and schedule (`textclf.training.hf_engine`).

    It runs under torchrun too.
    """
