"""The training loss: cross-entropy, smoothed, weighted by class or by how hard an example still is.

Of sets of labels it is the binary cross-entropy of each label, averaged over the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from textclf.models.options import Balance, Imbalance
from textclf.training.imbalance import class_weights, positive_weights


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


@dataclass(frozen=True)
class SetLoss:
    """A loss of logits and sets of labels, summed over examples and computed in float32.

    It is the mean over the labels: however many there are, guessing costs ln 2, and no example has a gradient longer
    than that of a single class, so that the learning rates and the clipping of single classes carry over.
    """

    label_smoothing: float = 0.0
    """How much less sure than certain the targets are: 1 becomes 1 - label_smoothing / 2, and 0 the rest."""
    positive_weights: torch.Tensor | None = None
    """What an example that has a label weighs in the loss of that label, float32 (num_labels,); none for 1 each."""
    focal_gamma: float | None = None
    """Exponent of the focal loss, which Lin et al. 2017 define for sigmoids; none for plain cross-entropy."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum over examples, a scalar.

        Args:
            logits: (n, num_labels) of any floating type.
            labels: float32 (n, num_labels): 1 for the labels that an example has, 0 for the others.
        """
        logits = logits.float()
        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2 if self.label_smoothing else labels
        losses = binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=self.positive_weights
        )  # (n, num_labels)
        if self.focal_gamma is not None:
            given = logits.sigmoid()
            missed = labels * (1 - given) + (1 - labels) * given
            losses = losses * missed.clamp(min=1e-6) ** self.focal_gamma
        return losses.mean(dim=1).sum()


def make_loss(
    balance: Balance,
    label_smoothing: float,
    labels: NDArray,
    num_labels: int,
    device: torch.device,
) -> Loss | SetLoss:
    """Return the loss that the options ask for.

    Args:
        balance: How classes and examples are weighed.
        label_smoothing: Probability spread evenly over all classes in the target.
        labels: Those of the training split: int64 (n,), or of sets of labels bool (n, num_labels).
        num_labels: Number of classes.
        device: Where the loss is computed.
    """
    has_sets = labels.ndim == 2
    weights = None
    if balance.imbalance is Imbalance.class_weights:
        found = positive_weights(labels) if has_sets else class_weights(labels, num_labels)
        weights = torch.tensor(found, dtype=torch.float32, device=device)
    gamma = balance.focal_gamma if balance.imbalance is Imbalance.focal else None
    return (SetLoss if has_sets else Loss)(label_smoothing, weights, gamma)
