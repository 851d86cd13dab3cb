"""A store that is down, goes down, is locked or dawdles: no call waits for it, and nothing is lost."""

import logging
import sqlite3
import threading

from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tests.tracking.mlflow.conftest import history, wait_for
from textclf.tracking.mlflow import sender, store
from textclf.tracking.mlflow.journal import read_state
from textclf.tracking.start import start_run


def tell(run, steps):
    for step in steps:
        run.log_metrics({"train/loss": 1 / (step + 1)}, step)


def points(steps):
    return sorted(("train/loss", step, 1 / (step + 1)) for step in steps)


def test_no_call_waits_for_a_server_that_does_not_answer(server, tracker, tmp_path, tiny_data):
    server.go_on.clear()
    (tmp_path / "run" / "figures").mkdir(parents=True)
    options = tracker(tracking_uri=server.uri)
    with start_run(options, "slow", "r", {}, folder=tmp_path / "run") as run:
        assert server.asked.wait(20)
        run.log_params({"a": 1})
        run.log_dataset(tiny_data)
        tell(run, range(100))
        run.log_artifacts(tmp_path / "run", ["figures"])
        run.set_tags({"b": "c"})
        assert not server.go_on.is_set()  # all of these came back though nothing was answered
        assert not read_state(tmp_path / "run").run_ids
        server.go_on.set()
    run_id = run.run_id
    assert history(server.client, run_id) == points(range(100))
    assert server.client.get_run(run_id).info.status == "FINISHED"


def test_a_server_that_goes_down_and_comes_back_has_every_point_once(server, tracker, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with start_run(tracker(tracking_uri=server.uri), "flaky", "r", {}, folder=tmp_path / "run") as run:
        tell(run, range(50))
        assert run.run_id
        server.stop()
        tell(run, range(50, 100))
        assert run.url.startswith(server.uri)
        wait_for(lambda: "MLflow is unreachable" in caplog.text)
        server.start()
        tell(run, range(100, 150))
    assert history(server.client, run.run_id) == points(range(150))
    assert caplog.text.count("MLflow is unreachable") == 1
    assert "MLflow is reachable again" in caplog.text
    assert "textclf.sync" not in caplog.text


def test_an_answer_that_was_lost_doubles_nothing(tracker, client, tmp_path, quick, monkeypatch):
    asked = []

    def answer_lost(method):
        def lost(self, *args, **kwargs):
            done = method(self, *args, **kwargs)
            asked.append(method.__name__)
            if asked.count(method.__name__) == 1:
                raise MlflowException("timed out")
            return done

        return lost

    for name in ("create_run", "log_batch", "set_terminated"):
        monkeypatch.setattr(MlflowClient, name, answer_lost(getattr(MlflowClient, name)))
    with start_run(tracker(), "lost", "r", {}, folder=tmp_path / "run") as run:
        tell(run, range(30))
    assert asked.count("create_run") == 1
    assert asked.count("set_terminated") == 2
    (found,) = client.search_runs([client.get_experiment_by_name("lost").experiment_id])
    assert found.info.run_id == run.run_id
    assert history(client, run.run_id) == points(range(30))


def test_a_store_that_is_never_there_costs_the_patience_once(tracker, tmp_path, quick, caplog):
    down = tracker(tracking_uri="http://127.0.0.1:9", patience_seconds=0.5)
    with start_run(down, "down", "r", {}, folder=tmp_path / "run") as run:
        tell(run, range(3))
        assert run.run_id is None
        assert run.url is None
    assert "MLflow is unreachable (API request to http://127.0.0.1:9/api/2.0/mlflow/" in caplog.text
    assert f"python -m textclf.sync {tmp_path / 'run'}" in caplog.text
    state = read_state(tmp_path / "run")
    assert (state.ended, state.points.highest("train/loss")) == ("FINISHED", 2)
    sender._outages["http://127.0.0.1:9"] -= 1000
    patient = tracker(tracking_uri="http://127.0.0.1:9", patience_seconds=600)
    with start_run(patient, "down", "r", {}, folder=tmp_path / "other"):
        pass  # the next run of a sweep tries once


def test_a_locked_store_is_waited_for_in_the_background(tracker, client, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(store, "_let_readers_and_writers_be", lambda path: None)
    database = sqlite3.connect(tmp_path / "mlruns" / "mlflow.db", isolation_level=None, check_same_thread=False)
    with start_run(tracker(), "locked", "r", {}, folder=tmp_path / "run") as run:
        assert run.run_id
        database.execute("BEGIN EXCLUSIVE")
        tell(run, range(20))
        unlock = threading.Timer(0.5, database.execute, ("COMMIT",))
        unlock.start()
    unlock.join()
    database.close()
    assert history(client, run.run_id) == points(range(20))


def test_what_a_store_refuses_for_good_is_named_and_the_rest_sent(tracker, client, tmp_path, quick, caplog):
    with start_run(tracker(), "refused", "r", {}, folder=tmp_path / "run") as run:
        tell(run, range(5))
        run.log_metrics({"much too long " * 30: 1.0}, 1)
        tell(run, range(5, 9))
    assert "log_metrics failed" in caplog.text
    assert history(client, run.run_id) == points(range(9))
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert not read_state(tmp_path / "run").unsent(run.thread.sender.address)


def test_a_run_that_is_deleted_under_way_is_made_anew_with_all_of_it(tracker, client, tmp_path, quick):
    with start_run(tracker(), "gone", "r", {"model": "bert"}, folder=tmp_path / "run") as run:
        tell(run, range(5))
        first = run.run_id
        wait_for(lambda: run.thread.sender.is_done)
        client.delete_run(first)
        tell(run, range(5, 9))
    assert run.run_id != first
    assert history(client, run.run_id) == points(range(9))
    assert client.get_run(run.run_id).data.tags["model"] == "bert"


def test_a_full_disk_costs_the_tracker_and_not_the_run(tracker, tmp_path, quick, caplog, monkeypatch):
    with start_run(tracker(), "full", "r", {}, folder=tmp_path / "run") as run:
        tell(run, range(3))
        with monkeypatch.context() as patch:
            patch.setattr(type(run.journal), "append", raising(OSError(28, "No space left on device")))
            tell(run, range(3, 9))
    assert caplog.text.count("log_metrics failed, so the tracker lacks it: [Errno 28] No space left") == 1


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def test_a_model_that_cannot_be_logged_only_warns(tracker, client, tmp_path, quick, caplog):
    (tmp_path / "run" / "classifier").mkdir(parents=True)
    (tmp_path / "run" / "classifier" / "classifier.json").write_text("{")
    with start_run(tracker(), "mine", "r", {}) as run:
        run.log_model(tmp_path / "run")
        run.log_metrics({"a": 1.0})
    assert "log_model failed" in caplog.text
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["a"] == 1.0
    (model,) = client.search_logged_models([found.info.experiment_id])
    assert model.status == LoggedModelStatus.FAILED
