"""Training a part of a transformer: frozen layers, adapters, rates by layer; in both engines and arithmetics, resumed."""

import numpy as np
import pytest
import torch

from tests.conftest import make_data
from tests.tiny_checkpoints import make_checkpoint
from tests.training.checkpoints.resuming import cut_off, differences, fit
from textclf.errors import ArtifactError, ConfigError
from textclf.experiment.cli import compose_experiment
from textclf.experiment.experiment import run_experiment
from textclf.experiment.run_costs import cost_rows
from textclf.models.options import Peft, TransformerModel
from textclf.models.transformer.adapters import ADAPTED
from textclf.models.transformer.loading import load_checkpoint
from textclf.models.transformer.parts import depths_of
from textclf.training.checkpoints.storage import newest_checkpoint
from textclf.training.fit import check
from textclf.training.optim import make_optimizer
from textclf.training.options import Device, HFTrainer, Precision, TorchTrainer

ENGINES = [TorchTrainer, HFTrainer]
PARTS = {
    "embeddings": {"freeze": "embeddings"},
    "a layer": {"freeze": "1"},
    "encoder": {"freeze": "encoder"},
    "lora": {"peft": Peft.lora, "lora_dropout": 0.1, "lora_targets": ["all-linear"]},
}


def part(name, **more):
    """Return what makes the tiny BERT of which a part is trained."""

    def make(checkpoint, data):
        options = {"name": "tiny", "checkpoint": str(checkpoint), "max_length": 32, **PARTS[name], **more}
        return load_checkpoint(TransformerModel(**options), data.label_names, seed=1)

    return make


def losses(fitted):
    return np.array([loss for _, loss in fitted[1].step_losses])


@pytest.mark.parametrize("name", PARTS)
def test_both_engines_take_the_same_steps_and_leave_what_is_frozen(name, tiny_checkpoint):
    data = make_data(train=70)
    before = load_checkpoint(
        TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32), data.label_names, seed=1
    ).model
    make = part(name, lora_dropout=0.0, dropout=0.0)
    one, two = (fit(engine, tiny_checkpoint, make=make, max_grad_norm=0.5, epochs=2) for engine in ENGINES)
    np.testing.assert_allclose(losses(one), losses(two), rtol=1e-4, atol=1e-5)
    depths = depths_of(before)
    frozen = {"embeddings": 0, "a layer": 1, "encoder": 2, "lora": 0}[name]
    weights, same = one[0].model.state_dict(), before.state_dict()
    assert weights.keys() == same.keys()
    for key, weight in before.named_parameters():
        torch.testing.assert_close(weights[key], two[0].model.state_dict()[key], rtol=1e-3, atol=1e-4)
        if depths.of[key] <= frozen:
            assert torch.equal(weights[key], weight), key
    changed = {depths.of[key] for key, weight in before.named_parameters() if not torch.equal(weights[key], weight)}
    assert changed == set(range(frozen + 1, depths.head + 1))
    assert all(weight.requires_grad for weight in one[0].model.parameters())


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["a layer", "lora"])
def test_it_learns_in_bf16_too(engine, name, tiny_checkpoint):
    classifier, result, _ = fit(
        engine, tiny_checkpoint, make=part(name), epochs=10, precision=Precision.bf16, learning_rate=1e-2
    )
    assert result.precision == "bf16"
    assert result.epochs[-1].metrics["validation/accuracy"] > 0.9
    assert next(classifier.model.parameters()).dtype is torch.float32


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param("a layer", marks=pytest.mark.slow), "lora"])
def test_cut_off_and_resumed_it_ends_the_same(engine, name, tiny_checkpoint, tmp_path):
    make = part(name)
    cut_off(engine, tiny_checkpoint, tmp_path, 3, make=make, epochs=2)
    _, saved = newest_checkpoint(tmp_path, tell=False)
    held = saved.tensors["model"]
    assert not any("word_embeddings" in key or key.endswith("base_layer.weight") for key in held)
    assert any(ADAPTED in key for key in held) == (name == "lora")
    assert len({key.partition(".")[0] for key in saved.tensors["optimizer"]}) <= len(held)
    cut_off(engine, tiny_checkpoint, tmp_path, 8, make=make, epochs=2)
    resumed = fit(engine, tiny_checkpoint, tmp_path, make=make, epochs=2)
    assert differences(fit(engine, tiny_checkpoint, make=make, epochs=2), resumed) == []


def test_a_checkpoint_in_which_another_part_was_frozen_is_refused(tiny_checkpoint, tmp_path):
    cut_off(TorchTrainer, tiny_checkpoint, tmp_path, 3, make=part("a layer"))
    with pytest.raises(ArtifactError, match="trained weights"):
        fit(TorchTrainer, tiny_checkpoint, tmp_path, make=part("encoder"))


@pytest.mark.parametrize("name", ["a layer", "lora"])
def test_speedups_and_checkpointed_gradients_change_no_loss(name, tiny_checkpoint):
    make = part(name, dropout=0.0, lora_dropout=0.0)
    plain, fast, again = (
        fit(TorchTrainer, tiny_checkpoint, make=make, epochs=2, **options)
        for options in ({"speedups": False}, {}, {"gradient_checkpointing": True})
    )
    np.testing.assert_allclose(losses(plain), losses(fast), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(losses(fast), losses(again), rtol=1e-4, atol=1e-5)
    assert not any("embeddings of" in said for said in fast[1].speedups)  # they are frozen


def test_frozen_weights_have_no_gradient_and_no_moments(tiny_checkpoint):
    classifier = part("lora")(tiny_checkpoint, make_data())
    optimizer = make_optimizer(classifier.model, TorchTrainer())
    known = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    trained = {id(weight) for weight in classifier.model.parameters() if weight.requires_grad}
    assert known == trained
    classifier.model(input_ids=torch.ones(1, 4, dtype=torch.int64)).logits.sum().backward()
    assert {id(weight) for weight in classifier.model.parameters() if weight.grad is not None} == trained


@pytest.mark.parametrize("name", [None, "embeddings", "lora"])
def test_each_layer_has_the_rate_of_the_next_times_the_decay(name, tiny_checkpoint):
    options = {} if name is None else PARTS[name]
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32, **options)
    model = load_checkpoint(model, ("a", "b"), seed=1).model
    trainer = TorchTrainer(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.1)
    groups = make_optimizer(model, trainer).param_groups
    names = {id(weight): key for key, weight in model.named_parameters()}
    rates = {names[id(weight)]: (group["lr"], group["weight_decay"]) for group in groups for weight in group["params"]}
    assert rates.keys() == {key for key, weight in model.named_parameters() if weight.requires_grad}
    depths = depths_of(model).of
    for key, (rate, decay) in rates.items():
        assert rate == pytest.approx({3: 1e-3, 2: 5e-4, 1: 2.5e-4, 0: 1.25e-4}[depths[key]])
        assert decay == (0 if key.endswith("bias") or "LayerNorm" in key else 0.1)
    assert groups[0]["lr"] == 1e-3  # which the logged curve shows
    assert ("bert.embeddings.word_embeddings.weight" in rates) == (name is None)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
def test_both_engines_agree_on_rates_by_layer(precision, tiny_checkpoint):
    options = {"layer_decay": 0.7, "weight_decay": 0.1, "epochs": 2, "precision": precision}
    make = lambda checkpoint, data: load_checkpoint(  # noqa: E731
        TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32, dropout=0.0), data.label_names, 1
    )
    one, two = (fit(engine, tiny_checkpoint, make=make, **options) for engine in ENGINES)
    np.testing.assert_allclose(losses(one), losses(two), rtol=1e-4 if precision is Precision.fp32 else 0.1)
    assert any("embeddings of" in said for said in one[1].speedups)
    if precision is Precision.fp32:
        plain = fit(TorchTrainer, tiny_checkpoint, make=make, speedups=False, **options)
        np.testing.assert_allclose(losses(one), losses(plain), rtol=1e-3, atol=1e-4)
        for (key, a), b in zip(one[0].model.state_dict().items(), plain[0].model.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-3, msg=key)
        whole = fit(TorchTrainer, tiny_checkpoint, make=make, **options | {"layer_decay": 1.0})
        same = fit(TorchTrainer, tiny_checkpoint, make=make, **options | {"layer_decay": None})
        np.testing.assert_allclose(losses(whole), losses(same), rtol=1e-5)


def test_a_decay_of_rates_lies_above_0_and_needs_layers(tmp_path):
    with pytest.raises(ConfigError, match="layer_decay must be above 0 and at most 1"):
        TorchTrainer(layer_decay=0.0)
    model = TransformerModel(name="x", checkpoint=str(make_checkpoint("t5", tmp_path)))
    with pytest.raises(ConfigError, match="trainer.layer_decay: the layers of a t5"):
        check(model, TorchTrainer(layer_decay=0.9, device=Device.cpu))


def test_a_run_tells_trained_and_whole_weights_apart(tiny_checkpoint, tmp_path, caplog):
    caplog.set_level("INFO")
    overrides = [
        "model=bert", f"model.checkpoint={tiny_checkpoint}", "model.max_length=32", "model.peft=lora", "trainer.epochs=1",
        "trainer.device=cpu", "dataset.max_train_examples=32", "tracker=none",
    ]  # fmt: skip
    record = run_experiment(compose_experiment(*overrides), tmp_path / "run")
    whole, trained = (int(record.costs[name]) for name in ("num_parameters", "num_trainable_parameters"))
    assert (record.fit["num_parameters"], record.fit["num_trainable"]) == (whole, trained)
    assert 0 < trained < whole / 2
    assert f"parameters {whole:,} ({trained:,} trained)" in caplog.text
    assert cost_rows(record)[0] == ("parameters", f"{whole:,} ({trained:,} trained)")
    assert f"{whole:,} ({trained:,} trained)" in (tmp_path / "run" / "report.md").read_text()
    assert record.metrics["validation/accuracy"] >= 0
    assert not list((tmp_path / "run" / "classifier").glob("adapter*"))
