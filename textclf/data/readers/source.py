"""Rows of files, each with the line it begins on, and what a reader of one kind of files offers.

A reader has two verbs. `columns(path)` returns the names of a file's columns; `rows(path, wanted)` yields every row
as a `Row` of the wanted values, or as a `BadRow` that says what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
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
    held: list[str] = field(default_factory=list)
    """The lines since somebody last cleared this list."""
    first: list[str] = field(default_factory=list)
    """Lines that were read ahead."""

    def ahead(self, count: int, characters: int) -> list[str]:
        """Read some lines ahead, so that they can be looked at, and return them; they still come in their turn."""
        size = 0
        while len(self.first) < count and size < characters and (line := self.stream.readline(characters)):
            while not line.endswith(("\n", "\r")) and (more := self.stream.readline(characters)):
                line += more
            self.first.append(line)
            size += len(line)
        return self.first

    def __iter__(self) -> Iterator[str]:
        cause = undecoded(self.stream)
        for line in chain(self.first, self.stream):
            self.number += 1
            if not line.isascii() and not encodable(line):
                self.bad.append((self.number, cause))
            elif "\0" in line:
                self.bad.append((self.number, rejected.NUL))
            self.held.append(line)
            yield line
        self.ended = True


def undecoded(stream: IO[str]) -> str:
    """Return the cause for which a line is rejected that is not of its stream's encoding."""
    return rejected.NOT_UTF8 if (getattr(stream, "encoding", None) or "utf-8") == "utf-8" else rejected.NOT_DECODED


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
