"""Rows of files, each with the line it begins on, and what a reader of one kind of files offers.

A reader has two verbs. `columns(path)` returns the names of a file's columns; `rows(path, wanted)` yields every row
as a `Row` of the wanted values, or as a `BadRow` that says what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from textclf.data import rejected

SAMPLED_ROWS = 200
"""Rows of JSON Lines that are looked at for the names of the columns."""


class Row(NamedTuple):
    """The wanted values of a row."""

    file: str
    at: int | None
    """The line it begins on, from 1; of a source without lines, its number from 0; nothing where it is the file."""
    values: Sequence[Any]


class BadRow(NamedTuple):
    """A row that cannot be read."""

    file: str
    at: int | None
    cause: str
    detail: str
    start: str


class Reader(Protocol):
    """Reads files of one kind."""

    def columns(self, path: Path) -> list[str]:
        """Return the names of the columns."""
        ...

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield every row."""
        ...

    def remark(self, path: Path) -> str:
        """Return what more to say to a person where a column is missing."""
        ...


@dataclass
class Lines:
    """The lines of a file, those noted that no row can be made of."""

    stream: IO[str]
    number: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    ended: bool = False

    def __iter__(self) -> Iterator[str]:
        for line in self.stream:
            self.number += 1
            if not line.isascii() and not encodable(line):
                self.bad.append((self.number, rejected.NOT_UTF8))
            elif "\0" in line:
                self.bad.append((self.number, rejected.NUL))
            yield line
        self.ended = True


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
