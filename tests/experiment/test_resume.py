"""What `resume=true` and `--from-run` make of a command line."""

import json
import os
import shutil
import sys
import threading
from dataclasses import asdict

import psutil
import pytest
from omegaconf import OmegaConf, open_dict

from textclf.errors import ConfigError
from textclf.experiment.cli import composed
from textclf.experiment.experiment import run_fingerprint
from textclf.experiment.provenance import resolved_options
from textclf.experiment.resume import (
    adopt_finished,
    arguments_from_run,
    find_run,
    resume_command,
    same_command,
    sweep_command,
    use_former_run,
    use_former_sweep,
)
from textclf.experiment.sweep.status import Sweep, write_sweep
from textclf.tracking import claims
from textclf.tracking.claims import PLACE, start_is_over
from textclf.tracking.lease import take_lease
from textclf.tracking.run_folder import is_finished

OVERRIDES = ["model=majority", "tracker=none", "dataset.max_train_examples=40", "analysis.attributions=0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model=bert"], "python -m textclf.run model=bert resume=true"),
        (["-m", "seed=1,2", "resume=true"], "python -m textclf.run -m seed=1,2 resume=true"),
        (["run_name=a b", "resume=false"], "python -m textclf.run 'run_name=a b' resume=true"),
    ],
)
def test_the_resume_command_is_the_same_command(arguments, said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    assert resume_command() == said


def test_a_command_is_the_same_in_whatever_order():
    sweep = Sweep("s", command="python -m textclf.run -m model=a,b seed=1,2")
    assert same_command(sweep, "python -m textclf.run -m seed=1,2 model=a,b")
    assert not same_command(sweep, "python -m textclf.run -m seed=1,2,3 model=a,b")


def test_a_run_is_found_by_its_options_and_done_again_from_its_record(tmp_path, monkeypatch, capsys):
    from textclf.experiment.config import build_experiment
    from textclf.experiment.experiment import run_experiment

    monkeypatch.chdir(tmp_path)
    cfg = composed(OVERRIDES)
    assert find_run(cfg) is None
    record = run_experiment(build_experiment(cfg), tmp_path / "outputs" / "runs" / "a")
    found = find_run(cfg)
    assert found is not None
    assert found.resolve() == tmp_path / "outputs" / "runs" / "a"
    assert is_finished(found)
    assert find_run(composed([*OVERRIDES, "seed=2"])) is None
    assert find_run(composed([*OVERRIDES, "trainer.checkpoint_every=7"])) == found  # decides nothing of the result

    arguments, again = arguments_from_run(["--from-run", str(found), "seed=2"])
    assert capsys.readouterr().out.startswith(f"again: {record.name}, as run {record.started}")
    assert again == record
    config = resolved_options(build_experiment(composed(arguments)))
    assert config["seed"] == 2
    assert run_fingerprint(config | {"seed": 1}) == run_fingerprint(record.config)
    with pytest.raises(ConfigError, match="must be followed by"):
        arguments_from_run(["--from-run"])


def with_hydra(resume, *overrides, folder="outputs/runs/new"):
    """Return a composed config as Hydra hands it to its hooks."""
    config = composed([*OVERRIDES, *overrides, f"resume={resume}"])
    hydra = {"run": {"dir": folder}, "sweep": {"dir": folder}, "overrides": {"hydra": [], "task": list(OVERRIDES)}}
    hydra |= {"runtime": {"choices": {}, "config_sources": []}, "sweeper": {"_target_": "BasicSweeper"}}
    with open_dict(config):
        config.hydra = OmegaConf.create(hydra)
    return config


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_killed_start_is_gone_on_with_in_its_folder(kind, again, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choose = use_former_run if kind == "run" else use_former_sweep
    first = tmp_path / "outputs" / "first"
    choose(with_hydra(True, folder=str(first)))
    (first / ".hydra").mkdir(parents=True)
    (first / "tracking.jsonl").touch()
    (note,) = (tmp_path / "outputs" / PLACE).glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"process_started": 0.0}))
    claims._claims.pop(first).lock.release()  # which goes with the process
    config = with_hydra(again)
    choose(config)
    assert config.hydra[kind].dir == str(first)
    start_is_over(first)
    assert not (tmp_path / "outputs" / PLACE).exists()


def test_a_sweep_that_is_being_started_is_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = with_hydra(True, folder="outputs/first"), with_hydra(True, folder="outputs/second")
    use_former_sweep(first)

    def begin():
        write_sweep(tmp_path / "outputs" / "first", Sweep("s", command=sweep_command(first)))
        start_is_over(tmp_path / "outputs" / "first")

    thread = threading.Timer(0.3, begin)
    thread.start()
    use_former_sweep(second)
    assert second.hydra.sweep.dir == "outputs/first"
    third = with_hydra(False, folder="outputs/third")
    use_former_sweep(third)
    assert third.hydra.sweep.dir == "outputs/third"
    start_is_over(tmp_path / "outputs" / "third")


def test_a_finished_run_of_other_data_is_another_run(tmp_path, monkeypatch, caplog):
    from textclf.experiment.config import build_experiment
    from textclf.experiment.experiment import run_experiment

    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    rows = [f"{label},text {label} {number}" for number in range(30) for label in ("good", "bad")]
    (tmp_path / "d.csv").write_text("\n".join(["label,text", *rows]))
    overrides = ["dataset=files", "dataset.train=d.csv", "model=majority", "tracker=none", "analysis.attributions=0"]
    cfg = composed(overrides)
    run_experiment(build_experiment(cfg), tmp_path / "outputs" / "runs" / "a")
    adopt_finished(cfg, tmp_path / "same")
    assert (tmp_path / "same" / "run.json").exists()
    (tmp_path / "d.csv").write_text("\n".join(["label,text", *rows, "good,one more"]))
    before = (tmp_path / "outputs" / "runs" / "a" / "run.json").read_bytes()
    adopt_finished(cfg, tmp_path / "job0")
    assert not (tmp_path / "job0").exists()
    assert "is not used: its data have changed since" in caplog.text
    run_experiment(build_experiment(cfg), tmp_path / "job0", resume=True)
    assert (tmp_path / "outputs" / "runs" / "a" / "run.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_another_is_at_work_on_is_waited_for(tmp_path, monkeypatch, capsys):
    from textclf.experiment import resume
    from textclf.experiment.config import build_experiment
    from textclf.experiment.experiment import run_experiment

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "runs" / "a"
    run_experiment(build_experiment(composed(OVERRIDES)), folder)
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    for name in ("run.json", "manifest.json"):
        (folder / name).unlink()
    lease = take_lease(folder)
    other = psutil.Process(os.getppid())
    said = asdict(lease.worker) | {"pid": other.pid, "process_started": other.create_time()}
    (folder / "lease.json").write_text(json.dumps(said))

    def finish(seconds):
        for name in ("run.json", "manifest.json"):
            shutil.copy(whole / name, folder / name)
        lease.give_back()

    monkeypatch.setattr(resume.time, "sleep", finish)
    config = with_hydra(True)
    use_former_run(config)
    assert "is at work on this run in outputs/runs/a; waiting for it" in capsys.readouterr().out
    assert config.hydra.run.dir == "outputs/runs/a"
    start_is_over(folder)
