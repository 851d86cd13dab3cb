"""Embeddings that were made before: of a run's own texts in memory, and on disk for the runs that follow.

Nothing is kept but inside `remembering_vectors`, so texts that are merely predicted leave no trace. What it took to
make them is kept with them, and counts as if they were made again: a run's costs do not depend on what ran before.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from textclf.system.array_files import ArrayFiles, key_of, megabytes

VARIABLE = "TEXTCLF_EMBEDDING_CACHE_MB"
"""The environment variable that says how much the folder may hold; 0 keeps nothing on disk."""
DEFAULT_MB = 2000
MEMORY_BYTES = 512_000_000
FEWEST_TEXTS = 8
"""Fewer texts are encoded sooner than the encoder is told from others."""
FILE_SECONDS = 0.5
"""What is encoded sooner is not worth a file."""


@dataclass
class _Memory:
    """What one run remembers, the least recently used first."""

    room_on_disk: int
    """In bytes."""
    entries: OrderedDict[str, tuple[NDArray[np.float32], float]] = field(default_factory=OrderedDict)
    """Vectors, and the seconds that it took to make them."""
    seconds_saved: float = 0.0


_memory: ContextVar[_Memory | None] = ContextVar("_memory", default=None)


@contextmanager
def remembering_vectors() -> Iterator[None]:
    """Keep embeddings that are made inside the context, and use what was kept.

    Raises:
        ConfigError: If the environment variable is no number of megabytes.
    """
    token = _memory.set(_Memory(megabytes(VARIABLE, DEFAULT_MB) * 1_000_000))
    try:
        yield
    finally:
        _memory.reset(token)


def seconds_saved() -> float:
    """Return the seconds that it would have taken to make what was remembered so far in this context."""
    memory = _memory.get()
    return 0.0 if memory is None else memory.seconds_saved


def folder() -> Path:
    """Return where the files are: below `HF_HOME`, beside the datasets they were made from."""
    return Path(constants.HF_HOME) / "textclf" / "embeddings"


def remembered_vectors(
    how: Callable[[], Sequence[str]], texts: Sequence[str], encode: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the embeddings of texts from memory, from disk, or made now: float32 (n, size).

    Args:
        how: Gives all that they depend on beside the texts: weights, tokenizer, arithmetic, versions.
        texts: The n texts.
        encode: Makes them.
    """
    memory = _memory.get()
    if memory is None or len(texts) < FEWEST_TEXTS:
        return encode()
    key = key_of(how(), texts)
    found = memory.entries.pop(key, None)
    if found is None and memory.room_on_disk:
        found = ArrayFiles(folder()).read(key, _read)
    if found is not None:
        memory.seconds_saved += found[1]
    else:
        begun = time.perf_counter()
        vectors = encode()
        found = vectors, time.perf_counter() - begun
        if found[1] >= FILE_SECONDS and vectors.nbytes <= memory.room_on_disk:
            ArrayFiles(folder()).write(key, {"vectors": vectors}, {"seconds": found[1]}, memory.room_on_disk)
    memory.entries[key] = found
    while len(memory.entries) > 1 and sum(vectors.nbytes for vectors, _ in memory.entries.values()) > MEMORY_BYTES:
        memory.entries.popitem(last=False)
    return found[0]


def _read(arrays: dict[str, NDArray], about: dict[str, Any]) -> tuple[NDArray[np.float32], float]:
    """Return the vectors of a file and the seconds that they took, or raise ValueError if they are none."""
    vectors, seconds = arrays["vectors"], about["seconds"]
    if vectors.dtype != np.float32 or vectors.ndim != 2 or not isinstance(seconds, float) or not seconds >= 0:
        raise ValueError("it holds no vectors")
    return vectors, seconds
