import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from mlflow.tracking import MlflowClient

from tests.tracking.mlflow.conftest import history, wait_for
from textclf.tracking.mlflow import system_metrics
from textclf.tracking.mlflow.store import open_store
from textclf.tracking.options import MlflowTracker, NullTracker
from textclf.tracking.start import start_run


def runs_in(tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client, client.search_runs(experiments)


def test_what_is_logged_is_in_the_store(tracker, tmp_path, tiny_data):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_text("x")
    (tmp_path / "report.md").write_text("# r")
    with start_run(tracker(), "mine", "tiny/bert/seed1", {"model": "bert"}) as run:
        run.log_params({f"option.{k}": "v" * 7000 if k == 0 else k for k in range(150)})
        run.log_metrics({"test/f1 of Sci/Tech (%)": 0.5, "train/loss": 1.0}, 3)
        run.log_dataset(tiny_data)
        run.log_artifacts(tmp_path, ["figures", "report.md", "absent.txt"])
    client, (found,) = runs_in(tmp_path)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "tiny/bert/seed1"
    assert found.data.tags["model"] == "bert"
    assert len(found.data.params) == 150
    assert len(found.data.params["option.0"]) == 6000
    assert found.data.metrics["train/loss"] == 1.0
    assert client.get_metric_history(found.info.run_id, "train/loss")[0].step == 3
    (data,) = found.inputs.dataset_inputs
    assert data.dataset.digest == tiny_data.fingerprint
    assert {entry.path for entry in client.list_artifacts(found.info.run_id)} == {"figures", "report.md"}
    assert found.info.artifact_uri.startswith((tmp_path / "mlruns" / "artifacts").as_uri())


def test_a_failed_run_is_marked_with_its_error(tracker, tmp_path):
    with pytest.raises(ZeroDivisionError), start_run(tracker(), "mine", "r", {}):
        1 / 0  # noqa: B018
    _, (found,) = runs_in(tmp_path)
    assert found.info.status == "FAILED"
    assert found.data.tags["error"] == "ZeroDivisionError: division by zero"


def test_an_interrupted_run_is_marked_killed(tracker, tmp_path):
    with suppress(KeyboardInterrupt), start_run(tracker(), "mine", "r", {}):
        raise KeyboardInterrupt
    assert runs_in(tmp_path)[1][0].info.status == "KILLED"


def test_the_environment_variable_names_the_store(made_store, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_store, tmp_path / "other.db")
    with start_run(MlflowTracker(directory=str(tmp_path / "mlruns"), system_metrics=False), "mine", "r", {}) as run:
        pass
    assert MlflowClient(f"sqlite:///{tmp_path}/other.db").get_run(run.run_id).info.status == "FINISHED"
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 8])
def test_first_use_by_several_processes_at_once(tmp_path, number):
    code = (
        "import sys\n"
        "from textclf.tracking.options import MlflowTracker\n"
        "from textclf.tracking.start import start_run\n"
        "tracker = MlflowTracker(directory=sys.argv[1], system_metrics=False, patience_seconds=200)\n"
        "with start_run(tracker, 'mine', sys.argv[2], {}) as run:\n"
        "    for step in range(300):\n"
        "        run.log_metrics({'a': step / 7, 'b': -step}, step)\n"
        "    assert run.run_id\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "mlruns")]
    processes = [subprocess.Popen([*command, f"run{k}"], stderr=subprocess.PIPE) for k in range(number)]
    errors = [process.communicate(timeout=240)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * number, errors
    assert not any("MLflow" in error or "Traceback" in error for error in errors), errors
    client, found = runs_in(tmp_path)
    assert sorted(run.info.run_name for run in found) == [f"run{k}" for k in range(number)]
    whole = sorted((name, step, value) for step in range(300) for name, value in [("a", step / 7), ("b", -step)])
    for run in found:
        assert run.info.status == "FINISHED"
        assert history(client, run.info.run_id) == whole
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_system_metrics_are_sampled(tracker, tmp_path, monkeypatch):
    monkeypatch.setattr(system_metrics, "SAMPLE_SECONDS", 0.2)
    with start_run(tracker(system_metrics=True), "mine", "r", {}):
        time.sleep(1.5)
    metrics = runs_in(tmp_path)[1][0].data.metrics
    assert "system/cpu_utilization_percentage" in metrics


def test_no_tracking_forgets_everything(tiny_data, caplog):
    caplog.set_level(logging.DEBUG)
    with start_run(NullTracker(), "mine", "r", {}) as run:
        run.log_params({"a": 1})
        run.log_metrics({"a": 1.0})
        run.log_dataset(tiny_data)
    assert run.run_id is None


def test_pickle_and_telemetry_are_off_by_default(tracker, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)
    with start_run(tracker(), "mine", "r", {}):
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


MAKE = """
import sys
from textclf.tracking.options import MlflowTracker
from textclf.tracking.mlflow.store import open_store
print("begun", flush=True)
open_store(MlflowTracker(directory=sys.argv[1]))
"""


def tables_of(path):
    with suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    return 0


@pytest.mark.slow
def test_a_store_whose_maker_is_killed_is_made_anew(tmp_path):
    """MLflow cannot open a store in which one of its migrations was killed, so none has its name before it is whole."""
    root = tmp_path / "mlruns"
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(root)], stdout=subprocess.PIPE)
    wait_for(lambda: any(tables_of(path) >= 5 for path in root.glob("*mlflow.db")))
    assert not (root / "mlflow.db").exists()
    process.kill()
    process.wait()
    client, _, _ = open_store(MlflowTracker(directory=str(root)))
    assert [found.name for found in client.search_experiments()] == ["Default"]
    assert not list(root.glob(".*.mlflow.db"))
