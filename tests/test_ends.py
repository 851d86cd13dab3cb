"""How commands end that are stopped, or whose disk is full: one line on what is left, and nothing half-written."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from tests.compare.factory import write_run
from tests.conftest import make_data, sentences, write_jsonl
from textclf.experiment.cli import composed
from textclf.experiment.config import build
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    fitted, _ = fit(build(composed(["model=naive_bayes"]), "model"), make_data(), TorchTrainer(), RunContext())
    fitted.save(folder)
    return folder


@pytest.fixture
def small_disk(monkeypatch):
    """Let no file grow beyond some kilobytes, which the system reports as it does a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would leave half a file of a module's bytecode
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def of(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield of
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def call(monkeypatch, capsys, module, *arguments):
    """Run a command in this process, and return its status and what it said."""
    monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
    main = __import__(f"textclf.{module}.__main__", fromlist=["main"]).main
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def hidden(folder):
    return [path.name for path in folder.rglob(".*")]


def test_each_command_says_its_own_way_on_from_a_full_disk(classifier, small_disk, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rows.jsonl"
    write_jsonl(rows, [{**row, "text": f"{row['text']} {number}"} for number, row in enumerate(sentences(120))])
    for name in ("nb", "svm"):
        write_run(tmp_path / "runs" / name, name, 1, [0, 1] * 30, [0, 1] * 30)
    work = {
        "predict": [classifier, "--input", rows, "--output", tmp_path / "out.jsonl"],
        "export": [classifier, "--to", "space", "--output", tmp_path / "export"],
        "compare": [tmp_path / "runs", "--output", tmp_path / "comparison"],
        "audit": ["dataset=files", f"dataset.train={rows}", "model=naive_bayes", "--no-label-errors",
                  "--output", tmp_path / "audit"],
    }  # fmt: skip
    before = sorted(path.name for path in tmp_path.iterdir())
    for module, arguments in work.items():
        small_disk(2000)
        status, said = call(monkeypatch, capsys, module, *arguments)
        small_disk(1 << 40)
        assert status == 1, module
        last = said.strip().splitlines()[-1]
        assert "takes no file of that size" in last, last
        assert "is left. Raise that limit, or name another place with --output, then give the same command" in last
        assert "resume" not in last
    assert hidden(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def started(folder, classifier, ignored=None):
    """Start a prediction that waits for more rows, and return once it is writing."""

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    process = subprocess.Popen(
        [sys.executable, "-m", "textclf.predict", str(classifier), "--input", "-", "--input-format", "jsonl",
         "--output", "out.jsonl"],
        cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=ignore, bufsize=0,
    )  # fmt: skip
    line = json.dumps({"text": "a good film"}).encode() + b"\n"
    while not hidden(folder):
        assert process.poll() is None, process.communicate()[1]
        process.stdin.write(line * 1000)
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "ignored", "status"), [(signal.SIGINT, signal.SIGINT, 130), (signal.SIGHUP, None, 129)]
)
def test_a_stopped_prediction_leaves_nothing_also_where_its_shell_ignores_ctrl_c(
    number, ignored, status, classifier, tmp_path
):
    process = started(tmp_path, classifier, ignored)
    process.send_signal(number)
    assert process.wait(60) == status  # its input stays open: it must not end by itself
    said = process.communicate()[1]
    assert said.decode().splitlines()[-1] == f"stopped by {number.name}; no half-written output is left"
    assert os.listdir(tmp_path) == []


def test_a_killed_prediction_is_cleared_away_by_the_next_and_two_are_not_made_at_once(
    classifier, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    process = started(tmp_path, classifier)
    rows = tmp_path / "rows.txt"
    rows.write_text("a good film\n")
    arguments = (classifier, "--input", rows, "--output", tmp_path / "out.jsonl")
    status, said = call(monkeypatch, capsys, "predict", *arguments)
    assert status == 1
    assert f"is being written by another process (number {process.pid})" in said
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert len(hidden(tmp_path)) == 1
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    __import__("textclf.predict.__main__", fromlist=["main"]).main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.txt"]
