"""One worker at a time, and a dead one keeps nobody waiting."""

import json
import os
import subprocess
import sys
import time

import pytest

from textclf.tracking.lease import BusyError, LeaseLostError, at_work, read_holder, take_lease

HOLD = """
import sys, time
from pathlib import Path
from textclf.tracking.lease import take_lease
take_lease(Path(sys.argv[1]))
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease on `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()


def test_while_one_is_at_work_others_are_refused_and_after_its_death_not(tmp_path, holder):
    with pytest.raises(BusyError, match=f"process {holder.pid} on"):
        take_lease(tmp_path)
    holder.kill()
    holder.wait()
    assert at_work(tmp_path) is None
    take_lease(tmp_path).give_back()


def test_a_lease_that_was_given_back_is_free(tmp_path):
    take_lease(tmp_path).give_back()
    assert read_holder(tmp_path) is None
    take_lease(tmp_path).give_back()


def test_the_number_of_a_dead_process_may_be_used_again(tmp_path):
    lease = take_lease(tmp_path)
    lease._over.set()
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"process_started": 1.0}))
    assert at_work(tmp_path) is None


def test_a_worker_of_another_machine_is_given_up_when_its_heart_stops(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTCLF_LEASE_SECONDS", "50")
    lease = take_lease(tmp_path)
    lease._over.set()
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    assert str(at_work(tmp_path)).endswith("on elsewhere")
    long_ago = time.time() - 51
    os.utime(path, (long_ago, long_ago))
    assert at_work(tmp_path) is None


def test_who_was_given_up_for_dead_finds_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTCLF_LEASE_SECONDS", "0.12")
    lost = []
    lease = take_lease(tmp_path, lambda: lost.append(True))
    with lease.fenced():
        (tmp_path / "lease.json").write_text(
            json.dumps(json.loads((tmp_path / "lease.json").read_text()) | {"token": "of another"})
        )
    lease._thread.join(timeout=10)
    assert lost == [True]
    with pytest.raises(LeaseLostError, match="taken over"), lease.fenced():
        pass
    lease.give_back()
    assert read_holder(tmp_path).token == "of another"


def test_a_heartbeat_keeps_a_long_lease(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTCLF_LEASE_SECONDS", "0.6")
    lease = take_lease(tmp_path)
    begun = time.time()
    while time.time() - begun < 1.2:
        assert at_work(tmp_path) is not None
        time.sleep(0.1)
    lease.give_back()


def test_a_damaged_lease_is_nobodys(tmp_path):
    (tmp_path / "lease.json").write_text("{")
    take_lease(tmp_path).give_back()
