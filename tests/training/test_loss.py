import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from textclf.models.options import Balance, Imbalance
from textclf.training.loss import Loss, make_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 3.0], [0.5, 0.4, 0.3]])
LABELS = torch.tensor([0, 2, 2, 1])


def test_plain_loss_is_the_summed_cross_entropy():
    expected = cross_entropy(LOGITS, LABELS, reduction="sum", label_smoothing=0.1)
    torch.testing.assert_close(Loss(0.1)(LOGITS, LABELS), expected)


def test_class_weights_weigh_examples_by_their_class():
    weights = torch.tensor([0.5, 2.0, 1.0])
    expected = cross_entropy(LOGITS, LABELS, weight=weights, reduction="sum")
    torch.testing.assert_close(Loss(class_weights=weights)(LOGITS, LABELS), expected)


def test_focal_loss_by_hand():
    p = LOGITS.softmax(dim=1)[torch.arange(4), LABELS]
    torch.testing.assert_close(Loss(focal_gamma=2.0)(LOGITS, LABELS), (-((1 - p) ** 2) * p.log()).sum())


def test_focal_loss_of_a_sure_example_has_a_gradient():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    Loss(focal_gamma=0.5)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("imbalance", "weights", "gamma"),
    [
        (Imbalance.none, None, None),
        (Imbalance.oversample, None, None),  # done by drawing, not by weighing
        (Imbalance.class_weights, [2 / 3, 2.0], None),
        (Imbalance.focal, None, 3.0),
    ],
)
def test_options_become_the_loss(imbalance, weights, gamma):
    labels = np.array([0, 0, 0, 1])
    loss = make_loss(Balance(imbalance, focal_gamma=3.0), 0.0, labels, 2, torch.device("cpu"))
    assert loss.focal_gamma == gamma
    assert (loss.class_weights is None) == (weights is None)
    if weights is not None:
        assert loss.class_weights.tolist() == pytest.approx(weights)
