"""Appends to a file of JSON lines from many threads and processes at once, a whole line or none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

LOCK_SECONDS = 10.0
"""How long a writer waits for the others."""
TORN = ".torn"
"""Ending of the file that takes what a killed writer left of a line."""
_CHUNK = 65536


def append_line(path: Path, entry: Mapping[str, Any], *, sync: bool = True, most_bytes: int | None = None) -> None:
    """Append one entry; when this returns, it is there, and where it raises, the file is as it was.

    A line that a killed writer left unfinished is moved to a file of its own beside this one.

    Args:
        path: The file; it and its folder are made where they are not there.
        entry: Plain values.
        sync: Wait until the disk has it.
        most_bytes: Size above which the file is first renamed to end in `.1`, in place of the last one of that name.

    Raises:
        OSError: If it cannot be written; `TimeoutError` if others hold the file for too long.
    """
    text = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False)
    line = text.encode("utf-8", errors="replace") + b"\n"  # a lone half of a character cannot be written
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        if most_bytes is not None and path.exists() and path.stat().st_size + len(line) > most_bytes:
            path.replace(path.with_name(f"{path.name}.1"))
        with open(path, "ab+") as file:
            size = _end_of_lines(file, path)
            try:
                file.write(line)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def _end_of_lines(file: Any, path: Path) -> int:
    """Return where the last whole line ends, which is the end of the file once this has been called."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return 0
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return size
    start, rest = size, b""
    while start and b"\n" not in rest:
        step = min(_CHUNK, start)
        start -= step
        file.seek(start)
        rest = file.read(step) + rest
    rest = rest[rest.rfind(b"\n") + 1 :]
    if _is_entry(rest):  # written by hand, without the last newline
        file.write(b"\n")
        file.flush()
        return size + 1
    with open(path.with_name(path.name + TORN), "ab") as torn:
        torn.write(rest + b"\n")
    file.truncate(size - len(rest))
    return size - len(rest)


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
