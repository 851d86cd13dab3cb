"""The run that a fit is part of (`RunContext`), and the course and cost of the fit (`FitResult`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.models.llm.money import Purse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    checkpoints: Path | None = None
    """Folder in which training keeps its state while it is under way, and from which it resumes where a valid
    one is there already; none keeps nothing."""
    accept_changes: bool = False
    """Go on from a checkpoint although device, precision, number of threads or versions are no longer those of the
    process that wrote it, so that the digits may differ."""
    keep_epoch: int | None = None
    """Train to the end of this epoch and keep its weights, without a look at validation; none chooses on validation."""
    fenced: Callable[[], AbstractContextManager[None]] = nullcontext
    """Makes the context in which a checkpoint is written; raises where the run is another worker's by now."""
    currency: str = "USD"
    """The currency of prices that options give."""
    purse: Purse = field(default_factory=Purse, compare=False, repr=False)
    """What the run has paid for answers of a service."""
    is_fold: bool = False
    """Whether it is one fit of many in a cross-validation, of which a person is told a line each."""

    @property
    def screen(self) -> logging.Logger:
        """Takes lines on the course of training for a person; those of a fold, or of a follower, are none."""
        return logging.getLogger("textclf.said" if self.is_main and not self.is_fold else __name__)


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

    num_parameters: int | None
    """Weights of a transformer; coefficients of a classical model; none of one whose weights cannot be counted."""
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
    planned_epochs: int | None = None
    """The most epochs that were planned; none for models that are not trained in epochs."""
    best_epoch: int | None = None
    """The epoch whose weights were kept."""
    step_losses: tuple[tuple[int, float], ...] = ()
    """Training loss of single steps, as (step, loss), every `log_every` steps."""
    began: float | None = None
    """When the first step was begun, in seconds since 1970; none for models without steps."""
    truncated_share: float | None = None
    """Share of the training texts of which tokens were left out, 0 to 1; none where nothing is known of it."""
    speedups: tuple[str, ...] = ()
    """What made its steps cheaper, some of which changes the random numbers or the rounding."""
    validation_probabilities: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """What the kept weights predict on `data.validation`, float32 (n, num_labels), where training predicted it."""
    num_trainable: int | None = None
    """Weights that were trained, those of adapters among them; none where nothing is known of it."""
    resumed_at: tuple[int, ...] = ()
    """Steps after which training was resumed from a checkpoint; empty where nothing interrupted it."""
    micro_batch_size: int | None = None
    """Examples in one forward pass that fitted in memory, where those of the options did not; none otherwise."""
    draws_seed: bool = True
    """Whether anything was drawn from the run's seed; if not, every other seed gives the same classifier."""
    reads_labels: bool = True
    """Whether labels of train were read; a zero-shot classifier is made from what labels mean in words."""
    labels_per_class: int | None = None
    """Labels of train that it takes of each class, however many there are, as the examples of a prompt; none where it
    takes all there are."""
    warnings: tuple[str, ...] = ()
    """What went wrong or was changed on the way, each in a sentence."""

    @property
    def examples_per_second(self) -> float:
        """Training throughput."""
        return self.train_examples / self.train_seconds if self.train_seconds > 0 else float("nan")

    @property
    def best_metrics(self) -> dict[str, float]:
        """Validation metrics of the epoch that was kept; empty for models without epochs."""
        return next((epoch.metrics for epoch in self.epochs if epoch.epoch == self.best_epoch), {})
