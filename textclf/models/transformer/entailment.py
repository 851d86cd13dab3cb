"""Zero-shot classifier: a checkpoint of natural language inference that reads each text with every label.

The text is the premise, the label stands in a hypothesis, and the more the one entails the other, the more probable is
the label (Yin et al. 2019, "Benchmarking Zero-shot Text Classification"). A text costs as many passes as there are
labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PretrainedConfig

from textclf.errors import ArtifactError, ConfigError, listed
from textclf.models.base import Classifier
from textclf.models.belonging import list_files
from textclf.models.prediction import log_softmax, sigmoid
from textclf.models.saved import DESCRIPTION, Fields, read_description, write_description
from textclf.models.transformer.classifier import WINDOW, TransformerClassifier, load_transformer
from textclf.models.transformer.head import label_names_of

FAMILY = "zero_shot"
ENTAILMENT = "entailment"
AGAINST = ("contradiction", "not_entailment")
"""Classes that deny a hypothesis, of which a checkpoint has one."""


@dataclass(frozen=True)
class Inference:
    """The classes of a checkpoint of natural language inference, by number."""

    entailment: int
    against: int


@dataclass
class ZeroShotClassifier(Classifier):
    """A transformer that judges pairs of texts, and the hypotheses that stand for the labels."""

    nli: TransformerClassifier
    """Its classes are those of the checkpoint."""
    hypotheses: tuple[str, ...]
    """One for each label, in label order."""

    def __post_init__(self) -> None:
        self.inference = find_classes(self.nli.label_names)

    def move_to(self, device: torch.device) -> None:
        """Move the weights to a device."""
        self.nli.move_to(device)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each label's probability for each cleaned text: float32 (n, num_labels)."""
        count = len(self.hypotheses)
        out = np.zeros((len(texts), count), dtype=np.float32)
        step = max(1, WINDOW // count)
        for start in range(0, len(texts), step):
            part = slice(start, start + step)
            premises = premises_of(texts[part], None if text_pairs is None else text_pairs[part])
            pairs = [text for text in premises for _ in range(count)], list(self.hypotheses) * len(premises)
            logits = self.nli.logits(*pairs).reshape(len(premises), count, -1)  # (n, num_labels, classes)
            out[part] = self._weighed(logits[..., self.inference.entailment], logits[..., self.inference.against])
        return out

    def _weighed(self, entailed: NDArray[np.float32], denied: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities of the logits of entailment and of what denies it, all float32 (n, num_labels)."""
        if self.has_sets:
            return sigmoid(entailed - denied)
        return np.exp(log_softmax(entailed.astype(np.float64), 1.0)).astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), tokenizer and description."""
        of_tokenizer = self.nli.save_weights(directory)
        options = {"classes": list(self.nli.label_names), "hypotheses": list(self.hypotheses), **self.nli.described()}
        write_description(directory, FAMILY, self, options)
        list_files(directory, of_tokenizer)


def premises_of(texts: Sequence[str], text_pairs: Sequence[str] | None) -> list[str]:
    """Return what is read as premises: texts, or pairs of texts on two lines."""
    if text_pairs is None:
        return list(texts)
    return [f"{text}\n{other}" for text, other in zip(texts, text_pairs, strict=True)]


def check_is_nli(config: PretrainedConfig, checkpoint: str) -> Inference:
    """Return which classes of a checkpoint are those of entailment and of its denial, by their names.

    Raises:
        ConfigError: If it has no such classes.
    """
    try:
        return find_classes(label_names_of(config))
    except ArtifactError as error:
        raise ConfigError(
            f"model.checkpoint={checkpoint}: {error} Choose one that was fine-tuned on natural language inference "
            f"(MNLI and its like), such as cross-encoder/nli-MiniLM2-L6-H768."
        ) from error


def find_classes(names: Sequence[str]) -> Inference:
    """Return which of some classes are those of entailment and of its denial.

    Raises:
        ArtifactError: If one of them is missing, or not clear.
    """
    plain = [name.strip().casefold().replace("-", "_").replace(" ", "_") for name in names]
    against = [name for name in AGAINST if plain.count(name) == 1]
    if plain.count(ENTAILMENT) != 1 or not against:
        raise ArtifactError(
            f"zero-shot classification needs a class {ENTAILMENT} and one of {' or '.join(AGAINST)}, and its "
            f"config.json names {listed(names, 8)}."
        )
    return Inference(plain.index(ENTAILMENT), plain.index(against[0]))


def load_zero_shot(directory: Path) -> ZeroShotClassifier:
    """Read what `ZeroShotClassifier.save` wrote.

    Raises:
        ArtifactError: If a file is missing or damaged.
    """
    directory = Path(directory)
    description = read_description(directory, FAMILY)
    given = Fields(description.options, directory / DESCRIPTION)
    classes, hypotheses = given.texts("classes"), given.texts("hypotheses")
    if len(hypotheses) != len(description.label_names):
        raise ArtifactError(
            f"{given.path} is damaged: it has {len(hypotheses):,} hypotheses for {len(description.label_names):,} "
            f"labels. Copy it again from where it was saved."
        )
    find_classes(classes)
    own = replace(description, label_names=classes, cleaning=(), temperature=1.0, has_pairs=True, thresholds=None)
    return ZeroShotClassifier(**description.common, nli=load_transformer(directory, own), hypotheses=hypotheses)
