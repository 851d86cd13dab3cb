"""What a run tells its tracker, kept in its folder: written first, sent when the tracker is to be had.

`tracking.jsonl` has one JSON object a line, in the order in which things were told: what the run is, params, metrics,
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
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from textclf.errors import ArtifactError
from textclf.system.files import sync
from textclf.tracking.mlflow.state import FORMAT, MARKS, Entry, parsed, scan
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

LOCK_FILE = ".tracking.lock"
BLOCK = 1 << 18
"""Bytes read at a time, so that memory stays bounded however long a journal is."""
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
            ArtifactError: If it is of another format.
            OSError: If the folder cannot be written.
        """
        self.folder = Path(folder)
        self.path = self.folder / TRACKING_FILE
        self._writing = threading.Lock()
        self._hold = _locked(self.folder, take_over, wait)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                self._size = os.fstat(self._file).st_size
                self.state, whole = scan(self._lines(0), self.path)
                if whole < self._size:
                    log.info("the last line of %s was torn when its process was killed; it is cut off", self.path)
                    os.ftruncate(self._file, whole)
                    self._size = whole
                self.state.points.begin_session()
            except BaseException:
                os.close(self._file)
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
        line = json.dumps({"kind": kind, **content}, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
        with self._writing:
            if self._file < 0:
                return
            try:
                left = memoryview(line)
                while left:
                    left = left[os.write(self._file, left) :]
            except BaseException:
                os.ftruncate(self._file, self._size)
                raise
            self._size += len(line)
            self.state.take({"kind": kind, **content}, self._size)

    def entries(self, start: int, most: int) -> list[tuple[int, Entry]]:
        """Return the next lines that are to be sent from a byte on, each with the byte at which it ends."""
        found: list[tuple[int, Entry]] = []
        for end, line in self._lines(start):
            entry = parsed(line)
            if entry is not None and entry.get("kind") not in MARKS:
                found.append((end, entry))
                if len(found) == most:
                    break
        return found

    def bring_to_disk(self) -> None:
        """Make sure of what was written even where the machine goes down."""
        os.fsync(self._file)

    @property
    def superseded(self) -> bool:
        """Whether another process has taken over, so that what this one says is of no more account."""
        try:
            return os.stat(self.path).st_ino != os.fstat(self._file).st_ino
        except OSError:
            return True

    def close(self) -> None:
        """Let go of the journal."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            self.bring_to_disk()
        with self._writing:
            os.close(self._file)
            self._file = -1
        self._hold.release()

    def _lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield the whole lines from a byte on, each with the byte at which it ends."""
        rest, at = b"", start
        while block := os.pread(self._file, BLOCK, at + len(rest)):
            *lines, rest_of_block = (rest + block).split(b"\n")
            for line in lines:
                at += len(line) + 1
                yield at, line
            rest = rest_of_block


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
    journal, temporary = folder / TRACKING_FILE, folder / f".{uuid.uuid4().hex[:8]}.{TRACKING_FILE}"
    if journal.exists():
        temporary.write_bytes(journal.read_bytes())
        sync(temporary)
        temporary.replace(journal)
    return _locked(folder, False, wait)
