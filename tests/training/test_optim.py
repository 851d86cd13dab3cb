import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from textclf.errors import ConfigError
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.loss import Loss
from textclf.training.optim import choose_device, choose_precision, make_optimizer, make_schedule
from textclf.training.options import Device, HFTrainer, Precision, Schedule, TorchTrainer


def rates(schedule, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("kind", "reference"),
    [(Schedule.linear, get_linear_schedule_with_warmup), (Schedule.cosine, get_cosine_schedule_with_warmup)],
)
def test_schedules_are_those_of_transformers(kind, reference):
    made = []
    for own in (True, False):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        options = TorchTrainer(schedule=kind, warmup_fraction=0.1)
        schedule = make_schedule(optimizer, options, 95) if own else reference(optimizer, 10, 95)
        made.append(rates(schedule, optimizer, 95))
    assert made[0] == pytest.approx(made[1])


def test_constant_schedule_stays_at_its_peak():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    options = TorchTrainer(schedule=Schedule.constant, warmup_fraction=0.0)
    assert rates(make_schedule(optimizer, options, 5), optimizer, 5) == [0.5] * 5


def test_a_warm_up_of_so_many_steps():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    options = TorchTrainer(schedule=Schedule.constant, warmup_steps=4)
    assert rates(make_schedule(optimizer, options, 6), optimizer, 6) == [0, 0.125, 0.25, 0.375, 0.5, 0.5]
    with pytest.raises(ConfigError, match="warmup_steps must be below the 4 steps of this training, got 4"):
        make_schedule(optimizer, options, 4)


def test_biases_and_norms_do_not_decay(tiny_checkpoint):
    options = TransformerModel(name="x", checkpoint=str(tiny_checkpoint), max_length=32)
    model = load_checkpoint(options, ("a", "b"), 1).model
    optimizer = make_optimizer(model, TorchTrainer(weight_decay=0.1))
    decay = {id(w): group["weight_decay"] for group in optimizer.param_groups for w in group["params"]}
    assert len(decay) == len(list(model.parameters()))
    for name, weight in model.named_parameters():
        free = name.endswith("bias") or "LayerNorm" in name
        assert decay[id(weight)] == (0.0 if free else 0.1), name


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_parts_of_the_loss_add_up_to_the_mean(smoothing):
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    parts = sum(Loss(smoothing)(logits[i : i + 3], labels[i : i + 3]) for i in (0, 3, 6)) / 7
    assert parts.item() == pytest.approx(cross_entropy(logits, labels, label_smoothing=smoothing).item(), abs=1e-6)
    uniform = torch.zeros(5, 4)
    assert Loss(smoothing)(uniform, torch.zeros(5, dtype=torch.long)).item() == pytest.approx(5 * math.log(4))


@pytest.mark.parametrize("cls", [TorchTrainer, HFTrainer])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must lie between"),
        ({"warmup_fraction": 1.0}, "warmup_fraction must be in"),
        ({"batch_size": 10, "gradient_accumulation": 4}, r"batch_size \(10\) must be a multiple"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"warmup_steps": -1}, "warmup_steps must be 0 or more"),
        ({"max_steps": 9, "epochs": 2}, "epochs=2 contradicts max_steps=9"),
        ({"warmup_steps": 9, "warmup_fraction": 0.1}, "warmup_fraction=0.1 contradicts warmup_steps=9"),
        ({"warmup_steps": 9, "max_steps": 9}, r"warmup_steps \(9\) must be below max_steps \(9\)"),
        ({"precision": Precision.fp16, "device": Device.cpu}, "needs a CUDA GPU and contradicts device=cpu"),
        ({"min_steps": -1}, "min_steps must be 0 "),
        ({"patience": 0}, "patience must be at least 1"),
    ],
)
def test_impossible_options_are_refused(cls, options, message):
    with pytest.raises(ConfigError, match=message):
        cls(**options)


def test_every_mistake_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        TorchTrainer(epochs=0, batch_size=-1, label_smoothing=3.0)
    assert len(str(caught.value).split("\n")) == 3


def test_auto_precision_is_one_the_device_is_fast_at(monkeypatch):
    cpu = torch.device("cpu")
    for able, expected in [
        ({"amx_tile": True}, Precision.bf16),
        ({"avx512_bf16": True}, Precision.bf16),
        ({}, Precision.fp32),
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert choose_precision(TorchTrainer(), cpu) is expected
    for capability, expected in [((9, 0), Precision.bf16), ((8, 0), Precision.bf16), ((7, 5), Precision.fp16)]:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert choose_precision(TorchTrainer(), torch.device("cuda")) is expected
    with pytest.raises(ConfigError, match="fp16 needs a CUDA GPU"):
        choose_precision(TorchTrainer(precision=Precision.fp16), cpu)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="this machine has none"):
        choose_device(TorchTrainer(device=Device.cuda))


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({}, 4, 13),
        ({}, 12, 5),
        ({}, 13, 4),
        ({}, 1000, 4),
        ({"epochs": 2}, 4, 2),
        ({"min_steps": 100}, 4, 25),
        ({"min_steps": 0}, 1, 4),
    ],
)
def test_little_data_gets_enough_steps_where_no_epochs_are_given(options, steps, epochs):
    assert TorchTrainer(**options).planned_epochs(steps) == epochs
