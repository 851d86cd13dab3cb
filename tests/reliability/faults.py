"""A countdown that makes the Nth write of a run fail, as SQLite is tested.

Two levels. `python`: an audit hook sees what Python itself opens, renames, makes and removes; it needs nothing else.
`c`: a library loaded with LD_PRELOAD (`faults.c`) sees every program that writes through libc, SQLite and the writers in
Rust and C++ among them, and can tear a write or take back what was never brought to the disk.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("faults.c")
KINDS = ("count", "kill", "torn", "full", "broken", "power")
"""In the order of the numbers in `faults.c`."""
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}
FREEING = ("os.remove", "os.rmdir")
LEVELS = {"python": ("kill", "full", "broken"), "c": ("kill", "torn", "full", "broken", "power")}
"""The kinds that each level can make."""


@dataclass(frozen=True)
class Fault:
    """What fails, and when."""

    kind: str
    """`kill` before the operation, `torn` after half of it, `full` (ENOSPC), `broken` (EIO), `power` (killed, and what
    was not brought to the disk is gone), or `count` for nothing."""
    number: int = 0
    """The operation that it befalls, from 1."""
    lasting: bool = False
    """Whether all later ones fail too."""
    level: str = "python"

    def __str__(self) -> str:
        return f"{self.level}:{self.kind}:{self.number}{':lasting' if self.lasting else ''}"

    @property
    def is_deadly(self) -> bool:
        """Whether it ends the process at once."""
        return self.kind in ("kill", "torn", "power")

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault that `str` wrote."""
        level, kind, number, *rest = text.split(":")
        return cls(kind, int(number), rest == ["lasting"], level)


@dataclass
class Countdown:
    """A fault that has been armed in this process."""

    counted: Callable[[], int]
    """How many operations there were."""
    fired: Callable[[], int]
    """The number of the last that failed, 0 for none."""


def arm(fault: Fault, folders: Sequence[Path], trace: Path | None = None) -> Countdown:
    """Make the operations below some folders count down to a fault, in this process and for good.

    Args:
        fault: What is to happen.
        folders: Where operations count.
        trace: A file outside of them, to which each operation is written.
    """
    if fault.level == "c":
        return _arm_library(fault, folders, trace)
    counter = _Hook(fault, [os.path.abspath(folder) for folder in folders], trace)
    sys.addaudithook(counter)
    return Countdown(lambda: counter.number, lambda: counter.fired)


class _Hook:
    """Counts in Python's own audit events."""

    def __init__(self, fault: Fault, folders: Sequence[str], trace: Path | None):
        self.fault, self.folders = fault, folders
        self.number = self.fired = 0
        self.trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if trace else None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        path = self._written(event, args)
        if path is None:
            return
        path = os.path.abspath(os.fsdecode(path))
        if not any(path == folder or path.startswith(folder + os.sep) for folder in self.folders):
            return
        self.number += 1
        if self.trace is not None:
            os.write(self.trace, f"{self.number} {event} {path}\n".encode(errors="surrogateescape"))
        fault = self.fault
        if fault.kind == "count" or self.number < fault.number or (self.fired and not fault.lasting):
            return
        if fault.kind == "full" and event in FREEING:
            return
        self.fired = self.number
        if fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = ERRORS[fault.kind]
        raise OSError(code, os.strerror(code), path)

    @staticmethod
    def _written(event: str, args: tuple[Any, ...]) -> str | bytes | os.PathLike[str] | None:
        """Return the path that an event is about to change."""
        if event == "open":
            path, _, flags = args
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            return path if writes and isinstance(path, (str, bytes, os.PathLike)) else None
        if event == "os.rename":
            return args[1]
        if event in ("os.mkdir", *FREEING, "os.truncate", "os.link", "os.symlink"):
            path = args[1] if event in ("os.link", "os.symlink") else args[0]
            return path if isinstance(path, (str, bytes, os.PathLike)) else None
        return None


def build_library(folder: Path) -> Path | None:
    """Compile `faults.c`; return nothing where there is no C compiler, or no LD_PRELOAD.

    Raises:
        subprocess.CalledProcessError: If there is a compiler and it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "faults.so"
    command = [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def _arm_library(fault: Fault, folders: Sequence[Path], trace: Path | None) -> Countdown:
    library = ctypes.CDLL(None)
    try:
        start = library.textclf_faults_arm
    except AttributeError as error:
        raise RuntimeError("faults.so is not loaded: start this process with LD_PRELOAD") from error
    start.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    where = "\n".join(os.path.abspath(folder) for folder in folders)
    start(where.encode(), fault.number, KINDS.index(fault.kind), int(fault.lasting), str(trace or "").encode())
    for name in ("textclf_faults_count", "textclf_faults_fired"):
        getattr(library, name).restype = ctypes.c_long
    return Countdown(library.textclf_faults_count, library.textclf_faults_fired)
