"""The most memory that a piece of work takes, each in a process of its own.

python -m experiments.benchmarks.memory MODULE FUNCTION '["argument", 2]'

runs a function of a module of this package and prints, as JSON, what it gave and the peak of the process.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.2
MARK = "result: "


@dataclass(frozen=True)
class Measured:
    """What a process took."""

    peak_bytes: int
    """The most resident memory of the process, interpreter and libraries included."""
    seconds: float
    """From its start to its end, on the clock."""
    stopped: bool = False
    """Whether it was stopped because it took more memory than it was allowed."""
    given: Any = None
    """What the function returned."""

    def text(self) -> str:
        """Return the peak for a table."""
        return f"{'above ' * self.stopped}{self.peak_bytes / 1e9:.2f}"


def in_own_process(module: str, function: str, *arguments: Any, limit_bytes: float = float("inf")) -> Measured:
    """Run a function in a new process and return the peak of its memory.

    Args:
        module: A module of this package.
        function: A function of it.
        arguments: Plain values for it.
        limit_bytes: The process is stopped when it takes more.

    Raises:
        RuntimeError: If it fails.
    """
    command = [sys.executable, "-m", "experiments.benchmarks.memory", module, function, json.dumps(arguments)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    start, highest = time.perf_counter(), 0
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    watched = psutil.Process(process.pid)
    while True:
        try:
            out, err = process.communicate(timeout=POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            try:
                highest = max(highest, watched.memory_info().rss)
            except psutil.Error:
                continue
            if highest > limit_bytes:
                process.kill()
                process.communicate()
                return Measured(highest, time.perf_counter() - start, stopped=True)
    seconds = time.perf_counter() - start
    said = next((line for line in reversed(out.splitlines()) if line.startswith(MARK)), None)
    if process.returncode != 0 or said is None:
        raise RuntimeError(f"{module}.{function} failed in its own process: {err[-2000:]}")
    told = json.loads(said.removeprefix(MARK))
    return Measured(told["peak_bytes"], seconds, given=told["given"])


def peak_bytes() -> int:
    """Return the most resident memory that this process has had.

    The kernel's mark of the program that runs, where there is one: what getrusage tells begins with the memory of
    the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def processor_seconds() -> float:
    """Return the processor time of this process, all its threads, and the processes that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Run the function that the command line names."""
    module, function, arguments = sys.argv[1:4]
    work = getattr(importlib.import_module(f"experiments.benchmarks.{module}"), function)
    given = work(*json.loads(arguments))
    print(MARK + json.dumps({"peak_bytes": peak_bytes(), "given": given}), flush=True)


if __name__ == "__main__":
    main()
