"""Parts of a step that fit in memory: where one does not, the step is taken again in parts of half the size.

The examples of the step stay the same, and so do weights and optimizer; the random numbers are put back to where the
step began, so that a run whose parts are halved at the same step has the same digits again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from textclf.errors import TextclfError
from textclf.system.memory import OutOfMemoryError, brief, is_out_of_memory, release_memory
from textclf.training.batches import BatchPlan
from textclf.training.checkpoints.state import random_state, set_random_state
from textclf.training.monitor import TrainingMonitor

log = logging.getLogger(__name__)


class MicroBatcher:
    """Finds the size of parts that fits, for one training run; the plan holds it."""

    def __init__(self, plan: BatchPlan, monitor: TrainingMonitor, optimizer: torch.optim.Optimizer):
        """Begin with the size that the plan says.

        Args:
            plan: Whose parts are halved.
            monitor: What is told to forget a step's losses.
            optimizer: Whose gradients are thrown away.
        """
        self.plan = plan
        self.monitor = monitor
        self.optimizer = optimizer
        self._random: dict[str, torch.Tensor] = {}

    def begin_step(self) -> None:
        """Remember the random numbers that a step begins with."""
        self._random = random_state(self.monitor.classifier.device)

    def take(self, attempt: Callable[[], None]) -> None:
        """Compute the gradients of a step, again in smaller parts for as long as they do not fit.

        Args:
            attempt: Computes them from the beginning.

        Raises:
            OutOfMemoryError: If a single example does not fit.
        """
        self.begin_step()
        while (error := failure_of(attempt)) is not None:
            self.halve(error)

    def drop_step(self) -> None:
        """Throw the gradients and losses of a step away, and go back to the random numbers that it began with."""
        self.optimizer.zero_grad()
        self.monitor.drop_step()
        if self._random:
            set_random_state(self._random, self.monitor.classifier.device)

    def halve(self, said: str) -> None:
        """Throw a step's gradients and losses away, and halve the parts.

        Args:
            said: What the library said of the memory.

        Raises:
            OutOfMemoryError: If the parts are single examples already, or several processes share each part.
        """
        device = self.monitor.classifier.device.type
        size, processes = self.plan.micro_batch_size, self.plan.processes.size
        self.optimizer.zero_grad()
        self.monitor.drop_step()
        release_memory()
        if processes > 1:
            raise OutOfMemoryError(
                f"The memory of one of {processes} processes ran out in training ({said}), and the others cannot be "
                f"told to take the step again. Raise trainer.gradient_accumulation "
                f"(it is {self.plan.options.gradient_accumulation}).",
                device,
            )
        if size == 1:
            raise OutOfMemoryError(_too_small(device, said, self.monitor), device)
        if self._random:
            set_random_state(self._random, self.monitor.classifier.device)
        self.plan.micro_batch_size = max(1, size // 2)
        log.warning(
            "out of memory at step %d with %d examples at a time: the step is taken again with %d at a time, its "
            "%d examples and what is learned from them stay the same",
            self.monitor.step + 1,
            size,
            self.plan.micro_batch_size,
            self.plan.examples_of(self.monitor.steps_done),
        )


def allocate_moments(optimizer: torch.optim.AdamW) -> None:
    """Give the optimizer its memory before the first step, as that would, so that no update can fail half-way.

    Raises:
        OutOfMemoryError: If it does not fit beside the weights.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    fused = any(group["fused"] for group in optimizer.param_groups)
    try:
        for weight in weights:
            where = weight.device if fused else torch.device("cpu")
            optimizer.state[weight] = {
                "step": torch.zeros((), dtype=torch.float32, device=where),
                "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
            }
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        size = sum(2 * weight.numel() * weight.element_size() for weight in weights) / 1e6
        raise OutOfMemoryError(
            f"The weights fit in memory, but not the {size:,.0f} MB that the optimizer keeps beside them "
            f"({brief(error)}). A smaller model would help, such as model=distilbert or model=minilm.",
            weights[0].device.type,
        ) from error


def failure_of(attempt: Callable[[], None]) -> str | None:
    """Return what was said where memory ran out; the error itself would keep the memory of the attempt alive."""
    try:
        attempt()
    except Exception as error:
        if isinstance(error, TextclfError) or not is_out_of_memory(error):
            raise
        return brief(error)
    return None


def _too_small(device: str, said: str, monitor: TrainingMonitor) -> str:
    """Return that a single example does not fit, and what would help."""
    options, ways = monitor.options, []
    ways.append(f"a shorter model.max_length (it is {monitor.classifier.lengths.max_length})")
    if not options.gradient_checkpointing:
        ways.append("trainer.gradient_checkpointing=true")
    ways.append("a smaller model (model=distilbert, model=minilm)")
    if device != "cpu" and not options.cpu_fallback:
        ways.append("trainer.cpu_fallback=true, which trains on the CPU instead")
    return (
        f"Out of memory on {device} at step {monitor.step + 1}, even with one example at a time ({said}). "
        f"What would help: {', '.join(ways)}."
    )
