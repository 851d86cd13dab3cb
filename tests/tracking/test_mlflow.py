import logging
import os
import subprocess
import sys
import time

import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.tracking import MlflowClient

from textclf.tracking import mlflow_run
from textclf.tracking.options import MlflowTracker, NullTracker, TrackedRun


def tracker(tmp_path, **changes):
    return MlflowTracker(**{"directory": str(tmp_path / "mlruns"), "system_metrics": False} | changes)


def runs_in(tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client, client.search_runs(experiments)


def test_what_is_logged_is_in_the_store(tmp_path, tiny_data):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_text("x")
    (tmp_path / "report.md").write_text("# r")
    with tracker(tmp_path).start("mine", "tiny/bert/seed1", {"model": "bert"}) as run:
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


def test_a_failed_run_is_marked_with_its_error(tmp_path):
    with pytest.raises(ZeroDivisionError), tracker(tmp_path).start("mine", "r", {}):
        1 / 0  # noqa: B018
    _, (found,) = runs_in(tmp_path)
    assert found.info.status == "FAILED"
    assert found.data.tags["error"] == "ZeroDivisionError: division by zero"


def test_an_interrupted_run_is_marked_killed(tmp_path):
    with pytest.raises(KeyboardInterrupt), tracker(tmp_path).start("mine", "r", {}):
        raise KeyboardInterrupt
    assert runs_in(tmp_path)[1][0].info.status == "KILLED"


def test_a_server_that_is_down_only_warns(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    start = time.monotonic()
    with tracker(tmp_path, tracking_uri="http://127.0.0.1:9").start("mine", "r", {}) as run:
        run.log_metrics({"a": 1.0})
    assert type(run) is TrackedRun
    assert "this run is not tracked" in caplog.text
    assert time.monotonic() - start < 30


def test_faults_while_running_warn_and_then_are_silent(tmp_path, caplog, monkeypatch):
    with tracker(tmp_path).start("mine", "r", {}) as run:

        def fail(*args, **kwargs):
            raise OSError("database is gone")

        with monkeypatch.context() as patch:
            patch.setattr(run.client, "log_batch", fail)
            for step in range(10):
                run.log_metrics({"a": 1.0}, step)
    assert caplog.text.count("database is gone") == mlflow_run.FAULTS_BEFORE_SILENCE
    assert "giving up on tracking" in caplog.text
    assert runs_in(tmp_path)[1][0].info.status == "FINISHED"


def test_a_model_that_cannot_be_logged_only_warns(tmp_path, caplog):
    (tmp_path / "run" / "classifier").mkdir(parents=True)
    (tmp_path / "run" / "classifier" / "classifier.json").write_text("{")
    with tracker(tmp_path).start("mine", "r", {}) as run:
        run.log_model(tmp_path / "run")
        run.log_metrics({"a": 1.0})
    assert "log_model failed" in caplog.text
    client, (found,) = runs_in(tmp_path)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["a"] == 1.0
    (model,) = client.search_logged_models([found.info.experiment_id])
    assert model.status == LoggedModelStatus.FAILED


def test_the_environment_variable_names_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    monkeypatch.chdir(tmp_path)
    with tracker(tmp_path).start("mine", "r", {}):
        pass
    assert (tmp_path / "other.db").is_file()
    assert not (tmp_path / "mlruns").exists()


def test_first_use_by_several_processes_at_once(tmp_path):
    code = (
        "import sys\n"
        "from textclf.tracking.options import MlflowTracker\n"
        "tracker = MlflowTracker(directory=sys.argv[1], system_metrics=False)\n"
        "with tracker.start('mine', sys.argv[2], {}) as run:\n"
        "    run.log_metrics({'a': 1.0})\n"
        "    assert run.run_id\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "mlruns")]
    processes = [subprocess.Popen([*command, f"run{k}"], stderr=subprocess.PIPE) for k in range(4)]
    errors = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert not any("not tracked" in error for error in errors)
    assert sorted(run.info.run_name for run in runs_in(tmp_path)[1]) == ["run0", "run1", "run2", "run3"]


def test_system_metrics_are_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_run, "SYSTEM_METRICS_SECONDS", 0.2)
    with tracker(tmp_path, system_metrics=True).start("mine", "r", {}):
        time.sleep(1.5)
    metrics = runs_in(tmp_path)[1][0].data.metrics
    assert "system/cpu_utilization_percentage" in metrics


def test_no_tracking_forgets_everything(tiny_data, caplog):
    caplog.set_level(logging.DEBUG)
    with NullTracker().start("mine", "r", {}) as run:
        run.log_params({"a": 1})
        run.log_metrics({"a": 1.0})
        run.log_dataset(tiny_data)
    assert run.run_id is None


def test_pickle_and_telemetry_are_off_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)
    with tracker(tmp_path).start("mine", "r", {}):
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
