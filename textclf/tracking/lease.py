"""One worker at a time in a folder: a lease with a heartbeat, and a token by which a late worker is known.

filelock's SoftFileLease was tried in its place. It counts a holder's silence from when a contender first looks, so that
whoever comes later waits it out once more; and it starts its thread without a guard, so that a run whose memory is used
up hangs there instead of ending with a message (`start_thread`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from textclf.errors import ArtifactError
from textclf.system.files import write_json
from textclf.system.memory import start_thread

LEASE_FILE = "lease.json"
LOCK_FILE = ".lease.lock"
SECONDS = 120.0
"""Time without a heartbeat after which a worker is given up for dead; TEXTCLF_LEASE_SECONDS says otherwise."""
BEATS = 6
"""Heartbeats in that time."""


class BusyError(ArtifactError):
    """Another worker is at work in the folder."""


class LeaseLostError(ArtifactError):
    """This worker was given up for dead, and another has taken over."""


@dataclass(frozen=True)
class Worker:
    """Who holds a lease."""

    token: str
    host: str
    pid: int
    process_started: float
    """When the process began, in seconds since 1970: numbers of processes are used again."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """The right to write to a folder, kept by a heartbeat until it is given back."""

    def __init__(self, folder: Path, worker: Worker, on_loss: Callable[[], None] | None):
        self.folder = folder
        self.worker = worker
        self.on_loss = on_loss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        start_thread(self._thread)

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Change the folder inside the context, where nobody can take over.

        Raises:
            LeaseLostError: If somebody has already.
        """
        with _locked(self.folder):
            holder = read_holder(self.folder)
            if holder is None or holder.token != self.worker.token:
                raise LeaseLostError(
                    f"{self.folder} was taken over by {holder or 'another worker'}, since nothing was heard of this "
                    f"one for {lease_seconds():.0f} seconds. Its own results are not put in their place."
                )
            yield

    def give_back(self) -> None:
        """Let others have the folder; nothing where it is lost."""
        self._over.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(LeaseLostError, OSError), self.fenced():
            (self.folder / LEASE_FILE).unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(lease_seconds() / BEATS):
            try:
                with self.fenced():
                    os.utime(self.folder / LEASE_FILE)
            except LeaseLostError:
                if self.on_loss is not None:
                    self.on_loss()
                return
            except OSError:
                continue  # a full disk or a network drive that is away for a moment


def take_lease(folder: Path, on_loss: Callable[[], None] | None = None) -> Lease:
    """Take the lease on a folder.

    Args:
        folder: The folder, which must be there.
        on_loss: Called from the heartbeat's thread when another worker has taken over.

    Raises:
        BusyError: If another worker is at work there.
    """
    worker = this_worker()
    with _locked(folder):
        holder = read_holder(folder)
        if holder is not None and is_alive(folder, holder):
            raise BusyError(
                f"{folder}: {holder} is at work there. Wait for it to end, stop it, or name another folder; if it is "
                f"dead, it is given up for it {lease_seconds():.0f} seconds after its last sign of life."
            )
        write_json(folder / LEASE_FILE, asdict(worker))
    return Lease(folder, worker, on_loss)


def this_worker() -> Worker:
    """Return this process as one that holds something, with a token of its own."""
    process = psutil.Process()
    return Worker(uuid.uuid4().hex, socket.gethostname(), process.pid, process.create_time())


def read_holder(folder: Path) -> Worker | None:
    """Return who holds the lease on a folder; none where nobody does, or it cannot be read."""
    try:
        said: dict[str, Any] = json.loads((folder / LEASE_FILE).read_text(encoding="utf-8"))
        return Worker(str(said["token"]), str(said["host"]), int(said["pid"]), float(said["process_started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(folder: Path, holder: Worker) -> bool:
    """Return whether the holder of a folder's lease may still be at work.

    On this machine its process is looked for. The age of the last heartbeat is measured by the clock of the file
    system, which is the same for all.
    """
    if is_running(holder) is False:
        return False
    lock = folder / LOCK_FILE
    try:
        os.utime(lock)
        return lock.stat().st_mtime - (folder / LEASE_FILE).stat().st_mtime < lease_seconds()
    except OSError:
        return False


def at_work(folder: Path) -> Worker | None:
    """Return who is at work in a folder; none where nobody is."""
    holder = read_holder(folder)
    return holder if holder is not None and is_alive(folder, holder) else None


def is_running(holder: Worker) -> bool | None:
    """Return whether a process of this machine is there; none of another machine's, which cannot be known."""
    if holder.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(holder.pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return not gone and abs(process.create_time() - holder.process_started) < 1
    except psutil.Error:
        return False


def _locked(folder: Path) -> FileLock:
    return FileLock(folder / LOCK_FILE, timeout=60)


def lease_seconds() -> float:
    """Return the time without a heartbeat after which a worker is given up for dead, in seconds."""
    return float(os.environ.get("TEXTCLF_LEASE_SECONDS", SECONDS))
