"""All runs and sweeps below a folder, read again only where their files have changed since."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textclf.documents.wording import excerpt
from textclf.errors import ArtifactError
from textclf.evaluation.metric_names import METRICS
from textclf.experiment.notes import is_collapsed, tests_on
from textclf.experiment.sweep.status import COMPARISON, SWEEP_FILE, read_status, read_statuses, read_sweep, seconds_left
from textclf.system.files import MANIFEST_FILE, write_text
from textclf.tracking.lease import LEASE_FILE, at_work
from textclf.tracking.mlflow.journal import read_state
from textclf.tracking.record import (
    RUN_FILE,
    STARTED_FILE,
    STATUS_FILE,
    RunRecord,
    config_fingerprint,
    read_record,
)
from textclf.tracking.run_start import read_started

CACHE_FILE = ".runs.json"
"""What was read of the runs before, beside the page; it may be removed at any time."""
FORMAT = 1
REPORT_PAGE = "report.html"
LOG_FILE = "run.log"
LARGEST_BYTES = 16 << 20
"""Records that are larger are none of textclf's."""
MOST_CHARACTERS = 300
NAMED = ("dataset", "model", "seed", "study", "experiment", "run_name", "tracker", "hydra", "compare", "resume")
"""Beginnings of options that say nothing of a setup, or that a row says anyhow."""
GROUPS = ("dataset", "model", "trainer", "objective")
"""Groups of a config that define a setup, as in a comparison."""


@dataclass(frozen=True)
class FinishedEntry:
    """A finished run."""

    folder: str
    """From the folder of all runs, with `/` between folders."""
    name: str
    dataset: str
    model: str
    seed: int
    started: str
    """Time of the start, ISO 8601."""
    metric: str
    """The metric that the run was selected by, without its split."""
    chosen: float | None
    """Its value on validation; none where it is undefined."""
    metrics: dict[str, float]
    """Metrics of the test split, without their split."""
    train_seconds: float | None
    latency_seconds: float | None
    size_bytes: float | None
    seconds: float
    """Duration of the whole run."""
    test_set: str
    """Fingerprint of the test examples and of their folds."""
    examples: int
    """Number of test examples."""
    folds: str
    """The cross-validation for a person, as `5 folds`; empty where one test split was held out."""
    setup: str
    """Fingerprint of the options but for the seed."""
    given: tuple[str, ...]
    """Options that its command gave, but for those that every row says."""
    draws_seed: bool
    """Whether its classifier depends on the seed."""
    collapsed: bool
    report: bool = False
    """Whether its report is there."""


@dataclass(frozen=True)
class OpenEntry:
    """A run that has not finished, or cannot be read."""

    folder: str
    name: str
    state: str
    """`running`, `failed`, `interrupted`, or `unreadable`."""
    why: str = ""
    """The first line of its error."""
    when: float = 0.0
    """Time of the last change, in seconds since 1970."""
    log: bool = False
    """Whether its log is there."""
    metric: str = ""
    """Of a running one, the metric that it is selected by, without its split."""
    points: tuple[tuple[int, float], ...] = ()
    """Of a running one whose tracker keeps a journal, step and value of that metric on validation, the latest."""


@dataclass(frozen=True)
class SweepEntry:
    """A sweep."""

    folder: str
    name: str
    total: int | None
    """Number of jobs; none where the sweeper decides as it goes."""
    search: bool
    began: float
    """Time of the start, in seconds since 1970."""
    live: bool = False
    """Whether a process leads it."""
    left: tuple[float, bool] | None = None
    """Of a live one, about how many seconds it will take, and whether that is only a lower bound."""
    comparison: bool = False
    """Whether its comparison is there."""


@dataclass(frozen=True)
class Entries:
    """What there is below a folder, in order of the folders."""

    finished: tuple[FinishedEntry, ...] = ()
    open: tuple[OpenEntry, ...] = ()
    sweeps: tuple[SweepEntry, ...] = ()
    written: float = field(default_factory=time.time)
    """When it was looked for, in seconds since 1970."""


def read_entries(outputs: Path, keep: bool = True) -> Entries:
    """Return all runs and sweeps below a folder. What is damaged, or nobody's, is named and hinders nothing.

    Args:
        outputs: The folder.
        keep: Write down what was read, so that it need not be read the next time.
    """
    before = _read_cache(outputs)
    now: dict[str, Any] = {}
    finished: list[FinishedEntry] = []
    unfinished: list[OpenEntry] = []
    sweeps: list[SweepEntry] = []
    top = str(outputs)
    for root, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "artifacts")
        path, names = root, set(files)
        if path == top:
            continue
        key = path[len(top) :].strip(os.sep).replace(os.sep, "/")
        if SWEEP_FILE in names:
            folders[:] = [name for name in folders if name != COMPARISON]
            found = _sweep(path, key, LEASE_FILE in names, before, now)
            sweeps += [] if found is None else [found]
        elif names & {RUN_FILE, STARTED_FILE, STATUS_FILE}:
            folders.clear()  # nothing of a run lies below another
            found = _run(path, key, names, before, now)
            (finished if isinstance(found, FinishedEntry) else unfinished).append(found)  # type: ignore[arg-type]
    if keep and now != before:
        write_text(outputs / CACHE_FILE, json.dumps({"format": FORMAT, "read": now}, separators=(",", ":")))
    return Entries(tuple(finished), tuple(unfinished), tuple(sweeps))


def _run(
    path: str, key: str, names: set[str], before: dict[str, Any], now: dict[str, Any]
) -> FinishedEntry | OpenEntry:
    """Return what a run folder holds, as it was read before where its files are the same."""
    decide = (RUN_FILE, MANIFEST_FILE) if {RUN_FILE, MANIFEST_FILE} <= names else (RUN_FILE, STARTED_FILE, STATUS_FILE)
    stamp = _stamp(path, [name for name in decide if name in names])
    known = before.get(key)
    entry = _from_cache(known) if isinstance(known, dict) and known.get("stamp") == stamp else None
    if isinstance(entry, FinishedEntry | OpenEntry):
        now[key] = known
    else:
        entry = _read_run(Path(path), key, names, stamp)
        now[key] = {"stamp": stamp, "kind": type(entry).__name__, **vars(entry)}
    if isinstance(entry, FinishedEntry):
        there = REPORT_PAGE in names
        return entry if entry.report == there else _with(entry, report=there)
    running = LEASE_FILE in names and at_work(Path(path)) is not None
    entry = _with(entry, log=LOG_FILE in names)
    return _with(entry, state="running", why="", **_course(Path(path))) if running else entry


def _course(path: Path) -> dict[str, Any]:
    """Return the validation scores so far of a run under way; nothing where none are recorded."""
    with contextlib.suppress(ArtifactError, OSError, AttributeError, ValueError):
        started = read_started(path)
        if started is not None:
            objective = str(started.config.get("objective", ""))
            points = read_state(path).points.of(objective)
            finite = tuple((step, value) for step, value in sorted(points.items()) if math.isfinite(value))
            return {"metric": objective.partition("/")[2], "points": finite}
    return {}


def _with(entry: Any, **changes: Any) -> Any:
    return type(entry)(**{**vars(entry), **changes})


def _stamp(path: str, names: Iterable[str]) -> list[list[Any]]:
    """Return what changes when one of these files does."""
    found: list[list[Any]] = []
    for name in names:
        try:
            facts = os.stat(f"{path}{os.sep}{name}")
        except OSError:
            continue
        found.append([name, facts.st_mtime_ns, facts.st_size, stat.S_ISREG(facts.st_mode)])
    return found


def _read_run(path: Path, key: str, names: set[str], stamp: Sequence[Sequence[Any]]) -> FinishedEntry | OpenEntry:
    when = max((found[1] for found in stamp), default=0) / 1e9
    strange = [found[0] for found in stamp if not found[3] or found[2] > LARGEST_BYTES]
    if strange:  # a pipe would never end
        return OpenEntry(key, path.name, "unreadable", f"{strange[0]} is no file of a run.", when)
    try:
        if RUN_FILE in names and (MANIFEST_FILE in names or STARTED_FILE not in names):
            return _finished(read_record(path), key)
        return _unfinished(path, key, when)
    except Exception as error:  # a damaged or foreign file can hold anything
        said = str(error) if isinstance(error, ArtifactError) else f"{type(error).__name__}: {error}"
        return OpenEntry(key, path.name, "unreadable", _line(said.replace(f"{path}/", "")), when)


def _unfinished(path: Path, key: str, when: float) -> OpenEntry:
    """Return how a run stands that has no record."""
    started, status = read_started(path), read_status(path)
    failed = status is not None and status.failed
    name = path.name
    if started is not None:
        name = str(started.name)
    elif status is not None and status.overrides:
        name = " ".join(map(str, status.overrides))
    why = str(status.error or "") if failed and status is not None else ""
    return OpenEntry(key, _line(name), "failed" if failed else "interrupted", _line(why), when)


def _line(text: str) -> str:
    """Return the first line of a text, cut where it is long."""
    return excerpt(next((line for line in text.strip().splitlines() if line.strip()), ""), MOST_CHARACTERS)


def _finished(record: RunRecord, key: str) -> FinishedEntry:
    """Return what a row needs of a record.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: If the record is not one that a run writes.
    """
    metric = record.objective.partition("/")[2]
    metrics = {name: value for name in METRICS if (value := _number(record.metrics.get(f"test/{name}"))) is not None}
    costs = record.costs
    folds = record.folds
    repeats = int(folds.get("repeats", 1)) if folds else 1
    return FinishedEntry(
        folder=key,
        name=_line(record.name),
        dataset=_line(str(record.config.get("dataset", {}).get("name") or record.dataset)),
        model=_line(record.model),
        seed=int(record.seed),
        started=str(record.started)[:25],
        metric=metric,
        chosen=_number(record.metrics.get(record.objective)),
        metrics=metrics,
        train_seconds=_number(costs.get("folds_seconds", costs.get("train_seconds"))),
        latency_seconds=_number(costs.get("latency_median_seconds")),
        size_bytes=_number(costs.get("size_bytes")),
        seconds=float(record.seconds),
        test_set=tests_on(record),
        examples=int(record.data.get("examples", {}).get("test", 0)),
        folds=f"{int(folds['folds'])} folds" + (f" drawn {repeats} times" if repeats > 1 else "") if folds else "",
        setup=_setup(record),
        given=_given(record.command),
        draws_seed=bool(record.fit.get("draws_seed", True)),
        collapsed=is_collapsed(record),
        report=True,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _setup(record: RunRecord) -> str:
    options = {name: record.config.get(name) for name in GROUPS if name != "trainer" or record.trainer != "none"}
    if isinstance(options["dataset"], dict) and options["dataset"].get("draw_seed") == record.seed:
        options["dataset"] = options["dataset"] | {"draw_seed": "seed"}
    return config_fingerprint(options)


def _given(command: str) -> tuple[str, ...]:
    try:
        words = shlex.split(command) if {"'", '"', "\\"} & set(command) else command.split()
    except ValueError:
        return ()
    options = [word.lstrip("+~") for word in words if "=" in word and not word.startswith("-")]
    return tuple(excerpt(option, 80) for option in options if option.partition("=")[0].partition(".")[0] not in NAMED
                 or option.startswith(("dataset.", "model.")))[:12]  # fmt: skip


def _sweep(folder: str, key: str, led: bool, before: dict[str, Any], now: dict[str, Any]) -> SweepEntry | None:
    """Return a sweep; none where its file cannot be read."""
    path, stamp = Path(folder), _stamp(folder, [SWEEP_FILE])
    known = before.get(key)
    entry = _from_cache(known) if isinstance(known, dict) and known.get("stamp") == stamp else None
    if not isinstance(entry, SweepEntry):
        if not stamp or not stamp[0][3] or stamp[0][2] > LARGEST_BYTES or (sweep := read_sweep(path)) is None:
            return None
        total = sweep.total if isinstance(sweep.total, int) else None
        entry = SweepEntry(key, _line(str(sweep.name)), total, bool(sweep.search), stamp[0][1] / 1e9)
        known = {"stamp": stamp, "kind": "SweepEntry", **vars(entry)}
    now[key] = known
    live = led and at_work(path) is not None
    left = None
    with contextlib.suppress(TypeError, ValueError, AttributeError):  # statuses may be damaged
        if live and (sweep := read_sweep(path)) is not None:
            left = seconds_left(sweep, list(read_statuses(path).values()), time.time() - entry.began)
    return _with(entry, live=live, left=left, comparison=(path / COMPARISON / REPORT_PAGE).is_file())


KINDS = {kind.__name__: kind for kind in (FinishedEntry, OpenEntry, SweepEntry)}


def _from_cache(known: dict[str, Any]) -> Any:
    """Return an entry as it was read before; none where it is of another shape."""
    try:
        content = {name: value for name, value in known.items() if name not in ("stamp", "kind")}
        content |= {name: tuple(content[name]) for name in ("given", "points") if name in content}
        return KINDS[known["kind"]](**content)
    except (KeyError, TypeError):
        return None


def _read_cache(outputs: Path) -> dict[str, Any]:
    """Return what was read before, by folder; nothing where it is not there, or damaged."""
    path = outputs / CACHE_FILE
    try:
        if not path.is_file():
            return {}
        content = json.loads(path.read_bytes())
        read = content["read"] if content["format"] == FORMAT else {}
        return read if isinstance(read, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
