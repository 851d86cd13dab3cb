"""A classifier on text embeddings: whatever encoder makes the vectors, a linear head tells the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError, cut, listed
from textclf.models.base import Classifier
from textclf.models.belonging import list_files
from textclf.models.embeddings.linear_head import LinearHead, joined, read_head
from textclf.models.saved import DESCRIPTION, Fields, read_description, write_description
from textclf.system.paths import refuse_links_out

FAMILY = "embeddings"
KINDS = ("sentence", "static")
"""The kinds of encoders that a saved classifier may have."""


class TextEncoder(Protocol):
    """What makes vectors of texts."""

    @property
    def kind(self) -> str:
        """How the encoder is read again, one of `KINDS`."""
        ...

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector for each text, float32 (n, size)."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the encoder, and return what is to be known to read it again."""
        ...


@dataclass
class EmbeddingsClassifier(Classifier):
    """An encoder that stays as it is, and a linear head that was fitted to its vectors."""

    encoder: TextEncoder
    head: LinearHead

    def features(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return what the head reads of n cleaned texts, or pairs of texts: float32 (n, num_features)."""
        return features_of(self.encoder, texts, text_pairs)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        if not len(texts):
            return np.zeros((0, len(self.label_names)), dtype=np.float32)
        return self.head.probabilities(self.features(texts, text_pairs), sets=self.has_sets)

    def save(self, directory: Path) -> None:
        """Write encoder, head and description; no pickle."""
        directory.mkdir(parents=True, exist_ok=True)
        about = self.encoder.save(directory)
        self.head.save(directory)
        write_description(directory, FAMILY, self, {"kind": self.encoder.kind, **about})
        list_files(directory)


def features_of(encoder: TextEncoder, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
    """Return what a head reads of n cleaned texts, or pairs of texts: float32 (n, num_features)."""
    return joined(encoder.encode(texts), None if text_pairs is None else encoder.encode(text_pairs))


def load_embeddings(directory: Path) -> EmbeddingsClassifier:
    """Read what `EmbeddingsClassifier.save` wrote.

    Raises:
        ArtifactError: If a file is missing or damaged, or the parts do not belong together.
    """
    directory = Path(directory)
    refuse_links_out(directory)
    description = read_description(directory, FAMILY)
    given = Fields(description.options, directory / DESCRIPTION)
    kind = given.text("kind")
    if kind not in KINDS:
        raise ArtifactError(f"{given.path} is damaged: kind must be one of {listed(KINDS)}, got {cut(kind)!r}.")
    encoder: TextEncoder
    if kind == "static":
        from textclf.models.embeddings.static_encoder import read_static

        encoder = read_static(directory)
    else:
        from textclf.models.embeddings.sentence_encoder import read_encoder  # with torch, which the other does without

        encoder = read_encoder(directory, given)
    head = read_head(directory, len(description.label_names))
    wanted = [encoder.size, 4 * encoder.size]
    if head.weight.shape[1] not in wanted:
        raise ArtifactError(
            f"The head in {directory} reads {head.weight.shape[1]} numbers a text, and the encoder beside it gives "
            f"{encoder.size}: they do not belong together. Copy the whole folder again from where it was saved."
        )
    if description.has_pairs is not None and head.weight.shape[1] != wanted[description.has_pairs]:
        raise ArtifactError(
            f"The head in {directory} was fitted to {'single texts' if description.has_pairs else 'pairs of texts'}, "
            f"and {DESCRIPTION} says otherwise. Copy the whole folder again from where it was saved."
        )
    return EmbeddingsClassifier(**description.common, encoder=encoder, head=head)
