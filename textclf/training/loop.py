"""`trainer=torch`: fine-tuning as a plain PyTorch loop."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import islice

import torch

from textclf.data.text_data import TextData, labels_of
from textclf.errors import ConfigError
from textclf.models.arithmetic import AUTOCAST
from textclf.models.base import Balance, FitResult, RunContext
from textclf.models.token_rows import WINDOWS
from textclf.models.tokens import pool_windows
from textclf.models.transformer import TransformerClassifier
from textclf.training.batches import training_batches
from textclf.training.loss import make_loss
from textclf.training.monitor import TrainingMonitor
from textclf.training.optim import (
    choose_device,
    choose_precision,
    describe_device,
    make_optimizer,
    make_schedule,
)
from textclf.training.options import Precision, TorchTrainer
from textclf.training.speedups import sped_up

log = logging.getLogger(__name__)


def fit_with_torch(
    options: TorchTrainer, classifier: TransformerClassifier, data: TextData, context: RunContext, balance: Balance
) -> FitResult:
    """Train `classifier` in place, and leave it with the best epoch's weights.

    Raises:
        ConfigError: If the device or precision asked for is not there, or it is run by torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("trainer=torch trains in one process; with torchrun, use trainer=hf.")
    device = choose_device(options)
    precision = choose_precision(options, device)
    classifier.autocast = AUTOCAST[precision.value]
    model = classifier.move_to(device)

    loader, plan, tokens = training_batches(classifier, data, options, context.seed, balance)
    loss_of = make_loss(balance, options.label_smoothing, labels_of(data.train), data.num_labels, device)
    monitor = TrainingMonitor(classifier, data, options, context, plan.steps)
    with sped_up(classifier, tokens.ids, options) as speedups:
        optimizer = make_optimizer(model, options)
        speedups.follow(optimizer)
        schedule = make_schedule(optimizer, options, total_steps=plan.steps * options.epochs)
        scaler = torch.amp.GradScaler("cuda", enabled=precision is Precision.fp16)
        log.info("training on %s in %s, %d steps an epoch", describe_device(device), precision.value, plan.steps)
        log.info("cheaper steps: %s", ", ".join(speedups.names) or "none")

        torch.manual_seed(context.seed)
        for epoch in range(1, options.epochs + 1):
            plan.epoch = epoch
            monitor.start_epoch()
            for step in _in_steps(iter(loader), options.gradient_accumulation):
                examples = sum(len(part["labels"]) for part in step)
                for part in step:
                    batch = {name: values.to(device, non_blocking=True) for name, values in part.items()}
                    labels, windows = batch.pop("labels"), batch.pop(WINDOWS, None)
                    with classifier.arithmetic():
                        logits = pool_windows(model(**batch).logits, windows)  # (examples of the part, num_labels)
                    loss = loss_of(logits, labels) / examples
                    scaler.scale(loss).backward()
                    monitor.add_loss(loss)

                scaler.unscale_(optimizer)
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm or float("inf"))
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
                monitor.end_step(examples, float(schedule.get_last_lr()[0]), norm)
                schedule.step()
            if monitor.end_epoch():
                break
        return monitor.finish(precision.value, tokens.num_cut / len(tokens), speedups.names)


def _in_steps(parts: Iterator[dict[str, torch.Tensor]], per_step: int) -> Iterator[list[dict[str, torch.Tensor]]]:
    """Yield the micro-batches of each optimizer step; the last step may have fewer."""
    while step := list(islice(parts, per_step)):
        yield step
