"""The training loss: cross-entropy, smoothed, weighted by class or by how hard an example still is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from textclf.models.options import Balance, Imbalance
from textclf.training.imbalance import class_weights


@dataclass(frozen=True)
class Loss:
    """A loss of logits and labels, summed over examples and computed in float32.

    A step divides by its number of examples, so that parts of any size add up to the mean over the
    step.
    """

    label_smoothing: float = 0.0
    """Probability spread evenly over all classes in the target."""
    class_weights: torch.Tensor | None = None
    """What an example of each class weighs, float32 (num_labels,); none for 1 each."""
    focal_gamma: float | None = None
    """Exponent of the focal loss (Lin et al. 2017); none for plain cross-entropy."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum over examples, a scalar.

        Args:
            logits: (n, num_labels) of any floating type.
            labels: int64 (n,).
        """
        logits = logits.float()
        losses = cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)  # (n,)
        if self.class_weights is not None:
            losses = losses * self.class_weights[labels]
        if self.focal_gamma is not None:
            missed = 1.0 - logits.softmax(dim=-1).gather(1, labels[:, None]).squeeze(1)
            losses = losses * missed.clamp(min=1e-6) ** self.focal_gamma
        return losses.sum()


def make_loss(
    balance: Balance, label_smoothing: float, labels: NDArray[np.int64], num_labels: int, device: torch.device
) -> Loss:
    """Return the loss that the options ask for.

    Args:
        balance: How classes and examples are weighed.
        label_smoothing: Probability spread evenly over all classes in the target.
        labels: Those of the training split, int64 (n,).
        num_labels: Number of classes.
        device: Where the loss is computed.
    """
    weights = None
    if balance.imbalance is Imbalance.class_weights:
        weights = torch.tensor(class_weights(labels, num_labels), dtype=torch.float32, device=device)
    gamma = balance.focal_gamma if balance.imbalance is Imbalance.focal else None
    return Loss(label_smoothing, weights, gamma)
