"""Rows of Excel workbooks: those of the first sheet that holds any, below a row that names the columns."""

from __future__ import annotations

import logging
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from textclf.data import rejected
from textclf.data.readers.source import BadRow, Row, encodable
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, first_line, listed

log = logging.getLogger(__name__)


class Workbook:
    """An .xlsx file."""

    def columns(self, path: Path) -> list[str]:
        """Return the names in the first row that holds anything."""
        return next(self.values(path, str(path)))[1]

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield each row below the names that holds anything."""
        name, records = str(path), self.values(path, str(path), tell=True)
        names = next(records)[1]
        chosen = [names.index(column) for column in wanted]
        for number, values in records:
            row = [values[index] for index in chosen]
            if any(isinstance(value, str) and not encodable(value) for value in row):
                yield BadRow(name, number, rejected.HALF_CHARACTER, "", str(row)[:START_CHARACTERS])
            else:
                yield Row(name, number, row)

    def values(self, source: Path | BinaryIO, said: str, tell: bool = False) -> Iterator[tuple[int, list[Any]]]:
        """Yield the names of the columns, then every row with all of its cells, each with its number in the sheet.

        Whole numbers and dates come as the strings that a person sees, for Excel makes numbers of what looks like one.

        Args:
            source: The file, or an open one that is no pipe.
            said: What it is called, for a person.
            tell: Whether to log which of several sheets is read.

        Raises:
            DataError: If it cannot be read, or names no columns.
        """
        with _opened(source, said) as book:
            for sheet in book.worksheets:
                rows = ((number, list(row)) for number, row in enumerate(sheet.iter_rows(values_only=True), 1))
                rows = ((number, row) for number, row in rows if any(value not in (None, "") for value in row))
                header = next(rows, None)
                if header is None:
                    continue
                if tell and len(book.worksheets) > 1:
                    log.info("%s: of the sheets %s, %r is read", said, listed(book.sheetnames), sheet.title)
                names = ["" if value is None else str(value).strip() for value in header[1]]
                while names and not names[-1]:
                    names.pop()
                if twice := [name for name, count in Counter(names).items() if name and count > 1]:
                    raise DataError(f"{said}: the header names {listed(twice)} more than once; names must be distinct.")
                yield header[0], names
                for number, row in rows:
                    cells = [_as_seen(value) for value in row[: len(names)]]
                    yield number, cells + [None] * (len(names) - len(cells))
                return
        raise DataError(f"{said}: the workbook is empty.")

    def remark(self, path: Path) -> str:
        """Return where the names come from."""
        return " Its first row must name the columns."


def _as_seen(value: Any) -> Any:
    """Return a cell as a string where it is a whole number or a date; others as they are."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return value.isoformat() if isinstance(value, (date, datetime)) else value


@contextmanager
def _opened(source: Path | BinaryIO, said: str) -> Iterator[Any]:
    """Open a workbook for reading; what goes wrong while it is read becomes a `DataError`."""
    from openpyxl import load_workbook  # takes a while, and few need it
    from openpyxl.utils.exceptions import InvalidFileException

    if not isinstance(source, Path) and not source.seekable():
        raise DataError(f"{said}: a workbook is read from its end, so it cannot come through a pipe; name the file.")
    try:
        book = load_workbook(source, read_only=True, data_only=True)
        try:
            yield book
        finally:
            book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{said}: the file cannot be read as an Excel workbook: {first_line(error)}") from error
