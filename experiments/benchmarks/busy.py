"""Table `busy`: the same training on a quiet machine and beside a neighbour that keeps a core busy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.rounds import Timings, Way, alternate, spread
from experiments.benchmarks.startup import Ran, run, run_command
from textclf.system.wait_policy import PASSIVE, POLICY

CHOOSES = "textclf, which chooses"
SPINS = "threads that spin"
SLEEPS = "threads that sleep"
VARIABLES = {CHOOSES: {}, SPINS: {"GOMP_SPINCOUNT": "300000"}, SLEEPS: {POLICY: PASSIVE}}
"""What each way sets; 300,000 turns is what GNU OpenMP does by itself."""
QUIET, BUSY = "quiet", "beside a busy core"


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep a core busy inside this context."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def ways(folder: Path, rows: int) -> list[Way]:
    """Return the commands to time: each policy with and without the neighbour; each runs in `folder`."""
    count = iter(range(10_000))

    def whole(policy: str, where: str, seed: int) -> Ran:
        run_dir = Path("outputs") / f"run{next(count)}"
        beside = neighbour() if where == BUSY else nullcontext()
        with beside, patch.dict("os.environ", VARIABLES[policy]):
            return run(run_command(rows, run_dir, [f"seed={seed}", "tracker=none"]), folder, run_dir)

    def judge(ran: Ran) -> dict[str, Any]:
        return {f"{name}_seconds": value for name, value in ran.phases.items()}

    return [
        Way(f"{policy}, {where}", partial(whole, policy, where), judge=judge)
        for where in (QUIET, BUSY)
        for policy in VARIABLES
    ]


def measure(settings: Settings) -> Result:
    """Run the commands in turns."""
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as name:
        folder = Path(name)
        progress("a first run, which fills the caches")
        run(run_command(min(32, settings.rows), Path("outputs") / "first", ["tracker=none"]), folder)
        timings = alternate(ways(folder, settings.rows), settings.round_seeds, Probe(), progress)
    return page(settings, timings)


def page(settings: Settings, timings: Timings) -> Result:
    """Return the table of what was measured."""
    seconds = {name: spread([timing.facts["fit_seconds"] for timing in own]) for name, own in timings.items()}
    whole = {name: spread([timing.seconds for timing in own]) for name, own in timings.items()}
    best = f"{SPINS}, {QUIET}"
    rows = []
    for name, found in seconds.items():
        pairs = zip(timings[name], timings[best], strict=True)
        ratio = spread([one.facts["fit_seconds"] / other.facts["fit_seconds"] for one, other in pairs])
        rows.append([name, found.text(), ratio.text(), whole[name].text()])
    bars = {name: (one.median, one.low, one.high) for name, one in seconds.items()}
    return Result(
        "busy",
        "Training beside a busy neighbour",
        [table(("way", "seconds of training", f"beside {best}", "seconds in all"), rows)],
        {"timings": plain_timings(timings)},
        lambda path: draw_bars(path, label="seconds of training", bars=bars),
        "Bars: the seconds of training, by policy, alone and beside a busy core",
        [
            f"Each command is a process of its own that fine-tunes MiniLM for one epoch on {settings.rows} of the "
            f"bundled reviews and scores it. The neighbour is a Python process that counts for ever, started before "
            f"the command. Training is the phase `fit` of the run's record, loading of the libraries included.",
            turns_note(timings, settings),
        ],
    )
