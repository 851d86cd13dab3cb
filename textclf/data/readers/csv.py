"""Rows of CSV and TSV: values apart by a separator, below a line that names the columns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from textclf.data import rejected
from textclf.data.readers.source import BadRow, Lines, Row
from textclf.data.readers.text import open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, listed


@dataclass(frozen=True)
class SeparatedValues:
    """Values apart by a separator, below a line that names the columns. Blank lines are no rows."""

    separator: str
    max_characters: int
    """A field longer than this makes its row unusable."""

    def columns(self, path: Path) -> list[str]:
        """Return the names in the first line."""
        with open_text(path) as stream:
            lines = Lines(stream)
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
            lines = Lines(stream)
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
