"""Token ids that were made before: of a run's own texts in memory, and on disk for the runs that follow.

Nothing is kept but inside `remembering_tokens`, so texts that are merely predicted leave no trace.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from textclf.errors import ConfigError
from textclf.models.transformer.encoded import CHUNK, TokenizedTexts

log = logging.getLogger(__name__)

VARIABLE = "TEXTCLF_TOKEN_CACHE_MB"
"""The environment variable that says how much the folder may hold; 0 keeps nothing on disk."""
DEFAULT_MB = 2000
MEMORY_BYTES = 64_000_000
FEWEST_TEXTS = 500
"""Fewer texts are tokenised sooner than they are looked up."""
FILE_SECONDS = 1.0
"""What is tokenised sooner is not worth a file."""
ABANDONED_SECONDS = 3600.0
"""After this time an unfinished file has lost its writer."""
SUFFIX = ".safetensors"
DTYPES = {"ids": np.int32, "type_ids": np.int8, "offsets": np.int64, "first_rows": np.int64}
"""The arrays of a file."""


@dataclass
class _Memory:
    """What one run remembers, the least recently used first."""

    room_on_disk: int
    """In bytes."""
    entries: OrderedDict[str, TokenizedTexts] = field(default_factory=OrderedDict)


_memory: ContextVar[_Memory | None] = ContextVar("_memory", default=None)


@contextmanager
def remembering_tokens() -> Iterator[None]:
    """Keep what is tokenised inside the context, and use what was kept.

    Raises:
        ConfigError: If the environment variable is no number of megabytes.
    """
    given = os.environ.get(VARIABLE, "").strip() or str(DEFAULT_MB)
    if not given.isdecimal():
        raise ConfigError(f"{VARIABLE} must be a whole number of megabytes, or 0 to keep no file, got {given!r}.")
    token = _memory.set(_Memory(int(given) * 1_000_000))
    try:
        yield
    finally:
        _memory.reset(token)


def folder() -> Path:
    """Return where the files are: below `HF_HOME`, beside the datasets they were made from."""
    return Path(constants.HF_HOME) / "textclf" / "tokens"


def remembered(
    how: Callable[[], Sequence[str]],
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    tokenize: Callable[[], TokenizedTexts],
) -> TokenizedTexts:
    """Return the token ids of texts, or pairs of texts, from memory, from disk, or made now.

    Args:
        how: Gives all that the ids depend on beside the texts: the tokenizer's whole content, lengths, versions.
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        tokenize: Makes the ids.
    """
    memory = _memory.get()
    if memory is None or len(texts) < FEWEST_TEXTS:
        return tokenize()
    key = key_of(how(), texts, text_pairs)
    if key in memory.entries:
        memory.entries.move_to_end(key)
        return memory.entries[key]
    tokens = read(key, len(texts)) if memory.room_on_disk else None
    if tokens is None:
        begun = time.perf_counter()
        tokens = tokenize()
        if time.perf_counter() - begun >= FILE_SECONDS and _bytes(tokens) <= memory.room_on_disk:
            write(key, tokens, memory.room_on_disk)
    memory.entries[key] = tokens
    while memory.entries and sum(map(_bytes, memory.entries.values())) > MEMORY_BYTES:
        memory.entries.popitem(last=False)
    return tokens


def key_of(how: Sequence[str], texts: Sequence[str], text_pairs: Sequence[str] | None) -> str:
    """Return what token ids are found by: a digest of the texts and of all that becomes of them."""
    digest = hashlib.blake2b(digest_size=20)
    for part in ([str(len(how)), *how], texts, None if text_pairs is None else text_pairs):
        digest.update(b"-" if part is None else b"+%d" % len(part))
        for start in range(0, len(part or ()), CHUNK):
            some = (part or ())[start : start + CHUNK]
            digest.update(np.fromiter(map(len, some), np.int64, len(some)).tobytes())  # tells ab, c from a, bc
            digest.update("".join(some).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def read(key: str, num_texts: int) -> TokenizedTexts | None:
    """Return what was written under a key; none where there is nothing, or nothing whole."""
    from safetensors import SafetensorError, safe_open

    path = folder() / f"{key}{SUFFIX}"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            about = json.loads((file.metadata() or {})["about"])
        tokens = _checked(arrays, about, key, num_texts)
    except FileNotFoundError:  # another run has just made room
        return None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        log.warning("%s is damaged (%s); its texts are tokenised again", path, error)
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):  # the folder may be one that is only read
        os.utime(path)  # the least recently used goes first
    log.info("%d texts were tokenised before; read from %s", num_texts, path)
    return tokens


def write(key: str, tokens: TokenizedTexts, room: int) -> None:
    """Write token ids under a key, and remove the least recently used files beyond so many bytes."""
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(tokens).items()}
    about = json.dumps({"key": key, "num_cut": int(tokens.num_cut), "checksum": _checksum(arrays)})
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder(), prefix=f"{key}.", suffix=".unfinished")
        os.close(handle)
        try:
            save_file(arrays, name, {"about": about})
            os.replace(name, folder() / f"{key}{SUFFIX}")
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
        _make_room(room)
    except Exception as error:  # a full disk raises the library's own kind, and a run needs no cache
        log.warning("token ids could not be kept in %s: %s", folder(), error)


def _make_room(room: int) -> None:
    """Remove the least recently used files beyond so many bytes, and what writers left unfinished."""
    files = []
    for path in folder().iterdir():
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


def _checked(arrays: dict[str, NDArray], about: dict, key: str, num_texts: int) -> TokenizedTexts:
    """Return arrays of a file as token ids, or raise ValueError if they are not what was written."""
    wrong = [name for name, array in arrays.items() if array.dtype != DTYPES[name] or array.ndim != 1]
    if about["key"] != key or about["checksum"] != _checksum(arrays) or wrong:
        raise ValueError("its content is not what was written")
    tokens = TokenizedTexts(
        ids=arrays["ids"],
        type_ids=arrays.get("type_ids"),
        offsets=arrays["offsets"],
        num_cut=int(about["num_cut"]),
        first_rows=arrays.get("first_rows"),
    )
    if len(tokens) != num_texts or tokens.offsets[-1] != len(tokens.ids):
        raise ValueError("it is of other texts")
    return tokens


def _arrays(tokens: TokenizedTexts) -> dict[str, NDArray]:
    """Return the arrays of token ids by name."""
    found = {name: getattr(tokens, name) for name in DTYPES}
    return {name: array for name, array in found.items() if array is not None}


def _checksum(arrays: dict[str, NDArray]) -> int:
    """Return a number that changes when a byte does."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).data, zlib.crc32(name.encode(), total))
    return total


def _bytes(tokens: TokenizedTexts) -> int:
    """Return what token ids take in memory."""
    return sum(array.nbytes for array in _arrays(tokens).values())
