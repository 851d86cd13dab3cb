"""What `resume=true` and `--from-run` make of a command line."""

import sys

import pytest

from textclf.errors import ConfigError
from textclf.experiment.cli import composed
from textclf.experiment.experiment import run_fingerprint
from textclf.experiment.provenance import resolved_options
from textclf.experiment.resume import arguments_from_run, find_run, resume_command, same_command
from textclf.experiment.sweep.status import Sweep
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
