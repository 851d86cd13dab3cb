"""`textclf COMMAND`, beside the modules; its page of MLflow; and completion by the shell."""

import os
import signal
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path

import psutil
import pytest

from textclf import __main__ as door
from textclf import ui
from textclf.errors import ConfigError

ROOT = Path(__file__).parents[1]
ENV = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def textclf(*given, **env):
    return subprocess.run(
        [sys.executable, "-m", "textclf", *given], env=ENV | env, capture_output=True, text=True, cwd="/"
    )


def test_help_names_every_command_and_imports_none_of_them():
    done = textclf("--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    for name in ("run", "recommend", "predict", "label", "compare", "audit", "export", "register", "app", "ui", "sync"):
        assert f"\n  {name} " in done.stdout, name
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "textclf" in loaded
    assert not {name for name in loaded if name.startswith(("textclf.", "hydra", "numpy", "argparse"))}


@pytest.mark.parametrize("command", door.COMMANDS)
def test_each_command_is_its_module_with_the_arguments_unchanged(command, monkeypatch):
    import importlib

    module = importlib.import_module(door.COMMANDS[command][0])
    seen = []
    monkeypatch.setattr(module, "main", lambda: seen.append(sys.argv[:]))
    given = ["a=b c", "--flag", "run", "-m", "", "*"]
    monkeypatch.setattr(sys, "argv", ["/bin/textclf", command, *given])
    door.main()
    assert seen == [["/bin/textclf", *given]]
    doors = {path.parent.name for path in (ROOT / "textclf").glob("*/__main__.py")} | {
        "run",
        "recommend",
        "register",
        "sync",
        "ui",
    }
    assert set(door.COMMANDS) == doors


def test_the_installed_command_is_this_one():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"textclf": "textclf.__main__:main"}


def test_an_unknown_command_is_told_with_the_one_that_is_meant(monkeypatch, capsys):
    for given, said in [
        ("model=bert", "'textclf run model=bert'"),
        ("prdict", "'predict'"),
        ("-m", "'textclf run -m'"),
    ]:
        monkeypatch.setattr(sys, "argv", ["textclf", given])
        with pytest.raises(SystemExit) as ended:
            door.main()
        assert ended.value.code == 2
        assert f"Did you mean {said}?" in capsys.readouterr().err


def test_mlflow_listens_on_this_machine_alone_and_shows_the_store_that_runs_write_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    asked = ui.command(Namespace(tracking_uri="sqlite:////x.db", port=5050))
    assert asked[1:] == [
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        "sqlite:////x.db",
        "--host",
        "127.0.0.1",
        "--port",
        "5050",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="is a server, which shows its runs itself"):
        ui.command(Namespace(tracking_uri=None, port=5000))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    asked = ui.command(Namespace(tracking_uri=None, port=5000))
    assert f"sqlite:///{tmp_path}/mlruns/mlflow.db" in asked
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()


COMPLETE = """\
eval "$(python -m textclf.run -sc install=bash)"
textclf() { python -m textclf "$@"; }
complete_line() { COMP_LINE="$1"; COMP_POINT=${#1}; COMPREPLY=(); _textclf 2>/dev/null; echo "${COMPREPLY[*]}"; }
complete_line "textclf pre"
complete_line "textclf run model=na"
complete_line "python -m textclf.run model=naive_bayes trainer.ep"
complete_line "python other.py mod"
"""


def test_bash_completes_commands_choices_and_options():
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", COMPLETE], env=ENV | {"PATH": path}, capture_output=True, text=True)
    assert done.stdout.split("\n") == ["predict", "model=naive_bayes", "trainer.epochs=", "", ""], done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_page_of_runs_leaves_no_server(number):
    code = (
        "import sys\n"
        "from textclf import ui\n"
        "asked = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)']\n"
        "sys.exit(ui.serve(asked))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    server = int(process.stdout.readline())
    assert psutil.pid_exists(server)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert not psutil.pid_exists(server)
