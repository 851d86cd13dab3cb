"""The journal of a run: what is logged of it, written first and sent when the tracker is reachable.

`tracking.jsonl` has one JSON object a line, in the order in which things were logged: what the run is, params, metrics,
tags, the dataset, artifacts, and how it ended; and, as they are sent, which run of which store they went to and up to
where. Lines are only ever added. One process at a time has a journal open: its lock goes with the process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from textclf.errors import ArtifactError
from textclf.system.appending import LineFile, json_line
from textclf.system.files import sync
from textclf.system.unfinished import begin
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

REMEMBERED = 100
"""Values of a name that are remembered, the latest; what lies before them is never logged again."""
FORMAT = 1
MARKS = ("opened", "sent", "nested", "refused")
"""Lines that say how far the others have come; these are not sent themselves."""
Entry = dict[str, Any]
LOCK_FILE = ".tracking.lock"
LOCK_SECONDS = 3.0
"""How long the processes of a killed run may take to let go of its journal."""


class BusyJournalError(ArtifactError):
    """Another process has the journal open."""


class Journal:
    """The journal of a run folder, open for this process alone."""

    def __init__(self, folder: Path, take_over: bool = False, wait: float = 0.0):
        """Open the journal of a folder, made where it is not there; a torn last line is cut off.

        Args:
            folder: The run folder, or that of a sweep.
            take_over: Put a new file in the place of one that another process will not let go of, with all that it
                holds. Only who has the right to the folder may do so; what that other process still writes is lost.
            wait: How long another process may take to let go of it, in seconds.

        Raises:
            BusyJournalError: If another process has it open.
            ArtifactError: If it is of another format, or a link.
            OSError: If the folder cannot be written.
        """
        self.folder = Path(folder)
        self.path = self.folder / TRACKING_FILE
        _refuse_link(self.path)
        self._writing = threading.Lock()
        self._hold = _locked(self.folder, take_over, wait)
        try:
            self._file = LineFile(self.path)
            try:
                self.state = scan(self._file.lines(), self.path)
                self._file.repair()
                self.state.points.begin_session()
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._hold.release()
            raise

    def begin(self, **run: Any) -> None:
        """Write the first line: what the run is."""
        self.append("run", format=FORMAT, id=uuid.uuid4().hex, time=now(), **run)

    def append(self, kind: str, **content: Any) -> None:
        """Add a line; it survives the process from here on.

        Raises:
            OSError: If it cannot be written, as on a full disk; the journal is as it was before.
        """
        entry = {"kind": kind, **content}
        line = json_line(entry)
        with self._writing:
            if self._file.fileno() >= 0:
                self.state.take(entry, self._file.append(line))

    def entries(self, start: int, most: int) -> list[tuple[int, Entry]]:
        """Return the next lines that are to be sent from a byte on, each with the byte at which it ends."""
        found: list[tuple[int, Entry]] = []
        for end, line in self._file.lines(start):
            entry = parsed(line)
            if entry is not None and entry.get("kind") not in MARKS:
                found.append((end, entry))
                if len(found) == most:
                    break
        return found

    def bring_to_disk(self) -> None:
        """Make sure of what was written even where the machine goes down."""
        os.fsync(self._file.fileno())

    @property
    def superseded(self) -> bool:
        """Whether another process has taken over, so that what this one writes no longer counts."""
        try:
            return os.stat(self.path).st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return True

    def close(self) -> None:
        """Let go of the journal."""
        if self._file.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self.bring_to_disk()
        with self._writing:
            self._file.close()
        self._hold.release()


class Points:
    """The points that a run has, in bounded memory.

    A run that is taken up at a checkpoint passes once more through steps that it has logged: these points are there
    already. A name's steps only rise while training goes on, so the highest says which those are. A point of an
    earlier step comes once more at the end of a run, when its final scores are logged as those of its best step: an
    equal value is the same point, and another value corrects it.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self._values: dict[str, dict[int, float]] = {}

    def begin_session(self) -> None:
        """Take what there is so far for what an earlier process has logged."""
        self._passed = {}

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Take in points that a run has."""
        for name, value in metrics.items():
            self._highest[name] = max(step, self._highest.get(name, step))
            self._passed[name] = max(step, self._passed.get(name, step))
            values = self._values.setdefault(name, {})
            values[step] = value
            if len(values) > REMEMBERED:
                del values[next(iter(values))]

    def new(self, metrics: Mapping[str, float], step: int, corrects: bool = False) -> dict[str, float]:
        """Return those of some points that the run does not have yet.

        Args:
            metrics: Values by name.
            step: The step that they belong to.
            corrects: Take another value at a known step for a correction, whoever has logged it.
        """
        # Training repeats names that it has logged before; a name that is new comes with a call that was never made.
        corrects = corrects or any(name not in self._highest for name in metrics)
        found = {}
        for name, value in metrics.items():
            if name not in self._highest or step > self._highest[name]:
                found[name] = value
            elif corrects or step <= self._passed.get(name, -1):
                known = self._values[name]
                if not _same(known[step], value) if step in known else len(known) < REMEMBERED:
                    found[name] = value
            else:
                self._passed[name] = max(step, self._passed.get(name, step))
        return found

    def of(self, name: str) -> dict[int, float]:
        """Return the values of a name by step, the latest `REMEMBERED`; empty where it has none."""
        return dict(self._values.get(name, {}))

    def highest(self, name: str) -> int:
        """Return the highest step of a name, -1 where it has none."""
        return self._highest.get(name, -1)


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


@dataclass
class State:
    """What a journal says as a whole."""

    run: Entry | None = None
    """What the run is: its own id, experiment, name, tags, time of the start."""
    parent: str | None = None
    """The run that holds this one: its id in the store, or `local:` and its own id."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """The store's id of the run, by address of the store."""
    urls: dict[str, str] = field(default_factory=dict)
    """Where a person finds the run, by address of the store."""
    through: dict[str, int] = field(default_factory=dict)
    """Up to which byte the journal has been sent, by the store's id of the run."""
    nested: set[str] = field(default_factory=set)
    """The store's ids of the runs that are under their parent there."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """What a store would not take, by the store's id of the run."""
    ended: str | None = None
    """How the run ended; none while it has not."""
    last_time: int = 0
    """Time of the last line that has one, in milliseconds since 1970."""
    end: int = 0
    """Where the last line ends that is to be sent, in bytes."""
    points: Points = field(default_factory=Points)

    def unsent(self, address: str) -> bool:
        """Whether a store does not have all of it."""
        run_id = self.run_ids.get(address)
        if run_id is None or self.through.get(run_id, 0) < self.end:
            return True
        return self.ended is None or (self.parent is not None and run_id not in self.nested)

    @property
    def is_somewhere(self) -> bool:
        """Whether some store has all of it."""
        return not all(self.unsent(address) for address in self.run_ids)

    def take(self, entry: Entry, end: int) -> None:
        """Take in a line that ends at a byte."""
        kind = entry.get("kind")
        self.last_time = entry.get("time", self.last_time)
        if kind == "opened":
            self.run_ids[entry["address"]], self.urls[entry["address"]] = entry["run_id"], entry["url"]
        elif kind == "sent":
            self.through[entry["run_id"]] = entry["through"]
        elif kind == "nested":
            self.nested.add(entry["run_id"])
        elif kind == "refused":
            self.refused.setdefault(entry["run_id"], []).append(entry["why"])
        if kind in MARKS:
            return
        self.end = end
        if kind == "run":
            self.run = entry
        elif kind == "metrics":
            self.points.add({name: float(value) for name, value in entry["metrics"].items()}, entry["step"])
        elif kind == "parent":
            self.parent = entry["parent"]
        elif kind == "end":
            self.ended = entry["status"]
        elif kind == "resumed":
            self.ended = None


def read_state(folder: Path) -> State:
    """Return what the journal of a folder says, which another process may be writing.

    Raises:
        ArtifactError: If there is none, or it is of another format.
    """
    path = Path(folder) / TRACKING_FILE
    _refuse_link(path)

    def lines() -> Iterator[tuple[int, bytes]]:
        at = 0
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    at += len(line)
                    yield at, line

    try:
        return scan(lines(), path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} holds no journal of a tracker: there is no {TRACKING_FILE} in it.") from error


def _refuse_link(path: Path) -> None:
    """Refuse a journal that is a link, so that nothing is written to another file.

    Raises:
        ArtifactError: If it is one.
    """
    if path.is_symlink():
        raise ArtifactError(
            f"{path} is a link to {os.readlink(path)}; a journal is a file of its run folder. If it is yours, put the "
            f"file itself there."
        )


def scan(lines: Iterator[tuple[int, bytes]], path: Path) -> State:
    """Return what the lines of a journal say."""
    state, damaged = State(), 0
    for end, line in lines:
        entry = parsed(line)
        if entry is None:
            damaged += 1
            continue
        if state.run is None and (entry.get("kind") != "run" or entry.get("format") != FORMAT):
            raise ArtifactError(
                f"{path} is of format {entry.get('format')!r}; this textclf reads {FORMAT}. Use the version of "
                f"textclf that wrote it, or move it away."
            )
        try:
            state.take(entry, end)
        except (KeyError, TypeError, ValueError, AttributeError):
            damaged += 1
    if damaged:
        log.warning("%s has %d damaged lines, which are passed over", path, damaged)
    return state


def parsed(line: bytes) -> Entry | None:
    """Return a line's content; none where it is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def numbers(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """Return metrics as JSON has them: what is no number, as a word."""
    return {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return int(time.time() * 1000)


def _locked(folder: Path, take_over: bool, wait: float) -> FileLock:
    """Lock the journal of a folder."""
    lock = FileLock(folder / LOCK_FILE, timeout=wait, thread_local=False)
    try:
        lock.acquire()
        return lock
    except (Timeout, RuntimeError):  # the latter where this process itself has it open
        if not take_over:
            raise BusyJournalError(
                f"{folder / TRACKING_FILE} is open in another process: the run is under way, or is being sent."
            ) from None
    log.warning("%s is open in a process that no longer owns the run; it is taken over", folder / TRACKING_FILE)
    (folder / LOCK_FILE).unlink()
    journal, temporary = folder / TRACKING_FILE, begin(folder / TRACKING_FILE)
    if journal.exists():
        temporary.write_bytes(journal.read_bytes())
        sync(temporary)
        temporary.replace(journal)
    return _locked(folder, False, wait)
