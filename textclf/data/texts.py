"""The texts of a large split, read from disk a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from datasets import Dataset

PART = 1000
"""Texts that are read at once."""


@dataclass(frozen=True)
class MappedTexts(Sequence[str]):
    """A column of texts that behaves like a list of them, and holds no more than a part in memory."""

    rows: Dataset
    column: str
    change: Callable[[Sequence[str]], list[str]] | None = None
    """What is done to texts as they are read."""

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._changed(self.rows[index][self.column])
        return self._changed([self.rows[index][self.column]])[0]

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in order; far faster than one by one from the dataset."""
        for start in range(0, len(self), PART):
            yield from self[start : start + PART]

    def changed(self, change: Callable[[Sequence[str]], list[str]]) -> MappedTexts:
        """Return the texts with something done to them as they are read."""
        return MappedTexts(self.rows, self.column, change)

    def _changed(self, texts: list[str]) -> list[str]:
        return texts if self.change is None else self.change(texts)
