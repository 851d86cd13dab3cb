"""A long sweep in one process: its memory, its open files and its threads must not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.reliability.trials import Trials, unclean

BYTES_PER_JOB = 100_000
"""Growth after the warm-up that is still called flat: 100 jobs more would cost 10 MB."""
WARM_UP = 0.3
"""Share of the jobs whose growth is not counted."""


@dataclass(frozen=True)
class Soaked:
    """What was measured."""

    jobs: int
    bytes_per_job: float
    files: int
    """Growth of open files from after the warm-up to the end."""
    threads: int
    problems: list[str]


def soak(trials: Trials, jobs: int, mutation: str | None = None) -> Soaked:
    """Do a sweep of so many classical jobs in one process."""
    cwd = trials.folder()
    arguments = [*trials.world.classical(), f"hydra.sweep.dir={cwd / 'sweep'}"]
    ended = trials.zygote.run(
        "tests.reliability.child:soak", jobs, *arguments, cwd=cwd, timeout=60 + 20 * jobs, mutation=mutation
    )
    problems = unclean(ended)
    found = ended.report.get("result") or []
    if ended.status or len(found) != jobs:
        problems.append(f"{len(found)} of {jobs} jobs were done: {ended}")
        return Soaked(len(found), float("nan"), 0, 0, problems)
    memory, files, threads = slopes(found)
    problems += [
        f"{what} grow: {growth:,.0f}"
        for what, growth, most in [
            ("bytes per job", memory, BYTES_PER_JOB),
            ("open files", files, 1),
            ("threads", threads, 1),
        ]
        if growth > most
    ]
    return Soaked(jobs, memory, files, threads, problems)


def slopes(found: Sequence[Sequence[int]]) -> tuple[float, int, int]:
    """Return the growth of memory by job, robustly, and of files and threads in all, after the warm-up."""
    steady = np.array(found[int(len(found) * WARM_UP) :], dtype=float)
    half = len(steady) // 2
    memory = (np.median(steady[half:, 0]) - np.median(steady[:half, 0])) / max(1, len(steady) - half)
    files, threads = (int(np.median(steady[half:, k]) - np.median(steady[:half, k])) for k in (1, 2))
    return float(memory), files, threads
