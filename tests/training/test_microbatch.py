"""Memory that runs out in training: the step is taken again in smaller parts, and what is learned stays the same."""

import numpy as np
import pytest
import torch

from tests.conftest import make_data
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.system.memory import OutOfMemoryError
from textclf.training.fit import fit as fit_model
from textclf.training.fit import train
from textclf.training.microbatch import allocate_moments
from textclf.training.optim import make_optimizer
from textclf.training.options import Device, HFTrainer, Precision, TorchTrainer
from textclf.training.result import FitResult, RunContext

ENGINES = [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)]
FAST = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3, "log_every": 1, "precision": Precision.fp32}


class Memory:
    """Stands in for a small memory: forward passes in training with more than `most` examples fail."""

    def __init__(self, model, most, from_pass, error):
        self.most, self.from_pass, self.error, self.seen = most, from_pass, error, []
        model.register_forward_hook(self.check, with_kwargs=True)  # after its dropout has drawn random numbers

    def check(self, model, args, kwargs, output):
        if not model.training:
            return
        size = len(kwargs["input_ids"])
        self.seen.append(size)
        if size > self.most and len(self.seen) > self.from_pass:
            raise self.error


def fit(engine, checkpoint, most=None, from_pass=0, context=None, error=None, dropout=0.0, **options):
    data = make_data(train=70)
    model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32, dropout=dropout)
    classifier = load_checkpoint(model, data.label_names, 1)
    error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    memory = Memory(classifier.model, 1000 if most is None else most, from_pass, error)
    result = train(engine(**FAST | options), classifier, data, context or RunContext(1))
    return classifier, result, memory


def losses(result):
    return np.array([loss for _, loss in result.step_losses])


@pytest.mark.parametrize("engine", ENGINES)
def test_parts_are_halved_in_the_middle_of_a_run_and_nothing_else_changes(engine, tiny_checkpoint, caplog):
    """Without dropout the same examples give the same loss however they are cut, but for rounding."""
    plain = fit(engine, tiny_checkpoint)[1]
    _, result, memory = fit(engine, tiny_checkpoint, most=4, from_pass=7)  # in the second epoch
    np.testing.assert_allclose(losses(result), losses(plain), rtol=1e-3, atol=1e-4)
    assert result.train_examples == plain.train_examples == 140
    assert [epoch.step for epoch in result.epochs] == [5, 10]
    assert result.micro_batch_size == 4
    assert plain.micro_batch_size is None
    assert memory.seen[:5] == [16, 16, 16, 16, 6]
    assert memory.seen[7:14] == [16, 8, 4, 4, 4, 4, 4]
    assert max(memory.seen[9:]) == 4
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("out of memory")]
    assert len(said) == 2
    assert "at step 8 with 16 examples at a time: the step is taken again with 8 at a time" in said[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_that_is_taken_again_is_reproducible_with_dropout(engine, tiny_checkpoint):
    """The random numbers that the failed part drew are put back, as if the parts had always been so small."""
    halved = fit(engine, tiny_checkpoint, most=8, dropout=0.3, epochs=1)[0].model.state_dict()
    born_small = fit(engine, tiny_checkpoint, dropout=0.3, epochs=1, gradient_accumulation=2)[0].model.state_dict()
    for name, weight in halved.items():
        assert torch.equal(weight, born_small[name]), name


@pytest.mark.slow
def test_both_engines_agree_after_halving(tiny_checkpoint):
    one, two = (fit(engine, tiny_checkpoint, most=4, from_pass=7)[1] for engine in (TorchTrainer, HFTrainer))
    np.testing.assert_allclose(losses(one), losses(two), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
def test_below_one_example_is_an_error_that_helps(engine, tiny_checkpoint):
    with pytest.raises(OutOfMemoryError) as caught:
        fit(engine, tiny_checkpoint, most=0, error=RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    said = str(caught.value)
    assert "step 1" in said
    assert "model.max_length (it is 32)" in said
    assert "trainer.gradient_checkpointing=true" in said
    assert caught.value.device == "cpu"
    assert "cpu_fallback" not in said


@pytest.mark.parametrize("engine", ENGINES)
def test_other_errors_are_not_taken_for_it(engine, tiny_checkpoint):
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        fit(engine, tiny_checkpoint, most=4, error=RuntimeError("shapes do not fit"))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_begins_with_the_size_that_fitted(engine, tiny_checkpoint, tmp_path):
    context = RunContext(1, checkpoints=tmp_path)
    with pytest.raises(RuntimeError, match="power"):
        fit(
            engine, tiny_checkpoint, most=4, context=RunContext(1, checkpoints=tmp_path, log_metrics=fails_at(4)),
            checkpoint_every="3",
        )  # fmt: skip
    _, result, memory = fit(engine, tiny_checkpoint, most=4, context=context, checkpoint_every="3")
    assert result.resumed_at == (3,)
    assert result.micro_batch_size == 4
    assert max(memory.seen) == 4


def fails_at(step):
    def log_metrics(metrics, at):
        if at == step:
            raise RuntimeError("power")

    return log_metrics


def test_the_optimizer_has_what_it_would_make_itself(tiny_checkpoint):
    """Else a later torch would be given a state that it does not know."""
    model = torch.nn.Linear(3, 2)
    early, late = make_optimizer(model, TorchTrainer()), make_optimizer(model, TorchTrainer())
    allocate_moments(early)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    for optimizer in (early, late):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.0
    before = {key: value.dtype for key, value in early.state[model.weight].items()}
    early.step()
    late.step()
    assert {key: value.dtype for key, value in late.state[model.weight].items()} == before
    for key, value in late.state[model.weight].items():
        assert torch.equal(value, early.state[model.weight][key])


def test_cpu_is_the_last_resort_where_that_is_allowed(tiny_checkpoint, tmp_path, monkeypatch):
    """Training stands for one on a GPU that has no memory for it."""
    seen = []

    def train_without_gpu(trainer, classifier, data, context, balance):
        if trainer.device is not Device.cpu:
            with torch.no_grad():
                classifier.model.classifier.weight += 1  # steps that were taken before it ran out
            raise OutOfMemoryError("too little", "cuda")
        seen.append((trainer.precision, classifier.model.classifier.weight.detach().clone(), context.checkpoints))
        return FitResult(1, 1.0, 1, "cpu", "fp32")

    monkeypatch.setattr("textclf.training.fit.train", train_without_gpu)
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32)
    context = RunContext(1, checkpoints=tmp_path)
    with pytest.raises(OutOfMemoryError):
        fit_model(model, make_data(8), TorchTrainer(), context)
    trainer = TorchTrainer(cpu_fallback=True, precision=Precision.fp16)
    _, result = fit_model(model, make_data(8), trainer, context)
    ((precision, weights, checkpoints),) = seen
    fresh = load_checkpoint(model, ("negative", "positive"), 1).model.classifier.weight
    assert torch.equal(weights, fresh)
    assert precision is Precision.auto
    assert checkpoints == tmp_path / "cpu"
    assert "trained on the CPU" in result.warnings[0]
