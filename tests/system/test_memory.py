import errno
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from textclf.errors import ArtifactError
from textclf.experiment.cli import explain
from textclf.system import memory
from textclf.system.memory import OutOfMemoryError, is_out_of_memory, start_thread


@pytest.mark.parametrize("kernel", [True, False], ids=["high-water mark", "samples"])
def test_the_peak_is_seen_though_it_was_given_back(kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    elif not memory._reset_high_water_mark():
        pytest.skip("no high-water mark on this system")
    with memory.watch_memory() as peak:
        block = np.ones(25_000_000)  # 200 MB
        for _ in range(20):
            block += 1
        del block
    assert 190e6 < peak.memory_bytes < 320e6
    with memory.watch_memory() as later:
        pass
    assert later.memory_bytes < 50e6  # what went before does not count


def test_a_container_has_less_memory_than_its_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    machine = memory.free_memory()
    assert machine > 1e6
    (tmp_path / "memory.current").write_text("9000000\n")
    (tmp_path / "memory.stat").write_text("anon 5000000\ninactive_file 3000000\n")
    (tmp_path / "memory.max").write_text("10000000\n")
    assert memory.free_memory() == 4_000_000
    (tmp_path / "memory.max").write_text("5000000\n")
    assert memory.free_memory() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 1e6


def test_cycles_are_released():
    class Node:
        pass

    gc.disable()
    try:
        node = Node()
        node.itself = node
        seen = weakref.ref(node)
        del node
        assert seen() is not None
        memory.release_memory()
        assert seen() is None
    finally:
        gc.enable()


ONES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    RuntimeError("could not create a memory object"),
    RuntimeError("could not create a primitive"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("can't start new thread"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    MemoryError(),
]  # fmt: skip
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    OSError(errno.ENOENT, "No such file"),
    ValueError(),
]


@pytest.mark.parametrize("error", ONES, ids=lambda error: str(error)[:30])
def test_it_is_known_in_whatever_words(error):
    assert is_out_of_memory(error)
    assert "model.max_length" in explain(error)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)
    assert "memory" not in explain(error)


def test_real_allocations_are_known():
    for allocate in (lambda: torch.empty(1 << 60), lambda: np.empty(1 << 58)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert is_out_of_memory(caught.value)


def test_it_is_known_behind_another_error_and_said_once():
    with pytest.raises(ArtifactError) as caught:
        try:
            raise MemoryError
        except MemoryError as error:
            raise ArtifactError("the checkpoint is not usable") from error
    assert explain(caught.value).startswith("The memory ran out (MemoryError).")
    assert explain(OutOfMemoryError("one example does not fit", "cuda")) == "one example does not fit"


LIMITED = """
import resource, sys
import textclf.experiment.experiment, textclf.models.transformer.loading, textclf.run, textclf.training.torch_engine, matplotlib.pyplot
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + int(sys.argv.pop(1)) * 2**20,) * 2)
textclf.run.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited and measured by Linux")
@pytest.mark.parametrize(
    ("megabytes", "finishes"),
    [(0, False), (20, False), (40, None), (60, None), (100, None), (200, None), (300, None), (600, True), (3000, True)],
)
def test_a_run_under_a_hard_limit_finishes_or_says_why(megabytes, finishes, tiny_checkpoint, tmp_path):
    """Above what is mapped once all is imported; between the ends either is right."""
    options = [
        "model=transformer", "model.name=tiny", f"model.checkpoint={tiny_checkpoint}", "model.max_length=32",
        "trainer.epochs=1", "dataset.max_train_examples=64", "tracker=none", f"hydra.run.dir={tmp_path}/run",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(megabytes), *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=500,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said[-2000:]
    assert done.returncode in (0, 1), said[-2000:]
    assert finishes is None or (done.returncode == 0) is finishes
    if done.returncode == 0:
        assert (tmp_path / "run" / "run.json").exists()
    else:
        assert "memory" in said.lower(), said[-2000:]


def test_a_thread_that_dies_before_it_runs_is_an_error_and_no_wait_for_ever(monkeypatch):
    monkeypatch.setattr("textclf.system.memory.LONGEST_START", 0.1)
    thread = threading.Thread(target=lambda: None)
    thread._bootstrap = lambda: None  # what Python runs first, and where it dies
    with pytest.raises(MemoryError, match="no memory to run in"):
        start_thread(thread)
    ran = threading.Event()
    start_thread(threading.Thread(target=ran.set))
    assert ran.wait(5)
