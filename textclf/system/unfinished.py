"""Names for what is being written, each of which says who writes it, so that what a killed process left is taken away.

Such a name begins with a dot, lies beside the target and ends as it does: `.4242-1764194000-3fa2c1-0a1b.out.parquet` is
written by process 4242, begun at that second, on that machine. There it is seen whether that process lives; elsewhere
it is told from the heartbeat, which gives what the process writes a new time each minute.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from textclf.errors import ArtifactError
from textclf.system.memory import start_thread

WRITER = r"(?P<pid>\d+)-(?P<started>\d+)-(?P<machine>[0-9a-f]{6})-[0-9a-f]{4}"
PREFIX = re.compile(rf"\.(?:{WRITER}|[0-9a-f]{{8}})\.")
"""What such a name begins with; of older ones, with eight digits, nobody knows the writer."""
FORMER = re.compile(r"\.(?P<name>.+)\.(?:(?P<pid>\d+)\.part|unfinished)")
"""Names of earlier versions: of predictions, and of exports."""
TOLERANCE_SECONDS = 3
"""By how much the start of one process may seem to differ, since it is told by a clock that is set."""
BEAT_SECONDS = 60.0
"""How often what this process writes gets a new time."""
ABANDONED_SECONDS = 900.0
"""After so long without a new time, the process of another machine that wrote it is taken for dead."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LONGEST_NAME = 180
"""Bytes of a target's name that are kept; file systems take 255 in all."""


class BeingWrittenError(ArtifactError):
    """Another process is writing to the target."""


def begin(target: Path) -> Path:
    """Return a new name beside a target, to be written to, once what killed processes left there is taken away."""
    for path in _beside(target):
        if _writer_of(path) is None:
            _remove(path)
    return _heart.keep(target.with_name(f".{_writer()}.{_tail(target.name)}"))


@contextmanager
def claimed(target: Path, folder: bool = False) -> Iterator[Path]:
    """Hold a target for this process alone, so that no two write to it at once.

    Args:
        target: A file or folder; the one that it lies in must be there.
        folder: Whether a folder is made.

    Yields:
        The name to write to: an empty file, or an empty folder. It is taken away in the end if it is still there.

    Raises:
        BeingWrittenError: If another process is writing to the target.
    """
    with one_at_a_time(target.parent):
        unfinished = begin(target)
        if busy := writer_of(target):
            raise BeingWrittenError(
                f"{target} is being written by another process ({busy}). Wait until it is done, or name another place."
            )
        if folder:
            unfinished.mkdir()
        else:
            unfinished.touch()
    try:
        yield unfinished
    except OSError as error:
        if error.errno in NO_ROOM and error.filename is None:
            error.filename = str(target)  # which tells a person whose disk it is
        raise
    finally:
        with contextlib.suppress(OSError):
            _remove(unfinished)


def writer_of(target: Path) -> str | None:
    """Return which process is writing to a target, in words; none where nobody is."""
    return next(filter(None, map(_writer_of, _beside(target))), None)


def this_writer() -> str:
    """Return what the names begin with that this process writes to, for `remove_all_of`."""
    return f".{_writer().rpartition('-')[0]}-"


def remove_all_of(writer: str, target: Path) -> None:
    """Remove what a process began for a target, which is known to be dead, as on a machine that is gone.

    Args:
        writer: What `this_writer` returned in that process.
        target: The file or folder that it was writing.
    """
    for path in _beside(target):
        if path.name.startswith(writer):
            _remove(path)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process at a time into the context, by a lock on a folder itself, which leaves nothing behind.

    Where a folder cannot be locked, as on some network drives, all may enter.
    """
    handle = None
    try:
        with contextlib.suppress(ImportError, OSError):  # Windows opens no folders
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Give a folder among the system's temporary files, removed in the end; those of killed processes go first."""
    folder = _new_folder(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_temporary_folder(prefix: str) -> Path:
    """Return such a folder as `temporary_folder` gives, which is there until the process ends."""
    folder = _new_folder(prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _new_folder(prefix: str) -> Path:
    """Return a new folder among the system's temporary files, once those of killed processes are removed."""
    place = Path(tempfile.gettempdir())
    named = re.compile(rf"{re.escape(prefix)}{WRITER}-.*")
    for entry in _entries(place):
        with contextlib.suppress(OSError):
            if (said := named.fullmatch(entry.name)) and _is_own_folder(entry) and _writer_in(said, entry.path) is None:
                shutil.rmtree(entry.path)
    return _heart.keep(Path(tempfile.mkdtemp(prefix=f"{prefix}{_writer()}-")))


class _Heart:
    """Gives all that this process writes a new time, until it is written, for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[Path, float] = {}
        self._beats = False
        self._lock = threading.Lock()

    def keep(self, path: Path) -> Path:
        """Return a path that is written to from now on, once it is among those that are kept."""
        with self._lock:
            if not self._beats:
                with contextlib.suppress(MemoryError, RuntimeError):  # what is written may still be, without a thread
                    start_thread(threading.Thread(target=self._beat_on, name="heartbeat", daemon=True))
                    self._beats = True
            self._kept[path.absolute()] = time.monotonic()
        return path

    def beat(self) -> None:
        """Give what is there a new time, and forget what is not: it is written, or was given up."""
        with self._lock:
            kept = list(self._kept.items())
        gone = []
        for path, since in kept:
            try:
                os.utime(path)
            except FileNotFoundError:
                if time.monotonic() - since >= BEAT_SECONDS:  # it may be a name that is not written to yet
                    gone.append(path)
            except OSError:
                continue  # a network drive that is away for a moment
        with self._lock:
            for path in gone:
                self._kept.pop(path, None)

    def _beat_on(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            self.beat()


_heart = _Heart()
if hasattr(os, "register_at_fork"):  # a child has no thread but its own, and its parent keeps what it writes
    os.register_at_fork(after_in_child=_heart.__init__)


def _writer() -> str:
    """Return this process as part of a name, different each time."""
    return f"{os.getpid()}-{int(psutil.Process().create_time())}-{_machine()}-{uuid.uuid4().hex[:4]}"


def _machine() -> str:
    """Return where the numbers of processes count: this machine, or this container."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:6]
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _tail(name: str) -> str:
    """Return a target's name as the end of another, shortened where the two would be too long."""
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16] + Path(name).suffix


def _beside(target: Path) -> list[Path]:
    """Return what was begun for a target, by whomever."""
    tail, found = _tail(target.name), []
    for entry in _entries(target.parent):
        if not entry.name.startswith(".") or tail not in entry.name:
            continue
        own, former = PREFIX.match(entry.name), FORMER.fullmatch(entry.name)
        if (own and own["pid"] and entry.name[own.end() :] == tail) or (former and former["name"] == target.name):
            found.append(Path(entry.path))
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _writer_of(path: Path) -> str | None:
    """Return who is writing under a name, in words; none where that process is gone."""
    said = PREFIX.match(path.name) or FORMER.fullmatch(path.name)
    return None if said is None else _writer_in(said, path)


def _writer_in(said: re.Match[str], path: Path | str) -> str | None:
    """Return the process that a name says, in words; none where it is gone."""
    parts = said.groupdict()
    if parts["pid"] is None:
        return None
    try:
        changed = os.stat(path).st_mtime
        if parts.get("machine") not in (None, _machine()):
            return "on another machine" if _time_beside(path) - changed < ABANDONED_SECONDS else None
        process = psutil.Process(int(parts["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        begun = process.create_time()
        started = parts.get("started")
        same = begun < changed + TOLERANCE_SECONDS if started is None else abs(begun - int(started)) < TOLERANCE_SECONDS
        return f"number {process.pid}" if same else None
    except (psutil.Error, OSError, OverflowError):
        return None


def _time_beside(path: Path | str) -> float:
    """Return the time by the clock of a path's file system, which is the same for all machines that share it."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path)) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, no link to one, that this person made."""
    mine = not hasattr(os, "geteuid") or entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    return mine and entry.is_dir(follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
