"""Rows of CSV, TSV and their like: values apart by a separator, below a line that names the columns."""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from textclf.data import rejected
from textclf.data.column_names import proposed_names
from textclf.data.options import Quoting
from textclf.data.readers.source import BadRow, Lines, Row
from textclf.data.readers.text import PLAIN, TextForm, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t", "|")
AHEAD_LINES = 100
AHEAD_CHARACTERS = 200_000
"""So many lines at most, of about so many characters, show what separates the values."""
SAID = {"\t": "a tab"}
FEW = 50
"""A column with at most so many different values in the first rows is likely to hold labels."""
FIRST_ROWS = 500
SPACED_QUOTE = re.compile(r'[,;\t|] +"[^"]*"\s*$')
"""A value in quotes behind a separator and a space."""


@dataclass(frozen=True)
class SeparatedValues:
    """Values apart by a separator, below a line that names the columns. Blank lines are no rows."""

    separator: str
    """What separates values by the name of the file; another one is taken where the first lines show it."""
    max_characters: int
    """A field longer than this makes its row unusable."""
    form: TextForm = PLAIN
    """How the file is written."""

    def columns(self, path: Path) -> list[str]:
        """Return the names of the columns."""
        with open_text(path, encoding=self.form.encoding) as stream, _limited(self.max_characters):
            return _Records(self, path, stream).names

    def first_values(self, path: Path) -> list[list[str]]:
        """Return the first rows with all of their fields."""
        with open_text(path, encoding=self.form.encoding) as stream:
            records = self.records(stream, path)
            next(records)
            return [list(row.values) for row, _ in zip(records, range(AHEAD_LINES), strict=False) if type(row) is Row]

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each record, which may span several lines."""
        name = str(path)
        with open_text(path, encoding=self.form.encoding) as stream:
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

        Raises:
            DataError: If the names cannot be read, or a quote swallows lines.
        """
        with _limited(self.max_characters):
            records = _Records(self, path, stream)
            if records.separator != self.separator:
                log.info("%s: the values are apart by %s", path, SAID.get(records.separator, repr(records.separator)))
            yield Row(str(path), 1, records.names)
            yield from records.rest()

    def remark(self, path: Path) -> str:
        """Return what the first line held, and what that may mean."""
        with open_text(path, encoding=self.form.encoding) as stream, _limited(self.max_characters):
            return _Records(self, path, stream).remark()


@contextmanager
def _limited(characters: int) -> Iterator[None]:
    """Let fields be about so long while this lasts."""
    before = csv.field_size_limit(max(2 * characters, 131_072))
    try:
        yield
    finally:
        csv.field_size_limit(before)


@dataclass
class _Seen:
    """The values of the columns in the first rows, by which a line is told to be a row of its own."""

    counts: list[Counter[str]] = field(default_factory=list)
    rows: int = 0

    def add(self, fields: Sequence[str]) -> None:
        self.counts = self.counts or [Counter() for _ in fields]
        self.rows += 1
        for counter, value in zip(self.counts, fields, strict=True):
            if len(counter) <= FEW:
                counter[value.strip()] += 1

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether a row could hold these fields: those of columns of few values are among them."""
        few = [number for number, counter in enumerate(self.counts) if len(counter) <= min(FEW, self.rows / 2)]
        return bool(few) and all(fields[number].strip().strip('"') in self.counts[number] for number in few)


class _Records:
    """The records of one open file."""

    def __init__(self, reader: SeparatedValues, path: Path, stream: IO[str]):
        """Read the names of the columns."""
        self.path, self.form = path, reader.form
        self.lines = Lines(stream)
        ahead = self.lines.ahead(AHEAD_LINES, AHEAD_CHARACTERS)
        self.separator = reader.form.delimiter or _separator(ahead, reader.separator)
        spaced = sum(SPACED_QUOTE.search(line) is not None for line in ahead) > len(ahead) / 2
        quoting = csv.QUOTE_NONE if self.form.quoting is Quoting.none else csv.QUOTE_MINIMAL
        self.reader = csv.reader(
            self.lines, delimiter=self.separator, quoting=quoting, skipinitialspace=spaced
        )  # fmt: skip
        self.seen = _Seen()
        self.names = self._header() if not self.form.column_names else list(self.form.column_names)
        self.width = len(self.names)
        for line in ahead if self.form.column_names else ahead[1:]:
            if '"' not in line and line.count(self.separator) == self.width - 1:
                self.seen.add(line.split(self.separator))
        if self.lines.ended:  # the header asked for more than there was
            self._refuse_open_quote(1, self.lines.number)

    def rest(self) -> Iterator[Row | BadRow]:
        """Yield the records below the names."""
        name, lines, reader, width = str(self.path), self.lines, self.reader, self.width
        lines.bad.clear()
        while True:
            line = reader.line_num + 1
            lines.held.clear()
            try:
                fields = next(reader, None)
            except csv.Error as error:
                self._refuse_open_quote(line, reader.line_num)
                yield BadRow(name, line, rejected.TOO_LONG, f"({error})", "")
                lines.bad.clear()
                continue
            if fields is None:
                break
            if reader.line_num > line and not lines.ended and self.form.quoting is Quoting.check:
                self._refuse_swallowed(line)
            if lines.bad:
                yield BadRow(name, line, lines.bad[0][1], "", self._start(fields))
                lines.bad.clear()
            elif lines.ended:  # the record asked for more than there was
                self._refuse_open_quote(line, lines.number)
                yield BadRow(name, line, rejected.RAGGED, "(a quote is never closed)", self._start(fields))
            elif len(fields) == width:
                if self.seen.rows < FIRST_ROWS:
                    self.seen.add(fields)
                yield Row(name, line, fields)
            elif fields:
                detail = f"({len(fields)} where the header names {width})"
                yield BadRow(name, line, rejected.RAGGED, detail, self._start(fields))

    def remark(self) -> str:
        """Return what the first line may mean in which a column is missing."""
        if self.form.column_names:
            return " Its columns are those of dataset.column_names."
        first = self.separator.join(self.names)
        shown = first if len(first) <= 80 else first[:80] + "…"
        said = f" Its first line, which must name the columns, is {shown!r}."
        first_rows = [self.names, *(row.values for row, _ in zip(self.rest(), range(50), strict=False)
                                    if isinstance(row, Row))]  # fmt: skip
        if names := proposed_names(first_rows):
            return said + f" If that is data, name the columns: dataset.column_names=[{','.join(names)}]."
        return said + " If that is data, put a line of names above it, or list them in dataset.column_names."

    def _header(self) -> list[str]:
        try:
            for names in self.reader:
                names = [name.strip() for name in names]
                if twice := [name for name, count in Counter(names).items() if name and count > 1]:
                    raise DataError(
                        f"{self.path}:1: the header names {listed(twice)} more than once; names must be distinct. If "
                        f"that line is data, name the columns with dataset.column_names."
                    )
                if names:
                    return names
        except csv.Error as error:
            raise DataError(
                f"{self.path}:1: the first line, which must name the columns, cannot be read: {error}."
            ) from None
        raise DataError(f"{self.path}: the file is empty.")

    def _start(self, fields: Sequence[str]) -> str:
        return self.separator.join(value[:START_CHARACTERS] for value in fields)[:START_CHARACTERS]

    def _refuse_open_quote(self, first: int, last: int) -> None:
        """Stop where a quote swallows more than the line it is on: nobody can tell how many rows those were."""
        if last > first:
            raise DataError(
                f"{self.path}:{first}: a quote that opens in this record is not closed; it swallows everything down "
                f"to line {last}. Close it, or double the quotes inside a text; where quotes are characters like any "
                f"other, say dataset.quoting=none."
            )

    def _refuse_swallowed(self, first: int) -> None:
        """Stop where a record that spans lines looks like as many rows, swallowed by a quote that opens in the first.

        It does where each line has as many fields as there are columns, taken as it stands, and either the quote
        is not closed as quotes are, or the fields are such as other rows have.
        """
        held = [line.strip("\r\n") for line in self.lines.held]
        if any(line.count(self.separator) != self.width - 1 for line in held):
            return
        if _is_well_quoted(self.lines.held, self.separator) and not all(
            self.seen.fits(line.split(self.separator)) for line in held
        ):
            return
        raise DataError(
            f"{self.path}:{first}: a quote that opens in this line swallows the {len(held) - 1:,} lines below it, down "
            f"to line {first + len(held) - 1}, each of which has the {self.width} fields of a row of its own. Double "
            f"the quotes inside a text; where quotes are characters like any other, say dataset.quoting=none, and "
            f"where these lines are one text, dataset.quoting=standard."
        )


def _separator(lines: Sequence[str], usual: str) -> str:
    """Return what separates the values by the first lines: the usual one, unless another one fits and that does not."""
    texts = [line for line in lines if line.strip()]
    if not texts or usual in texts[0]:
        return usual
    fitting: dict[str, int] = {}
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(texts, delimiter=separator) if row]
        except csv.Error:
            continue
        if widths and widths[0] > 1 and widths.count(widths[0]) > 0.8 * len(widths):
            fitting[separator] = widths[0]
    if not fitting:
        return usual
    return max(fitting, key=lambda separator: fitting[separator])


def _is_well_quoted(lines: Sequence[str], separator: str) -> bool:
    """Whether quotes open and close as they should: a closing one has a separator or the end of a line behind it."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return False
    return True
