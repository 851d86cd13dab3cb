import multiprocessing as mp
import os

from textclf import gpus


def claim(folder, count, visible, taken, done):
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    gpus.claim_gpu(folder, count)
    again = gpus.claim_gpu(folder, count)
    taken.put((os.environ["CUDA_VISIBLE_DEVICES"], again))
    done.wait(30)


def claims(tmp_path, processes, count, visible=""):
    context = mp.get_context("spawn")
    taken, done = context.Queue(), context.Event()
    workers = [context.Process(target=claim, args=(tmp_path, count, visible, taken, done)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found = [taken.get(timeout=60) for _ in workers]
    done.set()
    for worker in workers:
        worker.join()
    assert all(again is None for _, again in found)  # a process keeps what it has
    return sorted(device for device, _ in found)


def test_each_process_has_a_gpu_of_its_own(tmp_path):
    assert claims(tmp_path, 3, 3) == ["0", "1", "2"]


def test_only_visible_gpus_are_shared_out_and_freed_at_the_end(tmp_path):
    assert claims(tmp_path, 2, 2, visible="5,7") == ["5", "7"]
    assert claims(tmp_path, 2, 2, visible="5,7") == ["5", "7"]


def test_more_processes_than_gpus_share(tmp_path):
    found = claims(tmp_path, 3, 2)
    assert set(found) == {"0", "1"}
    assert len(found) == 3


def test_one_gpu_or_none_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.claim_gpu(tmp_path, 1) is None
    assert gpus.claim_gpu(tmp_path, 0) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
