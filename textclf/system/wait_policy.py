"""Waiting of OpenMP threads for one another: spinning on a quiet machine, asleep on a busy one.

GNU OpenMP, which torch computes with, lets threads that wait spin. On a machine of its own that is the fastest way.
Where other work keeps a core busy, the thread that all wait for stands in line behind spinning ones, and training
takes many times as long; with threads that sleep it takes little more than its share of the cores. On a quiet machine
sleeping costs time (`experiments/results/speed/busy.md`). So what other processes compute is looked at while this one
starts, and the policy is set before torch is loaded, after which it cannot be changed. The digits of a result do not
depend on it.
"""

from __future__ import annotations

import importlib.abc
import os
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import psutil

POLICY = "OMP_WAIT_POLICY"
CHOSEN_BY_PERSON = (POLICY, "GOMP_SPINCOUNT")
"""Variables with which a person chooses; nothing is set where one is."""
PASSIVE = "PASSIVE"
SPARE = 0.3
"""Cores that others may use of those that the threads want before it counts as busy."""
SHORTEST = 0.2
"""Seconds below which a measurement says nothing."""


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(psutil.cpu_count() or 1))


def computed_by_all() -> float:
    """Return the seconds that the cores of this process have computed, for whomever, since the machine started."""
    own, every = set(cores()), psutil.cpu_times(percpu=True)
    chosen = [times for number, times in enumerate(every) if number in own] or every
    return sum(sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0) for times in chosen)


def computed_here() -> float:
    """Return the seconds that this process and the ones that it has ended have computed."""
    return sum(os.times()[:4])


class WaitPolicy(importlib.abc.MetaPathFinder):
    """Finds no module; when torch is first looked for it chooses how OpenMP's threads wait."""

    def __init__(
        self,
        wanted: int,
        count: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        by_all: Callable[[], float] = computed_by_all,
        here: Callable[[], float] = computed_here,
        variables: MutableMapping[str, str] = os.environ,
    ):
        """Begin to measure.

        Args:
            wanted: The threads that torch will compute with.
            count: The cores that this process may use; none asks the machine.
            clock: The time, in seconds.
            by_all: Seconds that these cores have computed so far.
            here: Seconds that this process has computed so far.
            variables: The environment that OpenMP reads.
        """
        self.wanted, self.count = wanted, count or len(cores())
        self.clock, self.by_all, self.here, self.variables = clock, by_all, here, variables
        self.others = 0.0
        """Cores that other processes kept busy while this one started."""
        self.is_passive = False
        self._since = (clock(), by_all(), here())

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Choose the policy when torch is looked for, and leave the search to the other finders."""
        if fullname == "torch":
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            self.choose()

    def choose(self) -> None:
        """Set the policy where the machine is busy and nobody chose one."""
        seconds = self.clock() - self._since[0]
        if self.wanted < 2 or seconds < SHORTEST or any(name in self.variables for name in CHOSEN_BY_PERSON):
            return
        self.others = max((self.by_all() - self._since[1] - self.here() + self._since[2]) / seconds, 0.0)
        if self.others > self.count - self.wanted + SPARE:
            self.variables[POLICY] = PASSIVE
            self.is_passive = True


_watching: list[WaitPolicy] = []


def watch_for_torch(threads: int) -> None:
    """Measure from now on how busy the machine is, and choose how OpenMP waits when torch is imported.

    Args:
        threads: The threads that torch will compute with.
    """
    if "torch" in sys.modules or _watching:
        return
    _watching.append(WaitPolicy(threads))
    sys.meta_path.insert(0, _watching[0])


def wait_policy() -> dict[str, str]:
    """Return what a record says of the choice; empty where OpenMP waits as it does by itself."""
    if not _watching or not _watching[0].is_passive:
        return {}
    return {"wait_policy": f"{POLICY}={PASSIVE}, as others kept {_watching[0].others:.1f} cores busy at the start"}
