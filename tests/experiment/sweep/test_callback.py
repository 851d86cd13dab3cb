"""What lies between the jobs of a sweep."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

MEASURED = """
import gc, itertools, json, sys
from textclf import run
from textclf.experiment import experiment
from textclf.experiment.sweep.callback import SweepCallback

latency, number = experiment.latency, itertools.count()

def broken_every_second_time(*arguments):
    if next(number) % 2:
        raise RuntimeError("broken with a model in hand")
    return latency(*arguments)

experiment.latency = broken_every_second_time

after = SweepCallback.on_job_end
counts = []

def counted(self, config, job_return, **kwargs):
    after(self, config, job_return, **kwargs)
    from transformers import PreTrainedModel
    counts.append(sum(isinstance(thing, PreTrainedModel) for thing in gc.get_objects()))

SweepCallback.on_job_end = counted
try:
    run.main()
except SystemExit as end:
    print(json.dumps({"counts": counts, "rc": end.code}), file=sys.stderr)
"""


@pytest.mark.slow
def test_no_model_outlives_its_job_in_one_process(tiny_checkpoint, tmp_path):
    """Neither that of a job that ended well nor that of one that failed when it had a model."""
    arguments = [
        "-m", "model=transformer", "model.name=tiny", f"model.checkpoint={tiny_checkpoint}", "model.max_length=16",
        "trainer.epochs=1", "seed=1,2", "dataset.max_train_examples=40",
        "dataset.max_eval_examples=20", "tracker=none",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    said = json.loads(done.stderr.strip().splitlines()[-1])
    assert said == {"counts": [0, 0], "rc": 3}, done.stdout + done.stderr
    assert done.stdout.count("FAILED after") == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local"])
def test_a_sweep_in_other_processes_is_one_sweep(launcher, tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "textclf.run", "-m", "model=majority,naive_bayes", "tracker.system_metrics=false",
            f"hydra/launcher={launcher}", "hydra.sweeper.max_batch_size=1",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/2] reviews/naive_bayes/seed1: test accuracy 0.640" in done.stdout
    assert "naive_bayes beats majority" in done.stdout
