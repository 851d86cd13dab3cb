"""`trainer=hf`: fine-tuning with `transformers.Trainer`, alone or data-parallel under torchrun.

The Trainer steps; batches, optimizer, schedule, loss, validation and best weights are those of
`trainer=torch`, so that the two engines differ in nothing but the loop.
"""

from __future__ import annotations

import logging
import os
import tempfile
from copy import copy
from functools import partial

import torch
from transformers import PrinterCallback, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from textclf.data.dataset import TextData, labels_of
from textclf.models.options import Balance
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.precision import AUTOCAST
from textclf.models.transformer.tokenizer import pool_windows
from textclf.system import signals
from textclf.training.batches import Share, TrainingBatches, training_batches
from textclf.training.checkpoints.checkpointer import Checkpointer
from textclf.training.checkpoints.fingerprint import environment_of, identity_of
from textclf.training.checkpoints.state import Parts, Processes, random_state, set_random_state
from textclf.training.hf_trainer import MonitorCallback, PlannedTrainer
from textclf.training.loss import Loss, make_loss
from textclf.training.microbatch import Room, allocate_moments, failure_of
from textclf.training.monitor import TrainingMonitor
from textclf.training.optim import (
    choose_device,
    choose_precision,
    describe_device,
    make_optimizer,
    make_schedule,
)
from textclf.training.options import HFTrainer, Precision
from textclf.training.result import FitResult, RunContext
from textclf.training.speedups.select import apply_speedups

log = logging.getLogger(__name__)


def fit_with_transformers(
    options: HFTrainer, classifier: TransformerClassifier, data: TextData, context: RunContext, balance: Balance
) -> FitResult:
    """Train `classifier` in place, and leave it with the best epoch's weights.

    Raises:
        ConfigError: If the device or precision asked for is not there, or the batch cannot be shared out evenly over
            the processes; or if there is a checkpoint and what its digits stand on has changed.
        ArtifactError: If there is a checkpoint and it is of another run.
        OutOfMemoryError: If not even one example at a time fits in memory.
        Stopped: If the process was asked to stop, after a checkpoint.
    """
    device = choose_device(options)
    precision = choose_precision(options, device)
    classifier.autocast = AUTOCAST[precision.value]
    with tempfile.TemporaryDirectory(prefix="textclf-hf-") as folder, signals.deferred():
        arguments = _arguments(options, folder, device, precision, context.seed)
        # A Trainer writes it to the model's config, which must not tell whether training was gone on with or over.
        arguments.use_cache = getattr(classifier.model.config, "use_cache", False)
        classifier.move_to(arguments.device)
        share = Share(arguments.process_index, arguments.world_size)
        batches = training_batches(classifier, data, options, context.seed, balance, share)
        plan = batches.plan
        labels = labels_of(data.train)
        loss_of = make_loss(balance, options.label_smoothing, labels, data.num_labels, classifier.device)
        total = _sum_over_processes if share.world_size > 1 else None
        monitor = TrainingMonitor(classifier, data, options, context, plan.steps, total)
        monitor.turns.expect(plan, loss_of)
        with apply_speedups(classifier, batches.tokens.ids, options) as speedups:
            optimizer = make_optimizer(classifier.model, options)
            allocate_moments(optimizer)
            speedups.follow(optimizer)
            schedule = make_schedule(optimizer, options, total_steps=plan.steps * options.epochs)
            log.info(
                "training with transformers.Trainer on %s in %s, %d steps an epoch%s",
                describe_device(device),
                precision.value,
                plan.steps,
                f", {share.world_size} processes" if share.world_size > 1 else "",
            )
            log.info("cheaper steps: %s", ", ".join(speedups.names) or "none")
            torch.manual_seed(context.seed + share.rank)  # each process drops out other units
            parts = Parts(monitor, plan, optimizer, schedule, speedups.seen, _scaler(precision))
            keeper = Checkpointer(
                parts,
                options,
                context,
                partial(identity_of, options, data, batches, context, balance),
                environment_of(device, precision.value, speedups.names, share.world_size),
                Processes(share.rank, share.world_size, _stacked) if share.world_size > 1 else None,
            )
            keeper.resume()
            room = Room(plan, monitor, optimizer)
            while not monitor.over:
                said = failure_of(partial(_take_steps, arguments, batches, parts, keeper, loss_of, room))
                if said is not None:
                    monitor.break_off()
                    room.halve(said)
            monitor.take_best()
            keeper.finish()
            return monitor.result(precision.value, batches.truncated_share, speedups.names, plan.micro_batch_size)


def _take_steps(
    arguments: TrainingArguments,
    batches: TrainingBatches,
    parts: Parts,
    keeper: Checkpointer,
    loss_of: Loss,
    room: Room,
) -> None:
    """Let a Trainer take steps from where training stands: to the end of an epoch that was begun, or else to the last.

    Whatever it raises, the steps that the monitor counted are done and the next call goes on after them, with the
    plan's size of parts at that moment.
    """
    monitor, plan = parts.monitor, batches.plan
    plan.epoch, plan.done = len(monitor.epochs) + 1, monitor.steps_done
    if plan.done == plan.steps:  # nothing of this epoch is left but its validation
        monitor.start_epoch()
        keeper.end_epoch()
        return

    def loss_of_part(
        outputs: SequenceClassifierOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor
    ) -> torch.Tensor:
        # Stated here, since the model's own loss is a mean over the part, which the Trainer takes
        # for a share of the step's and does not scale under gradient accumulation.
        assert outputs.logits is not None
        loss = loss_of(pool_windows(outputs.logits, trainer.windows), labels) / num_items_in_batch
        monitor.add_loss(loss)
        return loss

    own = copy(arguments)
    own.num_train_epochs = 1 if plan.done else monitor.options.epochs - len(monitor.epochs)
    own.per_device_train_batch_size = plan.micro_batch_size
    own.gradient_accumulation_steps = plan.parts_per_step
    random = random_state(monitor.classifier.device)  # which the Trainer seeds anew
    callback = MonitorCallback(parts, keeper, room)
    trainer = PlannedTrainer(
        model=monitor.classifier.model,
        args=own,
        train_dataset=batches.dataset,
        optimizers=(parts.optimizer, parts.schedule),
        compute_loss_func=loss_of_part,
        callbacks=[callback],
    )
    trainer.planned_batches = batches.loader()
    callback.trainer = trainer
    trainer.remove_callback(PrinterCallback)  # the monitor tells what there is to tell
    if parts.scaler is not None:
        trainer.accelerator.scaler = parts.scaler
    set_random_state(random, monitor.classifier.device)
    try:
        trainer.train()
    finally:
        for name in ("forward", "_original_forward", "_is_accelerate_prepared"):  # what accelerate left on it
            monitor.classifier.model.__dict__.pop(name, None)


def _scaler(precision: Precision) -> torch.amp.GradScaler | None:
    """Return what scales the loss in float16, as accelerate would make it."""
    return torch.amp.GradScaler("cuda") if precision is Precision.fp16 else None


def _arguments(
    options: HFTrainer, folder: str, device: torch.device, precision: Precision, seed: int
) -> TrainingArguments:
    """Return the Trainer's own options; what is not its business here is switched off."""
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.micro_batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        max_grad_norm=options.max_grad_norm,
        bf16=precision is Precision.bf16,
        fp16=precision is Precision.fp16,
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
        seed=seed,
        data_seed=seed,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )


def _stacked(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor of all data-parallel processes, stacked, on the CPU."""
    there = value.to(f"cuda:{torch.cuda.current_device()}") if torch.distributed.get_backend() == "nccl" else value
    found = [torch.empty_like(there) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(found, there.contiguous())
    return torch.stack(found).cpu()


def _sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all data-parallel processes."""
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total
