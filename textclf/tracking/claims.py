"""Claims on a start: of the same command given several times at once one begins, and what a killed one began is known.

Until a run has its `started.json`, or a sweep its `sweep.json`, nothing in its folder says what it is. Meanwhile its
process has a lock by the fingerprint of what it starts, which goes with the process, and a note of where it starts it.
Both are in one hidden folder below that of all runs, and are gone when the start is over.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from textclf.system.files import write_json
from textclf.tracking.lease import LEASE_FILE, LOCK_FILE, Worker, at_work, is_running, lease_seconds, this_worker
from textclf.tracking.record import TRACKING_FILE

PLACE = ".starting"
"""Folder of the locks and notes."""
START_FILES = re.compile(
    rf"\.hydra|run\.log|multirun\.yaml|\.writable|\.tracking\.lock|\.gpu\d+\.lock|\.[0-9a-f]{{8}}\..*"
    rf"|{re.escape(LEASE_FILE)}|{re.escape(LOCK_FILE)}|{re.escape(TRACKING_FILE)}"
)
"""What a folder holds before it says which run or sweep it is of; none of it is a result."""
LEFT_OVER = re.compile(r"\.[0-9a-f]{8}\..*")
ATTEMPTS = 5

_claims: dict[Path, Claim] = {}
"""The claims that this process has, by the folder that it starts in."""


class Claim:
    """The right to start something: nobody else with the same fingerprint decides where while it is held."""

    def __init__(self, place: Path, key: str, lock: FileLock | None, is_first: bool = False):
        self.place = place
        self.is_first = is_first
        """Whether there was no folder of runs before."""
        self.key = key
        self.lock = lock
        """Held by this process; none where another starts the same and this one need not wait for it."""
        self.own: Path | None = None
        self.folder: Path | None = None

    def abandoned(self) -> Path | None:
        """Return the folder of the same start that a killed process left, to go on in it; none where there is none.

        Its process is dead, nobody else is at work in it, and it holds nothing but what every start leaves.
        """
        if self.lock is None:
            return None
        found = None
        for path in sorted(self.place.glob(f"{self.key}-*.json")):
            worker, folder = _read(path)
            if worker is None or folder is None or not _is_dead(path, worker, folder):
                continue
            with contextlib.suppress(OSError):
                names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
                if names and all(START_FILES.fullmatch(name) for name in names):
                    if found is not None:
                        continue  # another of them, for the next time
                    found = folder
                    for name in names:
                        if LEFT_OVER.fullmatch(name):
                            (folder / name).unlink(missing_ok=True)
                elif not names and folder.is_dir():
                    folder.rmdir()
                path.unlink(missing_ok=True)
        return found

    def note(self, folder: Path) -> None:
        """Note where it is started, before anything is written there."""
        self.folder = Path(folder).absolute()
        _claims[self.folder] = self
        worker = this_worker()
        own = self.place / f"{self.key}-{worker.token[:8]}.json"
        with contextlib.suppress(OSError):  # a full disk, or a place that nobody may write to: told by the run itself
            self.place.mkdir(parents=True, exist_ok=True)
            write_json(own, asdict(worker) | {"folder": str(self.folder)})
            self.own = own

    def done(self) -> None:
        """Give it back, with all that it left."""
        if self.folder is not None:
            _claims.pop(self.folder, None)
        with contextlib.suppress(OSError):
            if self.own is not None:
                self.own.unlink(missing_ok=True)
        if self.lock is not None:
            with contextlib.suppress(OSError):
                Path(self.lock.lock_file).unlink()  # who waits for it sees that it is gone, and makes another
            self.lock.release()
            self.lock = None
        with contextlib.suppress(OSError):
            self.place.rmdir()
            if self.is_first:
                self.place.parent.rmdir()


def take_claim(outputs: Path, key: str, wait: bool) -> Claim:
    """Take the claim on a start.

    Args:
        outputs: The folder of all runs.
        key: Fingerprint of what is started.
        wait: Wait while another process starts the same, until it has or is gone. One that takes longer than a lease
            lasts is not waited for any more: this start then goes its own way.
    """
    place, began, told = Path(outputs) / PLACE, time.monotonic(), False
    failed, is_first = 0, not place.parent.exists()
    while failed < ATTEMPTS:
        lock = FileLock(place / f"{key}.lock", timeout=0, thread_local=False)
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=1 if wait else 0)
            return Claim(place, key, lock, is_first)
        except Timeout:
            if not wait or time.monotonic() - began > lease_seconds():
                break
            if not told:
                print("another process is starting the same; waiting for it", flush=True)
                told = True
        except OSError:  # who was last has removed the place, or it cannot be written
            failed += 1
    return Claim(place, key, None)


def start_is_over(folder: Path) -> None:
    """Give back the claim of this process on a folder, which now says itself what it is of; nothing without one."""
    claim = _claims.get(Path(folder).absolute())
    if claim is not None:
        claim.done()


def give_up_claims() -> None:
    """Give back all claims of this process, since what it started has failed, and the person has been told."""
    for claim in list(_claims.values()):
        claim.done()


def _read(path: Path) -> tuple[Worker | None, Path | None]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        worker = Worker(str(said["token"]), str(said["host"]), int(said["pid"]), float(said["process_started"]))
        return worker, Path(str(said["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _is_dead(note: Path, worker: Worker, folder: Path) -> bool:
    """Whether a process that started something is gone; of another machine's, whether nothing was heard of it."""
    if at_work(folder) is not None:
        return False
    running = is_running(worker)
    if running is not None:
        return not running
    lock = note.with_name(f"{note.name}.now")
    try:
        lock.touch()  # the clock of the file system, which is the same for all
        return lock.stat().st_mtime - note.stat().st_mtime > lease_seconds()
    except OSError:
        return False
    finally:
        lock.unlink(missing_ok=True)
