"""A sweep's folder: what it set out to do, how each job ended, and how far it has come."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from tabulate import tabulate

from textclf.documents.escape import terminal
from textclf.documents.wording import MISSING, duration, parameters
from textclf.errors import ArtifactError
from textclf.evaluation.metric_names import metric_label
from textclf.system.files import folders_with, write_json
from textclf.system.redact import redacted, redacted_tree
from textclf.tracking.record import STATUS_FILE, RunRecord, read_record

SWEEP_FILE = "sweep.json"
COMPARISON = "comparison"
"""Folder of the comparison inside that of the sweep."""
NAMED = ("dataset", "model", "seed")
"""Overrides that the name of a run says already."""
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Sweep:
    """What a sweep set out to do, known to each of its jobs in whatever process it runs."""

    name: str
    """The study's name, or what is varied."""
    total: int | None = None
    """Number of jobs; none where the sweeper decides as it goes."""
    jobs: list[list[str]] = field(default_factory=list)
    """The overrides of each job, where they are known beforehand."""
    parent_run_id: str | None = None
    """The tracker's id of the run that holds the sweep."""
    url: str | None = None
    """Where a person finds that run."""
    command: str = ""
    """What to type to run it again."""
    search: bool = False
    """Whether a sweeper chooses the jobs by the objective, so that their test scores say nothing."""


@dataclass(frozen=True)
class JobStatus:
    """How a job ended."""

    job: int
    """Its number in the sweep, from 0."""
    failed: bool
    overrides: list[str]
    seconds: float
    ended: float
    """Time of the end, in seconds since 1970."""
    error: str | None = None
    """What a person should know of a failure."""
    resumes: bool = True
    """Whether the same command may do it; not where a run was started with what is no longer there."""

    @property
    def options(self) -> dict[str, str]:
        """Overrides by name."""
        return options_of(self.overrides)

    @property
    def name(self) -> str:
        """What tells this job from others, in the words of its overrides."""
        return " ".join(f"{k}={self.options[k]}" for k in NAMED if k in self.options) or f"job {self.job}"


def options_of(overrides: Sequence[str]) -> dict[str, str]:
    """Return overrides by name, without Hydra's signs for adding."""
    return dict(override.lstrip("+").split("=", 1) for override in overrides if "=" in override)


def write_sweep(folder: Path, sweep: Sweep) -> None:
    """Write what a sweep set out to do to its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SWEEP_FILE, redacted_tree(asdict(sweep)))


def read_sweep(folder: Path) -> Sweep | None:
    """Return what the sweep of a folder set out to do; nothing where there is none, or it cannot be read."""
    try:
        content = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
        return Sweep(**{f.name: content[f.name] for f in fields(Sweep) if f.name in content})
    except (OSError, ValueError, TypeError):
        return None


def write_status(folder: Path, status: JobStatus) -> None:
    """Write how a job ended to its own folder."""
    write_json(folder / STATUS_FILE, redacted_tree(asdict(status)))


def read_status(folder: Path) -> JobStatus | None:
    """Return how the job of a folder ended; nothing where it has not, or it cannot be read."""
    try:
        return JobStatus(**json.loads((folder / STATUS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # being written, or of an older version


def read_statuses(folder: Path) -> dict[Path, JobStatus]:
    """Return how the jobs below a sweep's folder ended, by their folder, in the order of their numbers."""
    read = {path: read_status(path) for path in folders_with(STATUS_FILE, folder)}
    found = {path: status for path, status in read.items() if status is not None}
    return dict(sorted(found.items(), key=lambda item: item[1].job))


def seconds_left(sweep: Sweep, done: Sequence[JobStatus], elapsed: float) -> tuple[float, bool] | None:
    """Return about how long a sweep will still take, and whether that is only a lower bound.

    Each job to come is taken to last as long as those of its model and dataset did so far; of one
    that has not run yet only the mean of all is known. Jobs that ran side by side shorten the rest.

    Args:
        sweep: What is to be done.
        done: The jobs that have ended.
        elapsed: Seconds since the sweep began.

    Returns:
        Seconds and the flag; nothing where it cannot be known.
    """
    if not done or sweep.total is None:
        return None

    def kind(options: Mapping[str, str]) -> tuple[str | None, ...]:
        sizes = ("dataset.max_train_examples", "dataset.examples_per_class")
        return tuple(options.get(key) for key in ("model", "dataset", *sizes))

    by_kind: dict[tuple[str | None, ...], list[float]] = {}
    for status in done:
        by_kind.setdefault(kind(status.options), []).append(status.seconds)
    mean = fmean(status.seconds for status in done)
    numbers = {status.job for status in done}
    if sweep.jobs:
        kinds = [kind(options_of(job)) for number, job in enumerate(sweep.jobs) if number not in numbers]
    else:
        kinds = [None] * (sweep.total - len(done))
    work = sum(fmean(by_kind.get(this, [mean])) if this is not None else mean for this in kinds)
    side_by_side = max(1.0, sum(status.seconds for status in done) / max(elapsed, 1e-9))
    return work / side_by_side, any(this is not None and this not in by_kind for this in kinds)


def sweep_table(statuses: Sequence[JobStatus], records: Mapping[int, RunRecord], search: bool = False) -> str:
    """Return a table of a sweep's jobs: what was varied, scores, training time, size and speed.

    Args:
        statuses: How each job ended, in order.
        records: The records of the jobs that did not fail, by number of the job.
        search: Show the objective in place of test scores, on which nothing may be chosen.
    """
    options = [status.options for status in statuses]
    keys = dict.fromkeys(key for given in options for key in given if key not in NAMED)
    varied = [key for key in keys if len({given.get(key) for given in options}) > 1]
    scored = _scored(records.values())
    rows: list[list[Any]] = []
    for status, given in zip(statuses, options, strict=True):
        values = [given.get(key, "") for key in varied]
        record = records.get(status.job)
        if record is None:
            rows.append([status.name, *values, "FAILED"])
            continue
        metrics, costs = record.metrics, record.costs
        shown = [record.objective] if search else [f"test/{metric}" for metric in scored]
        rows.append(
            [
                record.name,
                *values,
                *(f"{metrics[metric]:.3f}" if metric in metrics else "–" for metric in shown),
                f"{costs['train_seconds']:.1f}",
                parameters(costs["num_parameters"], costs.get("num_trainable_parameters"))
                if "num_parameters" in costs
                else MISSING,
                f"{costs['test_examples_per_second']:,.0f}",
            ]
        )
    scores = ["objective"] if search else [f"test {metric_label(metric)}" for metric in scored]
    scores += ["train s", "parameters", "predicted/s"]
    align = ["left"] * (1 + len(varied)) + ["right"] * len(scores)
    return tabulate(rows, ["run", *varied, *scores], disable_numparse=True, colalign=align)


def _scored(records: Iterable[RunRecord]) -> list[str]:
    """Return the metrics of a table of jobs: accuracy where texts have one class, micro F1 where they have sets."""
    kinds = {bool(record.data.get("sets")) for record in records}
    return [*(["micro_f1"] if True in kinds else []), *(["accuracy"] if kinds != {True} else []), "macro_f1"]


class SweepWatch:
    """Watches the folder of a sweep and tells of each job that ends in it."""

    def __init__(self, folder: Path, sweep: Sweep, finished: set[int] | None = None):
        """Watch a sweep.

        Args:
            folder: Its folder.
            sweep: What it set out to do.
            finished: Numbers of the jobs that ended before, which need no telling; none where there are none.
        """
        self.folder = folder
        self.sweep = sweep
        self.told: set[int] = set(finished or ())
        self.is_here = False
        """Whether jobs run in this process, which then say themselves what concerns their data."""
        self.explained: set[str] = set()
        """Errors that a person has been told of; of jobs with the same one it is said once."""
        self._datasets: set[str] = set()
        self.began = time.time()
        self._looking = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sweep-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch, beside the work."""
        self._thread.start()

    def stop(self) -> None:
        """Tell of what has ended since, and watch no longer."""
        self._over.set()
        self._thread.join(timeout=10)
        self.look()

    def look(self) -> None:
        """Tell of the jobs that have ended since the last look."""
        with self._looking:
            statuses = read_statuses(self.folder)
            new = [(path, status) for path, status in statuses.items() if status.job not in self.told]
            for path, status in sorted(new, key=lambda item: item[1].ended):
                self.told.add(status.job)
                done = [other for other in statuses.values() if other.job in self.told]
                record = _record(path, status)
                is_known = status.error in self.explained
                line = progress_line(record, status, self.sweep, done, time.time() - self.began, is_known)
                why = [f"    {part}" for part in (status.error or "").split("\n") if part and not is_known]
                self.explained |= {status.error} if status.error else set()
                lines = [*self._on_data(record), line, *why]
                print(terminal(redacted("\n".join(lines))), flush=True)

    def _on_data(self, record: RunRecord | None) -> list[str]:
        """Return what is to be said of the data of a job that ran elsewhere, once for each dataset."""
        if self.is_here or record is None or record.dataset in self._datasets:
            return []
        self._datasets.add(record.dataset)
        return data_lines(record)

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self.look()


def _record(folder: Path, status: JobStatus) -> RunRecord | None:
    """Return the record of a job; none where it failed, or its record cannot be read."""
    if status.failed:
        return None
    try:
        return read_record(folder)
    except ArtifactError:
        return None


def data_lines(record: RunRecord) -> list[str]:
    """Return what a record says of its data: the sizes of the splits, the classes, and what is wrong with them."""
    sizes = ", ".join(f"{count:,} {split}" for split, count in record.data.get("examples", {}).items())
    names = record.data.get("label_names", [])
    audit = record.data.get("audit", {})
    return [
        f"{record.dataset}: {sizes} {'pairs of texts' if record.data.get('pairs') else 'texts'}; "
        f"{len(names)} {'labels' if record.data.get('sets') else 'classes'}",
        *(f"warning: {line}" for line in audit.get("lines", [])),
    ]


def progress_line(
    record: RunRecord | None,
    status: JobStatus,
    sweep: Sweep,
    done: list[JobStatus],
    elapsed: float,
    is_known: bool = False,
) -> str:
    """Return the line on a job that has ended: k of n, name, score, time taken and time left.

    Args:
        record: The job's record, if it has one.
        status: How it ended.
        sweep: The sweep that it is part of.
        done: All jobs that have ended, this one among them.
        elapsed: Seconds since the sweep began.
        is_known: Whether a person knows already why it failed.
    """
    count = f"[{len(done)}/{sweep.total}]" if sweep.total is not None else f"[{len(done)}]"
    if record is not None:
        own = "micro_f1" if record.data.get("sets") else "accuracy"
        scores = {f"test {metric_label(own)}": f"test/{own}", "macro F1": "test/macro_f1"}
        if sweep.search:
            scores = {record.objective: record.objective}
        told = [f"{name} {record.metrics[key]:.3f}" for name, key in scores.items() if key in record.metrics]
        said = f"{count} {record.name}: {', '.join(told)}"
    else:
        said = f"{count} {status.name}: {'FAILED' if status.failed else 'finished'}"
    said += f" after {duration(status.seconds)}{', for the reason above' if is_known else ''}"
    left = seconds_left(sweep, done, elapsed)
    if left is None or len(done) == sweep.total:
        return said
    return f"{said}; {'more than' if left[1] else 'about'} {duration(left[0])} left"
