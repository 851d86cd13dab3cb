"""The command as a person types it, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from textclf.records import find_records

ROOT = Path(__file__).parents[1]
FAST = ["tracker.system_metrics=false"]


def run(*arguments, cwd, **env):
    return subprocess.run(
        [sys.executable, "-m", "textclf.run", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)} | env, capture_output=True, text=True,
    )  # fmt: skip


def test_help_and_config_answer_without_loading_anything_heavy(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "glue/rte" in done.stdout
    assert run("--cfg", "job", cwd=tmp_path).stdout.count("learning_rate: 0.0002") == 1
    assert list(tmp_path.iterdir()) == []


def test_one_run_from_any_folder(tmp_path):
    done = run("model=naive_bayes", *FAST, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reviews/naive_bayes/seed1: test/accuracy" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    (record,) = find_records(tmp_path / "outputs")
    assert record.command == "python -m textclf.run model=naive_bayes tracker.system_metrics=false"
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()


def test_a_sweep_goes_on_after_a_failure_and_says_so(tmp_path):
    """The second job asks for a checkpoint that is not there."""
    done = run(
        "-m", "model=naive_bayes,bert,tfidf_logreg", "seed=1", *FAST, cwd=tmp_path, HF_ENDPOINT="http://127.0.0.1:9"
    )
    assert done.returncode == 3
    out = done.stdout
    for said in ("reviews/naive_bayes/seed1", "FAILED", "reviews/tfidf_logreg/seed1", "1 of 3 jobs failed"):
        assert said in out
    assert "google-bert/bert-base-uncased" in out
    assert "Traceback" not in out + done.stderr
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("*/*")
    assert json.loads((sweep / "job1" / "status.json").read_text())["failed"]
    assert "Traceback" in (sweep / "job1" / "run.log").read_text()
    assert len(find_records(sweep)) == 2
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("textclf").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.lrr=1"], ["trainer.lrr: there is no such option", "learning_rate"]),
        (["trainer.epoch=1"], ["Did you mean 'epochs'"]),
        (["trainer.batch_size=abc"], ["trainer.batch_size", "'abc'", "Integer"]),
        (["model=brt"], ["model=brt: there is no such choice", "Did you mean 'bert'"]),
        (["dataset=glue/rtee"], ["Did you mean 'glue/rte'"]),
        (["modle=bert"], ["modle: there is no such option", "Did you mean 'model'"]),
        (["trainer.precision=fp17"], ["trainer.precision", "expected one of [auto, fp32, bf16, fp16]"]),
        (["model._target_=os.system"], ["model._target_: there is no such option"]),
        (["trainer.epochs=0", "trainer.batch_size=-1"], ["trainer.epochs must be", "trainer.batch_size must be"]),
        (["model=tfidf_logreg", "model.classifier._target_=os.system"], ["cannot run other code"]),
        (["dataset.text_column=txt", "model=majority"], ["no column 'txt'", "it has text, label"]),
        (["dataset.train=none.jsonl"], ["dataset.train=none.jsonl: there is no such file"]),
        (["model=="], ["model"]),
    ],
)
def test_bad_input_gets_one_paragraph_and_a_failure(overrides, said, tmp_path):
    done = run(*overrides, "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    for words in said:
        assert words in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) <= 5


def test_no_network_is_told_within_seconds_with_the_ways_on(tmp_path):
    start = time.monotonic()
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "empty")}
    done = run("model=majority", "dataset=imdb", "tracker=none", cwd=tmp_path, **env)
    assert done.returncode == 1
    for words in ("127.0.0.1:9 does not answer", "HF_HUB_OFFLINE=1", "dataset.path=", "dataset=reviews"):
        assert words in done.stdout
    assert time.monotonic() - start < 45


def test_a_file_in_the_way_of_the_run_folder_is_told(tmp_path):
    (tmp_path / "outputs").write_text("in the way")
    done = run("model=majority", "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "hydra.run.dir=/path/to/it" in done.stderr


def test_an_interrupt_ends_the_run_and_marks_it(tmp_path):
    command = [sys.executable, "-m", "textclf.run", "trainer.epochs=500", *FAST]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while not (logs := list(tmp_path.glob("outputs/runs/*/*/run.log"))) or "training on" not in logs[0].read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(2)
    assert b"Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("textclf").experiment_id])
    assert found.info.status == "KILLED"
