"""Claims on a start: one of several begins, the others wait for it, and what a killed one left is gone on with."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.tracking.test_run_folder import STARTED
from textclf.tracking.claims import PLACE, give_up_claims, start_is_over, take_claim
from textclf.tracking.lease import this_worker
from textclf.tracking.run_folder import open_run


def dead_worker():
    """Return a process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(this_worker(), pid=process.pid, process_started=0.0)


def killed(outputs: Path, key: str, name: str = "a", holds=("lease.json", "tracking.jsonl", "run.log"), worker=None):
    """Plant what a killed process left of a start."""
    worker = worker or dead_worker()
    folder = outputs / "runs" / name
    (folder / ".hydra").mkdir(parents=True)
    for held in holds:
        (folder / held).write_text(json.dumps(asdict(worker)))
    (outputs / PLACE).mkdir(exist_ok=True)
    note = outputs / PLACE / f"{key}-{worker.token[:8]}.json"
    note.write_text(json.dumps(asdict(worker) | {"folder": str(folder)}))
    return folder


def test_the_second_waits_until_the_first_has_begun(tmp_path, capsys):
    first = take_claim(tmp_path, "k", wait=True)
    first.note(tmp_path / "a")
    other = take_claim(tmp_path, "other", wait=True)
    second = take_claim(tmp_path, "k", wait=False)
    assert second.lock is None
    second.note(tmp_path / "b")
    second.done()
    began = []

    def begin():
        time.sleep(0.3)
        began.append(True)
        start_is_over(tmp_path / "a")

    thread = threading.Thread(target=begin)
    thread.start()
    third = take_claim(tmp_path, "k", wait=True)
    thread.join()
    assert began
    assert third.lock is not None
    third.note(tmp_path / "c")
    other.done()
    give_up_claims()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_start_left_is_taken_over_once(tmp_path):
    folder = killed(tmp_path, "k")
    (folder / ".0123abcd.sweep.json").touch()
    assert take_claim(tmp_path, "other", wait=True).abandoned() is None
    claim = take_claim(tmp_path, "k", wait=True)
    assert claim.abandoned() == folder
    assert not (folder / ".0123abcd.sweep.json").exists()
    claim.note(folder)
    with open_run(folder, STARTED):
        assert not (tmp_path / PLACE / "k.lock").exists()
        assert not list((tmp_path / PLACE).glob("k-*"))
    assert take_claim(tmp_path, "k", wait=True).abandoned() is None


@pytest.mark.parametrize("result", ["started.json", "sweep.json", "run.json", "job0", "mine.txt"])
def test_a_folder_with_more_in_it_is_never_taken(result, tmp_path):
    folder = killed(tmp_path, "k", holds=("lease.json", result))
    claim = take_claim(tmp_path, "k", wait=True)
    assert claim.abandoned() is None
    assert (folder / result).exists()
    claim.done()
    assert not (tmp_path / PLACE).exists()


def test_a_process_that_lives_or_may_live_keeps_its_folder(tmp_path, monkeypatch):
    killed(tmp_path, "here", worker=this_worker())
    folder = killed(tmp_path, "there", "b", holds=("run.log",), worker=replace(this_worker(), host="elsewhere"))
    assert take_claim(tmp_path, "here", wait=True).abandoned() is None
    claim = take_claim(tmp_path, "there", wait=True)
    assert claim.abandoned() is None
    monkeypatch.setenv("TEXTCLF_LEASE_SECONDS", "5")
    (note,) = (tmp_path / PLACE).glob("there-*.json")
    os.utime(note, (time.time() - 6,) * 2)
    assert claim.abandoned() == folder


def test_the_lock_goes_with_its_process(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from textclf.tracking.claims import take_claim\n"
        "take_claim(Path(sys.argv[1]), 'k', True).note(Path(sys.argv[1]) / 'a'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == -9
    claim = take_claim(tmp_path, "k", wait=False)
    assert claim.lock is not None
    assert claim.abandoned() is None  # its folder was never made
    claim.done()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_each_goes_its_own_way(tmp_path):
    (tmp_path / "outputs").write_text("no folder")
    claim = take_claim(tmp_path / "outputs", "k", wait=True)
    claim.note(tmp_path / "outputs" / "a")
    assert (claim.lock, claim.abandoned()) == (None, None)
    claim.done()
