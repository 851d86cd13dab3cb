"""The long form of the tests of reliability: kills, full disks, bad input, attacks, and what was lost.

python -m tests.reliability.torture               some hours on two cores (`make torture`)
python -m tests.reliability.torture --quick       some minutes
python -m tests.reliability.torture --only attacks secrets --write experiments/results/torture.json
python -m tests.reliability.torture --replay classical c:torn:17
python -m tests.reliability.torture --replay-input file 132
python -m tests.reliability.torture --replay-attack weights_named_outside
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from tests.reliability import crowd, fuzz
from tests.reliability.attacks import ATTACKS, Attacker, leaks
from tests.reliability.comparing import differences
from tests.reliability.faults import LEVELS, Fault, build_library
from tests.reliability.kills import Killer
from tests.reliability.soak import soak
from tests.reliability.trials import Case, Outcome, Trials, evenly
from tests.reliability.world import make_world
from tests.reliability.zygote import Zygote

PARTS = ("fresh", "faults", "kills", "many", "inputs", "soak", "attacks", "secrets")
POINTS = {"classical": 44, "torch": 15, "hf": 12, "classical+mlflow": 12}
"""Points of each kind of fault, by case: those that are over sooner get more."""
SECONDS_PER_JOB = 2
"""A job of the soak, at the most."""
Task = tuple[str, Callable[[Trials], Outcome]]


class Torture:
    """What is tried, and what came of it.

    Args:
        workers: What starts the runs, one for each thread.
        has_library: Whether the faults in C can be had.
        quick: Whether it is to take minutes.
        seed: Seed of the moments and of the inputs.
        seconds: After so long a part begins no further trials; those that it does are drawn from all.
    """

    def __init__(
        self, workers: Sequence[Trials], has_library: bool, quick: bool, seed: int, seconds: float = float("inf")
    ):
        self.seconds, self.until = seconds, float("inf")
        self.workers, self.has_library, self.quick, self.seed = workers, has_library, quick, seed
        self.counts: Counter[str] = Counter()
        self.lost: list[str] = []
        self.parts: dict[str, dict[str, int]] = {}
        """What was tried and lost in each part."""
        self.trials_done, self.began = 0, time.monotonic()
        self.lock = threading.Lock()

    def do(self, parts: Sequence[str]) -> None:
        """Do these parts of it."""
        for part in parts:
            step = getattr(self, part)
            began, before, lost = time.monotonic(), self.counts.copy(), len(self.lost)
            self.until = began + self.seconds
            step()
            seconds = time.monotonic() - began
            said = {what: count - before[what] for what, count in sorted(self.counts.items()) if count > before[what]}
            self.parts[part] = {**said, "lost": len(self.lost) - lost, "seconds": round(seconds)}
            say(f"{part}: {seconds:.0f} s; so far {dict(self.counts)}, lost {len(self.lost)}")

    def each(self, tasks: Sequence[Task]) -> None:
        """Do some trials, as many at a time as there are workers."""
        free: queue.SimpleQueue[Trials] = queue.SimpleQueue()
        for trials in self.workers:
            free.put(trials)

        def do(task: Task) -> None:
            what, attempt = task
            trials = free.get()
            if time.monotonic() > self.until:
                free.put(trials)
                return
            try:
                outcome = attempt(trials)
            except Exception as error:
                outcome = Outcome([f"{type(error).__name__}: {error}"])
            finally:
                free.put(trials)
            self.take(what, outcome)

        with ThreadPoolExecutor(len(self.workers)) as pool:
            list(pool.map(do, random.Random(self.seed).sample(tasks, len(tasks))))

    def take(self, what: str, outcome: Outcome) -> None:
        """Count an outcome."""
        with self.lock:
            self.counts["kills"] += outcome.kills
            self.counts["attempts"] += len(outcome.attempts)
            self.trials_done += 1
            if self.trials_done % 10 == 0:
                say(f"  {time.monotonic() - self.began:5.0f} s: {self.trials_done} trials, the last: {what}")
            if outcome.problems:
                self.lost.append(what)
                say("LOST: " + what + "\n  " + "\n  ".join(outcome.problems))

    def count(self, what: str, number: int = 1) -> None:
        """Count what was tried."""
        with self.lock:
            self.counts[what] += number

    def fresh(self) -> None:
        """Do each run in a fresh process twice, unlike each other, and hold one against the other."""

        def twice(name: str) -> Callable[[Trials], Outcome]:
            def attempt(trials: Trials) -> Outcome:
                case = Case.of(trials.world, name)
                trials.prepare(case)
                cwd = trials.folder()
                trials.fresh_process(case, cwd, PYTHONHASHSEED="random", LC_ALL="C.UTF-8", TZ="UTC")
                self.count("fresh processes", 2)
                return Outcome(differences(trials.expected[name], cwd / "run"))

            return attempt

        cases = ("classical",) if self.quick else ("classical", "torch", "hf", "classical+mlflow")
        self.each([(f"fresh processes of {name}", twice(name)) for name in cases])

    def faults(self) -> None:
        """Let operations fail, evenly over the course of each run, and at the first beyond its end."""
        levels = ("python", "c") if self.has_library else ("python",)
        tasks: list[Task] = []
        for name, points in {"classical": 3}.items() if self.quick else POINTS.items():
            for level in levels:
                total = self.workers[0].prepare(Case.of(self.workers[0].world, name), level)
                say(f"{name}: {total} operations seen from {level}")
                kinds = [(kind, lasting) for kind in LEVELS[level] for lasting in (False, True)]
                kinds = [(kind, lasting) for kind, lasting in kinds if not lasting or kind in ("full", "broken")]
                numbers = [*evenly(total, points), total + 100_000]
                faults = [Fault(kind, number, lasting, level) for kind, lasting in kinds for number in numbers]
                tasks += [(f"{name} {fault}", self._fault(name, fault, total)) for fault in faults]
        self.each(tasks)

    def _fault(self, name: str, fault: Fault, total: int) -> Callable[[Trials], Outcome]:
        def attempt(trials: Trials) -> Outcome:
            outcome = trials.survive(Case.of(trials.world, name), fault)
            self.count("fault points", not outcome.is_over)
            if fault.number > total and not outcome.is_over:
                outcome.problems.append(f"{fault} was reached, so its {total} operations are not all")
            return outcome

        return attempt

    def kills(self) -> None:
        """Kill training and sweeps at random moments."""
        times = 1 if self.quick else 12

        def kill_run(name: str, number: int) -> Callable[[Trials], Outcome]:
            return lambda trials: Killer(trials, self.seed + number).kill_run(Case.of(trials.world, name), 3)

        def kill_sweep(number: int) -> Callable[[Trials], Outcome]:
            self.count("jobs", 3)
            return lambda trials: Killer(trials, self.seed + number).kill_sweep(
                "sweep", trials.world.classical("seed=1,2,3"), 3
            )

        names = ("torch", "hf", "classical")
        self.each([(f"random kills of {name}", kill_run(name, n)) for n in range(times) for name in names])
        self.each([("random kills of a sweep", kill_sweep(n)) for n in range(1 if self.quick else 6)])

    def many(self) -> None:
        """Let many processes work at once."""
        trials = self.workers[0]
        for number in range(1 if self.quick else 6):
            if time.monotonic() > self.until:
                break
            self.take("8 processes at once", crowd.many_runs(trials, 8, 3, self.seed + number))
            self.take("3 workers on a sweep", crowd.one_sweep(trials, 3, 4, 1, self.seed + number))
            self.count("jobs", 12)
        for name in ("classical", "torch"):
            self.take(f"a stopped worker, {name}", crowd.stopped_worker(trials, Case.of(trials.world, name)))

    def inputs(self) -> None:
        """Feed it nonsense."""
        together = 50

        def try_some(kind: str, seeds: range) -> Callable[[Trials], Outcome]:
            def attempt(trials: Trials) -> Outcome:
                wrong = fuzz.try_in_a_process(kind, seeds, trials.folder())
                self.count("bad inputs", len(seeds))
                replay = f"python -m tests.reliability.torture --replay-input {kind}"
                return Outcome([f"{said}\n  replay: {replay} {seed}" for seed, said in wrong])

            return attempt

        tasks: list[Task] = []
        for kind, count in (("overrides", 100 if self.quick else 1000), ("file", 200 if self.quick else 4000)):
            for first in range(self.seed, self.seed + count, together):
                seeds = range(first, min(first + together, self.seed + count))
                tasks.append((f"bad inputs {kind} {seeds.start} to {seeds.stop - 1}", try_some(kind, seeds)))
        self.each(tasks)

    def soak(self) -> None:
        """Do a long sweep in one process."""
        most = 20 if self.quick else 410
        found = soak(self.workers[0], int(max(20, min(most, self.seconds / SECONDS_PER_JOB))))
        self.count("jobs", found.jobs)
        say(
            f"soak: {found.bytes_per_job / 1e3:,.0f} kB, {found.files} files and {found.threads} threads more by the end"
        )
        if found.problems:
            self.lost.append("the soak")
            say("LOST: " + "\n  ".join(found.problems))

    def attacks(self) -> None:
        """Give it what a stranger may make."""
        names = list(ATTACKS)[:: 6 if self.quick else 1]
        self.workers[0].attacker.prepare()

        def attack(name: str) -> Callable[[Trials], Outcome]:
            def attempt(trials: Trials) -> Outcome:
                self.count("attacks")
                return Outcome(trials.attacker.attempt(ATTACKS[name]))

            return attempt

        self.each([(f"attack {name}", attack(name)) for name in names])

    def secrets(self) -> None:
        """Look for generated passwords in all that is written and shown."""

        def leak(number: int) -> Callable[[Trials], Outcome]:
            def attempt(trials: Trials) -> Outcome:
                self.count("passwords")
                return Outcome(leaks(trials.attacker, number))

            return attempt

        numbers = range(self.seed, self.seed + (3 if self.quick else 60))
        self.each([(f"password {number}", leak(number)) for number in numbers])


def in_words(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in a sentence what was tried in all parts, as the README says it."""
    total = Counter[str]()
    for part in PARTS:
        total.update({what: count for what, count in parts[part].items() if isinstance(count, int)})
    what = ("fault points", "kills", "bad inputs", "attacks", "passwords", "jobs")
    tried = [f"{total[name]:,} {name}" for name in what]
    lost = total["lost"]
    return f"{', '.join(tried[:-1])} and {tried[-1]}: {lost:,} {'thing was' if lost == 1 else 'things were'} lost"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


@contextlib.contextmanager
def trials_in(scratch: Path, workers: int) -> Iterator[tuple[list[Trials], bool]]:
    """Yield what starts runs, for each worker, and whether the faults in C can be had."""
    world, library = make_world(scratch / "world"), build_library(scratch)
    if library is None:
        say("no C compiler was found: faults are made in Python alone, so that torn writes are not tried")
    with contextlib.ExitStack() as stack:
        made = []
        attacker = Attacker(world, scratch / "attacks")
        for number in range(workers):
            zygote = stack.enter_context(Zygote(scratch / f"scratch{number}", library))
            made.append(Trials(zygote, world, scratch / f"trials{number}", attacker))
        yield made, library is not None


def main() -> None:
    """Do what the command line says; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.torture", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="take minutes, not hours")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of it; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and inputs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trials at a time; by default cores")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trials of a part after so long")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder, kept where something is lost")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the counts of these parts into a JSON file")
    parser.add_argument("--replay", nargs=2, metavar=("CASE", "FAULT"), help="one fault of one run again")
    parser.add_argument("--replay-input", nargs=2, metavar=("KIND", "SEED"), help="one bad input again")
    parser.add_argument("--replay-attack", metavar="NAME", choices=ATTACKS, help="one attack again")
    said = parser.parse_args()
    scratch = said.folder or Path(tempfile.mkdtemp(prefix="textclf-torture-"))
    scratch.mkdir(parents=True, exist_ok=True)
    sys.exit(_do(said, scratch))


def _do(said: argparse.Namespace, scratch: Path) -> int:
    if said.replay_input:
        kind, seed = said.replay_input
        say(repr(fuzz.overrides_of(int(seed)) if kind == "overrides" else fuzz.file_of(int(seed))[:1]))
        say(fuzz.TRIES[kind](int(seed), scratch / "input"))
        return 0
    if said.replay_attack:
        attacker = Attacker(make_world(scratch / "world"), scratch / "attacks")
        problems = attacker.attempt(ATTACKS[said.replay_attack])
        say("\n".join(problems) or f"it failed, as it must: {attacker.said[said.replay_attack]}")
        return int(bool(problems))
    with trials_in(scratch, 1 if said.replay else said.workers) as (workers, has_library):
        if said.replay:
            trials = workers[0]
            outcome = trials.survive(Case.of(trials.world, said.replay[0]), Fault.parse(said.replay[1]))
            say("\n".join(outcome.problems) or "survived")
            return int(bool(outcome.problems))
        torture = Torture(workers, has_library, said.quick, said.seed, 60 * said.minutes)
        for part in said.only:
            torture.do([part])
            if said.write:  # after each: a torture takes hours, and may be cut off itself
                _write(said.write, torture.parts)
    counts = torture.counts
    tried = ", ".join(f"{what} {counts[what]}" for what in sorted(counts))
    say(f"\ntried: {tried}; things lost: {len(torture.lost)}")
    for what in torture.lost:
        say(f"lost: {what}")
    if torture.lost:
        say(f"the folders are below {scratch}; --seed {said.seed} does the same again")
    return int(bool(torture.lost))


def _write(path: Path, parts: Mapping[str, Mapping[str, int]]) -> None:
    """Put what was counted in some parts into a file, beside that of other parts."""
    before = json.loads(path.read_text()) if path.exists() else {}
    dated = {part: {**found, "date": date.today().isoformat()} for part, found in parts.items()}
    path.write_text(json.dumps(before | dated, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
