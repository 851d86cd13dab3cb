"""The wheel carries the config and works from anywhere; neither archive carries what runs have written."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return {path.suffix: path for path in folder.iterdir()}


def test_the_installed_wheel_composes_and_runs_from_any_folder(archives, tmp_path):
    with zipfile.ZipFile(archives[".whl"]) as wheel:
        wheel.extractall(tmp_path / "site")
    assert (tmp_path / "site" / "textclf" / "conf" / "dataset" / "glue" / "rte.yaml").is_file()
    assert (tmp_path / "site" / "textclf" / "data" / "bundled" / "reviews" / "train.jsonl").is_file()
    assert (tmp_path / "site" / "textclf" / "data" / "bundled" / "messages" / "test.jsonl").is_file()
    assert (tmp_path / "site" / "textclf" / "experiments" / "study" / "quickstart.yaml").is_file()
    assert (tmp_path / "site" / "textclf" / "documents" / "page.html.j2").is_file()
    assert (tmp_path / "site" / "textclf" / "documents" / "explorer.js").is_file()
    assert (tmp_path / "site" / "textclf" / "documents" / "drawings.js").is_file()
    assert (tmp_path / "site" / "textclf" / "evaluation" / "attributions.html.j2").is_file()
    assert (tmp_path / "site" / "textclf" / "export" / "templates" / "app.py").is_file()
    assert (tmp_path / "site" / "textclf" / "app" / "style.css").is_file()
    assert (tmp_path / "site" / "textclf" / "app" / "script" / "streamlit_script.py").is_file()
    assert (tmp_path / "site" / "hydra_plugins" / "textclf_optuna" / "__init__.py").is_file()
    assert (tmp_path / "site" / "textclf" / "py.typed").is_file()
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from textclf.run import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site"), "model=majority", "tracker=none"],
        cwd=tmp_path, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reviews/majority/seed1: test/accuracy 0.5000" in done.stdout


def test_neither_carries_what_runs_have_written(archives):
    with tarfile.open(archives[".gz"]) as sdist, zipfile.ZipFile(archives[".whl"]) as wheel:
        names = [name.partition("/")[2] for name in sdist.getnames()] + wheel.namelist()
    assert not [name for name in names if name.startswith(("outputs", "mlruns", ".venv", "multirun"))]
    assert "conf/config.yaml" in names


def test_pre_commit_runs_the_locked_ruff():
    (locked,) = re.findall(r"^ruff==(.+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    hooks = re.findall(r"\[ruff==(.+)\]", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks
    assert set(hooks) == {locked}
