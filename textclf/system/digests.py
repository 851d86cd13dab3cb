"""Digests of large files, remembered for the person who read them, so that a file is not read twice to be checked.

A file is known by its path, device, inode, size and times. The time of its last change (`st_ctime`) is among them,
which no program can set back (on Windows it is the time of creation, and the others must do). What is remembered lies
below `HF_HOME`, and is used only where nobody but its owner can write it: a folder that comes from elsewhere cannot
say that it was checked. A disk that rots without a write is not noticed here; resuming reads every file again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

from textclf.system.files import digest, new_file

SMALLEST_BYTES = 1 << 16
"""Files below this size are read sooner than they are looked up."""
RECENT_SECONDS = 2.0
"""A file changed so lately may change again within the same tick of the disk's clock: it is not remembered."""
MOST_BYTES = 4_000_000
"""Beyond this size, the older half of what is remembered is forgotten: 20,000 files are left."""
LINE = re.compile(rb"[0-9a-f]{32} [0-9a-f]{64}")
WRITABLE_BY_OTHERS = 0o022

_lock = threading.Lock()


def known_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits, without reading it where it was read before."""
    before = path.stat()
    if before.st_size < SMALLEST_BYTES:
        return digest(path)
    place = folder() / "digests"
    with _lock:
        known = _remembered(place)
        key = key_of(path, before)
        if key in known:
            return known[key]
    found = digest(path)
    changed = max(before.st_mtime, before.st_ctime)
    if key_of(path, path.stat()) == key and changed < time.time() - RECENT_SECONDS:
        with _lock:
            known[key] = found
            _append(place, f"{key} {found}\n")
    return found


def folder() -> Path:
    """Return where the digests are: below `HF_HOME`, beside the tokens of texts."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "textclf"


def key_of(path: Path, stat: os.stat_result) -> str:
    """Return what a file is known by, 32 hexadecimal digits: another file, or the same one changed, has another."""
    said = (os.path.realpath(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@functools.lru_cache(maxsize=4)
def _remembered(place: Path) -> dict[str, str]:
    """Return the digests that a file holds by their keys; a torn line, and a file of somebody else, are passed over."""
    found: dict[str, str] = {}
    with suppress(OSError):
        if _is_own(place):
            for line in place.read_bytes().split(b"\n"):
                if LINE.fullmatch(line):
                    key, _, value = line.decode().partition(" ")
                    found[key] = value
    return found


def _append(place: Path, line: str) -> None:
    """Add a line to a file, and forget the older half where it has grown large; what cannot be written is not kept."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not _is_own(place):
            return
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            os.write(handle, line.encode())
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        if size > MOST_BYTES:
            lines = place.read_bytes().split(b"\n")
            with new_file(place) as temporary:
                temporary.touch(0o600)
                temporary.write_bytes(b"\n".join(lines[len(lines) // 2 :]))


def _is_own(place: Path) -> bool:
    """Whether a file belongs to this person, and nobody else can write it."""
    stat = place.lstat()
    mine = not hasattr(os, "geteuid") or (stat.st_uid == os.geteuid() and not stat.st_mode & WRITABLE_BY_OTHERS)
    return mine and not place.is_symlink() and place.is_file()
