"""Training that is killed at random moments, again and again, and resumed until it is done."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.comparing import contents, differences
from tests.reliability.trials import Case, Outcome, Trials, unclean
from tests.reliability.world import RUN

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST = 20
"""More resumes than this are no progress."""


@dataclass
class Measured:
    """An uninterrupted sweep."""

    jobs: dict[str, dict[str, bytes]]
    seconds: float


class Killer:
    """Kills the runs of some trials.

    Args:
        trials: What starts them.
        seed: Seed of the moments and the signals.
    """

    def __init__(self, trials: Trials, seed: int):
        self.trials, self.random, self.seed = trials, random.Random(seed), seed
        self.sweeps: dict[str, Measured] = {}

    def kill_run(self, case: Case, kills: int, mutation: str | None = None) -> Outcome:
        """Kill a run so many times, at random moments of its course, and resume it until it is done."""
        self.trials.prepare(case)
        cwd = self.trials.folder()
        arguments = [*case.overrides, f"hydra.run.dir={cwd / 'run'}"]
        outcome = self._until_done(arguments, cwd, self.trials.seconds[case.name], kills, mutation)
        if not outcome.problems:
            outcome.problems += differences(self.trials.expected[case.name], cwd / "run")
        return self._told(outcome, case.name, cwd)

    def kill_sweep(self, name: str, overrides: list[str], kills: int) -> Outcome:
        """Kill a sweep so many times, and resume it until it is done; each of its jobs must come out the same."""
        if name not in self.sweeps:
            cwd = self.trials.folder()
            ended = self.trials.zygote.run(RUN, "-m", *overrides, f"hydra.sweep.dir={cwd / 'sweep'}", cwd=cwd)
            if ended.status:
                raise RuntimeError(f"the uninterrupted sweep failed: {ended}")
            jobs = {folder.name: contents(folder) for folder in sorted((cwd / "sweep").glob("job*"))}
            self.sweeps[name] = Measured(jobs, ended.seconds)
            shutil.rmtree(cwd)
        expected, cwd = self.sweeps[name], self.trials.folder()
        arguments = ["-m", *overrides, f"hydra.sweep.dir={cwd / 'sweep'}"]
        outcome = self._until_done(arguments, cwd, expected.seconds, kills)
        if not outcome.problems:
            found = {folder.name for folder in (cwd / "sweep").glob("job*")}
            if found != expected.jobs.keys():
                outcome.problems.append(f"jobs {sorted(found ^ expected.jobs.keys())} are missing or too many")
            for job, content in expected.jobs.items():
                outcome.problems += [f"{job}: {said}" for said in differences(content, cwd / "sweep" / job)]
            if not (cwd / "sweep" / "comparison" / "report.md").is_file():
                outcome.problems.append("the sweep has no comparison")
        return self._told(outcome, name, cwd)

    def _until_done(
        self, arguments: list[str], cwd: Path, seconds: float, kills: int, mutation: str | None = None
    ) -> Outcome:
        outcome = Outcome()
        for number in range(MOST + kills):
            more = ["resume=true"] if number else []
            attempt = self.trials.zygote.start(RUN, *arguments, *more, cwd=cwd, mutation=mutation)
            sent = None
            if outcome.kills < kills:
                time.sleep(self.random.uniform(0, seconds))
                if not attempt.is_over():
                    sent = self.random.choice(SIGNALS)
                    attempt.signal(sent)
            ended = attempt.wait()
            outcome.attempts.append(ended)
            outcome.problems += unclean(ended, deadly=sent is not None)
            if sent is not None and ended.status:
                outcome.kills += 1
            elif ended.status:
                outcome.problems.append(f"resuming failed: {ended}")
            if ended.status == 0 or outcome.problems:
                return outcome
        outcome.problems.append(f"not done after {MOST + kills} attempts")
        return outcome

    def _told(self, outcome: Outcome, name: str, cwd: Path) -> Outcome:
        if outcome.problems:
            statuses = [ended.status for ended in outcome.attempts]
            outcome.problems.append(
                f"{name}, killer of seed {self.seed}, attempts ended with {statuses}; the folder is {cwd}"
            )
        else:
            shutil.rmtree(cwd)
        return outcome
