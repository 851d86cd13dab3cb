"""Runs that are made to fail at one of their writes, resumed, and held against the uninterrupted run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.attacks import Attacker
from tests.reliability.comparing import contents, differences
from tests.reliability.faults import Fault
from tests.reliability.world import RUN, World
from tests.reliability.zygote import Ended, Zygote

ATTEMPTS = 6
"""A run that is not finished after so many resumes is lost."""
OTHER_MACHINE = {"PYTHONHASHSEED": "4711", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0"}
"""What a fresh process does differently, beside its umask and its home."""


@dataclass(frozen=True)
class Case:
    """A command that is made to fail."""

    name: str
    overrides: tuple[str, ...]

    @classmethod
    def of(cls, world: World, name: str) -> Case:
        """Return one of the cases by name: `classical`, `torch`, `hf`, each also as `NAME+mlflow`."""
        kind, _, tracker = name.partition("+")
        tracker = tracker or "none"
        made = world.classical(tracker=tracker) if kind == "classical" else world.transformer(kind, tracker=tracker)
        return cls(name, (*made, *(["tracker.system_metrics=false"] if tracker == "mlflow" else [])))


@dataclass
class Outcome:
    """How a trial went."""

    problems: list[str] = field(default_factory=list)
    """What was lost or wrong, in words; empty where all is well."""
    is_over: bool = False
    """Whether the fault was never reached, so that there are no more to try."""
    kills: int = 0
    attempts: list[Ended] = field(default_factory=list)


class Trials:
    """Cases with their uninterrupted runs.

    Args:
        zygote: What forks the attempts.
        world: Data and checkpoint.
        scratch: Where the runs are written.
        attacker: What tries attacks; several trials may share one.
    """

    def __init__(self, zygote: Zygote, world: World, scratch: Path, attacker: Attacker | None = None):
        self.zygote, self.world, self.scratch = zygote, world, scratch
        self.attacker = attacker or Attacker(world, scratch / "attacks")
        self.count = 0
        self.expected: dict[str, dict[str, bytes]] = {}
        self.seconds: dict[str, float] = {}
        self.operations: dict[tuple[str, str], int] = {}
        self.traces: dict[tuple[str, str], list[list[str]]] = {}

    def folder(self) -> Path:
        """Return a new folder."""
        self.count += 1
        folder = self.scratch / f"trial{self.count}"
        folder.mkdir(parents=True)
        return folder

    def attempt(
        self, case: Case, cwd: Path, *more: str, fault: Fault | None = None, mutation: str | None = None
    ) -> Ended:
        """Run the command of a case to its end."""
        return self.zygote.run(
            RUN, *case.overrides, *more, f"hydra.run.dir={cwd / 'run'}", cwd=cwd, fault=fault, mutation=mutation
        )

    def prepare(self, case: Case, level: str = "python") -> int:
        """Do the uninterrupted run, and return how many operations it has.

        Raises:
            RuntimeError: If it fails.
        """
        key = case.name, level
        if key not in self.operations:
            cwd = self.folder()
            ended = self.attempt(case, cwd, fault=Fault("count", level=level))
            if ended.status:
                raise RuntimeError(f"the uninterrupted run of {case.name} failed: {ended}")
            self.operations[key] = ended.report["operations"]
            self.seconds[case.name] = ended.seconds
            if case.name not in self.expected:
                self.expected[case.name] = self.fresh(case)
            trace = self.zygote.scratch / f"attempt{self.zygote.count}" / "trace"
            self.traces[key] = [line.split(" ", 2) for line in trace.read_text(errors="replace").splitlines()]
            if wrong := differences(self.expected[case.name], cwd / "run"):
                raise RuntimeError(f"two uninterrupted runs of {case.name} differ: {wrong}")
            shutil.rmtree(cwd)
        return self.operations[key]

    def fresh(self, case: Case, mutation: str | None = None) -> dict[str, bytes]:
        """Return what the uninterrupted run leaves that is done in a process of its own.

        Raises:
            RuntimeError: If it fails.
        """
        cwd = self.folder()
        self.fresh_process(case, cwd, mutation)
        found = contents(cwd / "run")
        shutil.rmtree(cwd)
        return found

    def fresh_process(self, case: Case, cwd: Path, mutation: str | None = None, **environment: str) -> None:
        """Do the uninterrupted run in a process of its own.

        Children of one zygote share its memory layout and its hashes, so that what depends on them looks alike. This
        process shares nothing, and its locale, time zone, umask and home are others too.

        Args:
            case: The run.
            cwd: Where it runs; its folder is `run` below it.
            mutation: A defect of `mutations.py` that is put into it first.
            environment: Variables of its own, past those of `OTHER_MACHINE`.

        Raises:
            RuntimeError: If it fails.
        """
        home = cwd / "home"
        home.mkdir(mode=0o500)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
        mine = {"HOME": str(home), "MPLCONFIGDIR": str(cwd / "matplotlib")}
        command = [sys.executable, "-m", "tests.reliability.child", *case.overrides, f"hydra.run.dir={cwd / 'run'}"]
        command += [f"mutation:{mutation}"] if mutation else []
        ended = subprocess.run(
            command, cwd=cwd, env={**kept, **self.zygote.environment, **OTHER_MACHINE, **mine, **environment},
            umask=0o077, text=True, capture_output=True, timeout=300,
        )  # fmt: skip
        home.chmod(0o700)
        if ended.returncode:
            raise RuntimeError(f"the run of {case.name} in a fresh process failed: {ended.stdout}\n{ended.stderr}")

    def number_of(self, case: Case, part: str, which: int = 0, event: str = "", level: str = "python") -> int:
        """Return the number of the operation, of those on paths that hold `part`, that comes as `which`th."""
        self.prepare(case, level)
        fitting = [int(n) for n, made, path in self.traces[case.name, level] if part in path and event in made]
        return fitting[which]

    def survive(self, case: Case, fault: Fault, mutation: str | None = None) -> Outcome:
        """Let a fault befall a run, resume it, and compare.

        Args:
            case: The run.
            fault: What befalls it.
            mutation: A defect of `mutations.py` in every process of the trial.
        """
        self.prepare(case, fault.level)
        outcome, cwd = Outcome(), self.folder()
        first = self.attempt(case, cwd, fault=fault, mutation=mutation)
        outcome.attempts.append(first)
        outcome.is_over = first.status == 0 and not first.report.get("fired")
        outcome.kills = int(first.was_killed)
        outcome.problems += unclean(first, fault.is_deadly)
        if first.status or first.report.get(
            "fired"
        ):  # a finished run as well: a disk that fails lets nothing be removed
            self.resume(case, cwd, outcome, mutation)
        if not outcome.problems:
            outcome.problems += differences(self.expected[case.name], cwd / "run")
        if outcome.problems:
            outcome.problems.append(
                f"replay: python -m tests.reliability.torture --replay {case.name} {fault}; the folder is {cwd}"
            )
        else:
            shutil.rmtree(cwd)
        return outcome

    def resume(self, case: Case, cwd: Path, outcome: Outcome, mutation: str | None = None) -> None:
        """Resume a run until it is done."""
        ended = self.attempt(case, cwd, "resume=true", mutation=mutation)
        outcome.attempts.append(ended)
        if ended.status:
            outcome.problems.append(f"resuming failed: {ended}")


def unclean(ended: Ended, deadly: bool = False) -> list[str]:
    """Return what is wrong with how an attempt ended: a traceback on the screen, an exit status that says nothing."""
    said = []
    if "Traceback" in ended.out + ended.err:
        said.append(f"a traceback on the screen: {ended}")
    if ended.was_killed and not deadly:
        said.append(f"died of signal {signal.Signals(-ended.status).name}: {ended}")
    if ended.status not in (0, 1, 3, 130, 143) and not ended.was_killed:
        said.append(f"exit status {ended.status}: {ended}")
    if ended.status == 1 and "error: " not in ended.err + ended.out:
        said.append(f"failed without a word: {ended}")
    return said


def evenly(total: int, count: int) -> Sequence[int]:
    """Return `count` of the numbers 1 to `total`, evenly apart, the first and the last among them."""
    if count >= total:
        return range(1, total + 1)
    return sorted({1 + round(i * (total - 1) / max(1, count - 1)) for i in range(count)})


def free_of(folder: Path) -> bool:
    """Whether nothing is left at or below a folder."""
    return not folder.exists() or not os.listdir(folder)
