"""Token ids that were made before: of a run's own texts in memory, and on disk for the runs that follow.

Nothing is kept but inside `remembering_tokens`, so texts that are merely predicted leave no trace.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from textclf.models.transformer.encoded import TokenizedTexts
from textclf.system.array_files import ArrayFiles, key_of, megabytes

log = logging.getLogger(__name__)

VARIABLE = "TEXTCLF_TOKEN_CACHE_MB"
"""The environment variable that says how much the folder may hold; 0 keeps nothing on disk."""
DEFAULT_MB = 2000
MEMORY_BYTES = 64_000_000
FEWEST_TEXTS = 500
"""Fewer texts are tokenised sooner than they are looked up."""
FILE_SECONDS = 1.0
"""What is tokenised sooner is not worth a file."""
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
    token = _memory.set(_Memory(megabytes(VARIABLE, DEFAULT_MB) * 1_000_000))
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


def read(key: str, num_texts: int) -> TokenizedTexts | None:
    """Return what was written under a key; none where there is nothing, or nothing whole."""
    found = ArrayFiles(folder()).read(key, partial(_checked, num_texts=num_texts))
    if found is not None:
        log.info("%d texts were tokenised before; read from %s", num_texts, folder())
    return found


def write(key: str, tokens: TokenizedTexts, room: int) -> None:
    """Write token ids under a key, and remove the least recently used files beyond so many bytes."""
    ArrayFiles(folder()).write(key, _arrays(tokens), {"num_cut": int(tokens.num_cut)}, room)


def _checked(arrays: dict[str, NDArray], about: dict[str, Any], num_texts: int) -> TokenizedTexts:
    """Return arrays of a file as token ids, or raise ValueError if they are not what was written."""
    if wrong := [name for name, array in arrays.items() if array.dtype != DTYPES[name] or array.ndim != 1]:
        raise ValueError(f"{wrong[0]} is of another type")
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


def _bytes(tokens: TokenizedTexts) -> int:
    """Return what token ids take in memory."""
    return sum(array.nbytes for array in _arrays(tokens).values())
