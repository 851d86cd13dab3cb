"""Many processes at once: into one store and one outputs folder, on one sweep, and one that was given up for dead."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

from tests.reliability.comparing import differences
from tests.reliability.trials import Case, Outcome, Trials, unclean
from tests.reliability.world import RUN

SLEEP = 0.05


def many_runs(trials: Trials, processes: int, killed: int, seed: int) -> Outcome:
    """Train side by side into one store and one outputs folder, kill some at random, and resume those."""
    draw, cwd, outcome = random.Random(seed), trials.folder(), Outcome()
    tracker = [f"tracker.directory={cwd / 'mlruns'}", "tracker.system_metrics=false"]
    commands = [
        trials.world.classical(*tracker, f"seed={number}", tracker="mlflow") for number in range(1, processes + 1)
    ]
    running = [trials.zygote.start(RUN, *command, cwd=cwd) for command in commands]
    doomed = set(draw.sample(range(processes), killed))
    time.sleep(draw.uniform(0.3, 2.0))
    for number in sorted(doomed):
        time.sleep(draw.uniform(0, 0.6))
        running[number].signal(signal.SIGKILL)
    again = []
    for number, attempt in enumerate(running):
        ended = attempt.wait(300)
        outcome.attempts.append(ended)
        outcome.kills += ended.was_killed
        outcome.problems += unclean(ended, number in doomed)
        if ended.status:
            again.append(number)
        if ended.status and number not in doomed:
            outcome.problems.append(f"a run that nobody killed failed: {ended}")
    resumed = [trials.zygote.start(RUN, *commands[number], "resume=true", cwd=cwd) for number in again]
    for attempt in resumed:
        ended = attempt.wait(300)
        outcome.attempts.append(ended)
        outcome.problems += unclean(ended)
        if ended.status:
            outcome.problems.append(f"resuming failed: {ended}")
    outcome.problems += _check_folders(cwd / "outputs", processes) + check_store(
        cwd / "mlruns" / "mlflow.db", processes
    )
    if outcome.problems:
        outcome.problems.append(f"many at once, seed {seed}; the folder is {cwd}")
    return outcome


def _check_folders(outputs: Path, processes: int) -> list[str]:
    from textclf.tracking.record import read_record
    from textclf.tracking.run_folder import is_finished

    said, seeds = [], Counter()
    for path in sorted(outputs.rglob("started.json")):
        if not is_finished(path.parent):
            said.append(f"{path.parent} holds a run that nobody finished")
            continue
        seeds[read_record(path.parent).seed] += 1
    if seeds != Counter(range(1, processes + 1)):
        said.append(f"runs by seed: {dict(seeds)}; expected one of each of 1 to {processes}")
    return said


def check_store(database: Path, processes: int) -> list[str]:
    """Return what is wrong with an MLflow store that so many runs of different names were tracked in."""
    said = []
    with sqlite3.connect(database) as store:
        if (found := store.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            said.append(f"the database is damaged: {found}")
        runs = store.execute("SELECT name, status FROM runs").fetchall()
        twice = store.execute(
            "SELECT run_uuid, key, step, COUNT(*) FROM metrics GROUP BY run_uuid, key, step HAVING COUNT(*) > 1"
        ).fetchall()
    store.close()
    names = Counter(name for name, _ in runs)
    if len(runs) != processes or len(names) != processes:
        said.append(f"the store holds runs {dict(names)}; expected one of each of {processes}")
    if open_runs := [run for run in runs if run[1] != "FINISHED"]:
        said.append(f"runs that are not FINISHED in the store: {open_runs}")
    if twice:
        said.append(f"points of curves that are there twice: {twice[:5]}")
    return said


def one_sweep(trials: Trials, workers: int, seeds: int, killed: int, seed: int) -> Outcome:
    """Let several workers do one sweep; each of its cells must be done by exactly one, and none be missing."""
    draw, cwd, outcome = random.Random(seed), trials.folder(), Outcome()
    cells = ",".join(str(number) for number in range(1, seeds + 1))
    command = ["-m", *trials.world.classical(), f"seed={cells}", f"hydra.sweep.dir={cwd / 'sweep'}", "resume=true"]
    running = []
    for _ in range(workers):
        running.append(trials.zygote.start(RUN, *command, cwd=cwd))
        time.sleep(0.5)
    doomed = set(draw.sample(range(workers), killed))
    for number in sorted(doomed):
        time.sleep(draw.uniform(0, 1.5))
        running[number].signal(signal.SIGKILL)
    for number, attempt in enumerate(running):
        ended = attempt.wait(300)
        outcome.attempts.append(ended)
        outcome.kills += ended.was_killed
        outcome.problems += unclean(ended, number in doomed)
    ended = trials.zygote.run(RUN, *command, cwd=cwd, timeout=300)
    outcome.attempts.append(ended)
    if ended.status:
        outcome.problems.append(f"the last worker failed: {ended}")
    outcome.problems += _check_cells(cwd / "sweep", seeds)
    if outcome.problems:
        outcome.problems.append(f"one sweep, {workers} workers, seed {seed}; the folder is {cwd}")
    return outcome


def _check_cells(sweep: Path, cells: int) -> list[str]:
    from textclf.system.files import manifest_problem
    from textclf.tracking.record import read_record

    said = []
    folders = sorted(sweep.glob("job*"))
    if len(folders) != cells:
        said.append(f"{len(folders)} jobs where there should be {cells}")
    for folder in folders:
        if problem := manifest_problem(folder):
            said.append(f"{folder.name}: {problem}")
            continue
        if left := [path.name for path in folder.glob(".late-*")]:
            said.append(f"{folder.name} was done twice: {left}")
    seeds = Counter(read_record(folder).seed for folder in folders if (folder / "run.json").exists())
    if seeds != Counter(range(1, cells + 1)):
        said.append(f"cells by seed: {dict(seeds)}")
    return said


def stopped_worker(trials: Trials, case: Case, mutation: str | None = None) -> Outcome:
    """Stop a worker for longer than its lease, let another finish the run, and let the first go on."""
    trials.prepare(case)
    cwd, outcome = trials.folder(), Outcome()
    environment = {"TEXTCLF_LEASE_SECONDS": "1.5"}
    arguments = [*case.overrides, f"hydra.run.dir={cwd / 'run'}"]
    first = trials.zygote.start(RUN, *arguments, cwd=cwd, environment=environment, mutation=mutation)
    until = time.monotonic() + 60
    while not (cwd / "run" / "started.json").exists() and time.monotonic() < until and not first.is_over():
        time.sleep(SLEEP)
    first.signal(signal.SIGSTOP)
    time.sleep(2.5)
    second = trials.zygote.run(RUN, *arguments, "resume=true", cwd=cwd, environment=environment, mutation=mutation)
    outcome.attempts.append(second)
    if second.status:
        outcome.problems.append(f"the second worker could not take over: {second}")
    wrong = differences(trials.expected[case.name], cwd / "run") if not second.status else []
    first.signal(signal.SIGCONT)
    late = first.wait()
    outcome.attempts.append(late)
    outcome.problems += [f"after the take-over: {said}" for said in wrong if ".staged-" not in said] + unclean(late)
    if late.status == 0:
        outcome.problems.append(f"the late worker believes that the run was its own: {late}")
    after = [said for said in differences(trials.expected[case.name], cwd / "run") if ".late-" not in said]
    outcome.problems += [f"after the late worker: {said}" for said in after]
    if outcome.problems:
        outcome.problems.append(f"a stopped worker on {case.name}; the folder is {cwd}")
    return outcome
