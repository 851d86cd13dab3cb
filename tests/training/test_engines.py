"""The two engines: that they learn, that they agree, and what happens around the epochs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient

from tests.conftest import make_data
from tests.sparing import seldom
from textclf.errors import ConfigError
from textclf.evaluation.evaluate import Evaluation
from textclf.evaluation.predictions import Predictions
from textclf.experiment.cli import compose_experiment
from textclf.experiment.experiment import run_experiment
from textclf.models.options import Attention, Imbalance, LongText, TransformerModel, Truncation
from textclf.models.transformer.loading import load_checkpoint
from textclf.tracking.record import find_records
from textclf.training.fit import train
from textclf.training.options import HFTrainer, Precision, TorchTrainer
from textclf.training.result import RunContext

ENGINES = [TorchTrainer, HFTrainer]
FAST = {"epochs": 3, "batch_size": 16, "learning_rate": 3e-3, "log_every": 1, "precision": Precision.fp32}


def fit(engine, checkpoint, data=None, seed=1, objective="validation/macro_f1", dropout=None, **options):
    data = data or make_data(train=70)
    model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32, dropout=dropout)
    classifier = load_checkpoint(model, data.label_names, seed)
    logged = []
    context = RunContext(seed, objective, log_metrics=lambda values, step: logged.append((step, dict(values))))
    result = train(engine(**FAST | options), classifier, data, context)
    return classifier, result, logged


def losses(result):
    return np.array([loss for _, loss in result.step_losses])


@pytest.mark.parametrize("engine", ENGINES)
def test_each_learns(engine, tiny_checkpoint):
    _, result, logged = fit(engine, tiny_checkpoint, epochs=8)
    assert result.epochs[-1].metrics["validation/accuracy"] > 0.9
    assert result.epochs[-1].train_loss < 0.5 < result.epochs[0].train_loss
    assert result.train_examples == 8 * 70
    assert [step for step, _ in result.step_losses] == list(range(1, 41))
    assert {"train/loss", "train/learning_rate", "train/epoch_loss", "validation/macro_f1"} <= set().union(
        *(values for _, values in logged)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("parts", seldom([1, 2, 4], [1, 4]))
def test_both_engines_take_the_same_steps(parts, smoothing, tiny_checkpoint):
    """70 examples in batches of 16: the last step of an epoch has 6, so a wrong scale would show."""
    options = {"gradient_accumulation": parts, "label_smoothing": smoothing, "max_grad_norm": 0.5}
    (one, first, _), (two, second, _) = (fit(engine, tiny_checkpoint, **options) for engine in ENGINES)
    np.testing.assert_allclose(losses(first), losses(second), rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(first.epochs, second.epochs, strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, abs=1e-3)
    for (name, a), b in zip(one.model.state_dict().items(), two.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


def test_both_engines_stop_after_so_many_steps(tiny_checkpoint):
    """7 steps in epochs of 5: the second epoch has 2, and the learning rate falls to 0 with the last of them."""
    options = {"epochs": None, "max_steps": 7, "warmup_steps": 2, "gradient_accumulation": 2}
    (one, first, logged), (two, second, _) = (fit(engine, tiny_checkpoint, **options) for engine in ENGINES)
    for result in (first, second):
        assert [step for step, _ in result.step_losses] == [1, 2, 3, 4, 5, 6, 7]
        assert [epoch.step for epoch in result.epochs] == [5, 7]
        assert result.train_examples == 70 + 2 * 16
    rates = [values["train/learning_rate"] for _, values in logged if "train/learning_rate" in values]
    assert rates == pytest.approx([rate * 3e-3 for rate in (0, 0.5, 1, 0.8, 0.6, 0.4, 0.2)])
    np.testing.assert_allclose(losses(first), losses(second), rtol=1e-4, atol=1e-5)
    for (name, a), b in zip(one.model.state_dict().items(), two.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("steps", [3, 10])
def test_steps_are_those_of_the_epochs_that_they_make(engine, steps, tiny_checkpoint):
    """Less than an epoch, and two whole ones, which end to the digit as two epochs do."""
    _, result, _ = fit(engine, tiny_checkpoint, epochs=None, max_steps=steps)
    assert [epoch.step for epoch in result.epochs] == ([3] if steps == 3 else [5, 10])
    if steps == 10:
        assert losses(result).tolist() == losses(fit(engine, tiny_checkpoint, epochs=2)[1]).tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_cutting_a_batch_into_parts_changes_nothing_but_rounding(engine, tiny_checkpoint):
    (_, whole, _), (_, parts, _) = (fit(engine, tiny_checkpoint, dropout=0.0, gradient_accumulation=n) for n in (1, 4))
    np.testing.assert_allclose(losses(whole), losses(parts), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_same_seed_same_weights_other_seed_other(engine, tiny_checkpoint):
    first, again, other = (
        fit(engine, tiny_checkpoint, seed=seed, epochs=1)[0].model.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.values(), again.values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.values(), other.values(), strict=True))


def scored_validation(metric, score):
    """Return an evaluation of one example that scored so."""
    probabilities = np.array([[1 - score, score]], dtype=np.float32)
    predictions = Predictions(np.array([1]), probabilities, ("negative", "positive"))
    return Evaluation("validation", predictions, {metric: score}, 1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_best_epoch_is_kept_and_patience_stops(engine, tiny_checkpoint, monkeypatch):
    scores = iter([0.5, 0.9, 0.6, 0.7, 0.8])
    snapshots = []

    def scripted(classifier, data, split, further=()):
        snapshots.append(classifier.model.classifier.weight.detach().clone())
        return scored_validation("validation/macro_f1", next(scores))

    monkeypatch.setattr("textclf.training.monitor.evaluate_split", scripted)
    classifier, result, _ = fit(engine, tiny_checkpoint, epochs=5, patience=2)
    assert len(result.epochs) == 4
    assert result.best_epoch == 2
    assert result.validation_probabilities.tolist() == [pytest.approx([0.1, 0.9])]
    assert torch.equal(classifier.model.classifier.weight, snapshots[1])


def test_less_is_better_where_the_objective_is_a_loss(tiny_checkpoint, monkeypatch):
    scores = iter([0.9, 0.2, 0.5])
    scored = lambda *args: scored_validation("validation/log_loss", next(scores))  # noqa: E731
    monkeypatch.setattr("textclf.training.monitor.evaluate_split", scored)
    assert fit(TorchTrainer, tiny_checkpoint, objective="validation/log_loss")[1].best_epoch == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_bf16_learns_too_and_predicts_in_it(engine, tiny_checkpoint):
    classifier, result, _ = fit(engine, tiny_checkpoint, epochs=8, precision=Precision.bf16)
    assert result.precision == "bf16"
    assert classifier.autocast is torch.bfloat16
    assert result.epochs[-1].metrics["validation/accuracy"] > 0.9
    assert next(classifier.model.parameters()).dtype is torch.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_speedups_change_nothing_but_rounding_and_dropouts_random_numbers(engine, tiny_checkpoint):
    options = {"dropout": 0.0, "weight_decay": 0.1}
    (one, fast, _), (two, plain, _) = (fit(engine, tiny_checkpoint, speedups=on, **options) for on in (True, False))
    assert fast.speedups == (
        "last layer for one token",
        "embeddings of 25 of 99 tokens",
        "explicit attention",
        "bulk dropout",
    )
    assert plain.speedups == ("last layer for one token",)
    assert fast.num_parameters == plain.num_parameters
    np.testing.assert_allclose(losses(fast), losses(plain), rtol=1e-3, atol=1e-4)
    for (name, a), (same, b) in zip(one.model.state_dict().items(), two.model.state_dict().items(), strict=True):
        assert name == same
        torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-3, msg=name)


def test_attention_is_explicit_in_training_alone_and_only_where_none_was_asked_for(tiny_checkpoint, monkeypatch):
    used = {True: set(), False: set()}
    classifier = load_checkpoint(
        TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32), make_data().label_names, seed=1
    )
    classifier.model.register_forward_pre_hook(
        lambda model, _: used[model.training].add(model.config._attn_implementation)
    )
    train(TorchTrainer(**FAST | {"epochs": 2}), classifier, make_data(), RunContext(1, "validation/macro_f1"))
    classifier.predict_proba(["a text"])
    assert used == {True: {"eager"}, False: {"sdpa"}}
    classifier.attention = Attention.sdpa
    used[True].clear()
    train(TorchTrainer(**FAST | {"epochs": 1}), classifier, make_data(), RunContext(1, "validation/macro_f1"))
    assert used[True] == {"sdpa"}


@pytest.mark.parametrize("engine", ENGINES)
def test_checkpointing_gradients_changes_no_loss(engine, tiny_checkpoint):
    (_, kept, _), (_, again, _) = (fit(engine, tiny_checkpoint, gradient_checkpointing=on) for on in (False, True))
    assert "gradient checkpointing" in again.speedups
    np.testing.assert_allclose(losses(kept), losses(again), rtol=1e-4, atol=1e-5)


def test_the_plain_loop_is_not_for_torchrun(tiny_checkpoint, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="use trainer=hf"):
        fit(TorchTrainer, tiny_checkpoint)


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny_checkpoint, tmp_path):
    """torchrun with two CPU processes: one record, logged once, and the loss of each step as in one process."""
    overrides = [
        "trainer=hf", "model=bert", f"model.checkpoint={tiny_checkpoint}", "model.max_length=32", "model.dropout=0.0",
        "trainer.epochs=2", "trainer.batch_size=16", "trainer.learning_rate=0.003", "trainer.log_every=1",
        "trainer.precision=fp32", "trainer.device=cpu",
        "dataset.max_train_examples=72",
    ]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [
        *launcher,
        "-m",
        "textclf.run",
        *overrides,
        "tracker.system_metrics=false",
        f"hydra.run.dir={tmp_path}/shared",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    shared_records = find_records(tmp_path / "shared")
    assert len(shared_records) == 1
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert [run.info.status for run in runs] == ["FINISHED"]
    found = [run_experiment(compose_experiment(*overrides, "tracker=none"), tmp_path / "alone"), *shared_records]
    alone, shared = (np.array([loss for _, loss in record.fit["step_losses"]]) for record in found)
    assert len(alone) == 10  # 72 examples in batches of 16, twice
    np.testing.assert_allclose(shared, alone, rtol=1e-3)
    a, b = (record.fit["epochs"][0]["train_loss"] for record in found)
    assert a == pytest.approx(b, rel=1e-3)
    assert found[0].metrics["test/accuracy"] == pytest.approx(found[1].metrics["test/accuracy"], abs=0.02)


def long_data(train=48):
    """Return texts whose class is told by their last word alone, far beyond 16 tokens."""
    data = make_data(train=train)

    def at_the_end(row):
        return {"text": " ".join(["it", "is", "a", "chair"] * 8) + (" lovely" if row["label"] else " awful")}

    return replace(data, **{split: data.split(split).map(at_the_end) for split in ("train", "validation", "test")})


@pytest.mark.parametrize(
    ("engine", "reading", "seen"),
    [
        (TorchTrainer, {}, False),
        (TorchTrainer, {"truncation": Truncation.tail}, True),
        (TorchTrainer, {"truncation": Truncation.head_tail}, True),
        (TorchTrainer, {"long_text": LongText.sliding_window, "window_overlap": 4}, True),
        (HFTrainer, {"long_text": LongText.sliding_window, "window_overlap": 4}, True),
    ],
)
def test_what_is_read_of_long_texts(engine, reading, seen, tiny_checkpoint):
    data = long_data()
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=16, dropout=0.0, **reading)
    classifier = load_checkpoint(model, data.label_names, seed=1)
    options = engine(**FAST | {"epochs": 8})
    result = train(options, classifier, data, RunContext())
    assert (result.best_metrics["validation/accuracy"] > 0.9) == seen
    assert result.truncated_share == (0 if "long_text" in reading else 1)


@pytest.mark.parametrize(  # asymmetric is for sets
    "imbalance", seldom([one for one in Imbalance if one is not Imbalance.asymmetric], [Imbalance.class_weights])
)
def test_engines_agree_on_windows_and_rare_classes(imbalance, tiny_checkpoint):
    """With parts of a step too, the loss of each step is the same in both."""
    curves = []
    for engine in ENGINES:
        model = TransformerModel(
            name="tiny", checkpoint=str(tiny_checkpoint), max_length=16, dropout=0.0, imbalance=imbalance,
            long_text=LongText.sliding_window, window_overlap=4,
        )  # fmt: skip
        data = long_data(train=40)
        classifier = load_checkpoint(model, data.label_names, seed=1)
        options = engine(**FAST | {"epochs": 2, "gradient_accumulation": 4})
        result = train(options, classifier, data, RunContext(), model.balance)
        curves.append([loss for _, loss in result.step_losses])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


@pytest.mark.parametrize(
    ("imbalance", "expected"),
    [
        pytest.param(Imbalance.none, 0.1, marks=pytest.mark.slow),
        (Imbalance.class_weights, 0.5),
        pytest.param(Imbalance.oversample, 0.5, marks=pytest.mark.slow),
        (Imbalance.focal, 0.31),
    ],
)
def test_what_a_rare_class_gets_where_texts_say_nothing(imbalance, expected, tiny_checkpoint):
    """One text for all, one label in ten positive: the probability that minimises each loss is known."""
    labels = [int(i % 10 == 0) for i in range(2000)]
    same = datasets.Dataset.from_dict({"example": range(2000), "text": ["a lamp"] * 2000, "label": labels})
    data = replace(make_data(), train=same)
    model = TransformerModel(
        name="tiny", checkpoint=str(tiny_checkpoint), max_length=8, imbalance=imbalance, dropout=0.0
    )
    classifier = load_checkpoint(model, data.label_names, seed=1)
    train(TorchTrainer(**FAST | {"epochs": 1}), classifier, data, RunContext(), model.balance)
    assert classifier.predict_proba(["a lamp"])[0, 1] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
def test_both_engines_plan_enough_steps_for_little_data(tiny_checkpoint, precision, caplog):
    caplog.set_level("INFO")
    few = {"epochs": None, "min_steps": 20, "precision": precision}
    first, second = (fit(engine, tiny_checkpoint, make_data(train=48), **few)[1] for engine in ENGINES)
    assert first.planned_epochs == second.planned_epochs == len(first.epochs) == 7
    assert first.epochs[-1].step == second.epochs[-1].step == 21
    assert caplog.text.count("little data: 7 epochs of 3 steps instead of 4") == 2
    same = pytest.approx(second.epochs[-1].train_loss, rel=1e-4 if precision is Precision.fp32 else 0.1)
    assert first.epochs[-1].train_loss == same
