"""Rows of JSON: an object a line, or one array of objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from textclf.data import rejected
from textclf.data.readers.exports import field_names, plain_row, value_at
from textclf.data.readers.source import SAMPLED_ROWS, BadRow, Lines, Row
from textclf.data.readers.text import PLAIN, TextForm, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError

AHEAD_CHARACTERS = 65_536
SPACE = " \t\r\n"


class JsonLines:
    """One JSON object a line, blank lines being no rows; or one array of objects. Exports are read as what they say."""

    def __init__(self, form: TextForm = PLAIN):
        """Take how the file is written."""
        self.form = form

    def columns(self, path: Path) -> list[str]:
        """Return the keys of the first rows, in order; those within others by their path, as `review.body`."""
        keys: dict[str, None] = {}
        bad: BadRow | None = None
        with open_text(path, encoding=self.form.encoding) as stream:
            found = 0
            for row in islice(self.objects(stream, str(path)), SAMPLED_ROWS * 10):
                if isinstance(row, BadRow):
                    bad = bad or row
                    continue
                keys |= field_names(row[2])
                found += 1
                if found == SAMPLED_ROWS:
                    break
        if not keys:
            said = f"{path}:{bad.at}: {bad.cause} {bad.detail}: {bad.start[:60]!r}" if bad else f"{path}: no rows"
            raise DataError(f'{said}. Each line must be one JSON object such as {{"text": "…", "label": "…"}}.')
        return list(keys)

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each object."""
        name = str(path)
        with open_text(path, encoding=self.form.encoding) as stream:
            for found in self.objects(stream, name):
                if isinstance(found, BadRow):
                    yield found
                else:
                    number, _, content = found
                    yield Row(name, number, [value_at(content, key) for key in wanted])

    def objects(
        self, stream: IO[str], name: str, accepted_only: bool = True
    ) -> Iterator[tuple[int, str, dict[str, Any]] | BadRow]:
        """Yield each object: the number of its line, its text on one line, and what it holds.

        Args:
            stream: What `open_text` gave.
            name: What it is called, for rows that cannot be read.
            accepted_only: Whether rows of an export that its annotators did not accept are left out.

        Raises:
            DataError: If it is an array that breaks off.
        """
        lines = Lines(stream)
        if _is_array(lines):
            yield from (_checked(found, name, accepted_only) for found in _elements("".join(lines), name, lines))
            return
        decode = json.JSONDecoder().raw_decode
        for line in lines:
            lines.held.clear()
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
                detail = detail or f"({_why(error)})"
                yield BadRow(name, lines.number, rejected.NOT_JSON, detail, line[:START_CHARACTERS])
                continue
            yield _checked((lines.number, line, content), name, accepted_only)

    def remark(self, path: Path) -> str:
        """Return nothing: the keys say it all."""
        return ""


def _checked(found: tuple[int, str, Any], name: str, accepted_only: bool) -> tuple[int, str, dict[str, Any]] | BadRow:
    """Return an object as a row of columns, or what is wrong with it."""
    number, line, content = found
    if not isinstance(content, dict):
        return BadRow(name, number, rejected.NOT_AN_OBJECT, "", line[:START_CHARACTERS])
    row = plain_row(content)
    if not isinstance(row, str):
        return number, line, row
    if accepted_only:
        return BadRow(name, number, row, "", line[:START_CHARACTERS])
    data = content.get("data")
    return number, line, data if isinstance(data, dict) else content


def _is_array(lines: Lines) -> bool:
    """Whether a file is one array: it begins with a bracket, and its first line is no whole array of other things."""
    ahead = [line for line in lines.ahead(3, AHEAD_CHARACTERS) if not line.isspace()]
    if not ahead or not ahead[0].lstrip(SPACE).startswith("["):
        return False
    try:
        first = json.loads(ahead[0])
    except (ValueError, RecursionError):
        return True
    return len(ahead) == 1 and bool(first) and isinstance(first[0], dict)


def _elements(text: str, name: str, lines: Lines) -> Iterator[tuple[int, str, Any]]:
    """Yield each element of an array: the number of the line it begins on, its text and what it holds."""
    if lines.bad:
        raise DataError(f"{name}:{lines.bad[0][0]}: {lines.bad[0][1]}; in a JSON array nothing behind it can be read.")
    decode = json.JSONDecoder().raw_decode
    at, number, done = text.index("[") + 1, 1, 0
    try:
        while True:
            while at < len(text) and text[at] in SPACE + ",":
                at += 1
            if text[at : at + 1] == "]":
                return
            content, end = decode(text, at)
            number, done = number + text.count("\n", done, at), at
            line = text[at:end]
            yield number, json.dumps(content, ensure_ascii=False) if "\n" in line or "\r" in line else line, content
            at = end
    except (ValueError, RecursionError) as error:
        line = number + text.count("\n", done, at)
        raise DataError(f"{name}:{line}: the JSON array breaks off or is damaged here: {_why(error)}.") from None


def _why(error: Exception) -> str:
    """Return what is wrong with JSON that cannot be read."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return f"a number has more than {sys.get_int_max_str_digits():,} digits"
