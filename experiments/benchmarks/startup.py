"""Table `startup`: what a command costs before, beside and after its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.memory import ROOT
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.rounds import Spread, Timings, Way, alternate, spread
from textclf.documents.document import Block, Paragraph
from textclf.tracking.record import RUN_FILE

TEXTCLF = [sys.executable, "-m", "textclf.run"]
HELP = "textclf.run --help"
CONFIG = "textclf.run --cfg job"
RUN = "textclf.run, minilm on reviews"
FIRST_STEP = f"{RUN}: to the first step"
OVERHEAD = f"{RUN}: beside its work"
OTHERS = {
    "python, which does nothing": "pass",
    "python, which imports torch": "import torch",
    "python, which imports transformers' Trainer": "from transformers import Trainer",
}
"""Other starts, to hold ours against."""
FIRST_STEP_LINE = "training "
"""What the line begins with that a run says right before its first step."""
WORK = ("load", "audit", "fit", "evaluate")
"""Phases of a run that are the work that it was asked for: reading and checking data, training, scoring."""


@dataclass(frozen=True)
class Ran:
    """A command that was run to its end."""

    first_step: float | None = None
    """Seconds from the start of the process to the line before the first step."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each phase, as the run's record has them."""


def run(command: Sequence[str], folder: Path, run_dir: Path | None = None) -> Ran:
    """Run a command in a folder to its end, and read what it says meanwhile.

    Raises:
        RuntimeError: If it fails.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    begun, first_step, said = time.perf_counter(), None, []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if first_step is None and line.startswith(FIRST_STEP_LINE):
                first_step = time.perf_counter() - begun
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {''.join(said)[-2000:]}")
    phases = {}
    if run_dir is not None:
        phases = json.loads((folder / run_dir / RUN_FILE).read_text(encoding="utf-8")).get("phases", {})
    return Ran(first_step, phases)


def run_command(rows: int, run_dir: Path, overrides: Sequence[str] = ()) -> list[str]:
    """Return the command of a whole run, one epoch over so many examples, everything else as it is by default."""
    options = [f"hydra.run.dir={run_dir}", "trainer.epochs=1", f"dataset.max_train_examples={rows}", *overrides]
    return [*TEXTCLF, *options]


def ways(folder: Path, rows: int, overrides: Sequence[str] = ()) -> list[Way]:
    """Return the commands to time; each runs in `folder`."""

    def whole(seed: int) -> Ran:
        whole.count += 1
        run_dir = Path("outputs") / f"run{whole.count}"
        return run(run_command(rows, run_dir, [f"seed={seed}", *overrides]), folder, run_dir)

    whole.count = 0

    def judge(ran: Ran) -> dict[str, Any]:
        seconds = {f"{name}_seconds": value for name, value in ran.phases.items()}
        return seconds | ({} if ran.first_step is None else {"first_step": ran.first_step})

    def plainly(command: Sequence[str]) -> Any:
        return lambda _: run(command, folder)

    return [
        Way(HELP, plainly([*TEXTCLF, "--help"])),
        Way(CONFIG, plainly([*TEXTCLF, "--cfg", "job"])),
        Way(RUN, whole, judge=judge),
        *(Way(name, plainly([sys.executable, "-c", code])) for name, code in OTHERS.items()),
    ]


def measure(settings: Settings) -> Result:
    """Run the commands in turns."""
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as name:
        folder = Path(name)
        progress("a first run, which fills the caches and makes the tracker's store")
        run(run_command(min(32, settings.rows), Path("outputs") / "first"), folder)
        timings = alternate(ways(folder, settings.rows), settings.round_seeds, Probe(), progress)
    return page(settings, timings)


def derived(timings: Timings, processor_time: bool) -> dict[str, Spread]:
    """Return the seconds of each command, and of whole runs those to the first step and beside their work."""
    found = {name: spread([timing.taken(processor_time) for timing in own]) for name, own in timings.items()}
    runs = timings[RUN]
    if all("first_step" in timing.facts for timing in runs):
        found[FIRST_STEP] = spread([timing.facts["first_step"] for timing in runs])
    if all(f"{phase}_seconds" in timing.facts for timing in runs for phase in WORK):
        beside = [timing.seconds - sum(timing.facts[f"{phase}_seconds"] for phase in WORK) for timing in runs]
        found[OVERHEAD] = spread(beside)
    return found


def page(settings: Settings, timings: Timings) -> Result:
    """Return the table of what was measured."""
    found = derived(timings, settings.processor_time)
    order = [name for name in (HELP, CONFIG, FIRST_STEP, OVERHEAD, RUN, *OTHERS) if name in found]
    blocks: list[Block] = [table(("command", "seconds"), [[name, found[name].text()] for name in order])]
    phases = _phases(timings)
    if phases:
        blocks.append(table(("phase of the run", "seconds"), [[name, one.text()] for name, one in phases.items()]))
    else:
        blocks.append(Paragraph("The runs' records do not say how long each phase took."))
    bars = {name: (found[name].median, found[name].low, found[name].high) for name in order if name != RUN}
    draw = partial(draw_bars, label="seconds", bars=bars)
    return Result(
        "startup",
        "Start and overhead of a command",
        blocks,
        {"timings": plain_timings(timings)},
        lambda path: draw(path),
        "Bars: the seconds of each command",
        [
            f"Each command is a process of its own, from its start to its end. The run trains one epoch on "
            f"{settings.rows} of the bundled reviews with everything else as it is by default, figures and MLflow "
            f"included, in a folder that an earlier run was made in. The first step is when the run says that training "
            f"begins; beside its work is the whole of it without loading and checking data, training and scoring: "
            f"imports, analysis, figures, records, MLflow. Both are on the clock. The phases are those of the run's "
            f"record.",
            turns_note(timings, settings),
        ],
    )


def _phases(timings: Timings) -> dict[str, Spread]:
    """Return the phases that every run's record has."""
    names = [key for key in timings[RUN][0].facts if key.endswith("_seconds")]
    held = [name for name in names if all(name in timing.facts for timing in timings[RUN])]
    return {name.removesuffix("_seconds"): spread([one.facts[name] for one in timings[RUN]]) for name in held}
