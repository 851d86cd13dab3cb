"""A store in the test's folder, and a real MLflow server on loopback that goes down, comes back and dawdles."""

import os
import shutil
import threading
import time

import pytest
from mlflow.tracking import MlflowClient

from textclf.tracking.mlflow import sender
from textclf.tracking.options import MlflowTracker


@pytest.fixture
def tracker(stored, monkeypatch):
    """Makes trackers of a local store in the test's folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def make(**options):
        return MlflowTracker(**{"directory": str(stored), "system_metrics": False} | options)

    return make


@pytest.fixture
def client(tmp_path):
    return MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")


@pytest.fixture
def quick(monkeypatch):
    """Short pauses, and no outages of tests before."""
    monkeypatch.setattr(sender, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(sender, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(sender, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(sender, "LAST_PAUSE_SECONDS", 0.1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    sender._outages.clear()


class Server:
    """An MLflow server of this process."""

    def __init__(self, app):
        self.app = app
        self.port = 0
        self.go_on = threading.Event()
        """Answers are given while this is set."""
        self.go_on.set()
        self.asked = threading.Event()
        """Set by a request."""
        self.headers = []
        self._server = None

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self):
        return MlflowClient(self.uri)

    def start(self):
        from werkzeug.serving import make_server

        for _ in range(50):
            try:
                self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
                break
            except SystemExit:  # a client that knocks at the port of a stopped server may for a moment hold it itself
                time.sleep(0.1)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ, start_response):
        self.headers.append(environ.get("HTTP_AUTHORIZATION"))
        self.asked.set()
        self.go_on.wait(30)
        return self.app(environ, start_response)


@pytest.fixture(scope="session")
def mlflow_app(tmp_path_factory, made_store):
    root = tmp_path_factory.mktemp("served")
    shutil.copy(made_store, root / "mlflow.db")
    given = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{root}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": (root / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    os.environ.update(given)
    from mlflow.server import app

    yield app
    for name in given:
        os.environ.pop(name, None)


@pytest.fixture
def server(mlflow_app, quick):
    made = Server(mlflow_app)
    made.start()
    made.go_on.set()
    yield made
    made.go_on.set()
    made.stop()
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the server's own store, which it leaves for all of the process


def history(client, run_id):
    """Return each point of a run's metrics: name, step and value, which is none where it is no number."""
    names = client.get_run(run_id).data.metrics
    return sorted(
        (name, p.step, p.value if p.value == p.value else None)
        for name in names
        for p in client.get_metric_history(run_id, name)
    )


def wait_for(condition):
    changed = threading.Event()
    for _ in range(600):
        if condition():
            return
        changed.wait(0.05)
    pytest.fail("it did not come about in 30 s")
