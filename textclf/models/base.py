"""What every model is: options that can be fitted, and the fitted classifier that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from textclf.errors import refuse_unless
from textclf.models.prediction import Prediction, check_inputs, check_threshold, predictions_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf.data.dataset import TextData
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
    checkpoints: Path | None = None
    """Folder in which training keeps its state while it is under way, and from which it is gone on with where a valid
    one is there already; none keeps nothing."""
    accept_changes: bool = False
    """Go on from a checkpoint although device, precision, number of threads or versions are no longer those of the
    process that wrote it, so that the digits may differ."""
    fenced: Callable[[], AbstractContextManager[None]] = nullcontext
    """Makes the context in which a checkpoint is written; raises where the run is another worker's by now."""


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
    began: float | None = None
    """When the first step was begun, in seconds since 1970; none for models without steps."""
    truncated_share: float | None = None
    """Share of the training texts of which tokens were left out, 0 to 1; none where nothing is known of it."""
    speedups: tuple[str, ...] = ()
    """What made its steps cheaper, some of which changes the random numbers or the rounding."""
    validation_probabilities: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """What the kept weights predict on `data.validation`, float32 (n, num_labels), where training predicted it."""
    resumed_at: tuple[int, ...] = ()
    """Steps after which training was taken up again from a checkpoint; empty where nothing interrupted it."""
    micro_batch_size: int | None = None
    """Examples in one forward pass that fitted in memory, where those of the options did not; none otherwise."""
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


class Cleaning(Enum):
    """A step of cleaning texts; they are done in this order."""

    strip_markup = "strip_markup"
    normalize_unicode = "normalize_unicode"
    normalize_whitespace = "normalize_whitespace"
    lowercase = "lowercase"


class Imbalance(Enum):
    """What to do where some classes are rare."""

    none = "none"
    class_weights = "class_weights"
    oversample = "oversample"
    focal = "focal"


class Calibration(Enum):
    """How probabilities are made to mean what they say."""

    none = "none"
    temperature = "temperature"


@dataclass(frozen=True)
class Balance:
    """How examples and classes are weighed in training."""

    imbalance: Imbalance = Imbalance.none
    focal_gamma: float = 2.0


UNWEIGHED = Balance()
"""Every example counts the same."""


@dataclass(frozen=True)
class ModelOptions(ABC):
    """Options of a model, whichever family it is of."""

    name: str = MISSING
    """What the runs of this model are called."""
    text_cleaning: list[Cleaning] = field(default_factory=list)
    """Steps of cleaning before a text is read, in training and prediction alike: strip_markup (HTML), normalize_unicode
    (form C, wrongly decoded characters repaired), normalize_whitespace, lowercase. None by default: vectorizers and
    tokenizers do their own."""
    imbalance: Imbalance = Imbalance.none
    """For rare classes: class_weights weighs examples in inverse proportion to their class's share; oversample shows
    each class equally often; focal weighs examples that are still hard (Lin et al. 2017). All of them shift the
    probabilities away from the classes' true shares."""
    focal_gamma: float = 2.0
    """Exponent of imbalance=focal: an example weighs (1 - probability of its class) to this power."""
    calibration: Calibration = Calibration.none
    """temperature divides the logits by a number fitted on validation (Guo et al. 2017): labels stay, probabilities
    come nearer to the shares that are right."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        refuse_unless(
            (
                len(set(self.text_cleaning)) == len(self.text_cleaning),
                f"text_cleaning must name each step once, got {[step.value for step in self.text_cleaning]}.",
            ),
            (self.focal_gamma > 0, f"focal_gamma must be above 0, got {self.focal_gamma}."),
        )

    @property
    def balance(self) -> Balance:
        """How examples and classes are weighed in training."""
        return Balance(self.imbalance, self.focal_gamma)

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
    cleaning: tuple[Cleaning, ...] = field(default=(), kw_only=True)
    """Steps of cleaning that every text goes through first."""
    temperature: float = field(default=1.0, kw_only=True)
    """What the logits are divided by before they become probabilities; above 1 makes them less sure."""
    has_pairs: bool | None = field(default=None, kw_only=True)
    """Whether it was fitted on pairs of texts; none where that is not known."""

    def clean(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts as the model is to read them."""
        if not self.cleaning:
            return texts
        from textclf.models.cleaning import cleaned

        return cleaned(texts, self.cleaning)

    def predict_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Return each class's probability for each text.

        Args:
            texts: The n texts, or the first texts of n pairs.
            text_pairs: The second texts of the pairs; none for single texts.

        Returns:
            float32 (n, num_labels); rows sum to 1. An empty input gives (0, num_labels).

        Raises:
            DataError: If these are no lists of texts, or no pairs where the classifier wants them, or the reverse.
        """
        check_inputs(texts, text_pairs, self.has_pairs)
        pairs = None if text_pairs is None else self.clean(text_pairs)
        probabilities = self.uncalibrated_proba(self.clean(texts), pairs)
        if self.temperature == 1.0:
            return probabilities
        from textclf.evaluation.calibration import tempered

        return tempered(probabilities, self.temperature)

    def predict(
        self, texts: Sequence[str], text_pairs: Sequence[str] | None = None, threshold: float | None = None
    ) -> list[Prediction]:
        """Return a label, its probability and those of all classes for each text.

        Args:
            texts: The n texts, or the first texts of n pairs.
            text_pairs: The second texts of the pairs; none for single texts.
            threshold: The probability, 0 to 1, below which the label is `abstain`; none always takes a class.

        Raises:
            DataError: As for `predict_proba`; also if the threshold is no probability.
        """
        check_threshold(threshold, self.label_names)
        return predictions_of(self.predict_proba(texts, text_pairs), self.label_names, threshold)

    @abstractmethod
    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text, before the temperature: float32 (n, num_labels)."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the classifier so that `load_classifier(directory)` gives the same predictions."""
