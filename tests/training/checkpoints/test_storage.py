"""Checkpoints: when they are written, which of them is trusted, and what becomes of those that cannot be."""

import errno
import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch

from tests.conftest import make_data
from tests.training.checkpoints.resuming import cut_off, differences, fit
from textclf.errors import ArtifactError, ConfigError
from textclf.system import files as durable
from textclf.tracking.lease import LeaseLostError
from textclf.training.checkpoints import checkpointer, storage
from textclf.training.checkpoints.storage import Saved, name_of, newest_checkpoint, read_checkpoint, write_checkpoint
from textclf.training.options import HFTrainer, Interval, TorchTrainer, parse_interval


def saved(**plain):
    tensors = {"model": {"a": torch.arange(3.0), "b": torch.tensor(1.0, dtype=torch.bfloat16)}, "best": {}}
    return Saved({"seed": "1"}, {"threads": "1"}, {"step": 5, **plain}, tensors)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("500", Interval(steps=500)),
        ("90s", Interval(seconds=90)),
        ("10min", Interval(seconds=600)),
        ("1.5h", Interval(seconds=5400)),
        ("never", Interval()),
    ],
)
def test_how_often_is_said_in_steps_or_time(text, every):
    assert parse_interval(text) == every


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "10 minutes", "1.5", "1e3", "Never", "10m", "inf", "nan s"])
def test_other_ways_to_say_it_are_refused_in_a_line(text):
    with pytest.raises(ConfigError, match=r"^checkpoint_every must be a number of steps .* or never, got '.*'\.$"):
        TorchTrainer(checkpoint_every=text)


def test_what_is_read_is_what_was_written(tmp_path):
    """Floats are the same to the last bit, also those that JSON proper does not have."""
    numbers = [0.1 + 0.2, 1e-320, 3.141592653589793, float("inf")]
    shared = torch.arange(6.0)
    given = saved(numbers=numbers)
    given.tensors["model"] |= {"same": shared, "view": shared, "transposed": shared.view(2, 3).t()}
    assert write_checkpoint(tmp_path / name_of(5), given)
    path, found = newest_checkpoint(tmp_path)
    assert path.name == "step-00000005"
    assert found.plain == given.plain
    assert (found.identity, found.environment) == (given.identity, given.environment)
    assert found.tensors["model"].keys() == given.tensors["model"].keys()
    for name, tensor in given.tensors["model"].items():
        assert found.tensors["model"][name].dtype is tensor.dtype
        assert torch.equal(found.tensors["model"][name], tensor)


def damage(path, how):
    """Break a checkpoint in one of the ways in which files break."""
    model, state = path / "model.safetensors", path / "state.json"
    if how == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif how == "bit":
        content = bytearray(model.read_bytes())
        content[-1] ^= 1
        model.write_bytes(content)
    elif how == "missing":
        model.unlink()
    elif how == "no manifest":
        (path / durable.MANIFEST_FILE).unlink()
    elif how == "manifest holds, content does not":
        state.write_text("{}")
        durable.write_manifest(path)
    elif how == "tensors of another kind":
        model.write_bytes(b"\x80\x04N.")
        durable.write_manifest(path)
    elif how == "empty":
        shutil.rmtree(path)
        path.mkdir()
    elif how == "another format":
        state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 99}))
        durable.write_manifest(path)


DAMAGES = [
    "cut", "bit", "missing", "no manifest", "manifest holds, content does not", "tensors of another kind", "empty",
    "another format",
]  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_named_and_the_one_before_taken(how, tmp_path, caplog):
    for step in (5, 10):
        write_checkpoint(tmp_path / name_of(step), saved(step=step))
    damage(tmp_path / name_of(10), how)
    path, found = newest_checkpoint(tmp_path)
    assert (path.name, found.plain["step"]) == ("step-00000005", 5)
    assert f"checkpoint {tmp_path / name_of(10)} is not used: " in caplog.text
    damage(tmp_path / name_of(5), how)
    assert newest_checkpoint(tmp_path) is None
    assert "training starts from the beginning" in caplog.text


def test_the_newest_is_the_one_that_most_was_done_of(tmp_path):
    for name in (name_of(9), name_of(100_000_000), name_of(10, 2), name_of(10), name_of(10, finished=True)):
        write_checkpoint(tmp_path / name, saved())
    (tmp_path / ".0123abcd.step-00000999").mkdir()
    (tmp_path / "step-of-mine").mkdir()
    expected = ["step-100000000", "step-00000010-finished", "step-00000010-epoch-2", "step-00000010", "step-00000009"]
    for name in expected:
        path, _ = newest_checkpoint(tmp_path)
        assert path.name == name
        shutil.rmtree(path)


def test_two_are_kept_and_no_leavings_of_a_killed_process(tiny_checkpoint, tmp_path, monkeypatch):
    sizes = []
    write = checkpointer.write_checkpoint
    monkeypatch.setattr(
        checkpointer, "write_checkpoint", lambda *args: write(*args) and sizes.append(names(tmp_path)) is None
    )
    (tmp_path / ".0123abcd.step-00000001").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every="1", epochs=2)
    assert max(len([name for name in seen if name.startswith("step-")]) for seen in sizes) == 3
    assert names(tmp_path) == ["notes", "step-00000010", "step-00000010-finished"]


def test_a_short_fit_writes_none_and_one_that_never_may_none_either(tiny_checkpoint, tmp_path):
    fit(TorchTrainer, tiny_checkpoint, tmp_path / "usual", epochs=1)
    cut_off(TorchTrainer, tiny_checkpoint, tmp_path / "never", 3, checkpoint_every="never")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", [TorchTrainer, HFTrainer])
def test_a_worker_that_another_took_over_from_writes_none(engine, tiny_checkpoint, tmp_path):
    @contextmanager
    def lost():
        raise LeaseLostError("taken over")
        yield

    with pytest.raises(LeaseLostError):
        fit(engine, tiny_checkpoint, tmp_path, checkpoint_every="2", context={"fenced": lost})
    assert list(tmp_path.iterdir()) == []


def test_by_the_clock_one_is_written_after_so_many_seconds(tiny_checkpoint, tmp_path, monkeypatch):
    """A clock that goes ten seconds with each look at it."""
    now = iter(range(0, 100_000, 10))
    monkeypatch.setattr(checkpointer.time, "monotonic", lambda: next(now))
    written = []
    write = checkpointer.write_checkpoint
    monkeypatch.setattr(
        checkpointer, "write_checkpoint", lambda path, state: written.append(path.name) or write(path, state)
    )
    fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every="30s", epochs=1)
    assert written == ["step-00000003", "step-00000005-epoch-1", "step-00000005-finished"]


SHORT = {"epochs": 2, "log_every": 5}


@pytest.fixture(scope="module")
def cut(tiny_checkpoint, tmp_path_factory):
    """A folder with two checkpoints of a fit that was cut off twice."""
    folder = tmp_path_factory.mktemp("cut")
    for step in (3, 7):
        cut_off(TorchTrainer, tiny_checkpoint, folder, step, **SHORT)
    return folder


@pytest.fixture
def folder(cut, tmp_path):
    """A copy of it, to be resumed from."""
    return shutil.copytree(cut, tmp_path / "checkpoints")


@pytest.mark.parametrize("damaged", [["07"], pytest.param(["03", "07"], marks=pytest.mark.slow)], ids=["newest", "all"])
def test_a_fit_goes_on_from_what_holds_or_begins_anew(damaged, tiny_checkpoint, folder, caplog):
    for end in damaged:
        damage(folder / f"step-000000{end}", "bit")
    resumed = fit(TorchTrainer, tiny_checkpoint, folder, checkpoint_every="7", **SHORT)
    assert resumed[1].resumed_at == (() if len(damaged) == 2 else (3,))
    assert differences(fit(TorchTrainer, tiny_checkpoint, **SHORT), resumed) == []
    assert len([line for line in caplog.messages if "is not used" in line]) == len(damaged)
    assert names(folder) == ["step-00000007", "step-00000010-finished"]


def test_another_runs_checkpoint_is_refused_by_what_differs(tiny_checkpoint, folder):
    with pytest.raises(ArtifactError, match=r"another training run \(trainer\.learning_rate was 0\.003, is 0\.001\)"):
        fit(TorchTrainer, tiny_checkpoint, folder, learning_rate=1e-3, **SHORT)
    with pytest.raises(ArtifactError, match=r"another training run \(data was \w+, is \w+; tokens was \w+, is \w+\)"):
        fit(TorchTrainer, tiny_checkpoint, folder, data=make_data(train=71), **SHORT)
    assert names(folder) == ["step-00000003", "step-00000007"]


def test_other_threads_are_refused_unless_accepted(tiny_checkpoint, folder, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.raises(ConfigError, match=r"threads was 1, is 7\. .* resume_changed=true"):
        fit(TorchTrainer, tiny_checkpoint, folder, **SHORT)
    result = fit(TorchTrainer, tiny_checkpoint, folder, accept_changes=True, checkpoint_every="1h", **SHORT)[1]
    assert result.resumed_at == (3, 7)
    assert result.warnings[-1] == "resumed after step 7 although threads was 1, is 7"


@pytest.mark.parametrize("failing", ["save_file", "sync"])
def test_a_full_disk_stops_no_training(failing, tiny_checkpoint, tmp_path, caplog, monkeypatch):
    """From the second checkpoint on nothing can be written any more."""
    module = storage if failing == "save_file" else durable
    works, calls = getattr(module, failing), []

    def full(*args):
        calls.append(1)
        if any(path.name == "step-00000004" for path in tmp_path.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return works(*args)

    monkeypatch.setattr(module, failing, full)
    result = fit(TorchTrainer, tiny_checkpoint, tmp_path, checkpoint_every="4", epochs=2)[1]
    assert len(result.epochs) == 2
    assert names(tmp_path) == ["step-00000004"]
    lines = [line for line in caplog.messages if "no checkpoint could be written" in line]
    assert len(lines) == 2
    assert all("No space left on device" in line and "\n" not in line for line in lines)
    read_checkpoint(tmp_path / "step-00000004")


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from textclf.training.checkpoints.storage import Saved, write_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
state = lambda size: Saved({}, {}, {}, {"model": {"a": torch.zeros(size)}})
print(write_checkpoint(Path(sys.argv[1]) / "step-00000001", state(10)))
print(write_checkpoint(Path(sys.argv[1]) / "step-00000002", state(10_000_000)))
"""


@pytest.mark.slow
def test_a_file_that_the_system_does_not_let_grow_leaves_nothing_behind(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr
    assert "no checkpoint could be written" in done.stderr
    assert names(tmp_path) == ["step-00000001"]


@pytest.mark.slow
def test_asking_after_each_step_costs_nothing_that_can_be_measured(tiny_checkpoint, tmp_path):
    """Less than ten microseconds, where the shortest step of a real model takes some milliseconds."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointer.Checkpointer, "finish", lambda self: made.append(self))
        fit(TorchTrainer, tiny_checkpoint, tmp_path, epochs=1)
    start = time.process_time()
    for _ in range(10_000):
        made[0].after_step()
    assert (time.process_time() - start) / 10_000 < 1e-5
