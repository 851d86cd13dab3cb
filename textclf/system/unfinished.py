"""Names for what is being written, each of which says who writes it, so that what a killed process left is taken away.

Such a name begins with a dot, lies beside the target and ends as it does: `.4242-1764194000-3fa2c1-0a1b.out.parquet` is
written by process 4242, begun at that second, on that machine.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from textclf.errors import ArtifactError

WRITER = r"(?P<pid>\d+)-(?P<started>\d+)-(?P<machine>[0-9a-f]{6})-[0-9a-f]{4}"
PREFIX = re.compile(rf"\.(?:{WRITER}|[0-9a-f]{{8}})\.")
"""What such a name begins with; of older ones, with eight digits, nobody knows the writer."""
FORMER = re.compile(r"\.(?P<name>.+)\.(?:(?P<pid>\d+)\.part|unfinished)")
"""Names of earlier versions: of predictions, and of exports."""
TOLERANCE_SECONDS = 3
"""By how much the start of one process may seem to differ, since it is told by a clock that is set."""
ABANDONED_SECONDS = 86_400.0
"""After so long without a change, what a process of another machine writes has lost it."""
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
    return target.with_name(f".{_writer()}.{_tail(target.name)}")


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
    folder = new_temporary_folder(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_temporary_folder(prefix: str) -> Path:
    """Return a new folder among the system's temporary files, once those of killed processes are removed."""
    place = Path(tempfile.gettempdir())
    named = re.compile(rf"{re.escape(prefix)}{WRITER}-.*")
    for entry in _entries(place):
        with contextlib.suppress(OSError):
            if (said := named.fullmatch(entry.name)) and _is_own_folder(entry) and _writer_in(said, entry.path) is None:
                shutil.rmtree(entry.path)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{_writer()}-"))


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
            return "on another machine" if time.time() - changed < ABANDONED_SECONDS else None
        process = psutil.Process(int(parts["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        begun = process.create_time()
        started = parts.get("started")
        same = begun < changed + TOLERANCE_SECONDS if started is None else abs(begun - int(started)) < TOLERANCE_SECONDS
        return f"number {process.pid}" if same else None
    except (psutil.Error, OSError, OverflowError):
        return None


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, no link to one, that this person made."""
    mine = not hasattr(os, "geteuid") or entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    return mine and entry.is_dir(follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
