"""`trainer=torch`: fine-tuning as a plain PyTorch loop."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import LambdaLR

from textclf.data.dataset import TextData, truth_of
from textclf.errors import ConfigError
from textclf.models.options import Balance
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import WINDOWS
from textclf.models.transformer.precision import AUTOCAST
from textclf.models.transformer.tokenizer import pool_windows
from textclf.system import signals
from textclf.training.batches import TrainingBatches, training_batches
from textclf.training.checkpoints.checkpointer import Checkpointer
from textclf.training.checkpoints.fingerprint import environment_of, identity_of
from textclf.training.checkpoints.state import TrainingState
from textclf.training.loss import Loss, SetLoss, make_loss
from textclf.training.microbatch import MicroBatcher, allocate_moments
from textclf.training.monitor import TrainingMonitor
from textclf.training.optim import (
    choose_device,
    choose_precision,
    describe_device,
    make_optimizer,
    make_schedule,
)
from textclf.training.options import Precision, TorchTrainer
from textclf.training.result import FitResult, RunContext
from textclf.training.speedups.select import apply_speedups

log = logging.getLogger(__name__)


def fit_with_torch(
    options: TorchTrainer, classifier: TransformerClassifier, data: TextData, context: RunContext, balance: Balance
) -> FitResult:
    """Train `classifier` in place, and leave it with the best epoch's weights.

    Raises:
        ConfigError: If the device or precision asked for is not there, or it is run by torchrun; or if there is a
            checkpoint and what its digits stand on has changed.
        ArtifactError: If there is a checkpoint and it is of another run.
        OutOfMemoryError: If not even one example at a time fits in memory.
        Stopped: If the process was asked to stop, after a checkpoint.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("trainer=torch trains in one process; with torchrun, use trainer=hf.")
    device = choose_device(options)
    precision = choose_precision(options, device)
    classifier.autocast = AUTOCAST[precision.value]
    model = classifier.move_to(device)

    batches = training_batches(classifier, data, options, context.seed, balance)
    plan = batches.plan
    labels = truth_of(data.train, data.num_labels)
    loss_of = make_loss(balance, options.label_smoothing, labels, data.num_labels, device)
    monitor = TrainingMonitor(classifier, data, options, context, plan.epochs)
    monitor.stability.expect(plan, loss_of)
    with apply_speedups(classifier, batches.tokens.ids, options) as speedups, signals.deferred():
        optimizer = make_optimizer(model, options)
        allocate_moments(optimizer)
        speedups.follow(optimizer)
        schedule = make_schedule(optimizer, options, plan.total_steps)
        scaler = torch.amp.GradScaler("cuda", enabled=precision is Precision.fp16)
        where = describe_device(device)
        context.screen.info("training on %s in %s, %d steps an epoch", where, precision.value, plan.steps)
        monitor.announce_plan(plan.steps)
        log.info("cheaper steps: %s", ", ".join(speedups.names) or "none")

        torch.manual_seed(context.seed)
        checkpointer = Checkpointer(
            TrainingState(monitor, plan, optimizer, schedule, speedups.seen, scaler),
            options,
            context,
            partial(identity_of, options, data, batches, context, balance),
            environment_of(device, precision.value, speedups.names, processes=1),
        )
        checkpointer.resume()
        micro_batcher = MicroBatcher(plan, monitor, optimizer)
        steps = _Steps(
            batches, loss_of, optimizer, schedule, scaler, options.max_grad_norm, monitor, micro_batcher, checkpointer
        )
        while not monitor.over:
            plan.epoch = len(monitor.epochs) + 1
            monitor.start_epoch()
            for rows in plan.batches()[monitor.steps_done :]:
                steps.take(rows)
                checkpointer.after_step()
            checkpointer.end_epoch()
        monitor.take_best()
        checkpointer.finish()
        return monitor.result(precision.value, batches.truncated_share, speedups.names, plan.micro_batch_size)


@dataclass(frozen=True)
class _Steps:
    """Takes optimizer steps."""

    batches: TrainingBatches
    loss_of: Loss | SetLoss
    optimizer: torch.optim.AdamW
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    max_grad_norm: float
    monitor: TrainingMonitor
    micro_batcher: MicroBatcher
    checkpointer: Checkpointer

    def take(self, rows: NDArray[np.int64]) -> None:
        """Take a step on these examples, in parts of the size that the plan says at this moment."""
        self.micro_batcher.take(partial(self.add_gradients, rows))
        self.update(len(rows))

    def add_gradients(self, rows: NDArray[np.int64]) -> None:
        """Compute the step's gradients part by part."""
        classifier = self.batches.dataset.classifier
        for number, part in enumerate(self.batches.plan.parts(rows)):
            if number:
                self.checkpointer.between_parts(self.micro_batcher.drop_step)
            batch = self.batches.dataset.on_its_way(part)
            labels, windows = batch.pop("labels"), batch.pop(WINDOWS, None)
            with classifier.arithmetic():
                logits = pool_windows(classifier.model(**batch).logits, windows)  # (examples of the part, num_labels)
            loss = self.loss_of(logits, labels) / len(rows)
            self.scaler.scale(loss).backward()
            self.monitor.add_loss(loss)

    def update(self, examples: int) -> None:
        """Change the weights by the gradients of so many examples."""
        weights = self.batches.dataset.classifier.model.parameters()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(weights, self.max_grad_norm or float("inf"))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.monitor.end_step(examples, float(self.schedule.get_last_lr()[0]), norm)
        self.schedule.step()
