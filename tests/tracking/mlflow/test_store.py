"""Runs of an MLflow experiment, found again as run folders."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.compare_runs import compare
from textclf.compare.options import CompareOptions
from textclf.compare.runs import read_run
from textclf.errors import ArtifactError
from textclf.tracking.mlflow.store import VIEW_STATE, VIEW_TAG, _fetched, _folder, newest_runs_page, run_folders_of
from textclf.tracking.options import MlflowTracker
from textclf.tracking.start import start_run

LABELS = labels_of(30)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run", "a", 1, LABELS, guess(LABELS, 0.8, 1))
    tracker = MlflowTracker(system_metrics=False)
    with start_run(tracker, "mine", "with a record", {}) as tracked:
        tracked.log_artifacts(run, ["run.json", "predictions.parquet"])
    with start_run(tracker, "mine", "without", {}):
        pass
    with suppress(ValueError), start_run(tracker, "mine", "failed", {}) as tracked:
        tracked.log_artifacts(run, ["run.json", "predictions.parquet"])
        raise ValueError("broken")
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_finished_runs_with_a_record_are_found(store):
    ((folder, called),) = run_folders_of("mine").items()
    assert read_run(folder).record.model == "a"
    assert re.fullmatch("run with a record [(][0-9a-f]{32}[)]", called)
    assert list(run_folders_of("mine", store)) == [folder]


def test_a_comparison_calls_runs_by_their_names(store, tmp_path, capsys):
    run = write_run(tmp_path / "again", "a", 1, LABELS, guess(LABELS, 0.8, 1))
    damaged = write_run(tmp_path / "damaged", "a", 2, LABELS, guess(LABELS, 0.8, 2))
    (damaged / "predictions.parquet").write_bytes(b"no")
    for name, folder in (("the same once more", run), ("a damaged one", damaged)):
        with start_run(MlflowTracker(system_metrics=False), "mine", name, {}) as tracked:
            tracked.log_artifacts(folder, ["run.json", "predictions.parquet"])
    problems = compare(run_folders_of("mine"), CompareOptions(), tmp_path / "out").problems
    assert problems[0].startswith("run a damaged one (")
    (said,) = (line for line in capsys.readouterr().out.splitlines() if "repeats seed 1 of" in line)
    for name in ("run the same once more (", "run with a record ("):
        assert name in said
    assert str(tmp_path) not in said


def test_from_a_server_they_are_downloaded(store):
    client = MlflowClient(store)
    (run,) = client.search_runs(["1"], "attributes.run_name = 'with a record'")
    folder = _folder(client, run.info.run_id, "mlflow-artifacts:/somewhere")
    assert not str(folder).startswith(run.info.artifact_uri.removeprefix("file://"))
    assert read_run(folder).record.model == "a"


def test_what_lies_elsewhere_is_copied_until_the_process_ends_and_what_is_here_is_read_where_it_lies(monkeypatch):
    copies = []
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lambda uri, dst_path, tracking_uri: dst_path or uri)
    monkeypatch.setattr("atexit.register", lambda remove, folder, **options: copies.append(folder))
    elsewhere = _fetched("mlflow-artifacts:/1/models/m-1/artifacts", "http://127.0.0.1:9")
    assert copies == [elsewhere]
    elsewhere.rmdir()
    for here in ("/runs/1/artifacts", "file:///runs/1/artifacts"):
        assert str(_fetched(here, "http://127.0.0.1:9")) == str(Path(here))
    assert len(copies) == 1


def test_what_is_not_there_is_told(store, tmp_path, monkeypatch):
    with pytest.raises(ArtifactError, match=r"no such experiment; it has .*mine.*Did you mean 'mine'"):
        run_folders_of("mini")
    with pytest.raises(ArtifactError, match="none of its 0 finished runs"):
        run_folders_of("Default")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(ArtifactError, match="There is no MLflow store at"):
        run_folders_of("mine")


def test_the_shared_view_is_made_and_an_older_one_renewed(store):
    client = MlflowClient(store)
    client.set_experiment_tag("1", VIEW_TAG, "{}")
    with start_run(MlflowTracker(system_metrics=False), "mine", "later", {}):
        pass
    assert client.get_experiment("1").tags[VIEW_TAG] == VIEW_STATE
    shown = json.loads(VIEW_STATE)
    of_sweep = {"test/accuracy": 0.9, "test/macro_f1": 0.9, "test/log_loss": 0.3}
    runs = {"sweep": (of_sweep, {"sweep": "s"}), "bare": ({}, {"model": "m"})}
    for name, f1, only in (("b", 0.8, "accuracy"), ("a", 0.9, "accuracy"), ("of sets", 0.7, "micro_f1")):
        runs[name] = ({f"test/{only}": f1, "test/macro_f1": f1, "test/log_loss": 0.3}, {"model": "m"})
    for name, (metrics, tags) in runs.items():
        with start_run(MlflowTracker(system_metrics=False), "mine", name, tags) as tracked:
            tracked.log_metrics(metrics)
    found = client.search_runs(["1"], shown["searchFilter"], order_by=[f"{shown['orderByKey']} DESC"])
    assert [run.info.run_name for run in found] == ["a", "b", "of sets"]


def test_the_page_of_the_newest_runs_is_that_for_training(store, tmp_path):
    assert newest_runs_page(store) == "/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=textclf"
    MlflowClient(f"sqlite:///{tmp_path}/empty.db").search_experiments()
    assert newest_runs_page(f"sqlite:///{tmp_path}/empty.db") == "/#/experiments?workflowType=machine_learning"
