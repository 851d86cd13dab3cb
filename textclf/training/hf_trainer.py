"""`transformers.Trainer` over planned batches, and what it tells of each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from textclf.models.transformer.encoded import WINDOWS
from textclf.training.checkpoints.checkpointer import Checkpointer
from textclf.training.checkpoints.state import Parts
from textclf.training.microbatch import Room


@contextmanager
def _unwrapped(model: torch.nn.Module) -> Iterator[None]:
    """Take off what accelerate puts around a forward pass in 16 bits, so that predictions are those of any model."""
    wrapped = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if wrapped is not None:
            model.forward = wrapped


class PlannedTrainer(Trainer):
    """The Trainer over batches that are planned, padded and shared out already."""

    planned_batches: DataLoader
    windows: torch.Tensor | None = None
    """How many rows each text of the current part has, where texts are read in windows."""
    grad_norm: torch.Tensor | float | None = None
    """Norm of the last step's gradients before clipping."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the loss of a part, whose number of windows is kept for the function that computes it."""
        self.windows = inputs.pop(WINDOWS, None)  # no input of the model
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        self.grad_norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        return self.grad_norm

    def get_train_dataloader(self) -> DataLoader:
        """Return the planned batches."""
        return self.planned_batches

    def floating_point_ops(self, inputs: dict[str, torch.Tensor]) -> int:
        """Return nothing: an estimate that nobody reads."""
        return 0


class MonitorCallback(TrainerCallback):
    """Tells the monitor what the Trainer does."""

    def __init__(self, parts: Parts, keeper: Checkpointer, room: Room):
        self.monitor = parts.monitor
        self.room = room
        self.trainer: PlannedTrainer | None = None
        self.plan = parts.plan
        self.keeper = keeper

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin an epoch."""
        self.plan.epoch, self.plan.done = len(self.monitor.epochs) + 1, self.monitor.steps_done
        self.monitor.start_epoch()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Remember what a step begins with."""
        self.room.begin_step()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Note the learning rate of the step."""
        optimizer = kwargs["optimizer"]
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.learning_rate = optimizer.param_groups[0]["lr"]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Count the step, and keep a checkpoint where it is time to."""
        norm = self.trainer.grad_norm if self.trainer is not None else None
        self.monitor.end_step(self.plan.examples_of(self.monitor.steps_done), self.learning_rate, norm)
        self.keeper.after_step()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Validate."""
        # Every process validates, and all come to the same answer.
        with _unwrapped(self.monitor.classifier.model):
            self.keeper.end_epoch()
        if self.monitor.over:
            control.should_training_stop = True
