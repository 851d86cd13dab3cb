"""The long form of the tests of reliability: kills, full disks, bad input and long sweeps, and what was lost.

python -m tests.reliability.torture               about an hour (`make torture`)
python -m tests.reliability.torture --quick       a few minutes
python -m tests.reliability.torture --replay classical c:torn:17
python -m tests.reliability.torture --replay-input file 132
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conftest import pytest_sessionfinish
from tests.reliability import crowd, fuzz
from tests.reliability.faults import LEVELS, Fault, build_library
from tests.reliability.kills import Killer
from tests.reliability.soak import soak
from tests.reliability.trials import Case, Outcome, Trials, evenly
from tests.reliability.world import make_world
from tests.reliability.zygote import Zygote

PARTS = ("faults", "kills", "many", "inputs", "soak")


class Torture:
    """What is tried, and what came of it.

    Args:
        trials: What starts the runs.
        has_library: Whether the faults in C can be had.
        quick: Whether it is to take minutes.
        seed: Seed of the moments and of the inputs.
    """

    def __init__(self, trials: Trials, has_library: bool, quick: bool, seed: int):
        self.trials, self.has_library, self.quick, self.seed = trials, has_library, quick, seed
        self.counts: Counter[str] = Counter()
        self.lost: list[str] = []
        self.trials_done, self.began = 0, time.monotonic()

    def do(self, parts: Sequence[str]) -> None:
        """Do these parts of it."""
        for part in parts:
            step = getattr(self, part)
            began = time.monotonic()
            step()
            say(f"{step.__name__}: {time.monotonic() - began:.0f} s; so far {dict(self.counts)}, lost {len(self.lost)}")

    def take(self, what: str, outcome: Outcome) -> None:
        """Count an outcome."""
        self.counts["kills"] += outcome.kills
        self.counts["attempts"] += len(outcome.attempts)
        self.trials_done += 1
        if self.trials_done % 10 == 0:
            say(f"  {time.monotonic() - self.began:5.0f} s: {self.trials_done} trials, the last: {what}")
        if outcome.problems:
            self.lost.append(what)
            say("LOST: " + what + "\n  " + "\n  ".join(outcome.problems))

    def faults(self) -> None:
        """Let operations fail, evenly over the course of each run, and at the first beyond its end."""
        levels = ("python", "c") if self.has_library else ("python",)
        points = 3 if self.quick else 8
        for name in ("classical",) if self.quick else ("classical", "torch", "hf", "classical+mlflow"):
            case = Case.of(self.trials.world, name)
            for level in levels:
                total = self.trials.prepare(case, level)
                say(f"{name}: {total} operations seen from {level}")
                for kind in LEVELS[level]:
                    for lasting in (False, True) if kind in ("full", "broken") else (False,):
                        numbers = [*evenly(total, points), total + 100_000]
                        for number in numbers:
                            fault = Fault(kind, number, lasting, level)
                            outcome = self.trials.survive(case, fault)
                            self.counts["fault points"] += not outcome.is_over
                            if number > total and not outcome.is_over:
                                outcome.problems.append(f"{fault} was reached, so its {total} operations are not all")
                            self.take(f"{name} {fault}", outcome)

    def kills(self) -> None:
        """Kill training and sweeps at random moments."""
        killer = Killer(self.trials, self.seed)
        for name in ("torch", "hf", "classical"):
            for _ in range(1 if self.quick else 8):
                self.take(f"random kills of {name}", killer.kill_run(Case.of(self.trials.world, name), 3))
        sweep = self.trials.world.classical("seed=1,2,3")
        for _ in range(1 if self.quick else 4):
            self.take("random kills of a sweep", killer.kill_sweep("sweep", sweep, 3))
            self.counts["jobs"] += 3

    def many(self) -> None:
        """Let many processes work at once."""
        for number in range(1 if self.quick else 4):
            self.take("8 processes at once", crowd.many_runs(self.trials, 8, 3, self.seed + number))
            self.take("3 workers on a sweep", crowd.one_sweep(self.trials, 3, 4, 1, self.seed + number))
            self.counts["jobs"] += 12
        for name in ("classical", "torch"):
            self.take(f"a stopped worker, {name}", crowd.stopped_worker(self.trials, Case.of(self.trials.world, name)))

    def inputs(self) -> None:
        """Feed it nonsense."""
        for kind, count in (("overrides", 100 if self.quick else 250), ("file", 200 if self.quick else 1000)):
            for seed in range(self.seed, self.seed + count):
                self.counts["bad inputs"] += 1
                try:
                    fuzz.TRIES[kind](seed, self.trials.folder())
                except AssertionError as error:
                    self.lost.append(f"bad input {kind} {seed}")
                    say(f"LOST: {error}\n  replay: python -m tests.reliability.torture --replay-input {kind} {seed}")

    def soak(self) -> None:
        """Do a long sweep in one process."""
        found = soak(self.trials, 20 if self.quick else 100)
        self.counts["jobs"] += found.jobs
        say(
            f"soak: {found.bytes_per_job / 1e3:,.0f} kB, {found.files} files and {found.threads} threads more by the end"
        )
        if found.problems:
            self.lost.append("the soak")
            say("LOST: " + "\n  ".join(found.problems))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


@contextlib.contextmanager
def trials_in(scratch: Path) -> Iterator[tuple[Trials, bool]]:
    """Yield what starts runs, and whether the faults in C can be had."""
    world, library = make_world(scratch / "world"), build_library(scratch)
    if library is None:
        say("no C compiler was found: faults are made in Python alone, so that torn writes are not tried")
    with Zygote(scratch / "scratch", library) as zygote:
        yield Trials(zygote, world, scratch / "trials"), library is not None


def main() -> None:
    """Do what the command line says; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.torture", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="take minutes, not an hour")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of it; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and inputs")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder, kept where something is lost")
    parser.add_argument("--replay", nargs=2, metavar=("CASE", "FAULT"), help="one fault of one run again")
    parser.add_argument("--replay-input", nargs=2, metavar=("KIND", "SEED"), help="one bad input again")
    said = parser.parse_args()
    scratch = said.folder or Path(tempfile.mkdtemp(prefix="textclf-torture-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        sys.exit(_do(said, scratch))
    finally:
        pytest_sessionfinish()


def _do(said: argparse.Namespace, scratch: Path) -> int:
    if said.replay_input:
        kind, seed = said.replay_input
        say(repr(fuzz.overrides_of(int(seed)) if kind == "overrides" else fuzz.file_of(int(seed))[:1]))
        say(fuzz.TRIES[kind](int(seed), scratch / "input"))
        return 0
    with trials_in(scratch) as (trials, has_library):
        if said.replay:
            outcome = trials.survive(Case.of(trials.world, said.replay[0]), Fault.parse(said.replay[1]))
            say("\n".join(outcome.problems) or "survived")
            return int(bool(outcome.problems))
        torture = Torture(trials, has_library, said.quick, said.seed)
        torture.do(said.only)
    counts = torture.counts
    say(
        f"\nfault points tried {counts['fault points']}, kills survived {counts['kills']}, "
        f"bad inputs tried {counts['bad inputs']}, jobs run {counts['jobs']} (attempts at runs {counts['attempts']}), "
        f"things lost {len(torture.lost)}"
    )
    for what in torture.lost:
        say(f"lost: {what}")
    if torture.lost:
        say(f"the folders are below {scratch}; --seed {said.seed} does the same again")
    return int(bool(torture.lost))


if __name__ == "__main__":
    main()
