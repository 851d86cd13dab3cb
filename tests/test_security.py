"""What is promised of commands and servers as a whole: secrets, MLflow's switches, foreign models, what make starts."""

import os
import pickle
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from textclf import ui
from textclf.errors import ArtifactError, ConfigError
from textclf.run import main

ROOT = Path(__file__).parents[1]
PASSWORD = "correct-horse-battery"
TOKEN = "hf_" + "Ab1" * 12
SWITCHES = ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION")


def recipe(target):
    """Return the lines of a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("\\\n", " ")


def test_what_make_starts_listens_on_this_machine_with_pickle_and_jobs_off(tmp_path):
    line = recipe("serve")
    assert re.findall(r"--host (\S+)", line) == ["127.0.0.1"]
    shown = ui.command(Namespace(tracking_uri=f"sqlite:///{tmp_path}/a.db", port=5000))
    assert shown[shown.index("--host") + 1] == "127.0.0.1"
    for switch in SWITCHES:
        assert re.findall(rf"\b{switch}=(\w+)", line) == [ui.SETTINGS[switch]] == ["false"], switch
    assert "--host" not in recipe("app")  # its own default is loopback, which its tests hold


def test_mlflow_unpickles_nothing_and_runs_no_jobs():
    """The switches are set when MLflow is imported, whichever module of its package is the first to be imported."""
    code = (
        "import importlib.abc, os, sys\n"
        "class Watch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mlflow':\n"
        f"            print(*[os.environ.get(name) for name in {SWITCHES}])\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import textclf.tracking.mlflow.store"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["false", "false"]
    package = ROOT / "textclf/tracking/mlflow"
    code_of_package = [line for line in (package / "__init__.py").read_text().splitlines() if line[:1] not in ("", '"')]
    assert code_of_package[0] == "from textclf.system.quiet import set_environment"
    assert code_of_package[1].startswith("set_environment()")
    for module in (ROOT / "textclf").rglob("*.py"):
        knows = re.search(r"^\s*(from|import) mlflow\b", module.read_text(), re.MULTILINE)
        assert module.parent == package or not knows, module


def test_the_audit_is_no_part_of_the_tests_and_fails_where_it_cannot_know():
    assert "audit" not in recipe("test")
    assert "--strict" in recipe("audit")
    assert "exit 1" in recipe("audit")


@pytest.mark.slow  # it looks at each line of some 600 files
def test_no_secret_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    said = subprocess.run(["make", "secrets"], cwd=ROOT, capture_output=True, text=True)
    assert "no secrets in the tracked files" in said.stdout, said.stderr


class Foreign:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.slow
def test_a_pickled_model_in_mlflow_is_refused(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    from textclf.tracking.find_runs import load_classifier, resolve_run

    model, marker = tmp_path / "foreign", tmp_path / "the payload has run"
    model.mkdir()
    (model / "python_model.pkl").write_bytes(pickle.dumps(Foreign(str(marker))))
    (model / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n"
        "    cloudpickle_version: 3.0.0\nmodel_uuid: x\n"
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    client.create_registered_model("foreign")
    client.create_model_version("foreign", model.as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ArtifactError, match=r"models:/foreign/1 is no model of textclf's"):
        load_classifier("models:/foreign/1")
    assert not marker.exists()
    with pytest.raises(ArtifactError):
        resolve_run("models:/foreign/2")
    pickle.loads((model / "python_model.pkl").read_bytes())
    assert marker.exists(), "the payload would have run"


@pytest.mark.slow
def test_secrets_reach_no_file_and_no_screen(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_SERVICE_PASSWORD", PASSWORD)
    uri = f"http://me:{PASSWORD}@127.0.0.1:9"
    fine = [
        "textclf", "model=majority", "dataset.max_train_examples=50", "hydra.run.dir=out", f"tracker.tracking_uri='{uri}'",
        "tracker.patience_seconds=0", f"run_name='{TOKEN}'", f"compare.note={PASSWORD}", "analysis.attributions=0",
    ]  # fmt: skip
    refused = [*fine, "hydra.run.dir=refused", f"dataset.label_column={PASSWORD}"]
    unknown = [*fine, f"dataset.no_such_option={PASSWORD}"]
    ended = []
    for arguments in (fine, refused, unknown):
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        monkeypatch.setattr(sys, "argv", arguments)
        try:
            main()
            ended.append(0)
        except SystemExit as end:
            ended.append(end.code)
    assert ended == [0, 1, 1]
    said = "".join(capfd.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"run.json", "run.log", "hydra.yaml", "report.html"} <= {path.name for path in files}
    for secret in (PASSWORD, TOKEN):
        assert secret not in said
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []


def test_a_record_and_its_command_hold_no_secrets(tmp_path, monkeypatch):
    from dataclasses import replace

    from tests.tracking.test_record import RECORD
    from textclf.experiment.sweep.status import JobStatus, Sweep, write_status, write_sweep
    from textclf.tracking.record import command_line, write_record

    monkeypatch.setenv("SOME_SERVICE_PASSWORD", PASSWORD)
    uri = f"tracker.tracking_uri=http://me:{PASSWORD}@host"
    command = command_line(["model=bert", uri, f"+dataset.token={TOKEN}"])
    assert (
        command
        == "python -m textclf.run model=bert tracker.tracking_uri=http://me:REDACTED@host +dataset.token=REDACTED"
    )
    write_record(tmp_path, replace(RECORD, config={"tracker": {"password": "pw", "tracking_uri": uri}}, name=TOKEN))
    write_sweep(tmp_path, Sweep("s", jobs=[[uri]], url=f"http://me:{PASSWORD}@host"))
    write_status(tmp_path, JobStatus(0, True, [uri], 1.0, 2.0, f"{uri} refused {TOKEN}"))
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3
    assert not [secret for secret in (PASSWORD, TOKEN, '"pw"') if secret in written]


def test_only_names_are_metrics():
    from textclf.data.options import FilesDataset

    assert FilesDataset(name="x", train="x.csv", metrics=["mcc"]).metrics == ["mcc"]
    for name in ("somebody/metric", "./metric.py", "..", "/tmp/x", "a b", "x.py"):
        with pytest.raises(ConfigError, match="nothing else is run"):
            FilesDataset(name="x", train="x.csv", metrics=[name])
