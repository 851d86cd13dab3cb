"""`trainer=hf`: fine-tuning with `transformers.Trainer`, alone or data-parallel under torchrun.

The Trainer steps; batches, optimizer, schedule, loss, validation and best weights are those of
`trainer=torch`, so that the two engines differ in nothing but the loop.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from textclf.data.dataset import TextData, truth_of
from textclf.models.options import Balance
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import WINDOWS
from textclf.models.transformer.precision import AUTOCAST
from textclf.models.transformer.tokenizer import pool_windows
from textclf.system import signals
from textclf.system.unfinished import temporary_folder
from textclf.training.batches import ProcessGroup, TrainingBatches, training_batches
from textclf.training.checkpoints.checkpointer import Checkpointer
from textclf.training.checkpoints.fingerprint import environment_of, identity_of
from textclf.training.checkpoints.state import TrainingState, random_state, set_random_state
from textclf.training.loss import Loss, SetLoss, make_loss
from textclf.training.microbatch import MicroBatcher, allocate_moments, failure_of
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
    with temporary_folder("textclf-hf-") as folder:
        arguments = _arguments(options, str(folder), device, precision, context.seed)
        # A Trainer writes it to the model's config, which must not differ between a resumed run and another.
        arguments.use_cache = getattr(classifier.model.config, "use_cache", False)
        classifier.move_to(arguments.device)
        several = arguments.world_size > 1
        processes = ProcessGroup(arguments.process_index, arguments.world_size, *([_stacked] if several else []))
        batches = training_batches(classifier, data, options, context.seed, balance, processes)
        plan = batches.plan
        labels = truth_of(data.train, data.num_labels)
        loss_of = make_loss(balance, options.label_smoothing, labels, data.num_labels, classifier.device)
        total = _sum_over_processes if several else None
        monitor = TrainingMonitor(classifier, data, options, context, plan.epochs, total)
        monitor.stability.expect(plan, loss_of)
        with apply_speedups(classifier, batches.tokens.ids, options) as speedups, signals.deferred():
            optimizer = make_optimizer(classifier.model, options)
            allocate_moments(optimizer)
            speedups.follow(optimizer)
            schedule = make_schedule(optimizer, options, plan.total_steps)
            context.screen.info(
                "training with transformers.Trainer on %s in %s, %d steps an epoch%s",
                describe_device(device),
                precision.value,
                plan.steps,
                f", {processes.size} processes" if several else "",
            )
            monitor.announce_plan(plan.steps)
            log.info("cheaper steps: %s", ", ".join(speedups.names) or "none")
            torch.manual_seed(context.seed + processes.rank)  # each process drops out other units
            training = TrainingState(monitor, plan, optimizer, schedule, speedups.seen, _scaler(precision))
            checkpointer = Checkpointer(
                training,
                options,
                context,
                partial(identity_of, options, data, batches, context, balance),
                environment_of(device, precision.value, speedups.names, processes.size),
                processes,
            )
            checkpointer.resume()
            micro_batcher = MicroBatcher(plan, monitor, optimizer)
            while not monitor.over:
                steps = partial(_take_steps, arguments, batches, training, checkpointer, loss_of, micro_batcher)
                failure = failure_of(steps)
                if failure is not None:
                    monitor.break_off()
                    micro_batcher.halve(failure)
            monitor.take_best()
            checkpointer.finish()
            return monitor.result(precision.value, batches.truncated_share, speedups.names, plan.micro_batch_size)


def _take_steps(
    arguments: TrainingArguments,
    batches: TrainingBatches,
    training: TrainingState,
    checkpointer: Checkpointer,
    loss_of: Loss | SetLoss,
    micro_batcher: MicroBatcher,
) -> None:
    """Let a Trainer take steps from where training stands, to the end of an epoch that was begun or is cut short.

    Else it goes to the end of the last whole epoch.

    Whatever it raises, the steps that the monitor counted are done and the next call continues after them, with the
    plan's size of parts at that moment.
    """
    monitor, plan = training.monitor, batches.plan
    plan.epoch, plan.done = len(monitor.epochs) + 1, monitor.steps_done
    if plan.done == plan.steps_of(plan.epoch):  # nothing of this epoch is left but its validation
        monitor.start_epoch()
        checkpointer.end_epoch()
        return

    def loss_of_part(
        outputs: SequenceClassifierOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor
    ) -> torch.Tensor:
        # Stated here, since the model's own loss is a mean over the part, which the Trainer takes
        # for a share of the step's and does not scale under gradient accumulation.
        assert outputs.logits is not None
        # What the Trainer counts are labels, which a set has a row of.
        examples = num_items_in_batch / labels.shape[1] if labels.ndim == 2 else num_items_in_batch
        loss = loss_of(pool_windows(outputs.logits, trainer.windows), labels) / examples
        monitor.add_loss(loss)
        return loss

    own = copy(arguments)
    whole = plan.total_steps // plan.steps - len(monitor.epochs)  # epochs that are not cut short
    own.num_train_epochs = 1 if plan.done else max(whole, 1)
    own.per_device_train_batch_size = plan.micro_batch_size
    own.gradient_accumulation_steps = plan.parts_per_step
    random = random_state(monitor.classifier.device)  # which the Trainer seeds again
    callback = MonitorCallback(training, checkpointer, micro_batcher)
    trainer = PlannedTrainer(
        model=monitor.classifier.model,
        args=own,
        train_dataset=batches.dataset,
        optimizers=(training.optimizer, training.schedule),
        compute_loss_func=loss_of_part,
        callbacks=[callback],
    )
    trainer.planned_batches = batches.loader()
    callback.trainer = trainer
    trainer.remove_callback(PrinterCallback)  # the monitor tells what there is to tell
    if training.scaler is not None:
        trainer.accelerator.scaler = training.scaler
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
        num_train_epochs=1,  # each Trainer is told its own number
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

    def __init__(self, training: TrainingState, checkpointer: Checkpointer, micro_batcher: MicroBatcher):
        self.monitor = training.monitor
        self.micro_batcher = micro_batcher
        self.trainer: PlannedTrainer | None = None
        self.plan = training.plan
        self.checkpointer = checkpointer

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
        self.micro_batcher.begin_step()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Note the learning rate of the step."""
        optimizer = kwargs["optimizer"]
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.learning_rate = optimizer.param_groups[0]["lr"]

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Stop before the step is whole, where that is asked."""
        self.checkpointer.between_parts(self.micro_batcher.drop_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Count the step, and keep a checkpoint where it is time to."""
        norm = self.trainer.grad_norm if self.trainer is not None else None
        self.monitor.end_step(self.plan.examples_of(self.monitor.steps_done), self.learning_rate, norm)
        self.checkpointer.after_step()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Validate."""
        # Every process validates, and all come to the same answer.
        with _unwrapped(self.monitor.classifier.model):
            self.checkpointer.end_epoch()
        if self.monitor.over:
            control.should_training_stop = True
