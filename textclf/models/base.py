"""What every model is: options that can be fitted, and the fitted classifier that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf.data.text_data import TextData
    from textclf.training.options import TrainerOptions


def _discard(values: Mapping[str, float], step: int) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class RunContext:
    """What a fit needs to know of the run that it is part of."""

    seed: int = 1
    """Seed of everything random in the fit."""
    objective: str = "validation/macro_f1"
    """The validation metric by which the best epoch is chosen and training is stopped early."""
    log_metrics: Callable[[Mapping[str, float], int], None] = _discard
    """Takes metrics by name, and the step (optimizer updates so far) they belong to."""
    is_main: bool = True
    """Whether this process speaks for the run; of several data-parallel ones only the first does."""


@dataclass(frozen=True)
class EpochResult:
    """One pass over the training data."""

    epoch: int
    """Counted from 1."""
    step: int
    """Optimizer updates so far."""
    train_loss: float
    """Mean training loss per example over the epoch."""
    metrics: dict[str, float]
    """Validation metrics after the epoch, as `validation/...`."""
    seconds: float
    """Duration of training alone, without validation."""


@dataclass(frozen=True)
class FitResult:
    """How a fit went, and what it cost."""

    num_parameters: int
    """Weights of a transformer; coefficients of a classical model."""
    train_seconds: float
    """Duration of training alone, without validation."""
    train_examples: int
    """Examples seen, counted once per epoch."""
    device: str
    """Where it was trained, such as `cpu` or `cuda`."""
    precision: str
    """Arithmetic it was trained in, such as `bf16`."""
    epochs: tuple[EpochResult, ...] = ()
    """The course of training; empty for models that are not trained in epochs."""
    best_epoch: int | None = None
    """The epoch whose weights were kept."""
    step_losses: tuple[tuple[int, float], ...] = ()
    """Training loss of single steps, as (step, loss), every `log_every` steps."""
    validation_probabilities: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """What the kept weights predict on `data.validation`, float32 (n, num_labels), where training predicted it."""

    @property
    def examples_per_second(self) -> float:
        """Training throughput."""
        return self.train_examples / self.train_seconds if self.train_seconds > 0 else float("nan")

    @property
    def best_metrics(self) -> dict[str, float]:
        """Validation metrics of the epoch that was kept; empty for models without epochs."""
        return next((epoch.metrics for epoch in self.epochs if epoch.epoch == self.best_epoch), {})


@dataclass(frozen=True)
class ModelOptions(ABC):
    """Options of a model, whichever family it is of."""

    name: str = MISSING
    """What the runs of this model are called."""

    def check(self) -> None:  # noqa: B027  (a model without anything to check is a whole model)
        """Raise before any data is loaded if the model cannot be had (a checkpoint is missing, say)."""

    @abstractmethod
    def fit(self, data: TextData, trainer: TrainerOptions, context: RunContext) -> tuple[Classifier, FitResult]:
        """Fit to `data.train`, select on `data.validation`, and leave `data.test` alone."""


@dataclass
class Classifier(ABC):
    """A fitted model: what predicting, serving and exporting hold."""

    label_names: tuple[str, ...] = field(kw_only=True)
    """Names of the classes, in the order of the probabilities."""
    temperature: float = field(default=1.0, kw_only=True)
    """What the logits are divided by before they become probabilities; above 1 makes them less sure."""

    @abstractmethod
    def predict_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Return each class's probability for each text.

        Args:
            texts: The n texts, or the first texts of n pairs.
            text_pairs: The second texts of the pairs; none for single texts.

        Returns:
            float32 (n, num_labels); rows sum to 1. An empty input gives (0, num_labels).
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the classifier so that `load_classifier(directory)` gives the same predictions."""
