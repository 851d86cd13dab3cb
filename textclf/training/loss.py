"""The training loss: cross-entropy, smoothed, weighted by class or by how hard an example still is.

Of sets of labels it is the binary cross-entropy of each label, averaged over the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from textclf.errors import ConfigError
from textclf.models.options import Balance, Imbalance
from textclf.training.imbalance import class_weights, positive_weights

MARGIN = 0.05
"""What the asymmetric loss takes off the probability of a label that an example lacks, as its paper sets it: below it
such a label costs nothing."""


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
    asymmetric: bool = False
    """Whether only labels that an example lacks are weighed by `focal_gamma`, after `MARGIN` is taken off their
    probabilities: the asymmetric loss of Ridnik et al. 2021, with exponent 0 for the labels that it has."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum over examples, a scalar.

        Args:
            logits: (n, num_labels) of any floating type.
            labels: float32 (n, num_labels): 1 for the labels that an example has, 0 for the others.
        """
        logits = logits.float()
        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2 if self.label_smoothing else labels
        if self.asymmetric:
            return self._asymmetric(logits, targets).mean(dim=1).sum()
        losses = binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=self.positive_weights
        )  # (n, num_labels)
        if self.focal_gamma is not None:
            given = logits.sigmoid()
            missed = labels * (1 - given) + (1 - labels) * given
            losses = losses * missed.clamp(min=1e-6) ** self.focal_gamma
        return losses.mean(dim=1).sum()

    def _asymmetric(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the asymmetric loss of each example and label, (n, num_labels).

        The probability that a label is absent is taken as p + MARGIN, and at most 1, where the loss and its gradient
        are nothing.
        """
        absent = (logits.neg().sigmoid() + MARGIN).clamp(max=1.0)
        of_absent = -absent.log() * (1 - absent).clamp(min=1e-6) ** (self.focal_gamma or 0.0)
        return -targets * logsigmoid(logits) + (1 - targets) * of_absent


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
    if balance.imbalance is Imbalance.asymmetric:
        return SetLoss(label_smoothing, None, balance.focal_gamma, asymmetric=True)
    gamma = balance.focal_gamma if balance.imbalance is Imbalance.focal else None
    return (SetLoss if has_sets else Loss)(label_smoothing, weights, gamma)


def check_loss(balance: Balance, has_sets: bool) -> None:
    """Refuse a loss that the labels do not allow.

    Raises:
        ConfigError: If it is one of sets of labels, and each text has one class.
    """
    if balance.imbalance is Imbalance.asymmetric and not has_sets:
        raise ConfigError(
            "model.imbalance=asymmetric weighs the labels that a text lacks, so it is for sets of labels; each text "
            "here has one class. Use model.imbalance=focal or class_weights."
        )
