"""Wrong turns of training: named with their step, and never seen where there are none."""

import logging
import math
from dataclasses import replace

import pytest
import torch

from tests.conftest import make_data
from textclf.errors import DataError, TrainingError
from textclf.models.options import Imbalance, TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.fit import fit
from textclf.training.loss import Loss
from textclf.training.options import HFTrainer, Precision, TorchTrainer
from textclf.training.result import RunContext
from textclf.training.stability import StabilityMonitor, check_labels, shortened

ENGINES = [TorchTrainer, HFTrainer]


def fitted(engine, checkpoint, imbalance=Imbalance.none, context=None, **options):
    model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32, imbalance=imbalance)
    trainer = engine(**{"epochs": 2, "precision": Precision.fp32, "learning_rate": 5e-5} | options)
    return fit(model, make_data(128), trainer, context or RunContext(1))[1]


def break_loss(monkeypatch, at, value):
    """Make the loss of the `at`-th part that is trained on (from 1) another value."""
    whole, parts = Loss.__call__, []

    def broken(self, logits, labels):
        parts.append(logits.requires_grad)
        return whole(self, logits, labels) * (value if logits.requires_grad and sum(parts) == at else 1)

    monkeypatch.setattr(Loss, "__call__", broken)


@pytest.mark.parametrize(("engine", "value"), [(TorchTrainer, math.nan), (HFTrainer, math.inf)])
def test_a_loss_that_is_no_number_stops_at_its_step_and_keeps_the_checkpoint(
    engine, value, tiny_checkpoint, monkeypatch, tmp_path
):
    break_loss(monkeypatch, at=6, value=value)
    with pytest.raises(TrainingError) as caught:
        fitted(engine, tiny_checkpoint, context=RunContext(1, checkpoints=tmp_path), checkpoint_every="5")
    said = str(caught.value)
    assert f"stopped at step 6: the loss is {value}" in said
    assert "16 examples are the rows" in said
    assert "“it is a" in said
    assert "trainer.learning_rate (it is 5e-05)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


@pytest.fixture
def stability(tiny_checkpoint):
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32)
    classifier = load_checkpoint(model, ("negative", "positive"), 1)
    return StabilityMonitor(classifier, make_data(64), TorchTrainer(), lambda value: value)


def test_a_gradient_that_is_no_number_stops_but_in_float16(stability):
    for number in range(3):
        assert stability.saw(number + 1, number, torch.tensor(0.7), 1e-5, torch.tensor(1.0)) == []
    stability.saw(4, 3, torch.tensor(0.7), 1e-5, torch.tensor(math.inf))
    with pytest.raises(TrainingError, match="step 4: the gradient is inf"):
        stability.look()
    stability.classifier.autocast = torch.float16
    stability.saw(4, 3, torch.tensor(0.7), 1e-5, torch.tensor(math.inf))
    assert stability.look() == []


def test_weights_that_are_no_numbers_never_reach_a_checkpoint(stability):
    assert stability.look(weights=True) == []
    with torch.no_grad():
        stability.classifier.model.classifier.bias[0] = math.nan
    with pytest.raises(TrainingError, match=r"classifier\.bias"):
        stability.look(weights=True)


def test_exploding_gradients_are_named_by_step_and_usual_ones_are_not(stability):
    """The norms of MiniLM: at 5e-2 it breaks at step 4; at 5e-5 the greatest is 17 times the first."""
    for number, norm in enumerate([0.91, 1.21, 0.87, 0.88, 0.97, 2.4, 16.28, 5.0, 0.02]):
        stability.saw(number + 1, number, torch.tensor(0.7), 5e-5, norm)
    assert stability.look() == []
    stability.take({"first": [], "last": [], "collapsed": 0})
    for number, norm in enumerate([0.43, 1.1, 2.52, 81.45, 16.7]):
        stability.saw(number + 1, number, torch.tensor(0.7), 5e-2, norm)
    (said,) = stability.look()
    assert said.startswith("exploding gradients: at step 4 their norm was 81.5, 74 times")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_rate_that_diverges_is_named_and_a_usual_one_is_not(seed, tiny_checkpoint, caplog):
    caplog.set_level(logging.WARNING)
    assert fitted(TorchTrainer, tiny_checkpoint, epochs=1, context=RunContext(seed)).warnings == ()
    assert not caplog.records
    (said,) = fitted(TorchTrainer, tiny_checkpoint, epochs=1, learning_rate=0.1, context=RunContext(seed)).warnings
    assert said.startswith("divergence: the mean training loss of epoch 1 (to step 8) is")
    assert "where guessing has 0.693" in said
    assert "try 1e-02" in said
    assert said in caplog.text


def test_guessing_is_measured_in_the_loss_that_is_trained(stability, tiny_checkpoint):
    class Plan:
        balanced = None

    stability.expect(Plan(), Loss())
    assert stability.guessing == pytest.approx(math.log(2))
    stability.expect(Plan(), Loss(focal_gamma=2.0))
    assert stability.guessing == pytest.approx(0.25 * math.log(2), rel=1e-4)
    stability.expect(Plan(), Loss(class_weights=torch.tensor([1.0, 3.0])))
    assert stability.guessing == pytest.approx(2 * math.log(2))
    assert stability.entropy is None


def test_labels_that_do_not_match_the_head_are_named_before_training(stability):
    data = make_data(8)
    wrong = replace(data, train=data.train.map(lambda row: {"label": 7 if row["example"] == 3 else row["label"]}))
    with pytest.raises(DataError, match="train has the label 7 in row 3"):
        check_labels(stability.classifier, wrong)
    with pytest.raises(DataError, match="head of the classifier has 2 classes and tiny has 3"):
        check_labels(stability.classifier, replace(data, label_names=("a", "b", "c")))


def test_a_text_in_an_error_obeys_no_terminal():
    assert "\x1b" not in shortened("\x1b[2Jboo\nhoo")
    assert shortened("a " * 100).endswith("…")
    assert len(shortened("a " * 100)) == 60
