"""A fit that was cut off and resumed ends as the one that was not, to the digit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.export.test_onnx import FAMILIES
from tests.training.checkpoints.resuming import cut_off, differences, fit
from textclf.models.options import Imbalance
from textclf.models.transformer import tokenizer
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import Lengths
from textclf.system import signals
from textclf.training import batches, monitor
from textclf.training.checkpoints import checkpointer, state
from textclf.training.options import HFTrainer, Precision, Schedule, TorchTrainer

ENGINES = [TorchTrainer, HFTrainer]
WAYS = {
    "plain": {},
    "parts and smoothing": {"gradient_accumulation": 4, "label_smoothing": 0.1, "weight_decay": 0.1},
    "patience": {"patience": 2, "epochs": 5, "learning_rate": 0.03},
    "unsorted": {"length_bucketing": False, "schedule": Schedule.cosine},
    "oversample": {"imbalance": Imbalance.oversample},
    "class weights": {"imbalance": Imbalance.class_weights},
    "focal": {"imbalance": Imbalance.focal},
    "bf16": {"precision": Precision.bf16},
    "no speedups": {"speedups": False, "gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def uninterrupted(tiny_checkpoint):
    """Fits that nothing interrupted, by their engine and options."""
    made = {}

    def get(engine, **options):
        key = (engine, str(sorted(options.items(), key=str)))
        if key not in made:
            made[key] = fit(engine, tiny_checkpoint, **options)
        return made[key]

    return get


def check(engine, uninterrupted, checkpoint, folder, steps, **options):
    """Cut a fit off after each of these steps, and hold it against the one that was not."""
    for step in steps:
        cut_off(engine, checkpoint, folder, step, **options)
    resumed = fit(engine, checkpoint, folder, **options)
    assert resumed[1].resumed_at == tuple(steps)
    assert differences(uninterrupted(engine, **options), resumed) == []


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
def test_cut_off_twice_it_ends_the_same(engine, uninterrupted, tiny_checkpoint, tmp_path):
    """In the middle of an epoch, and at its last step, in parts; an epoch has 5 steps, the last of 6 examples."""
    check(engine, uninterrupted, tiny_checkpoint, tmp_path, [3, 5], **WAYS["parts and smoothing"], epochs=2)


@pytest.mark.parametrize("engine", [TorchTrainer, pytest.param(HFTrainer, marks=pytest.mark.slow)])
def test_cut_off_in_an_epoch_that_is_cut_short_it_ends_the_same(engine, uninterrupted, tiny_checkpoint, tmp_path):
    """Of 8 steps in epochs of 5: in the first, in the middle of the second, and at its end."""
    options = {"epochs": None, "max_steps": 8, "warmup_steps": 2}
    assert [epoch.step for epoch in uninterrupted(engine, **options)[1].epochs] == [5, 8]
    check(engine, uninterrupted, tiny_checkpoint, tmp_path, [3, 7, 8], **options)


def test_cut_off_once_patience_has_begun_it_stops_where_it_would_have(uninterrupted, tiny_checkpoint, tmp_path):
    result = uninterrupted(TorchTrainer, **WAYS["patience"])[1]
    assert (len(result.epochs), result.best_epoch) == (3, 1)
    check(TorchTrainer, uninterrupted, tiny_checkpoint, tmp_path, [12], **WAYS["patience"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("steps", [[1], [5], [8, 9, 10], [12], [3, 15]], ids=str)
def test_wherever_it_is_cut_off(engine, way, steps, uninterrupted, tiny_checkpoint, tmp_path):
    check(engine, uninterrupted, tiny_checkpoint, tmp_path, steps, **WAYS[way])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_ends_the_same(engine, family, tiny_checkpoint, tmp_path):
    def make(checkpoint, data):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        tokenizer.padding_side = "left" if family == "xlnet" else "right"
        torch.manual_seed(1)
        model = AutoModelForSequenceClassification.from_config(FAMILIES[family])
        if not hasattr(model.config, "type_vocab_size") or model.config.type_vocab_size < 2:
            tokenizer.model_input_names = ["input_ids", "attention_mask"]
        return TransformerClassifier(
            label_names=data.label_names, model=model, tokenizer=tokenizer, lengths=Lengths(16)
        )

    cut_off(engine, tiny_checkpoint, tmp_path, 3, make=make)
    cut_off(engine, tiny_checkpoint, tmp_path, 8, make=make)
    resumed = fit(engine, tiny_checkpoint, tmp_path, make=make)
    assert differences(fit(engine, tiny_checkpoint, make=make), resumed) == []


def without_random_numbers(patch):
    patch.setattr(state, "set_random_state", lambda *args: None)


def without_moments(patch):
    patch.setattr(state, "_restore_optimizer", lambda *args: None)


def without_schedule(patch):
    patch.setattr("torch.optim.lr_scheduler.LambdaLR.load_state_dict", lambda *args: None)


def without_sums(patch):
    given = state.restore

    def restore(parts, *args):
        given(parts, *args)
        parts.monitor.epoch_loss.zero_()

    patch.setattr("textclf.training.checkpoints.checkpointer.restore", restore)


def without_place(patch):
    given = state.restore

    def restore(parts, *args):
        given(parts, *args)
        parts.monitor.steps_done -= 1

    patch.setattr("textclf.training.checkpoints.checkpointer.restore", restore)


def without_decay(patch):
    given = state.restore

    def restore(parts, *args):
        given(parts, *args)
        parts.seen.decayed = 1.0

    patch.setattr("textclf.training.checkpoints.checkpointer.restore", restore)


def without_best(patch):
    given = state.restore

    def restore(parts, *args):
        given(parts, *args)
        for weight in parts.monitor.best_weights.values():
            weight.zero_()

    patch.setattr("textclf.training.checkpoints.checkpointer.restore", restore)


LOSSES = [
    without_random_numbers,
    *(
        pytest.param(loss, marks=pytest.mark.slow)
        for loss in (without_moments, without_schedule, without_sums, without_place, without_decay, without_best)
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_whatever_is_lost_of_the_state_shows(loss, uninterrupted, tiny_checkpoint, tmp_path, monkeypatch):
    """The control of the tests above: their comparison can fail."""
    options = WAYS["parts and smoothing"] | {"patience": 1}
    cut_off(TorchTrainer, tiny_checkpoint, tmp_path, 7, **options)
    loss(monkeypatch)
    assert differences(uninterrupted(TorchTrainer, **options), fit(TorchTrainer, tiny_checkpoint, tmp_path, **options))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_done_is_not_padded_again(engine, tiny_checkpoint, tmp_path, monkeypatch):
    cut_off(engine, tiny_checkpoint, tmp_path, 3, epochs=1)
    padded = []
    monkeypatch.setattr(batches, "pad", lambda *args: padded.append(args[2]) or tokenizer.pad(*args))
    fit(engine, tiny_checkpoint, tmp_path, epochs=1)
    assert [len(rows) for rows in padded] == [16, 6]


@pytest.mark.parametrize("every", ["10", pytest.param("10min", marks=pytest.mark.slow)])
def test_a_signal_while_validating_is_not_waited_for(every, uninterrupted, tiny_checkpoint, tmp_path, monkeypatch):
    """It raises in the middle; what was trained is kept, once, and the epoch is validated again."""
    written = []
    write = checkpointer.write_checkpoint
    monkeypatch.setattr(
        checkpointer, "write_checkpoint", lambda path, state: written.append(path.name) or write(path, state)
    )
    evaluate = monitor.evaluate_split
    seen = []

    def interrupted(*args):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args)

    with monkeypatch.context() as patch, signals.stoppable():
        patch.setattr(monitor, "evaluate_split", interrupted)
        with pytest.raises(signals.Stopped):
            fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every=every)
    assert written == ["step-00000010"]
    resumed = fit(TorchTrainer, tiny_checkpoint, tmp_path)
    assert differences(uninterrupted(TorchTrainer), resumed) == []


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        (TorchTrainer, Precision.fp32),
        (TorchTrainer, Precision.bf16),
        pytest.param(HFTrainer, Precision.fp32, marks=pytest.mark.slow),
        pytest.param(HFTrainer, Precision.bf16, marks=pytest.mark.slow),
    ],
)
def test_a_signal_between_the_parts_of_a_step_does_not_wait_for_its_end(
    engine, precision, uninterrupted, tiny_checkpoint, tmp_path, monkeypatch
):
    """In the first step, in the middle of an epoch and in the first step of another; the step is taken again whole."""
    options = {"gradient_accumulation": 4, "epochs": 2, "precision": precision}
    add_loss = monitor.TrainingMonitor.add_loss
    for step in (0, 3, 5):
        parts = []

        def interrupted(self, loss, step=step, parts=parts):
            add_loss(self, loss)
            if self.step == step:
                parts.append(loss)
                if len(parts) == 2:
                    os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch, signals.stoppable():
            patch.setattr(monitor.TrainingMonitor, "add_loss", interrupted)
            with pytest.raises(signals.Stopped, match=f"after step {step}") as stopped:
                fit(engine, tiny_checkpoint, tmp_path, **options)
        assert (len(parts), stopped.value.status) == (2, 143)
    resumed = fit(engine, tiny_checkpoint, tmp_path, **options)
    assert resumed[1].resumed_at == (3, 5)
    assert differences(uninterrupted(engine, **options), resumed) == []


def test_training_that_was_over_is_not_trained_again(uninterrupted, tiny_checkpoint, tmp_path, monkeypatch):
    """What follows it had crashed: the weights are taken, and no step."""
    first = fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every="4")
    assert "step-00000015-finished" in {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(monitor.TrainingMonitor, "start_epoch", lambda self: pytest.fail("it trains"))
    again = fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every="4")
    assert differences(first, again) == []
    assert differences(uninterrupted(TorchTrainer), again) == []
    assert again[1].resumed_at == ()


def command(*arguments, launcher=()):
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "tests.training.checkpoints.resuming", *map(str, arguments)], env=env
    )


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_without_notice_it_ends_the_same(engine, tiny_checkpoint, tmp_path):
    """SIGKILL at whatever it does after its first checkpoint, three times over."""
    assert command(engine.__name__, tiny_checkpoint, tmp_path / "none", tmp_path / "whole").wait() == 0
    kills = 0
    for checkpoints in (1, 2, 3):
        process = command(engine.__name__, tiny_checkpoint, tmp_path / "state", tmp_path / "resumed")
        before = set(tmp_path.glob("state/step-*"))
        while process.poll() is None and len(set(tmp_path.glob("state/step-*")) - before) < min(checkpoints, 2):
            time.sleep(0.002)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    assert command(engine.__name__, tiny_checkpoint, tmp_path / "state", tmp_path / "resumed").wait() == 0
    whole, resumed = (json.loads((tmp_path / f"{name}0").read_text()) for name in ("whole", "resumed"))
    assert whole == resumed


@pytest.mark.slow
def test_two_processes_go_on_together(tiny_checkpoint, tmp_path):
    """Under torchrun each process has random numbers and sums of its own, and only the first has the folder."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert command("HFTrainer", tiny_checkpoint, tmp_path / "none", tmp_path / "whole", launcher=launcher).wait() == 0
    stopped = command("HFTrainer", tiny_checkpoint, tmp_path / "state", tmp_path / "no", 13, launcher=launcher)
    assert stopped.wait() != 0
    assert [path.name for path in sorted(tmp_path.glob("state/*"))] == ["step-00000010", "step-00000013"]
    done = command("HFTrainer", tiny_checkpoint, tmp_path / "state", tmp_path / "resumed", launcher=launcher)
    assert done.wait() == 0
    for rank in "01":
        whole, resumed = (json.loads((tmp_path / f"{name}{rank}").read_text()) for name in ("whole", "resumed"))
        assert whole == resumed
