"""Transformers of sets of labels: their loss, both engines in both precisions, rare labels, checkpoints."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.conftest import SET_NAMES, make_data, make_set_data, write_jsonl
from tests.sparing import seldom
from tests.tiny_checkpoints import make_checkpoint
from tests.training.checkpoints.resuming import FAST, cut_off, differences, fit, tiny
from textclf import load_classifier
from textclf.data.dataset import label_sets_of
from textclf.errors import ArtifactError, ConfigError, DataError
from textclf.evaluation.label_sets.set_predictions import set_predictions
from textclf.experiment.cli import compose_experiment
from textclf.experiment.experiment import run_experiment
from textclf.models.options import Balance, ClassicalModel, Imbalance, LongText, TransformerModel
from textclf.models.saved import DESCRIPTION
from textclf.models.transformer.loading import load_checkpoint
from textclf.tracking.record import find_records
from textclf.training.fit import train
from textclf.training.imbalance import MOST_POSITIVE_WEIGHT, positive_weights
from textclf.training.loss import MARGIN, SetLoss, check_loss, make_loss
from textclf.training.options import HFTrainer, Precision, TorchTrainer
from textclf.training.result import EpochResult, RunContext
from textclf.training.stability import StabilityMonitor, check_labels

ENGINES = [TorchTrainer, HFTrainer]
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-40.0, 0.5, 300.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
TEXTS = ["it is a lovely lamp", "it is a dull chair", "it is a dull book", "it is a great tent"]


def losses(result):
    return np.array([loss for _, loss in result.step_losses])


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 7.0])])
def test_the_loss_and_its_gradient_are_torchs_own_to_the_digit(weights):
    """Summed over examples and averaged over labels; a step's mean is then that of BCEWithLogitsLoss."""
    mine, theirs = (LOGITS.clone().requires_grad_() for _ in range(2))
    loss = SetLoss(positive_weights=weights)(mine, LABELS) / len(LABELS)
    expected = binary_cross_entropy_with_logits(theirs, LABELS, pos_weight=weights)
    (found,), (wanted,) = (torch.autograd.grad(value, logits) for value, logits in ((loss, mine), (expected, theirs)))
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


def test_smoothing_and_focus_by_hand():
    p = LOGITS[:2].sigmoid()
    of_truth = torch.where(LABELS[:2] == 1, p, 1 - p)
    focal = -((1 - of_truth) ** 2) * of_truth.log()
    torch.testing.assert_close(SetLoss(focal_gamma=2.0)(LOGITS[:2], LABELS[:2]), focal.mean(dim=1).sum())
    smooth = torch.where(LABELS[:2] == 1, 0.95, 0.05)
    expected = -(smooth * p.log() + (1 - smooth) * (1 - p).log())
    torch.testing.assert_close(SetLoss(0.1)(LOGITS[:2], LABELS[:2]), expected.mean(dim=1).sum())


def test_an_asymmetric_loss_by_hand():
    p = LOGITS[:2].sigmoid()
    shifted = (p - MARGIN).clamp(min=0)
    expected = torch.where(LABELS[:2] == 1, -p.log(), -(shifted**4) * (1 - shifted).log())
    found = SetLoss(focal_gamma=4.0, asymmetric=True)(LOGITS[:2], LABELS[:2])
    torch.testing.assert_close(found, expected.mean(dim=1).sum())
    sure = torch.full((1, 3), -4.0)  # a probability of 0.018 is below the margin
    assert SetLoss(focal_gamma=4.0, asymmetric=True)(sure, torch.zeros(1, 3)) == 0
    made = make_loss(Balance(Imbalance.asymmetric, 4.0), 0.0, LABELS.bool().numpy(), 3, torch.device("cpu"))
    assert made == SetLoss(focal_gamma=4.0, asymmetric=True)


def test_an_exponent_that_nobody_gives_is_that_of_the_papers():
    def gamma(**given):
        return TransformerModel(name="m", checkpoint="c", **given).balance.focal_gamma

    assert gamma(imbalance=Imbalance.focal) == 2.0
    assert gamma(imbalance=Imbalance.asymmetric) == 4.0
    assert gamma(imbalance=Imbalance.asymmetric, focal_gamma=1.5) == 1.5


def test_an_asymmetric_loss_needs_sets_and_weights_that_are_trained():
    check_loss(Balance(Imbalance.asymmetric), has_sets=True)
    check_loss(Balance(Imbalance.focal), has_sets=False)
    with pytest.raises(ConfigError, match="each text here has one class. Use model.imbalance=focal"):
        check_loss(Balance(Imbalance.asymmetric), has_sets=False)
    with pytest.raises(ConfigError, match="imbalance=asymmetric is a loss for fine-tuning a transformer"):
        ClassicalModel(name="nb", imbalance=Imbalance.asymmetric)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_a_focal_loss_of_sure_labels_has_a_gradient(asymmetric):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    SetLoss(focal_gamma=0.5, asymmetric=asymmetric)(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_label_weighs_as_much_as_its_absence_within_bounds():
    has = np.zeros((1000, 4), dtype=bool)
    has[:500, 0] = has[:100, 1] = has[:1, 2] = has[:999, 3] = True
    assert positive_weights(has).tolist() == [1.0, 9.0, MOST_POSITIVE_WEIGHT, 1 / MOST_POSITIVE_WEIGHT]
    loss = make_loss(Balance(Imbalance.class_weights), 0.1, has, 4, torch.device("cpu"))
    assert isinstance(loss, SetLoss)
    assert loss.positive_weights is not None
    assert (loss.positive_weights.tolist()[1], loss.label_smoothing, loss.focal_gamma) == (9.0, 0.1, None)
    focal = make_loss(Balance(Imbalance.focal, 3.0), 0.0, has, 4, torch.device("cpu"))
    assert (focal.focal_gamma, focal.positive_weights) == (3.0, None)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        (TorchTrainer, Precision.fp32),
        (HFTrainer, Precision.bf16),
        pytest.param(TorchTrainer, Precision.bf16, marks=pytest.mark.slow),
        pytest.param(HFTrainer, Precision.fp32, marks=pytest.mark.slow),
    ],
)
def test_each_engine_learns_sets_in_each_precision(engine, precision, tiny_checkpoint):
    options = {"epochs": 10, "batch_size": 8, "learning_rate": 1e-2, "precision": precision}
    classifier, result, _ = fit(engine, tiny_checkpoint, data=make_set_data(), **options)
    assert result.precision == precision.value
    assert result.best_metrics["validation/micro_f1"] > 0.95
    assert result.epochs[0].train_loss < 1.2 * math.log(2)
    found = classifier.predict_proba(TEXTS)
    assert found.dtype == np.float32
    assert ((found > 0.5) == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]]).mean() > 0.8
    named = [set(one.labels) for one in classifier.predict(TEXTS)]
    assert named == [{SET_NAMES[k] for k in np.flatnonzero(row >= 0.5)} for row in found]


@pytest.mark.parametrize("imbalance", seldom(Imbalance, [Imbalance.class_weights, Imbalance.asymmetric]))
def test_engines_agree_on_sets_read_in_windows(imbalance, tiny_checkpoint):
    """With parts of a step and smoothing too, the loss of each step is the same in both, and so are the weights."""
    found = []
    for engine in ENGINES:
        model = TransformerModel(
            name="tiny", checkpoint=str(tiny_checkpoint), max_length=8, dropout=0.0, imbalance=imbalance,
            long_text=LongText.sliding_window, window_overlap=2,
        )  # fmt: skip
        data = make_set_data(train=40)
        classifier = load_checkpoint(model, data.label_names, seed=1, sets=True)
        options = engine(**FAST | {"epochs": 1, "gradient_accumulation": 4, "label_smoothing": 0.1})
        found.append((classifier, train(options, classifier, data, RunContext(), model.balance)))
    (one, first), (two, second) = found
    np.testing.assert_allclose(losses(first), losses(second), rtol=1e-4)
    for (name, a), b in zip(one.model.state_dict().items(), two.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


def test_speedups_change_nothing_but_rounding(tiny_checkpoint):
    def plain(checkpoint, data):
        model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32, dropout=0.0)
        return load_checkpoint(model, data.label_names, seed=1, sets=True)

    options = {"data": make_set_data(), "make": plain, "epochs": 2}
    fast, slow = (fit(TorchTrainer, tiny_checkpoint, speedups=on, **options)[1] for on in (True, False))
    assert len(fast.speedups) == 4
    np.testing.assert_allclose(losses(fast), losses(slow), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("imbalance", "expected"),
    [
        pytest.param(Imbalance.none, 0.1, marks=pytest.mark.slow),
        (Imbalance.class_weights, 0.5),
        (Imbalance.oversample, 0.5),
        (Imbalance.focal, 0.31),
    ],
)
def test_what_a_rare_label_gets_where_texts_say_nothing(imbalance, expected, tiny_checkpoint):
    """One text for all, one in ten with the label: the probability that minimises each loss is known."""
    data = make_set_data()
    labels = [[0] if i % 10 == 0 else [] for i in range(2000)]
    rows = {"example": range(2000), "text": ["a lamp"] * 2000, "label": labels}
    data = replace(data, train=datasets.Dataset.from_dict(rows, data.train.features))
    model = TransformerModel(
        name="tiny", checkpoint=str(tiny_checkpoint), max_length=8, imbalance=imbalance, dropout=0.0
    )
    classifier = load_checkpoint(model, data.label_names, seed=1, sets=True)
    train(TorchTrainer(**FAST | {"epochs": 1}), classifier, data, RunContext(), model.balance)
    assert classifier.predict_proba(["a lamp"])[0, 0] == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
@pytest.mark.parametrize("imbalance", [None, pytest.param(Imbalance.oversample, marks=pytest.mark.slow)])
def test_cut_off_twice_it_ends_the_same_to_the_digit(engine, imbalance, tiny_checkpoint, tmp_path):
    options = {"data": make_set_data(), "epochs": 2, "gradient_accumulation": 4, "imbalance": imbalance}
    for step in (3, 5):
        cut_off(engine, tiny_checkpoint, tmp_path, step, **options)
    resumed = fit(engine, tiny_checkpoint, tmp_path, **options)
    assert resumed[1].resumed_at == (3, 5)
    assert differences(fit(engine, tiny_checkpoint, **options), resumed) == []


def test_a_saved_classifier_gives_the_same_and_its_files_agree(tiny_checkpoint, tmp_path):
    classifier = tiny(tiny_checkpoint, make_set_data())
    classifier.thresholds = (0.4, 0.55, 0.5)
    classifier.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    again = load_classifier(tmp_path / "saved")
    assert again.thresholds == (0.4, 0.55, 0.5)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    tiny(tiny_checkpoint, replace(make_data(), label_names=SET_NAMES)).save(tmp_path / "classes")
    for folder, others, said in (("saved", "classes", DESCRIPTION), ("classes", "saved", "config.json")):
        mixed = tmp_path / f"mixed-{folder}"
        mixed.mkdir()
        for path in (tmp_path / folder).iterdir():
            (mixed / path.name).write_bytes(path.read_bytes())
        description = json.loads((tmp_path / folder / DESCRIPTION).read_text())
        description.pop("files", None)
        (mixed / DESCRIPTION).write_text(json.dumps(description))
        (mixed / "config.json").write_bytes((tmp_path / others / "config.json").read_bytes())
        with pytest.raises(ArtifactError, match=f"{said} describes sets of labels"):
            load_classifier(mixed)


@pytest.mark.parametrize("kept", [True, False])
def test_a_head_is_kept_where_it_was_trained_for_sets_of_these_labels(kept, tmp_path, caplog):
    caplog.set_level("INFO")
    make_checkpoint("bert", tmp_path / "base")
    data = make_set_data() if kept else replace(make_data(), label_names=SET_NAMES)
    first = tiny(tmp_path / "base", data)
    with torch.no_grad():
        first.model.classifier.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    first.save(tmp_path / "tuned")
    model = TransformerModel(name="x", checkpoint=str(tmp_path / "tuned"), max_length=32)
    again = load_checkpoint(model, ("light", "good", "seat"), seed=2, sets=True)
    assert again.model.classifier.bias.tolist() == ([3.0, 1.0, 2.0] if kept else [0.0, 0.0, 0.0])
    assert ("the checkpoint's head is kept" if kept else "head tells one class a text") in caplog.text


class Plan:
    balanced = None


def test_guessing_costs_what_the_loss_makes_of_it(tiny_checkpoint):
    data = make_set_data()
    stability = StabilityMonitor(tiny(tiny_checkpoint, data), data, TorchTrainer(), lambda value: value)
    for smoothing in (0.0, 0.2):
        stability.expect(Plan(), SetLoss(smoothing))
        assert stability.guessing == pytest.approx(math.log(2))
    stability.expect(Plan(), SetLoss(focal_gamma=2.0))
    assert stability.guessing == pytest.approx(0.25 * math.log(2))
    stability.expect(Plan(), SetLoss(positive_weights=torch.full((3,), 3.0)))
    share = label_sets_of(data.train, 3).mean()
    assert stability.guessing == pytest.approx((1 + 2 * share) * math.log(2))


def test_one_set_for_every_text_is_told_after_the_second_epoch(tiny_checkpoint):
    data = make_set_data()
    stability = StabilityMonitor(tiny(tiny_checkpoint, data), data, TorchTrainer(), lambda value: value)
    same = set_predictions(data, "validation", np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (48, 1)))
    results = [EpochResult(number, 5 * number, 0.7, {}, 1.0) for number in (1, 2)]
    assert stability.still_collapsed(results[0], same) is None
    said = stability.still_collapsed(results[1], same)
    assert said is not None
    assert said.startswith("after epoch 2, collapse: all 48 validation texts are given the labels good")


def test_labels_that_do_not_match_the_head_are_named_before_training(tiny_checkpoint):
    data = make_set_data(8)
    classifier = tiny(tiny_checkpoint, data)
    wrong = replace(data, validation=data.validation.map(lambda row: {"label": [5] if row["example"] == 3 else [0]}))
    with pytest.raises(DataError, match="validation has the label 5 in a set"):
        check_labels(classifier, wrong)
    with pytest.raises(DataError, match="tiny has one class a text, and the classifier was loaded for sets of labels"):
        check_labels(classifier, replace(make_data(), label_names=SET_NAMES))


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny_checkpoint, tmp_path):
    """Torchrun with two CPU processes: one record, and the loss of each step as in one process."""
    data = make_set_data(train=100)
    rows = [
        {"text": f"{i} {row['text']}", "labels": [SET_NAMES[k] for k in row["label"]]}
        for i, row in enumerate(data.train)
    ]
    overrides = [
        "trainer=hf", "model=bert", f"model.checkpoint={tiny_checkpoint}", "model.max_length=32", "model.dropout=0.0",
        "trainer.epochs=2", "trainer.batch_size=16", "trainer.learning_rate=0.003", "trainer.log_every=1",
        "trainer.precision=fp32", "trainer.device=cpu", "dataset=files", "dataset.name=sets",
        f"dataset.train={write_jsonl(tmp_path / 'train.jsonl', rows)}", "tracker=none",
    ]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "textclf.run", *overrides, f"hydra.run.dir={tmp_path}/shared"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (shared,) = find_records(tmp_path / "shared")
    alone = run_experiment(compose_experiment(*overrides), tmp_path / "alone")
    one, two = (np.array([loss for _, loss in record.fit["step_losses"]]) for record in (alone, shared))
    assert len(one) == len(two) > 4
    np.testing.assert_allclose(two, one, rtol=1e-3)
