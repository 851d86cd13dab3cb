"""Linear head: class logits of text embeddings, kept in safetensors; it needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError
from textclf.models.prediction import sigmoid

HEAD = "head.safetensors"
"""The file of a head, beside `classifier.json`."""


@dataclass(frozen=True)
class LinearHead:
    """Weights of a multinomial logistic regression, or of one logistic regression a label."""

    weight: NDArray[np.float32]
    """float32 (num_labels, num_features)."""
    bias: NDArray[np.float32]
    """float32 (num_labels,)."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, float32 (n, num_labels), of features, float32 (n, num_features)."""
        return (features @ self.weight.T + self.bias).astype(np.float32)

    def probabilities(self, features: NDArray[np.float32], sets: bool = False) -> NDArray[np.float32]:
        """Return probabilities, float32 (n, num_labels).

        Args:
            features: float32 (n, num_features).
            sets: Whether each label has a probability of its own (a sigmoid); else rows sum to 1 (a softmax).
        """
        logits = self.logits(features)
        if sets:
            return sigmoid(logits)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def save(self, folder: Path) -> None:
        """Write the weights into a folder."""
        from safetensors.numpy import save_file

        save_file({"weight": self.weight, "bias": self.bias}, folder / HEAD)


def read_head(folder: Path, num_labels: int) -> LinearHead:
    """Read what `LinearHead.save` wrote.

    Args:
        folder: The folder of the classifier.
        num_labels: Classes that the head must have.

    Raises:
        ArtifactError: If the file is missing or damaged, or is of other classes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / HEAD
    try:
        found = load_file(path)
        head = LinearHead(found["weight"], found["bias"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}). Copy it again from where it was saved."
        ) from error
    whole = head.weight.ndim == 2 and head.bias.shape == head.weight.shape[:1]
    if not whole or any(array.dtype != np.float32 or not np.isfinite(array).all() for array in found.values()):
        raise ArtifactError(
            f"{path} is damaged: it holds no weights and biases. Copy it again from where it was saved."
        )
    if len(head.bias) != num_labels:
        raise ArtifactError(
            f"{path} is of {len(head.bias)} classes and the description beside it of {num_labels}: they do not belong "
            f"together. Copy the whole folder again from where it was saved."
        )
    return head


def joined(vectors: NDArray[np.float32], pair_vectors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return the features of texts or pairs of texts.

    Args:
        vectors: Embeddings of the texts, or first texts u of pairs, float32 (n, size).
        pair_vectors: Embeddings of the second texts v; none for single texts.

    Returns:
        The embeddings themselves; of pairs u, v, |u - v| and u * v side by side, float32 (n, 4 * size): those of
        Conneau et al. 2017 (InferSent).
    """
    if pair_vectors is None:
        return vectors
    return np.hstack([vectors, pair_vectors, np.abs(vectors - pair_vectors), vectors * pair_vectors])
