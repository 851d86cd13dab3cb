"""`trainer=hf`: fine-tuning with `transformers.Trainer`, alone or data-parallel under torchrun.

The Trainer steps; batches, optimizer, schedule, loss, validation and best weights are those of
`trainer=torch`, so that the two engines differ in nothing but the loop.
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from textclf.data.text_data import TextData, labels_of
from textclf.models.arithmetic import AUTOCAST
from textclf.models.base import Balance, FitResult, RunContext
from textclf.models.token_rows import WINDOWS
from textclf.models.tokens import pool_windows
from textclf.models.transformer import TransformerClassifier
from textclf.training.batches import BatchPlan, Share, training_batches
from textclf.training.loss import make_loss
from textclf.training.monitor import TrainingMonitor
from textclf.training.optim import (
    choose_device,
    choose_precision,
    describe_device,
    make_optimizer,
    make_schedule,
)
from textclf.training.options import HFTrainer, Precision
from textclf.training.speedups import sped_up

log = logging.getLogger(__name__)


def fit_with_transformers(
    options: HFTrainer, classifier: TransformerClassifier, data: TextData, context: RunContext, balance: Balance
) -> FitResult:
    """Train `classifier` in place, and leave it with the best epoch's weights.

    Raises:
        ConfigError: If the device or precision asked for is not there, or the batch cannot be
            shared out evenly over the processes.
    """
    device = choose_device(options)
    precision = choose_precision(options, device)
    classifier.autocast = AUTOCAST[precision.value]
    with tempfile.TemporaryDirectory(prefix="textclf-hf-") as folder:  # the Trainer insists on one
        arguments = _arguments(options, folder, device, precision, context.seed)
        classifier.move_to(arguments.device)
        share = Share(arguments.process_index, arguments.world_size)
        loader, plan, tokens = training_batches(classifier, data, options, context.seed, balance, share)
        labels = labels_of(data.train)
        loss_of = make_loss(balance, options.label_smoothing, labels, data.num_labels, classifier.device)
        total = _sum_over_processes if share.world_size > 1 else None
        monitor = TrainingMonitor(classifier, data, options, context, plan.steps, total)

        def loss_of_part(
            outputs: SequenceClassifierOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor
        ) -> torch.Tensor:
            # Stated here, since the model's own loss is a mean over the part, which the Trainer takes
            # for a share of the step's and does not scale under gradient accumulation.
            assert outputs.logits is not None
            loss = loss_of(pool_windows(outputs.logits, trainer.windows), labels) / num_items_in_batch
            monitor.add_loss(loss)
            return loss

        with sped_up(classifier, tokens.ids, options) as speedups:
            optimizer = make_optimizer(classifier.model, options)
            speedups.follow(optimizer)
            schedule = make_schedule(optimizer, options, total_steps=plan.steps * options.epochs)
            trainer = _PlannedTrainer(
                model=classifier.model,
                args=arguments,
                train_dataset=loader.dataset,
                optimizers=(optimizer, schedule),
                compute_loss_func=loss_of_part,
                callbacks=[_MonitorCallback(monitor, plan, options)],
            )
            trainer.planned_batches = loader
            trainer.remove_callback(PrinterCallback)  # the monitor tells what there is to tell
            log.info(
                "training with transformers.Trainer on %s in %s, %d steps an epoch%s",
                describe_device(device),
                precision.value,
                plan.steps,
                f", {share.world_size} processes" if share.world_size > 1 else "",
            )
            log.info("cheaper steps: %s", ", ".join(speedups.names) or "none")
            torch.manual_seed(context.seed + share.rank)  # each process drops out other units
            trainer.train()
            return monitor.finish(precision.value, tokens.num_cut / len(tokens), speedups.names)


class _PlannedTrainer(Trainer):
    """The Trainer over batches that are planned, padded and shared out already."""

    planned_batches: DataLoader
    windows: torch.Tensor | None = None
    """How many rows each text of the current part has, where texts are read in windows."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self.windows = inputs.pop(WINDOWS, None)  # no input of the model
        return super().compute_loss(model, inputs, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        return self.planned_batches

    def floating_point_ops(self, inputs: dict[str, torch.Tensor]) -> int:
        return 0  # an estimate that nobody reads


class _MonitorCallback(TrainerCallback):
    """Tells the monitor what the Trainer does."""

    def __init__(self, monitor: TrainingMonitor, plan: BatchPlan, options: HFTrainer):
        self.monitor = monitor
        self.plan = plan
        self.options = options
        self.grad_norm: float | None = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.plan.epoch = len(self.monitor.epochs) + 1
        self.done = 0
        self.monitor.start_epoch()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        optimizer = kwargs["optimizer"]
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.learning_rate = optimizer.param_groups[0]["lr"]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        examples = min(self.options.batch_size, self.plan.examples - self.done)
        self.done += examples
        self.monitor.end_step(examples, self.learning_rate)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        # Every process validates, and all come to the same answer.
        if self.monitor.end_epoch():
            control.should_training_stop = True


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


def _sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all data-parallel processes."""
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total
