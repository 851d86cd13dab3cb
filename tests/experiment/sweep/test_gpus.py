import json
import os
import subprocess
import sys

import pytest

from textclf.experiment.sweep import callback

CLAIM = """
import json, os, sys
from pathlib import Path
from textclf.experiment.sweep.callback import claim_gpu

folder, count = Path(sys.argv[1]), int(sys.argv[2])
claim_gpu(folder, count)
again = claim_gpu(folder, count)
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], again]), flush=True)
sys.stdin.read()  # stays until it is told to end
"""


def claims(tmp_path, processes, count, visible=""):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": visible},
            text=True,
        )
        for _ in range(processes)
    ]
    found = [json.loads(worker.stdout.readline()) for worker in workers]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    assert all(again is None for _, again in found)  # a process keeps what it has
    return sorted(device for device, _ in found)


@pytest.mark.slow
def test_each_process_has_a_gpu_of_its_own(tmp_path):
    assert claims(tmp_path, 3, 3) == ["0", "1", "2"]


@pytest.mark.slow
def test_only_visible_gpus_are_shared_out_and_freed_at_the_end(tmp_path):
    assert claims(tmp_path, 2, 2, visible="5,7") == ["5", "7"]
    assert claims(tmp_path, 2, 2, visible="5,7") == ["5", "7"]


@pytest.mark.slow
def test_more_processes_than_gpus_share(tmp_path):
    found = claims(tmp_path, 3, 2)
    assert set(found) == {"0", "1"}
    assert len(found) == 3


def test_one_gpu_or_none_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert callback.claim_gpu(tmp_path, 1) is None
    assert callback.claim_gpu(tmp_path, 0) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
