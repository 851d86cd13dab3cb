"""Monitor of a training run, for both engines: progress, curves, validation, the best weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from textclf.data.dataset import TextData
from textclf.evaluation.evaluate import evaluate_split, measure_predictions
from textclf.evaluation.label_sets.predictions import SetPredictions
from textclf.evaluation.label_sets.thresholds import best_common
from textclf.evaluation.metric_names import direction
from textclf.models.transformer.adapters import ADAPTED
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.system import signals
from textclf.system.busy import BusyWatch
from textclf.training.options import USUAL_EPOCHS, TrainerOptions
from textclf.training.result import EpochResult, FitResult, RunContext
from textclf.training.stability import StabilityMonitor

log = logging.getLogger(__name__)


class TrainingMonitor:
    """Follows one training run from step to step.

    Until training is `over`, an engine calls `start_epoch`, then for each step `add_loss` for each part and
    `end_step`, then `end_epoch`; and at last `take_best` and `result`. Where training stands at any time is
    `len(epochs)` whole epochs and `steps_done` steps of the next.
    """

    def __init__(
        self,
        classifier: TransformerClassifier,
        data: TextData,
        options: TrainerOptions,
        context: RunContext,
        epochs: int,
        sum_over_processes: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        """Follow a run.

        Args:
            classifier: The classifier in training.
            data: Validated on `data.validation`.
            options: Patience, and how often to log.
            context: The objective, and where metrics are logged.
            epochs: Most epochs, the last of which may be cut short.
            sum_over_processes: Adds a tensor up over data-parallel processes; none for a single one.
        """
        self.classifier = classifier
        self.data = data
        self.options = options
        self.context = context
        self.planned_epochs = epochs
        self.total = sum_over_processes or (lambda value: value)
        self.is_main = context.is_main
        self.interruptible = nullcontext if sum_over_processes else signals.at_once
        """In which validation is made; one of several processes must not leave it alone."""
        self.step = 0
        self.steps_done = 0
        self.points: list[tuple[int, dict[str, float]]] = []
        """All that was logged: the step, and the metrics by name."""
        self.warnings: list[str] = []
        self.stability = StabilityMonitor(classifier, data, options, self.total)
        self.resumed_at: list[int] = []
        self.has_best = False
        """Whether training is over and the classifier has the best epoch's weights."""
        self.epochs: list[EpochResult] = []
        self.step_losses: list[tuple[int, float]] = []
        self.best: EpochResult | None = None
        self.best_weights: dict[str, torch.Tensor] = {}
        self.best_probabilities: NDArray[np.float32] | None = None
        self.train_examples = 0
        self.began: float | None = None
        named = list(classifier.model.named_parameters(remove_duplicate=False))
        weights = dict(classifier.model.named_parameters())
        self.num_parameters = sum(weight.numel() for name, weight in weights.items() if ADAPTED not in name)
        self.num_trainable = sum(weight.numel() for weight in weights.values() if weight.requires_grad)
        self.frozen = frozenset(name for name, weight in named if not weight.requires_grad)
        """Names of the weights that training does not change."""
        self.epoch_loss = torch.zeros((), device=classifier.device)
        """Sum of the epoch's losses so far, of this process's examples."""
        self.epoch_examples = 0
        self.epoch_seconds = 0.0
        """What the epoch took before this process took it up."""
        computes_here = self.is_main and classifier.device.type == "cpu"
        self._busy = BusyWatch(torch.get_num_threads()) if computes_here else None
        self._sign = direction(context.objective)
        self._started = time.perf_counter()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to train."""
        last = self.planned_epochs if self.context.keep_epoch is None else self.context.keep_epoch
        if self.has_best or len(self.epochs) >= min(last, self.planned_epochs):
            return True
        patience = self.options.patience
        return self.best is not None and patience is not None and len(self.epochs) - self.best.epoch >= patience

    def announce_plan(self, steps_per_epoch: int) -> None:
        """Say how long training is planned to be, where that is not what it usually is."""
        options, planned = self.options, self.planned_epochs
        if self.is_main and options.epochs is None and options.max_steps is None and planned > USUAL_EPOCHS:
            self.context.screen.info(
                "little data: %d epochs of %d steps instead of %d, for at least %d steps (trainer.min_steps); the best "
                "on validation is kept",
                planned,
                steps_per_epoch,
                USUAL_EPOCHS,
                options.min_steps,
            )

    def start_epoch(self) -> None:
        """Begin an epoch, or resume one of which some steps are done."""
        self.began = self.began or time.time()
        self.classifier.set_training(True)
        if self.steps_done == 0:
            self.epoch_loss = torch.zeros((), device=self.classifier.device)
            self.epoch_examples, self.epoch_seconds = 0, 0.0
        self.drop_step()
        self._bar = tqdm(
            total=len(self.data.train),
            initial=self.epoch_examples,
            desc=f"epoch {len(self.epochs) + 1}/{self.planned_epochs}",
            unit=" examples",
            disable=None if self.is_main else True,  # None: only where a person watches
            leave=False,
        )
        self._started = time.perf_counter()

    def drop_step(self) -> None:
        """Forget the losses of a step that is taken again."""
        self._step_loss = torch.zeros((), device=self.classifier.device)

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
        self.steps_done += 1
        self.warn(self.stability.saw(self.step, self.steps_done - 1, self._step_loss, learning_rate, grad_norm))
        self.epoch_loss += self._step_loss * examples
        self.epoch_examples += examples
        self._bar.update(examples)
        if self.step % self.options.log_every == 0 or self.step == 1:
            self.warn(self.stability.look())
            loss = self.total(self._step_loss).item()
            self.step_losses.append((self.step, loss))
            self._bar.set_postfix(loss=f"{loss:.3f}")
            metrics = {"train/loss": loss, "train/learning_rate": learning_rate}
            if grad_norm is not None:
                metrics["train/grad_norm"] = float(grad_norm)
            self._log(metrics)
        self._step_loss = torch.zeros_like(self._step_loss)
        if self._busy is not None and (busy := self._busy.look()) is not None:
            log.warning("%s", busy)  # no part of the record, which is the same on any machine

    def break_off(self) -> None:
        """Leave an epoch that will be resumed, so that its time so far is kept."""
        if self.steps_done:
            self.epoch_seconds = self.seconds_so_far()
        self._bar.close()

    def seconds_so_far(self) -> float:
        """Return what the steps of the epoch took so far."""
        return self.epoch_seconds + time.perf_counter() - self._started

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Do something inside the context that is no part of the steps' time."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._started += time.perf_counter() - start

    def warn(self, said: list[str]) -> None:
        """Log warnings of unstable training, and keep them for the record; of each kind the first."""
        for sentence in said:
            kind = sentence.partition(":")[0]
            if not any(known.startswith(f"{kind}:") for known in self.warnings):
                self.warnings.append(sentence)
                if self.is_main:
                    log.warning("%s", sentence)

    def _log(self, metrics: dict[str, float]) -> None:
        """Log metrics of this step, and keep them for a run that resumes from here."""
        self.points.append((self.step, metrics))
        self.context.log_metrics(metrics, self.step)

    def end_epoch(self) -> None:
        """Validate, and keep the weights if they are the best so far.

        Raises:
            Stopped: If a signal came while validating, after which training stands where it did before.
        """
        self.warn(self.stability.look(weights=True))
        train_loss = self.total(self.epoch_loss).item() / max(self.epoch_examples, 1)  # waits for the device
        seconds = self.seconds_so_far()
        self._bar.close()
        self.classifier.set_training(False)
        validated, metrics = None, {}
        if self.context.keep_epoch is None:
            with self.interruptible():
                validation = evaluate_split(self.classifier, self.data, "validation")
            validated, metrics = validation.predictions, validation.metrics
            if isinstance(validated, SetPredictions):  # at one half an epoch may give no label, and yet rank them well
                validated = validated.at(best_common(validated))
                metrics = measure_predictions(self.data, "validation", validated)
        result = EpochResult(len(self.epochs) + 1, self.step, train_loss, metrics, seconds)
        self.warn(self.stability.judge_epoch(result))
        if validated is not None:
            worry = self.stability.still_collapsed(result, validated)
            if worry is not None and self.is_main:
                log.warning("%s", worry)
        self.epochs.append(result)
        self.train_examples += self.epoch_examples
        self.steps_done = 0
        score = self._score(result)
        improved = self.best is None or score > self._score(self.best) or validated is None
        if improved:
            self.best = result
            self.best_probabilities = None if validated is None else validated.probabilities
            if not self.over:  # nothing follows the last epoch, so the model keeps its weights
                self.best_weights = {name: weight.to("cpu", copy=True) for name, weight in self.trained().items()}
        self._log({"train/epoch_loss": train_loss, **metrics})
        self._announce(result, improved)
        if self.over and result.epoch < self.planned_epochs and validated is not None:
            said = "no better %s for %d epochs: training stops early"
            self.context.screen.info(said, self.context.objective, self.options.patience)

    def trained(self) -> dict[str, torch.Tensor]:
        """Return the weights that training changes, by name; they are not copied."""
        state = self.classifier.model.state_dict()
        return {name: weight.detach() for name, weight in state.items() if name not in self.frozen}

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the classifier weights that `trained` returned.

        Raises:
            RuntimeError: If they are those of another model.
        """
        found = self.classifier.model.load_state_dict(weights, strict=False)
        if other := [*(name for name in found.missing_keys if name not in self.frozen), *found.unexpected_keys]:
            raise RuntimeError(f"{len(other)} weights are not in both, such as {other[0]}")

    def _score(self, result: EpochResult) -> float:
        """Return the objective, signed so that more is better; an undefined one is worse than any."""
        value = result.metrics.get(self.context.objective)
        return float("-inf") if value is None else self._sign * value

    def _announce(self, result: EpochResult, improved: bool) -> None:
        """Say in one line how the epoch went."""
        if not self.is_main:
            return
        value = result.metrics.get(self.context.objective)
        self.context.screen.info(
            "epoch %d/%d: train loss %.4f, %s %s%s, %.0f examples/s, %.1f s",
            result.epoch,
            self.planned_epochs,
            result.train_loss,
            self.context.objective,
            "not looked at" if self.context.keep_epoch else "undefined" if value is None else f"{value:.4f}",
            " (best)" if improved and value is not None else "",
            self.epoch_examples / result.seconds,
            result.seconds,
        )

    def take_best(self) -> None:
        """Give the classifier the best epoch's weights."""
        assert self.best is not None
        if not self.has_best and self.best.epoch != len(self.epochs):
            self.take(self.best_weights)
        self.has_best, self.best_weights = True, {}
        self.classifier.set_training(False)

    def result(
        self, precision: str, truncated_share: float, speedups: tuple[str, ...], micro_batch_size: int
    ) -> FitResult:
        """Return how it went.

        Args:
            precision: Arithmetic of the steps.
            truncated_share: Share of the training texts of which tokens were left out.
            speedups: What made the steps cheaper.
            micro_batch_size: Examples in one forward pass, in the end.
        """
        assert self.best is not None
        return FitResult(
            num_parameters=self.num_parameters,
            num_trainable=self.num_trainable,
            train_seconds=sum(epoch.seconds for epoch in self.epochs),
            train_examples=self.train_examples,
            device=self.classifier.device.type,
            precision=precision,
            epochs=tuple(self.epochs),
            planned_epochs=self.planned_epochs,
            best_epoch=self.best.epoch,
            step_losses=tuple(self.step_losses),
            began=self.began,
            truncated_share=truncated_share,
            speedups=speedups,
            validation_probabilities=self.best_probabilities,
            resumed_at=tuple(self.resumed_at),
            micro_batch_size=None if micro_batch_size == self.options.micro_batch_size else micro_batch_size,
            warnings=tuple(self.warnings),
        )
