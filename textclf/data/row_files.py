"""Rows of JSON Lines, CSV, TSV and folders of texts, each with the line it begins on.

A reader has two verbs. `columns(path)` returns the names of a file's columns; `rows(path, wanted)` yields every row
as a `Row` of the wanted values, or as a `BadRow` that says what is wrong with it.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from textclf.data import rejected
from textclf.data.raw_text import HEAD_BYTES, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, listed

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
class _Lines:
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


class JsonLines:
    """One JSON object a line. Blank lines are no rows."""

    def columns(self, path: Path) -> list[str]:
        """Return the keys of the first rows, in order."""
        keys: dict[str, None] = {}
        with open_text(path) as stream:
            first = next((line for line in iter(lambda: stream.readline(HEAD_BYTES), "") if not line.isspace()), "")
        whole = _loads(first)
        if first.lstrip().startswith("[") and (whole is None or (whole and isinstance(whole[0], dict))):
            raise DataError(
                f"{path}: the file is one JSON array; textclf reads JSON Lines, one object a line. Convert it with "
                f"`jq -c '.[]' {path} > {path.stem}.jsonl`, or in Python with "
                f"pandas.read_json({str(path)!r}).to_json({path.stem + '.jsonl'!r}, orient='records', lines=True)."
            )
        with open_text(path) as stream:
            found = 0
            for line in islice(stream, SAMPLED_ROWS * 10):
                content = _loads(line)
                if isinstance(content, dict):
                    keys |= dict.fromkeys(content)
                    found += 1
                if found == SAMPLED_ROWS:
                    break
        if not keys:
            first = next((bad for bad in self.rows(path, ()) if isinstance(bad, BadRow)), None)
            said = f"{path}:{first.at}: {first.cause} {first.detail}: {first.start[:60]!r}" if first else str(path)
            raise DataError(f'{said}. Each line must be one JSON object such as {{"text": "…", "label": "…"}}.')
        return list(keys)

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each line that is not blank."""
        name = str(path)
        with open_text(path) as stream:
            for found in self.objects(stream, name):
                if isinstance(found, BadRow):
                    yield found
                else:
                    number, _, content = found
                    yield Row(name, number, [content.get(key) for key in wanted])

    def objects(self, stream: IO[str], name: str) -> Iterator[tuple[int, str, dict[str, Any]] | BadRow]:
        """Yield each line that is not blank: its number, the line itself and what it holds.

        Args:
            stream: What `open_text` gave.
            name: What it is called, for rows that cannot be read.
        """
        decode = json.JSONDecoder().raw_decode
        lines = _Lines(stream)
        for line in lines:
            if lines.bad:
                yield BadRow(name, lines.number, lines.bad.pop()[1], "", line[:START_CHARACTERS])
                continue
            try:
                content, end = decode(line) if line[0] == "{" else (json.loads(line), len(line))
                if end + 1 < len(line) and not line[end:].isspace():
                    json.loads(line)  # says what follows
            except (ValueError, RecursionError) as error:
                if line.isspace():
                    continue
                detail = f"({error.msg}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
                yield BadRow(name, lines.number, rejected.NOT_JSON, detail, line[:START_CHARACTERS])
                continue
            if isinstance(content, dict):
                yield lines.number, line, content
            else:
                yield BadRow(name, lines.number, rejected.NOT_AN_OBJECT, "", line[:START_CHARACTERS])

    def remark(self, path: Path) -> str:
        """Return nothing: the keys say it all."""
        return ""


@dataclass(frozen=True)
class SeparatedValues:
    """Values apart by a separator, below a line that names the columns. Blank lines are no rows."""

    separator: str
    max_characters: int
    """A field longer than this makes its row unusable."""

    def columns(self, path: Path) -> list[str]:
        """Return the names in the first line."""
        with open_text(path) as stream:
            lines = _Lines(stream)
            names = self._header(path, csv.reader(lines, delimiter=self.separator))
            if lines.ended:  # the header asked for more than there was
                self._refuse_open_quote(path, 1, lines.number)
        return names

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each record, which may span several lines."""
        name = str(path)
        with open_text(path) as stream:
            records = self.records(stream, path)
            header = next(records)
            names = header.values if isinstance(header, Row) else []
            chosen = [names.index(column) for column in wanted]
            for record in records:
                if isinstance(record, BadRow):
                    yield record
                else:
                    yield Row(name, record.at, [record.values[index] for index in chosen])

    def records(self, stream: IO[str], path: Path) -> Iterator[Row | BadRow]:
        """Yield the names of the columns as a row, then every record with all of its fields.

        Args:
            stream: What `open_text` gave.
            path: What it is called.
        """
        name = str(path)
        before = csv.field_size_limit(max(2 * self.max_characters, 131_072))
        try:
            lines = _Lines(stream)
            reader = csv.reader(lines, delimiter=self.separator)
            names = self._header(path, reader)
            if lines.ended:
                self._refuse_open_quote(path, 1, lines.number)
            width = len(names)
            lines.bad.clear()
            yield Row(name, 1, names)
            while True:
                line = reader.line_num + 1
                try:
                    fields = next(reader, None)
                except csv.Error as error:
                    self._refuse_open_quote(path, line, reader.line_num)
                    yield BadRow(name, line, rejected.TOO_LONG, f"({error})", "")
                    lines.bad.clear()
                    continue
                if fields is None:
                    break
                if lines.bad:
                    yield BadRow(name, line, lines.bad[0][1], "", self._start(fields))
                    lines.bad.clear()
                elif lines.ended:  # the record asked for more than there was
                    self._refuse_open_quote(path, line, lines.number)
                    yield BadRow(name, line, rejected.RAGGED, "(a quote is never closed)", self._start(fields))
                elif len(fields) == width:
                    yield Row(name, line, fields)
                elif fields:
                    detail = f"({len(fields)} where the header names {width})"
                    yield BadRow(name, line, rejected.RAGGED, detail, self._start(fields))
        finally:
            csv.field_size_limit(before)

    def remark(self, path: Path) -> str:
        """Return what the first line held, and what that may mean."""
        with open_text(path) as stream:
            return self.remark_on(stream.readline().strip("\r\n"))

    def remark_on(self, first: str) -> str:
        """Return what a first line may mean in which a column is missing."""
        shown = first if len(first) <= 80 else first[:80] + "…"
        said = f" Its first line, which must name the columns, is {shown!r}."
        others = [other for other in (",", ";", "\t", "|") if other != self.separator and other in first]
        if self.separator not in first and others:
            return said + f" Its fields seem to be apart by {others[0]!r}; write them apart by {self.separator!r}."
        return said + " If that is data, put a line of names above it."

    def _header(self, path: Path, reader: Iterator[list[str]]) -> list[str]:
        try:
            for names in reader:
                names = [name.strip() for name in names]
                if twice := [name for name, count in Counter(names).items() if name and count > 1]:
                    raise DataError(
                        f"{path}:1: the header names {listed(twice)} more than once; names must be distinct."
                    )
                if names:
                    return names
        except csv.Error as error:
            raise DataError(
                f"{path}:1: the first line, which must name the columns, cannot be read: {error}."
            ) from None
        raise DataError(f"{path}: the file is empty.")

    def _start(self, fields: Sequence[str]) -> str:
        return self.separator.join(value[:START_CHARACTERS] for value in fields)[:START_CHARACTERS]

    def _refuse_open_quote(self, path: Path, first: int, last: int) -> None:
        """Stop where a quote swallows more than the line it is on: nobody can tell how many rows those were."""
        if last > first:
            raise DataError(
                f"{path}:{first}: a quote that opens in this record is not closed; it swallows everything down to "
                f"line {last}. Close it, or double the quotes inside a text."
            )


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


def _loads(line: str) -> Any:
    """Return what a line holds, or nothing where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
