"""Memory of this process: given back between jobs, and the peak of a stretch of work."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLING_SECONDS = 0.02


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
