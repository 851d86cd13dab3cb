"""A run that is killed and resumed is one run in the store, as if nothing had happened."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.tracking.mlflow.conftest import history, wait_for
from textclf.system.signals import Stopped
from textclf.tracking.mlflow.journal import read_state
from textclf.tracking.options import MlflowTracker
from textclf.tracking.start import start_run, start_sweep

TRAIN = """
import os, signal, sys, time
from pathlib import Path
from textclf.tracking.mlflow import sender
from textclf.tracking.mlflow.journal import read_state
from textclf.tracking.options import MlflowTracker
from textclf.tracking.start import start_run

sender.GATHER_SECONDS = 0.05
directory, folder, start, stop = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
with start_run(MlflowTracker(directory=directory, system_metrics=False), "mine", "r", {"model": "m"}, folder=folder) as run:
    run.log_params({"a": 1, "b": "x"})
    for step in range(start, stop):
        run.log_metrics({"train/loss": 1 / (step + 1), "train/grad_norm": step / 7}, step)
        if step % 20 == 0:
            run.log_metrics({"validation/f1": step / 100}, step)
        if step == stop - 10:
            assert run.run_id
            while not any(read_state(folder).through.values()):
                time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def train(directory, folder, start, stop):
    """Train for some steps and be killed, some of it sent and some not."""
    arguments = [str(directory), str(folder), str(start), str(stop)]
    return subprocess.run([sys.executable, "-c", TRAIN, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("kills", [[(0, 61)], pytest.param([(0, 37), (20, 50), (40, 61)], marks=pytest.mark.slow)])
def test_killed_and_resumed_is_one_run_with_each_point_once(tracker, client, tmp_path, quick, kills):
    options = tracker()
    for start, stop in kills:
        killed = train(options.directory, tmp_path / "run", start, stop)
        assert killed.returncode == -9, killed.stderr
        with (tmp_path / "run" / "tracking.jsonl").open("a") as journal:
            journal.write('{"kind": "metr')  # as a machine that goes down may leave it
    (unfinished,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert unfinished.info.status == "RUNNING"
    runs = []
    for name, first in [("run", 60), ("whole", 0)]:
        with start_run(options, "mine", "r", {"model": "m"}, folder=tmp_path / name) as run:
            run.log_params({"a": 1, "b": "x"})
            for step in range(first, 101):
                run.log_metrics({"train/loss": 1 / (step + 1), "train/grad_norm": step / 7}, step)
                if step % 20 == 0:
                    run.log_metrics({"validation/f1": step / 100}, step)
            run.log_metrics({"test/f1": 0.5, "validation/f1": 0.8}, 80)
        runs.append(run)
    resumed = client.get_run(runs[0].run_id)
    assert len(client.search_runs([unfinished.info.experiment_id])) == 2
    assert resumed.info.run_id == unfinished.info.run_id
    assert resumed.info.status == "FINISHED"
    assert resumed.data.params == {"a": "1", "b": "x"}
    assert history(client, resumed.info.run_id) == history(client, runs[1].run_id)


def stopped_by(error, options, folder, tags=None):
    """Return a run that something ended early, after a point at step 1."""
    with suppress(type(error)), start_run(options, "mine", "r", tags or {}, folder=folder) as run:
        run.log_params({"a": 1, "b": 2})
        run.log_metrics({"loss": 1.0}, 1)
        raise error
    return run


def test_a_stopped_run_is_killed_and_then_goes_on_without_the_marks_of_it(tracker, client, tmp_path, quick, caplog):
    run = stopped_by(Stopped("stopped by SIGTERM"), tracker(), tmp_path, {"git_commit": "a"})
    stopped = client.get_run(run.run_id)
    assert (stopped.info.status, stopped.data.tags["error"]) == ("KILLED", "Stopped: stopped by SIGTERM")
    with start_run(tracker(), "mine", "r", {"git_commit": "b"}, folder=tmp_path) as again:
        again.log_params({"a": 1, "b": 3, "c": 4})
        again.log_metrics({"loss": 1.0}, 1)
        again.log_metrics({"loss": 0.5}, 2)
        wait_for(lambda: client.get_run(run.run_id).info.status == "RUNNING")
    found = client.get_run(run.run_id)
    assert again.run_id == run.run_id
    assert found.info.status == "FINISHED"
    assert found.info.end_time >= stopped.info.end_time
    assert "error" not in found.data.tags
    assert found.data.tags["git_commit"] == "b"
    assert found.data.params == {"a": "1", "b": "2", "c": "4"}
    assert "params keep the values that the run was started with (b 2, now 3)" in caplog.text
    assert history(client, run.run_id) == [("loss", 1, 1.0), ("loss", 2, 0.5)]


def test_a_run_that_the_store_has_lost_is_made_anew_from_the_journal(tracker, client, tmp_path, quick):
    run = stopped_by(ValueError("broken"), tracker(), tmp_path)
    client.delete_run(run.run_id)
    with start_run(tracker(), "mine", "r", {}, folder=tmp_path) as again:
        again.log_metrics({"loss": 0.5}, 2)
    found = client.get_run(again.run_id)
    assert again.run_id != run.run_id
    assert (found.info.status, found.data.params) == ("FINISHED", {"a": "1", "b": "2"})
    assert history(client, again.run_id) == [("loss", 1, 1.0), ("loss", 2, 0.5)]


def test_samples_of_the_machine_go_on_counting(tracker, client, tmp_path, quick, monkeypatch):
    from textclf.tracking.mlflow import system_metrics

    monkeypatch.setattr(system_metrics, "SAMPLE_SECONDS", 0.1)
    for _ in range(2):
        with start_run(tracker(system_metrics=True), "mine", "r", {}, folder=tmp_path) as run:
            before = run.journal.state.points.highest(system_metrics.FIRST_METRIC)
            while run.journal.state.points.highest(system_metrics.FIRST_METRIC) < before + 3:
                os.sched_yield()
    steps = [point.step for point in client.get_metric_history(run.run_id, system_metrics.FIRST_METRIC)]
    assert sorted(steps) == list(range(len(steps)))
    assert len(steps) >= 6


def test_a_sweep_goes_on_in_the_same_parent(tracker, client, tmp_path, quick):
    for jobs in (1.0, 2.0):
        with start_sweep(tracker(), "mine", "s", {"sweep": "s"}, folder=tmp_path) as parent:
            with start_run(tracker(), "mine", f"job {jobs}", {}, parent.reference, tmp_path / f"job{jobs}") as job:
                assert job.run_id
            parent.log_metrics({"jobs": jobs})
    experiment = client.get_experiment_by_name("mine").experiment_id
    (only,) = client.search_runs([experiment], "tags.sweep = 's'")
    assert only.info.run_id == parent.run_id
    assert only.data.metrics["jobs"] == 2
    assert len(client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.run_id}'")) == 2


def test_a_journal_of_another_format_is_kept_and_the_run_tracked_anew(tracker, client, tmp_path, quick, caplog):
    (tmp_path / "tracking.jsonl").write_text('{"kind": "run", "format": 2}\n')
    with start_run(tracker(), "mine", "r", {}, folder=tmp_path) as run:
        run.log_metrics({"loss": 1.0}, 1)
    assert history(client, run.run_id) == [("loss", 1, 1.0)]
    (aside,) = tmp_path.glob("tracking.jsonl.*")
    assert aside.read_text() == '{"kind": "run", "format": 2}\n'
    assert "is of format 2" in caplog.text


def test_a_late_worker_tells_the_store_nothing_more(tracker, client, tmp_path, quick, monkeypatch):
    from textclf.tracking.mlflow import tracked_run

    monkeypatch.setattr(tracked_run, "LOCK_SECONDS", 0.05)
    with suppress(ValueError), start_run(tracker(), "mine", "r", {}, folder=tmp_path) as late:
        late.log_metrics({"loss": 1.0}, 1)
        first = late.run_id
        with start_run(tracker(), "mine", "r", {}, folder=tmp_path) as owner:
            owner.log_metrics({"loss": 0.5}, 2)
        assert owner.run_id == first
        late.log_metrics({"loss": 9.0}, 3)
        raise ValueError("late")
    assert client.get_run(first).info.status == "FINISHED"
    assert ("loss", 3, 9.0) not in history(client, first)
    assert ("loss", 2, 0.5) in history(client, first)
    assert read_state(tmp_path).ended == "FINISHED"


def test_patience_is_no_less_than_nothing():
    with pytest.raises(Exception, match=r"tracker\.patience_seconds: -1"):
        MlflowTracker(patience_seconds=-1)
