"""A password in the store's address, and a token in the environment, reach nothing that is kept or shown."""

import base64
import logging

import pytest
from mlflow.exceptions import MlflowException

from tests.listening import listening
from tests.tracking.mlflow.conftest import history
from textclf.tracking.mlflow import store
from textclf.tracking.mlflow.store import address_of, open_store, without_secrets
from textclf.tracking.start import start_run

PASSWORD = "correct-horse-battery"
TOKEN = "tok-5f0e9a7c11d24b6e"


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        (f"http://me:{PASSWORD}@host:5000", "http://host:5000"),
        (f"https://{TOKEN}@host/mlflow", "https://host/mlflow"),
        (f"postgresql://me:{PASSWORD}@db.example:5432/mlflow", "postgresql://db.example:5432/mlflow"),
        (f"mysql+pymysql://me:a@{PASSWORD}@db/mlflow?charset=utf8", "mysql+pymysql://db/mlflow?charset=utf8"),
        ("sqlite:////tmp/a@b/mlflow.db", "sqlite:////tmp/a@b/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_an_address_names_its_store_without_secrets(uri, kept):
    assert without_secrets(uri) == kept


def test_secrets_get_to_the_server_and_nowhere_else(server, tracker, tmp_path, monkeypatch, caplog, capfd, tiny_data):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN_OF_TEST", TOKEN)
    monkeypatch.setenv("SOME_SERVICE_TOKEN", TOKEN)
    uri = f"http://me:{PASSWORD}@127.0.0.1:{server.port}"
    options = tracker(tracking_uri=uri)
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        pytest.raises(ValueError, match=TOKEN),
        start_run(options, "secret", "r", {"of": f"token={TOKEN}"}, folder=folder) as run,
    ):
        run.log_params({"tracker.tracking_uri": uri, "dataset.hf_token": TOKEN, "list": [uri, TOKEN], "kept": 7})
        run.log_dataset(tiny_data)
        run.log_metrics({"loss": 1.0})
        assert run.run_id
        server.stop()
        run.set_tags({"note": f"at {uri} with {TOKEN}"})
        server.start()
        raise ValueError(f"{uri} refused {TOKEN}")
    assert f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}" in server.headers
    found = server.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.params["kept"] == "7"
    assert history(server.client, run.run_id) == [("loss", 0, 1.0)]
    shown = {
        "the store": repr((found.data.params, found.data.tags, found.info, found.inputs)),
        "the journal": (folder / "tracking.jsonl").read_text(),
        "the log": "".join(r.getMessage() for r in caplog.records if r.name.startswith(("textclf", "mlflow"))),
        "the screen": "".join(capfd.readouterr()),
        "the record": repr((run.url, run.run_id, run.reference, address_of(options))),
    }
    for where, text in shown.items():
        assert PASSWORD not in text, where
        assert TOKEN not in text, where
    assert run.url.startswith(f"http://127.0.0.1:{server.port}/#/experiments/")


def test_credentials_go_to_the_server_that_was_named_and_to_no_other(tracker, client, monkeypatch):
    """Any run of a store may name a server of artifacts: MLflow's client would let it have the credentials."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "http")  # where a server ran in this process
    monkeypatch.setattr(store, "_named", set())  # servers of other tests may have had the same port
    with listening(500) as server:
        artifacts = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/1"
        run = client.create_run(client.create_experiment("elsewhere", artifact_location=artifacts))
        with pytest.raises(MlflowException, match="failed with"):
            client.log_text(run.info.run_id, "text", "a.txt")
        with pytest.raises(MlflowException, match="failed with"):
            client.list_artifacts(run.info.run_id)
        assert len(server.requests) >= 2
        assert TOKEN not in "".join(server.requests)
        named, _, _ = open_store(tracker(tracking_uri=f"{server.url}/"))
        with pytest.raises(MlflowException, match="failed with"):
            named.get_run("x")
        with pytest.raises(MlflowException, match="failed with"):
            client.list_artifacts(run.info.run_id)
        assert all(TOKEN in asked for asked in server.requests[-2:])
