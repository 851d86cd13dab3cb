"""Find unstable training early: a loss that is not a number, gradients that explode, a loss that diverges, collapse.

Looking at a value makes a GPU wait, so there it is done where training looks anyway: at the points of the logged curve,
before a checkpoint is written, and at the end of an epoch. On a CPU every step is looked at at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data.dataset import SPLITS, TextData, label_sets_of, labels_of
from textclf.data.label_sets import rarest_label
from textclf.documents.escape import terminal
from textclf.errors import DataError, TrainingError
from textclf.evaluation.collapse import collapse_words, entropy_of
from textclf.evaluation.label_sets.collapse import set_collapse_words
from textclf.evaluation.label_sets.predictions import SetPredictions
from textclf.evaluation.predictions import Predictions
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.training.batches import BatchPlan
from textclf.training.loss import Loss, SetLoss
from textclf.training.options import TrainerOptions
from textclf.training.result import EpochResult

EXPLODED = 50.0
"""How many times its reference a norm of gradients must be to have exploded. While runs learned, it was at most 8 times
with the rates that are usual (29 times with a rate of 1e-2); as MiniLM broke at 5e-2, 74 times."""
LEAST_NORM = 10.0
"""A norm below this has not exploded, whatever the others were."""
NORMS = 50
"""Steps whose median norm is the reference: the first ones, or the last where those are higher."""
FEWEST_NORMS = 3
DIVERGED = 1.5
"""How many times the loss of guessing an epoch's mean must be for training to have diverged. Random encoders that
learned afterwards began with up to 1.4 times; at a rate of 5e-2 it was 1.9 to 3 times."""
FEWEST_STEPS = 4
"""Steps of an epoch whose mean loss says something."""
LONGEST_WAIT = 100
"""Steps after which a GPU is asked even if no point of the curve is due."""
WORRYING = 2
"""Epochs in a row with one answer to every text until a warning; the first may well be one."""
ROWS_SHOWN = 32
TEXT_SHOWN = 60


@dataclass(frozen=True)
class _Step:
    """A step that was taken and not looked at yet; its values may still be on the device."""

    number: int
    in_epoch: int
    learning_rate: float
    loss: torch.Tensor
    norm: float | torch.Tensor | None


class StabilityMonitor:
    """Watches the steps of a training run; `warnings` tells what is amiss, an error what cannot go on."""

    def __init__(
        self,
        classifier: TransformerClassifier,
        data: TextData,
        options: TrainerOptions,
        total: Callable[[torch.Tensor], torch.Tensor],
    ):
        """Watch a run.

        Args:
            classifier: The classifier in training.
            data: What it is trained on.
            options: How it is trained.
            total: Adds a tensor up over data-parallel processes.

        Raises:
            DataError: If labels and head do not fit.
        """
        check_labels(classifier, data)
        self.classifier = classifier
        self.data = data
        self.options = options
        self.total = total
        self.plan: BatchPlan | None = None
        self.guessing = math.log(data.num_labels)
        """The loss of one who guesses."""
        self.entropy: float | None = None
        """The loss of one who knows only the classes' shares; none where the loss weighs examples or classes."""
        self.first_norms: list[float] = []
        self.last_norms: list[float] = []
        self.collapsed = 0
        """Epochs in a row after which every validation prediction was the same class."""
        self._waiting: list[_Step] = []

    def expect(self, plan: BatchPlan, loss_of: Loss | SetLoss) -> None:
        """Learn which examples a step has, and what the loss of guessing is under the weights of the classes."""
        self.plan = plan
        if isinstance(loss_of, SetLoss):
            has = label_sets_of(self.data.train, self.data.num_labels)
            shares = torch.tensor(has.mean(axis=0) if plan.balanced is None else _balanced_shares(has))[None]
            logits = torch.zeros(shares.shape, device=self.classifier.device)
            self.guessing = float(loss_of(logits, shares.to(logits)))
            return
        counts = np.bincount(labels_of(self.data.train), minlength=self.data.num_labels)
        if plan.balanced is not None:
            counts = np.ones_like(counts)
        device = self.classifier.device
        logits, label = (
            torch.zeros(1, self.data.num_labels, device=device),
            torch.zeros(1, dtype=torch.int64, device=device),
        )
        self.guessing = float(replace(loss_of, class_weights=None)(logits, label))
        if loss_of.class_weights is not None:
            self.guessing *= float((loss_of.class_weights.cpu().numpy() * counts).sum() / counts.sum())
        self.entropy = entropy_of(counts) if loss_of == Loss() else None

    def saw(
        self, number: int, in_epoch: int, loss: torch.Tensor, learning_rate: float, norm: float | torch.Tensor | None
    ) -> list[str]:
        """Note a step, and look at it where that costs nothing.

        Args:
            number: Optimizer updates so far, this one included.
            in_epoch: Which step of the epoch it was; the first is 0.
            loss: This process's share of its loss, a scalar on the device.
            learning_rate: The rate that it was taken with.
            norm: Norm of its gradients before clipping, where that is known.

        Returns:
            What is to be warned of.

        Raises:
            TrainingError: If the loss or a gradient is no number.
        """
        self._waiting.append(_Step(number, in_epoch, learning_rate, loss.detach(), norm))
        at_once = loss.device.type == "cpu" and self.plan is not None and self.plan.processes.size == 1
        return self.look() if at_once or len(self._waiting) >= LONGEST_WAIT else []

    def look(self, weights: bool = False) -> list[str]:
        """Look at all steps since the last time; to be called before a checkpoint is written.

        Args:
            weights: Look at the weights too, in which a gradient that nobody measured may have left its mark.

        Returns:
            What is to be warned of.

        Raises:
            TrainingError: If a loss, a gradient or a weight is no number.
        """
        steps, self._waiting = self._waiting, []
        said: list[str] = []
        if steps:
            losses = self.total(torch.stack([step.loss for step in steps])).tolist()
            for step, loss, norm in zip(steps, losses, _values([step.norm for step in steps]), strict=True):
                if not math.isfinite(loss):
                    raise TrainingError(self._stopped(step, f"the loss is {loss}"))
                if norm is not None and not math.isfinite(norm):
                    if self.classifier.autocast is torch.float16:
                        continue  # the scaler leaves out such a step and scales less: the usual course of float16
                    raise TrainingError(self._stopped(step, f"the gradient is {norm}, the loss still {loss:.4g}"))
                if norm is not None:
                    said += self._judge_norm(step, norm)
        if weights:
            self._look_at_weights()
        return said

    def _look_at_weights(self) -> None:
        """Raise if a weight is no number."""
        bad = [name for name, weight in self.classifier.model.named_parameters() if not _is_finite(weight)]
        if bad:
            raise TrainingError(
                f"Training stopped: weights are no numbers any more ({bad[0]} and {len(bad) - 1} others). "
                f"No checkpoint was written of them. {_remedy(self.options.learning_rate)}"
            )

    def judge_epoch(self, result: EpochResult) -> list[str]:
        """Return that training diverges, where an epoch shows it by a loss far above that of guessing."""
        said = []
        long_enough = min(result.step, self.plan.steps if self.plan is not None else result.step) >= FEWEST_STEPS
        if long_enough and result.train_loss > DIVERGED * self.guessing:
            said.append(
                f"divergence: the mean training loss of epoch {result.epoch} (to step {result.step}) is "
                f"{result.train_loss:.3f}, where guessing has {self.guessing:.3f}. The learning rate "
                f"({self.options.learning_rate:g}) is too high; try {self.options.learning_rate / 10:.0e}."
            )
        return said

    def still_collapsed(self, result: EpochResult, validated: Predictions | SetPredictions) -> str | None:
        """Return that one answer was given to every text after the second epoch in a row; later ones may recover.

        Args:
            result: The epoch.
            validated: What was predicted on validation after it; sets of labels by the threshold that suits them.
        """
        if isinstance(validated, SetPredictions):
            words = set_collapse_words(validated)
        else:
            labels, predicted = validated.labels, validated.predicted
            words = collapse_words(labels, predicted, self.data.label_names, result.train_loss, self.entropy)
        self.collapsed = self.collapsed + 1 if words is not None else 0
        return f"after epoch {result.epoch}, {words}" if self.collapsed == WORRYING else None

    def plain(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, as JSON can hold it."""
        return {"first": self.first_norms, "last": self.last_norms, "collapsed": self.collapsed}

    def take(self, plain: dict[str, Any]) -> None:
        """Go on from what `plain` returned."""
        self.first_norms, self.last_norms = list(plain["first"]), list(plain["last"])
        self.collapsed = plain["collapsed"]

    def _judge_norm(self, step: _Step, norm: float) -> list[str]:
        """Return that the gradients have exploded, where they have, and remember their norm."""
        said = []
        if len(self.first_norms) >= FEWEST_NORMS:
            usual = max(median(self.first_norms), median(self.last_norms))
            if norm > max(EXPLODED * usual, LEAST_NORM):
                said.append(
                    f"exploding gradients: at step {step.number} their norm was {norm:.3g}, {norm / usual:.0f} times "
                    f"what is usual in this run ({usual:.3g}). {_remedy(step.learning_rate)}"
                )
        if len(self.first_norms) < NORMS:
            self.first_norms.append(norm)
        self.last_norms = [*self.last_norms[1 - NORMS :], norm]
        return said

    def _stopped(self, step: _Step, what: str) -> str:
        """Return where and on what training stopped."""
        return (
            f"Training stopped at step {step.number}: {what}. The learning rate was {step.learning_rate:.3g}."
            f"{self._examples(step)} Checkpoints from before stay. {_remedy(self.options.learning_rate)}"
        )

    def _examples(self, step: _Step) -> str:
        """Return which examples a step had, and how two of them begin."""
        if self.plan is None:
            return ""
        rows = self.plan.batches()[step.in_epoch].tolist()
        named = ", ".join(map(str, rows[:ROWS_SHOWN])) + (
            f" and {len(rows) - ROWS_SHOWN} more" * (len(rows) > ROWS_SHOWN)
        )
        begin = " and ".join(f"“{shortened(text)}”" for text in self.data.train.select(rows[:2])["text"])
        return f" Its {len(rows)} examples are the rows {named} of train (the first is 0), such as {begin}."


def shortened(text: str) -> str:
    """Return the beginning of a text on one line, for a terminal."""
    line = " ".join(terminal(text[: 4 * TEXT_SHOWN]).split())
    return line if len(line) <= TEXT_SHOWN else line[: TEXT_SHOWN - 1] + "…"


def _values(norms: list[float | torch.Tensor | None]) -> list[float | None]:
    """Return norms as numbers, fetched from the device at once."""
    on_device = [norm for norm in norms if isinstance(norm, torch.Tensor)]
    fetched = iter(torch.stack([norm.detach().float() for norm in on_device]).tolist() if on_device else [])
    return [next(fetched) if isinstance(norm, torch.Tensor) else norm for norm in norms]


def _balanced_shares(has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of each label, float64 (num_labels,), where each rarest label is drawn equally often."""
    groups = rarest_label(has)
    return np.mean([has[groups == group].mean(axis=0) for group in np.unique(groups)], axis=0)


def _is_finite(weight: torch.Tensor) -> bool:
    return bool(torch.isfinite(weight).all())


def _remedy(learning_rate: float) -> str:
    """Return what helps against numbers that grow without bound."""
    return (
        f"A lower trainer.learning_rate (it is {learning_rate:.2g}), a longer trainer.warmup_fraction, a "
        f"trainer.max_grad_norm of 1 or trainer.precision=fp32 would help."
    )


def check_labels(classifier: TransformerClassifier, data: TextData) -> None:
    """Raise before training where the labels and the head do not fit.

    Raises:
        DataError: With the label or the size that does not.
    """
    size = classifier.model.config.num_labels
    if size != data.num_labels:
        raise DataError(
            f"The head of the classifier has {size} classes and {data.name} has {data.num_labels} "
            f"({', '.join(data.label_names[:8])}). Load the checkpoint with a head for these labels."
        )
    if classifier.has_sets != data.has_sets:
        raise DataError(
            f"{data.name} has {'sets of labels' if data.has_sets else 'one class a text'}, and the classifier was "
            f"loaded for {'sets of labels' if classifier.has_sets else 'one class a text'}. Load the checkpoint anew "
            f"for this data."
        )
    for split in SPLITS:
        rows = data.split(split)
        if data.has_sets:
            _check_label_sets(rows, split, data)
            continue
        labels = labels_of(rows)
        wrong = np.flatnonzero((labels < 0) | (labels >= data.num_labels))
        if len(wrong):
            raise DataError(
                f"{data.name}: {split} has the label {labels[wrong[0]]} in row {wrong[0]} (the first is 0), and "
                f"{len(wrong) - 1} more like it, where labels must lie from 0 to {data.num_labels - 1}, one for each "
                f"of {data.num_labels} classes."
            )


def _check_label_sets(rows: Dataset, split: str, data: TextData) -> None:
    """Raise where a set has a number that is no label.

    Raises:
        DataError: With the number.
    """
    numbers = pc.list_flatten(rows.data.column("label")).to_numpy()
    wrong = numbers[(numbers < 0) | (numbers >= data.num_labels)]
    if len(wrong):
        raise DataError(
            f"{data.name}: {split} has the label {wrong[0]} in a set, where labels must lie from 0 to "
            f"{data.num_labels - 1}, one for each of {data.num_labels} names."
        )
