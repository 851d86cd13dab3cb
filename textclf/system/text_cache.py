"""Results of texts, such as token ids, that were made before: kept in memory for a run, and on disk for later ones.

Nothing is kept but inside `TextCache.remembering`, so texts that are merely predicted leave no trace.
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
from typing import Any, Generic, TypeVar

import numpy as np
from huggingface_hub import constants
from numpy.typing import NDArray

from textclf.system.array_files import ArrayFiles, key_of, megabytes

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_MB = 2000
"""What a folder may hold where its environment variable says nothing."""


@dataclass
class _Memory(Generic[T]):
    """What one run remembers, the least recently used first."""

    room_on_disk: int
    """In bytes."""
    entries: OrderedDict[str, tuple[T, float]] = field(default_factory=OrderedDict)
    """Results, and the seconds that it took to make them."""
    seconds_saved: float = 0.0
    """Less than 0 where more was made than was asked for."""
    pool: Sequence[str] = ()
    """Texts of which any are asked for, time after time."""
    rows: dict[str, int] = field(default_factory=dict)
    """The place of each text of the pool."""


@dataclass
class TextCache(Generic[T]):
    """One kind of result that is made of texts."""

    name: str
    """The name of its folder."""
    variable: str
    """The environment variable that says how many megabytes the folder may hold; 0 keeps nothing on disk."""
    memory_bytes: int
    fewest_texts: int
    """Fewer texts are worked on sooner than they are looked up."""
    file_seconds: float
    """What is made sooner is not worth a file."""
    arrays: Callable[[T], dict[str, NDArray]]
    """Returns the arrays of a result by name."""
    about: Callable[[T], dict[str, Any]]
    """Returns what a file holds of a result beside its arrays."""
    result: Callable[[dict[str, NDArray], dict[str, Any], int], T]
    """Returns the result of a file for so many texts; raises ValueError where the file holds none."""
    chosen: Callable[[T, NDArray[np.int64]], T] | None = None
    """Returns the result of some texts from that of all; none where one text's result depends on the others."""

    def __post_init__(self) -> None:
        self._memory: ContextVar[_Memory[T] | None] = ContextVar(self.name, default=None)

    @property
    def folder(self) -> Path:
        """Where the files are: below `HF_HOME`, beside the datasets they were made from."""
        return Path(constants.HF_HOME) / "textclf" / self.name

    @property
    def seconds_saved(self) -> float:
        """The seconds that it would have taken to make what was remembered so far in this context."""
        memory = self._memory.get()
        return 0.0 if memory is None else memory.seconds_saved

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Keep what is made inside the context, and use what was kept.

        Raises:
            ConfigError: If the environment variable is no number of megabytes.
        """
        token = self._memory.set(_Memory(megabytes(self.variable, DEFAULT_MB) * 1_000_000))
        try:
            yield
        finally:
            self._memory.reset(token)

    @contextmanager
    def pooled(self, texts: Sequence[str]) -> Iterator[None]:
        """Make the results of a pool of texts together, as soon as those of any are asked for inside the context."""
        memory = self._memory.get()
        assert memory is not None, "nothing is remembered here"
        memory.pool = list(dict.fromkeys(texts))
        memory.rows = {text: row for row, text in enumerate(memory.pool)}
        try:
            yield
        finally:
            memory.pool, memory.rows = (), {}

    def remembered(
        self,
        how: Callable[[], Sequence[str]],
        texts: Sequence[str],
        make: Callable[[Sequence[str], Sequence[str] | None], T],
        text_pairs: Sequence[str] | None = None,
    ) -> T:
        """Return the result of texts, or pairs of texts, from memory, from disk, or made now.

        Args:
            how: Gives all that the result depends on beside the texts: a model's whole content, options, versions.
            texts: The n texts, or the first texts of n pairs.
            make: Makes the result of texts, or pairs of texts.
            text_pairs: The second texts of the pairs; none for single texts.
        """
        memory = self._memory.get()
        if memory is None or len(texts) < self.fewest_texts:
            return make(texts, text_pairs)
        if self.chosen is not None and memory.rows and text_pairs is None:
            rows = [memory.rows.get(text, -1) for text in texts]
            if min(rows) >= 0:
                whole, seconds = self._remembered(memory, how, memory.pool, make, None)
                memory.seconds_saved -= seconds * (1 - len(rows) / len(memory.pool))
                return self.chosen(whole, np.array(rows, dtype=np.int64))
        return self._remembered(memory, how, texts, make, text_pairs)[0]

    def _remembered(
        self,
        memory: _Memory[T],
        how: Callable[[], Sequence[str]],
        texts: Sequence[str],
        make: Callable[[Sequence[str], Sequence[str] | None], T],
        text_pairs: Sequence[str] | None,
    ) -> tuple[T, float]:
        """Return the result of texts, and the seconds that it took to make."""
        key = key_of(how(), texts, text_pairs)
        found = memory.entries.pop(key, None)
        if found is None and memory.room_on_disk:
            found = self.read(key, len(texts))
        if found is not None:
            memory.seconds_saved += found[1]
        else:
            begun = time.perf_counter()
            result = make(texts, text_pairs)
            found = result, time.perf_counter() - begun
            if found[1] >= self.file_seconds and self._bytes(result) <= memory.room_on_disk:
                self.write(key, result, found[1], memory.room_on_disk)
        memory.entries[key] = found
        while memory.entries and sum(self._bytes(kept) for kept, _ in memory.entries.values()) > self.memory_bytes:
            memory.entries.popitem(last=False)
        return found

    def read(self, key: str, num_texts: int) -> tuple[T, float] | None:
        """Return a result that was written under a key, and its seconds; none where there is nothing, or none whole."""
        found = ArrayFiles(self.folder).read(key, partial(self._checked, num_texts=num_texts))
        if found is not None:
            log.info("%s of %d texts were made before; read from %s", self.name, num_texts, self.folder)
        return found

    def write(self, key: str, result: T, seconds: float, room: int) -> None:
        """Write a result under a key, and remove the least recently used files beyond so many bytes."""
        about = {**self.about(result), "seconds": seconds}
        ArrayFiles(self.folder).write(key, self.arrays(result), about, room)

    def _checked(self, arrays: dict[str, NDArray], about: dict[str, Any], num_texts: int) -> tuple[T, float]:
        seconds = about["seconds"]
        if not isinstance(seconds, float) or not seconds >= 0:
            raise ValueError("it does not say what it took")
        return self.result(arrays, about, num_texts), seconds

    def _bytes(self, result: T) -> int:
        """Return what a result takes in memory."""
        return sum(array.nbytes for array in self.arrays(result).values())
