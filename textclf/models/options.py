"""What can be said about a model in a config: a transformer's checkpoint, a classical pipeline."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from textclf.errors import refuse_unless
from textclf.models.base import Classifier, FitResult, ModelOptions, RunContext
from textclf.system.disk import check_disk
from textclf.system.imports import importing
from textclf.system.memory import release_memory
from textclf.system.out_of_memory import OutOfMemoryError

if TYPE_CHECKING:
    from textclf.data.dataset import TextData
    from textclf.models.transformer.classifier import TransformerClassifier
    from textclf.training.options import TrainerOptions

log = logging.getLogger(__name__)


class Padding(Enum):
    """How far the texts of a batch are padded."""

    dynamic = "dynamic"
    max_length = "max_length"


class Attention(Enum):
    """Implementation of attention."""

    auto = "auto"
    eager = "eager"
    sdpa = "sdpa"
    flash_attention_2 = "flash_attention_2"


class Truncation(Enum):
    """Which part of a text is kept where it is too long."""

    head = "head"
    tail = "tail"
    head_tail = "head_tail"


class LongText(Enum):
    """What becomes of texts above the longest input."""

    truncate = "truncate"
    sliding_window = "sliding_window"


@dataclass(frozen=True)
class TransformerModel(ModelOptions):
    """A pretrained encoder with a classification head, fine-tuned as a whole."""

    checkpoint: str = MISSING
    """`owner/name` on the Hub, or a local folder."""
    revision: str | None = None
    """A commit, tag or branch to pin."""
    max_length: int = 128
    """Longest input kept, in tokens; of a pair, the longer text is cut first."""
    truncation: Truncation = Truncation.head
    """Which part of a longer text is kept: its head, its tail, or a quarter of the room from its head and the rest from
    its tail (the best of Sun et al. 2019 on IMDb, by 0.2 points over head)."""
    long_text: LongText = LongText.truncate
    """sliding_window reads a longer text in windows of max_length tokens and pools their logits by the mean, in
    training as in prediction; a text costs as much as it has windows."""
    window_overlap: int = 32
    """Tokens that a window shares with the one before."""
    max_windows: int = 8
    """Most windows of a text; of more, this many spread evenly over it are read."""
    padding: Padding = Padding.dynamic
    """dynamic pads to the longest text of the batch, max_length always to max_length."""
    attention: Attention = Attention.auto
    """auto takes sdpa where the architecture has it, else eager."""
    dropout: float | None = None
    """Dropout of hidden states and attention, 0 to 1; none keeps the checkpoint's own."""
    keep_layers: list[int] = field(default_factory=list)
    """Layers of the encoder to keep, by number from 0; empty keeps all."""

    def __post_init__(self) -> None:
        """Refuse lengths and rates that no encoder has."""
        super().__post_init__()
        refuse_unless(
            (
                self.truncation is Truncation.head or self.long_text is LongText.truncate,
                f"truncation={self.truncation.value} contradicts long_text=sliding_window, which cuts nothing off.",
            ),
            (
                0 <= self.window_overlap <= self.max_length // 2,
                f"window_overlap must be 0 or more and at most half of max_length ({self.max_length}), "
                f"got {self.window_overlap}.",
            )
            if self.long_text is LongText.sliding_window
            else (True, ""),
            (self.max_windows >= 1, f"max_windows must be at least 1, got {self.max_windows}."),
            (self.max_length >= 4, f"max_length must be at least 4 tokens, got {self.max_length}."),
            (
                self.dropout is None or 0 <= self.dropout < 1,
                f"dropout must be 0 or more and below 1, got {self.dropout}.",
            ),
            (
                len(set(self.keep_layers)) == len(self.keep_layers),
                f"keep_layers must name each layer once, got {list(self.keep_layers)}.",
            ),
        )

    def check(self) -> None:
        """Find the checkpoint and read its small files.

        Raises:
            ArtifactError: If there is no such checkpoint, or it cannot be reached.
        """
        with importing():
            from textclf.models.transformer.checkpoint import open_checkpoint

        open_checkpoint(self)

    def fit(self, data: TextData, trainer: TrainerOptions, context: RunContext) -> tuple[Classifier, FitResult]:
        """Load the checkpoint and hand it to the trainer."""
        with importing():
            from textclf.models.transformer.loading import load_checkpoint
            from textclf.training.every import NEVER

        def begin() -> TransformerClassifier:
            classifier = load_checkpoint(self, data.label_names, seed=context.seed)
            classifier.has_pairs = data.has_pairs
            return classifier

        classifier = begin()
        if context.checkpoints is not None and context.is_main:
            size = sum(weight.numel() * weight.element_size() for weight in classifier.model.parameters())
            check_disk(context.checkpoints, size, keeps_checkpoints=trainer.checkpoint_every != NEVER)
        try:
            return classifier, trainer.fit(classifier, data, context, self.balance)
        except OutOfMemoryError as error:
            if not trainer.cpu_fallback or error.device == "cpu":
                raise
            log.warning("%s Training begins anew on the CPU.", error)
        del classifier
        release_memory()
        kept = None if context.checkpoints is None else context.checkpoints / "cpu"
        classifier, there = begin(), trainer.on_cpu()
        fit = there.fit(classifier, data, replace(context, checkpoints=kept), self.balance)
        said = "trained on the CPU, since one example at a time did not fit in the memory of the GPU."
        return classifier, replace(fit, warnings=(*fit.warnings, said))


@dataclass(frozen=True)
class ClassicalModel(ModelOptions):
    """A scikit-learn pipeline: a vectorizer of the text and a classifier on top.

    Both are written as scikit-learn writes them: `_target_` names a class of scikit-learn (or
    `textclf.models.classical.nb_svm.NBSVM`), and the rest are its own arguments.
    """

    vectorizer: dict[str, Any] = field(
        default_factory=lambda: {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"}
    )
    """The vectorizer. A pair gets one for each text, and two measures of their overlap beside it."""
    classifier: dict[str, Any] = MISSING
    """The classifier. One without probabilities is calibrated by a sigmoid fitted on held-out folds
    (Platt 1999)."""

    def check(self) -> None:
        """Make the two scikit-learn objects once.

        Raises:
            ConfigError: If a class is not allowed or not there, or refuses its arguments.
        """
        with importing():
            from textclf.models.classical.pipeline import make_parts

        make_parts(self)

    def fit(self, data: TextData, trainer: TrainerOptions, context: RunContext) -> tuple[Classifier, FitResult]:
        """Fit the pipeline; `trainer` has no part in it."""
        from textclf.models.classical.pipeline import fit_classical

        return fit_classical(self, data, context)
