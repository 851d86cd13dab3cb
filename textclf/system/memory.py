"""Memory of this process: released between jobs, measured at its peak, and recognised when it runs out."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.errors import ResourceError, causes

if TYPE_CHECKING:
    import psutil

SAMPLING_SECONDS = 0.02
MESSAGES = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch on a CPU
    "not enough memory",
    "cannot allocate memory",  # the system's own words, passed on by libraries in Rust
    "could not create a memory",  # oneDNN
    "could not create a primitive",
    "unable to allocate",  # numpy
    "std::bad_alloc",
    "alloc_failed",  # cuBLAS and its kin
    "can't start new thread",  # whose stack finds no room
    "failed to map segment",  # a library that could not be loaded
)
LONGEST_START = 20.0
"""Seconds that a thread may take until it runs."""
REMEDY = (
    "Give it more memory, or need less: a shorter model.max_length, trainer.gradient_checkpointing=true, a smaller "
    "model (model=distilbert, model=minilm, model=tfidf_logreg), or fewer texts (dataset.max_train_examples)."
)


@dataclass
class Peak:
    """The most memory that a stretch of work took, beyond what the process held when it began."""

    memory_bytes: int = 0
    """Resident memory; known when the work is over."""
    gpu_memory_bytes: int | None = None
    """Memory allocated on the GPU; none without one."""


def release_memory() -> None:
    """Give back what is no longer used: Python's cycles, freed blocks of the C library, the GPU's cache."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without it
            ctypes.CDLL("libc.so.6").malloc_trim(0)


CGROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container, seen from inside."""


def free_memory() -> int:
    """Return the bytes of memory that this process may still take: those of the machine, or of its container."""
    import psutil  # here, since a saved transformer needs the rest of this module and not this library

    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # not Linux, no container, or one without a limit ("max")
        limit = int((CGROUP / "memory.max").read_text())
        counted = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        taken = int((CGROUP / "memory.current").read_text()) - int(counted.get("inactive_file", 0))
        free = min(free, max(limit - taken, 0))
    return free


@contextlib.contextmanager
def watch_memory() -> Iterator[Peak]:
    """Measure the peak of the work inside the context.

    On Linux it is the kernel's own high-water mark, set back at the start; elsewhere the greatest of
    samples taken 50 times a second, which may miss a short peak.
    """
    release_memory()
    peak = Peak()
    torch = sys.modules.get("torch")
    cuda = torch.cuda if torch is not None and torch.cuda.is_available() else None
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    import psutil  # here, since a saved transformer needs the rest of this module and not this library

    process = psutil.Process()
    before = process.memory_info().rss
    sampler = None if _reset_high_water_mark() else _Sampler(process)
    try:
        yield peak
    finally:
        highest = sampler.stop() if sampler is not None else _high_water_mark()
        peak.memory_bytes = max(0, highest - before)
        if cuda is not None:
            peak.gpu_memory_bytes = int(cuda.max_memory_allocated())


def _reset_high_water_mark() -> bool:
    """Set the kernel's mark of this process back; return whether that worked."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _high_water_mark() > 0
    except (OSError, ValueError):
        return False


def _high_water_mark() -> int:
    """Return the most resident memory since the mark was set back, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no VmHWM in /proc/self/status")


class _Sampler(threading.Thread):
    """Samples the resident memory of a process until it is stopped."""

    def __init__(self, process: psutil.Process):
        super().__init__(daemon=True)
        self.process = process
        self.highest = process.memory_info().rss
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(SAMPLING_SECONDS):
            self.highest = max(self.highest, self.process.memory_info().rss)

    def stop(self) -> int:
        """Return the greatest sample, in bytes."""
        self.over.set()
        self.join()
        return max(self.highest, self.process.memory_info().rss)


class OutOfMemoryError(ResourceError):
    """Not even a single example fits in memory."""

    def __init__(self, message: str, device: str):
        """Say so.

        Args:
            message: The paragraph for a person.
            device: Where memory ran out, such as `cuda` or `cpu`.
        """
        super().__init__(message)
        self.device = device


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error, or one that it was raised from, is that memory ran out."""
    return any(_is_one(one) for one in causes(error))


def describe_out_of_memory(error: BaseException) -> str:
    """Return a paragraph on memory that ran out, and what would help."""
    return f"The memory ran out ({brief(error)}). {REMEDY}"


def brief(error: BaseException) -> str:
    """Return what the library said, in a line."""
    one = next((one for one in causes(error) if _is_one(one)), error)
    said = " ".join(str(one).split())
    return said[:200] if said else type(one).__name__


class _Beginning(threading.Event):
    """What a thread sets when it runs; who starts it waits for that no longer than a thread can take."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and raise where nothing came of it.

        Raises:
            MemoryError: If no timeout was given and the thread did not begin.
        """
        if super().wait(LONGEST_START if timeout is None else timeout):
            return True
        if timeout is None:
            raise MemoryError("a thread was started and found no memory to run in")
        return False


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; where it dies for want of memory before it runs, Python's own `start` would wait for ever.

    Raises:
        MemoryError: If it does not run.
    """
    thread._started = _Beginning()  # pyright: ignore[reportAttributeAccessIssue]
    thread.start()


def _is_one(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    libraries = isinstance(error, (RuntimeError, ImportError, OSError)) or type(error).__module__ == "safetensors_rust"
    return libraries and any(said in str(error).lower() for said in MESSAGES)
