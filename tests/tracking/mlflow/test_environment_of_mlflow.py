"""The person, the experiment and the store that MLflow's own environment names."""

import getpass
import logging

import pytest

from textclf.errors import ConfigError
from textclf.tracking.mlflow.store import check_store, run_folders_of
from textclf.tracking.options import MlflowTracker
from textclf.tracking.start import start_run


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)


def experiment_of_run(tracker, client, experiment="textclf"):
    with start_run(tracker(), experiment, "a", {}) as tracked:
        pass
    return client.get_experiment(client.get_run(tracked.run_id).info.experiment_id)


def test_a_run_is_the_persons(tracker, client, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "grace")
    with start_run(tracker(), "mine", "a", {}) as tracked:
        pass
    run = client.get_run(tracked.run_id)
    assert run.data.tags["mlflow.user"] == run.info.user_id == "grace"


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no entry")])
def test_a_person_without_a_name_tracks_all_the_same(tracker, client, monkeypatch, error):
    def nobody():
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    with start_run(tracker(), "mine", "a", {}) as tracked:
        pass
    assert client.get_run(tracked.run_id).data.tags["mlflow.user"] == "unknown"


def test_the_experiment_of_the_environment_counts_where_none_is_given(tracker, client, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    assert experiment_of_run(tracker, client).name == "theirs"
    assert "experiment is not given: MLflow's MLFLOW_EXPERIMENT_NAME=theirs is used" in caplog.text
    assert experiment_of_run(tracker, client, "mine").name == "mine"
    assert "experiment=mine is given, so MLflow's MLFLOW_EXPERIMENT_NAME=theirs is not used" in caplog.text


def test_an_experiment_that_was_set_by_its_id_counts(tracker, client, monkeypatch, caplog):
    made = client.create_experiment("set before")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made)  # as mlflow.set_experiment does
    assert experiment_of_run(tracker, client).name == "set before"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "987654")
    assert experiment_of_run(tracker, client).name == "textclf"
    assert "no experiment with the id 987654" in caplog.text


def test_a_deleted_experiment_that_is_restored_is_told(tracker, client, caplog):
    client.delete_experiment(client.create_experiment("old"))
    assert experiment_of_run(tracker, client, "old").lifecycle_stage == "active"
    assert "experiment 'old' was deleted; it is restored" in caplog.text


@pytest.mark.parametrize("uri", ["{}/mlruns", "file:{}/mlruns", "file://{}/mlruns", "./mlruns"])
def test_a_store_of_files_is_refused_before_anything_is_done(tmp_path, monkeypatch, uri):
    uri = uri.format(tmp_path)
    refusal = r"no longer opened by MLflow.*sqlite:///.*/mlruns/mlflow.db.*MLFLOW_ALLOW_FILE_STORE=true"
    with pytest.raises(ConfigError, match=refusal), start_run(MlflowTracker(tracking_uri=uri), "mine", "a", {}):
        raise AssertionError("the run began")
    with pytest.raises(ConfigError, match=refusal):
        run_folders_of("mine", uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_store(uri)


@pytest.mark.parametrize(
    "uri", [None, "sqlite:///a.db", "http://127.0.0.1:5000", "databricks", "databricks://me", "uc:x"]
)
def test_other_stores_are_left_to_mlflow(uri):
    check_store(uri)
