"""Append to files of JSON lines, a whole line or none, and repair what a killed writer left of a last line."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from filelock import FileLock

from textclf.system.files import new_file

log = logging.getLogger(__name__)

LOCK_SECONDS = 10.0
"""How long a writer waits for the others."""
TORN = ".torn"
"""Ending of the file that takes what a killed writer left of a line."""
BLOCK = 1 << 18
"""Bytes read at a time, so that memory stays bounded however long a file is."""


class LineFile:
    """A file of JSON lines that is open for appending, by this process alone: who opens it holds a lock."""

    def __init__(self, path: Path):
        """Open a file, made where it is not there.

        Raises:
            OSError: If it cannot be written.
        """
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        self._size = os.fstat(self._file).st_size

    def repair(self, keep: bool = False) -> None:
        """Cut off a last line that has no end, as a killed writer leaves it.

        Args:
            keep: Give it an end instead where it is whole but for that, as one written by hand; and where it is not,
                move it to a file of its own beside this one.
        """
        start, rest = self._size, b""
        while start and b"\n" not in rest:
            step = min(BLOCK, start)
            start -= step
            rest = os.pread(self._file, step, start) + rest
        rest = rest[rest.rfind(b"\n") + 1 :]
        if not rest:
            return
        if keep and _is_entry(rest):
            self.append(b"\n")
            return
        if keep:
            with open(self.path.with_name(self.path.name + TORN), "ab") as torn:
                torn.write(rest + b"\n")
        log.info("the last line of %s was torn when its process was killed; it is cut off", self.path)
        self._size -= len(rest)
        os.ftruncate(self._file, self._size)

    def append(self, line: bytes, sync: bool = False) -> int:
        """Add a line and return where it ends, in bytes; where this raises, the file is as it was.

        Args:
            line: The line, with its end.
            sync: Wait until the disk has it.

        Raises:
            OSError: If it cannot be written, as on a full disk.
        """
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            if sync:
                os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        return self._size

    def lines(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the lines from a byte on, each with the byte at which it ends."""
        rest, at = b"", start
        while block := os.pread(self._file, BLOCK, at + len(rest)):
            *lines, rest_of_block = (rest + block).split(b"\n")
            for line in lines:
                at += len(line) + 1
                yield at, line
            rest = rest_of_block

    def fileno(self) -> int:
        """Return the system's number of the open file; -1 once it is closed."""
        return self._file

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, -1
        os.close(file)


def json_line(entry: Mapping[str, Any]) -> bytes:
    """Return plain values as a line of JSON."""
    text = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", errors="replace") + b"\n"  # a lone half of a character cannot be written


def append_line(path: Path, entry: Mapping[str, Any], *, sync: bool = True, most_bytes: int | None = None) -> None:
    """Append one entry to a file that many threads and processes write to.

    When this returns, it is there, and where it raises, the file is as it was. A line that a killed writer left
    unfinished is moved to a file of its own beside this one.

    Args:
        path: The file; it and its folder are made where they are not there.
        entry: Plain values.
        sync: Wait until the disk has it.
        most_bytes: Size above which the file is first renamed to end in `.1`, in place of the last one of that name.

    Raises:
        OSError: If it cannot be written; `TimeoutError` if others hold the file for too long.
    """
    line = json_line(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        if most_bytes is not None and path.exists() and path.stat().st_size + len(line) > most_bytes:
            path.replace(path.with_name(f"{path.name}.1"))
        with closing(LineFile(path)) as file:
            file.repair(keep=True)
            file.append(line, sync)


def replace_line(path: Path, entry: Mapping[str, Any], is_old: Callable[[dict[str, Any]], bool]) -> None:
    """Append one entry to a file, as `append_line` does, in place of earlier ones that it replaces.

    The file is written anew only where there is one to be replaced; a killed writer leaves it as it was.

    Args:
        path: The file; it and its folder are made where they are not there.
        entry: Plain values.
        is_old: Says of an earlier entry whether it is replaced.

    Raises:
        OSError: If it cannot be written; `TimeoutError` if others hold the file for too long.
    """
    line = json_line(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        with closing(LineFile(path)) as file:
            file.repair(keep=True)
            before = [each for _, each in file.lines()]
            kept = [each for each in before if not (_is_entry(each) and is_old(json.loads(each)))]
            if len(kept) == len(before):
                file.append(line, sync=True)
                return
        with new_file(path) as written:
            written.write_bytes(b"".join(each + b"\n" for each in kept) + line)


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
