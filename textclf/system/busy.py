"""A machine that is busy with other work: told once, so that nobody takes a slow run for a broken one."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

LOOK_SECONDS = 15.0
"""How long is measured before anything is said."""
FEWEST = 0.5
"""The share of the cores that are wanted below which a process is short of them."""


class BusyWatch:
    """Holds the computing time that this process gets against what it wants."""

    def __init__(
        self,
        wanted: int,
        clock: Callable[[], float] = time.monotonic,
        computed: Callable[[], float] = time.process_time,
        load: Callable[[], float] = lambda: psutil.getloadavg()[0],
        cores: int | None = None,
    ):
        """Begin to measure.

        Args:
            wanted: The cores that the work keeps busy on a machine of its own.
            clock: The time, in seconds.
            computed: The computing time of this process so far, in seconds, over all its threads.
            load: How many threads of this machine compute, or wait to, on average over the last minute.
            cores: Those of the machine; none asks it.
        """
        self.wanted = wanted
        self.clock, self.computed, self.load = clock, computed, load
        self.cores = cores or psutil.cpu_count() or 1
        self.is_told = False
        self._start()

    def look(self) -> str | None:
        """Return that the machine is busy, in a sentence, the first time that this is so; else nothing.

        It is so where this process got less than half of the cores that it wants, while more threads would compute
        than there are cores: a process that waits for a disk or a network is short of them too.
        """
        seconds = self.clock() - self._since
        if self.is_told or seconds < LOOK_SECONDS:
            return None
        got, load = (self.computed() - self._computed) / seconds, self.load()
        self._start()
        if got >= FEWEST * min(self.wanted, self.cores) or load <= self.cores:
            return None
        self.is_told = True
        cores = "core" if self.wanted == 1 else "cores"
        return (
            f"the machine is busy: in the last {seconds:.0f} s this process computed on {got:.1f} of the {self.wanted} "
            f"{cores} that it would use, while {load:.0f} threads wanted the {self.cores} of the machine, so this "
            f"takes longer than on a machine of its own"
        )

    def _start(self) -> None:
        self._since, self._computed = self.clock(), self.computed()
