"""Arrays that were computed before, in files below a folder: found by a digest, checked, cleared when room is short."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")

ABANDONED_SECONDS = 3600.0
"""After this time an unfinished file has lost its writer."""
SUFFIX = ".safetensors"
CHUNK = 1000
"""Texts that are digested together."""


def megabytes(variable: str, usual: int) -> int:
    """Return how many megabytes an environment variable gives a folder; 0 keeps no file.

    Raises:
        ConfigError: If it is no whole number.
    """
    given = os.environ.get(variable, "").strip() or str(usual)
    if not given.isdecimal():
        raise ConfigError(f"{variable} must be a whole number of megabytes, or 0 to keep no file, got {given!r}.")
    return int(given)


def key_of(how: Sequence[str], texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> str:
    """Return a digest of texts, or pairs of texts, and of all that becomes of them."""
    digest = hashlib.blake2b(digest_size=20)
    for part in ([str(len(how)), *how], texts, text_pairs):
        digest.update(b"-" if part is None else b"+%d" % len(part))
        for start in range(0, len(part or ()), CHUNK):
            some = (part or ())[start : start + CHUNK]
            digest.update(np.fromiter(map(len, some), np.int64, len(some)).tobytes())  # tells ab, c from a, bc
            digest.update("".join(some).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@dataclass(frozen=True)
class ArrayFiles:
    """A folder of files in safetensors, each found by a key."""

    folder: Path

    def read(self, key: str, use: Callable[[dict[str, NDArray], dict[str, Any]], T]) -> T | None:
        """Return what was written under a key; none where there is nothing, or nothing whole.

        Args:
            key: What it was written under.
            use: Takes the arrays by name and what is known of them; raises ValueError where they are no good.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / f"{key}{SUFFIX}"
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
                about = json.loads((file.metadata() or {})["about"])
            if about["key"] != key or about["checksum"] != _checksum(arrays):
                raise ValueError("its content is not what was written")
            found = use(arrays, about)
        except FileNotFoundError:  # another run has just made room
            return None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("%s is damaged (%s); it is made again", path, error)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # the folder may be one that is only read
            os.utime(path)  # the least recently used goes first
        return found

    def write(self, key: str, arrays: dict[str, NDArray], about: dict[str, Any], room: int) -> None:
        """Write arrays under a key, and remove the least recently used files beyond so many bytes."""
        from safetensors.numpy import save_file

        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        known = json.dumps({**about, "key": key, "checksum": _checksum(arrays)})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=f"{key}.", suffix=".unfinished")
            os.close(handle)
            try:
                save_file(arrays, name, {"about": known})
                os.replace(name, self.folder / f"{key}{SUFFIX}")
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name)
            self.make_room(room)
        except Exception as error:  # a full disk raises the library's own kind, and a run needs no cache
            log.warning("%s could not be kept in %s: %s", self.folder.name, self.folder, error)

    def make_room(self, room: int) -> None:
        """Remove the least recently used files beyond so many bytes, and what writers left unfinished."""
        files = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another run may remove it first
                stat = path.stat()
                if path.suffix == SUFFIX:
                    files.append((stat.st_mtime, stat.st_size, path))
                elif path.suffix == ".unfinished" and time.time() - stat.st_mtime > ABANDONED_SECONDS:
                    path.unlink()
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= room:
                break
            path.unlink(missing_ok=True)
            total -= size


def _checksum(arrays: dict[str, NDArray]) -> int:
    """Return a number that changes when a byte does."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).data, zlib.crc32(name.encode(), total))
    return total
