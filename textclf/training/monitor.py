"""What happens around the steps of both engines: progress, curves, validation, the best weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from textclf.data.text_data import TextData
from textclf.evaluation.metric_names import higher_is_better
from textclf.evaluation.predictions import evaluate_split
from textclf.models.base import EpochResult, FitResult, RunContext
from textclf.models.transformer import TransformerClassifier
from textclf.training.options import TrainerOptions

log = logging.getLogger(__name__)


class TrainingMonitor:
    """Follows one training run from step to step.

    An engine calls `start_epoch`, then for each step `add_loss` for each part and `end_step`,
    then `end_epoch`, which answers whether to stop; and at last `finish`.
    """

    def __init__(
        self,
        classifier: TransformerClassifier,
        data: TextData,
        options: TrainerOptions,
        context: RunContext,
        steps_per_epoch: int,
        sum_over_processes: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        """Follow a run.

        Args:
            classifier: The classifier in training.
            data: Validated on `data.validation`.
            options: Number of epochs, patience, and how often to log.
            context: The objective, and where metrics are logged.
            steps_per_epoch: Optimizer steps of an epoch.
            sum_over_processes: Adds a tensor up over data-parallel processes; none for a single one.
        """
        self.classifier = classifier
        self.data = data
        self.options = options
        self.context = context
        self.steps_per_epoch = steps_per_epoch
        self.total = sum_over_processes or (lambda value: value)
        self.is_main = context.is_main
        self.step = 0
        self.epochs: list[EpochResult] = []
        self.step_losses: list[tuple[int, float]] = []
        self.best: EpochResult | None = None
        self.best_weights: dict[str, torch.Tensor] = {}
        self.best_probabilities: NDArray[np.float32] | None = None
        self.train_examples = 0
        self.began: float | None = None
        self.num_parameters = sum(weight.numel() for weight in classifier.model.parameters())
        self._sign = 1 if higher_is_better(context.objective) else -1

    def start_epoch(self) -> None:
        """Begin an epoch: fresh sums, a fresh progress bar."""
        self.began = self.began or time.time()
        self.classifier.set_training(True)
        device = self.classifier.device
        self._step_loss = torch.zeros((), device=device)
        self._epoch_loss = torch.zeros((), device=device)
        self._epoch_examples = 0
        self._bar = tqdm(
            total=len(self.data.train),
            desc=f"epoch {len(self.epochs) + 1}/{self.options.epochs}",
            unit=" examples",
            disable=None if self.is_main else True,  # None: only where a person watches
            leave=False,
        )
        self._started = time.perf_counter()

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add a part's share of the step's mean loss; no value leaves the device."""
        self._step_loss += loss.detach()

    def end_step(self, examples: int, learning_rate: float, grad_norm: float | torch.Tensor | None = None) -> None:
        """Close an optimizer step.

        Args:
            examples: Examples of the step, over all processes.
            learning_rate: The rate that the step was taken with.
            grad_norm: Norm of the gradients before clipping, where it is known.
        """
        self.step += 1
        self._epoch_loss += self._step_loss * examples
        self._epoch_examples += examples
        self._bar.update(examples)
        if self.step % self.options.log_every == 0 or self.step == 1:
            loss = self.total(self._step_loss).item()
            self.step_losses.append((self.step, loss))
            self._bar.set_postfix(loss=f"{loss:.3f}")
            metrics = {"train/loss": loss, "train/learning_rate": learning_rate}
            if grad_norm is not None:
                metrics["train/grad_norm"] = float(grad_norm)
            self.context.log_metrics(metrics, self.step)
        self._step_loss = torch.zeros_like(self._step_loss)

    def end_epoch(self) -> bool:
        """Validate, keep the weights if they are the best so far, and say whether to stop."""
        train_loss = self.total(self._epoch_loss).item() / max(self._epoch_examples, 1)  # waits for the device
        seconds = time.perf_counter() - self._started
        self._bar.close()
        self.train_examples += self._epoch_examples
        validation = evaluate_split(self.classifier, self.data, "validation")
        metrics = validation.metrics
        result = EpochResult(len(self.epochs) + 1, self.step, train_loss, metrics, seconds)
        self.epochs.append(result)
        score = self._score(result)
        improved = self.best is None or score > self._score(self.best)
        if improved:
            self.best = result
            self.best_probabilities = validation.predictions.probabilities
            if result.epoch < self.options.epochs:  # nothing follows the last epoch, so the model keeps its weights
                self.best_weights = {
                    name: weight.detach().to("cpu", copy=True)
                    for name, weight in self.classifier.model.state_dict().items()
                }
        self.context.log_metrics({"train/epoch_loss": train_loss, **metrics}, self.step)
        self._announce(result, improved)
        assert self.best is not None
        patience = self.options.patience
        stop = patience is not None and result.epoch - self.best.epoch >= patience
        if stop and result.epoch < self.options.epochs:
            log.info("no better %s for %d epochs: training stops early", self.context.objective, patience)
        return stop

    def _score(self, result: EpochResult) -> float:
        """Return the objective, signed so that more is better; an undefined one is worse than any."""
        value = result.metrics.get(self.context.objective)
        return float("-inf") if value is None else self._sign * value

    def _announce(self, result: EpochResult, improved: bool) -> None:
        """Say in one line how the epoch went."""
        if not self.is_main:
            return
        value = result.metrics.get(self.context.objective)
        log.info(
            "epoch %d/%d: train loss %.4f, %s %s%s, %.0f examples/s, %.1f s",
            result.epoch,
            self.options.epochs,
            result.train_loss,
            self.context.objective,
            "undefined" if value is None else f"{value:.4f}",
            " (best)" if improved and value is not None else "",
            self._epoch_examples / result.seconds,
            result.seconds,
        )

    def finish(self, precision: str, truncated_share: float, speedups: tuple[str, ...]) -> FitResult:
        """Give the classifier the best epoch's weights, and return how it went."""
        assert self.best is not None
        if self.best.epoch != len(self.epochs):
            self.classifier.model.load_state_dict(self.best_weights)
        self.best_weights = {}
        self.classifier.set_training(False)
        return FitResult(
            num_parameters=self.num_parameters,
            train_seconds=sum(epoch.seconds for epoch in self.epochs),
            train_examples=self.train_examples,
            device=self.classifier.device.type,
            precision=precision,
            epochs=tuple(self.epochs),
            best_epoch=self.best.epoch,
            step_losses=tuple(self.step_losses),
            began=self.began,
            truncated_share=truncated_share,
            speedups=speedups,
            validation_probabilities=self.best_probabilities,
        )
