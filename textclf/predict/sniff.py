"""The format of what comes through a pipe, by how it begins: JSON Lines, CSV, TSV, or plain lines."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from textclf.data.readers.encoding import AUTO, UTF8, UTF8_MARK, guess_of_head
from textclf.data.readers.packed import DAMAGED, packing_of
from textclf.data.readers.text import PLAIN, TextForm
from textclf.errors import DataError
from textclf.predict.inputs import WantedTexts
from textclf.predict.rows import Kind

SEPARATORS = {",": Kind.csv, "\t": Kind.tsv, ";": Kind.csv, "|": Kind.csv}
"""What may stand between columns; a reader says so where it does not take one."""
HEAD_BYTES = 65_536
"""How much is looked at."""
PARQUET = b"PAR1"
MOST_NAME_CHARACTERS = 64
"""A column's name is no longer; a text may be."""


class Peeked(io.RawIOBase):
    """A stream whose beginning was looked at and is still to be read."""

    def __init__(self, head: bytes, stream: BinaryIO):
        self.head = head
        self.stream = stream

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Give the beginning first."""
        size = len(buffer)
        if self.head:
            found, self.head = self.head[:size], self.head[size:]
        else:
            found = getattr(self.stream, "read1", self.stream.read)(size)
        buffer[: len(found)] = found
        return len(found)


def sniffed(stream: BinaryIO, wanted: WantedTexts, form: TextForm = PLAIN) -> tuple[Kind, str, BinaryIO]:
    """Look at how a stream begins.

    A first line that is a JSON object (or begins an array) makes it JSON Lines; one that names the columns of texts
    which the classifier reads makes it CSV or TSV, if the next line has as many fields; else it is plain lines.

    Args:
        stream: What is read, packed or not.
        wanted: The columns that hold the texts.
        form: How a person says that it is written; one who names columns or a delimiter means CSV.

    Returns:
        The format, why it is taken for that, and the whole stream.
    """
    head = b""
    while len(head) < HEAD_BYTES and (some := getattr(stream, "read1", stream.read)(HEAD_BYTES)):
        head += some
        lines = _lines(head, form.encoding)
        if len(lines) > 2 or (lines[0] and len(lines) > 1 and not _header(lines[0], wanted)):
            break
    whole = cast(BinaryIO, io.BufferedReader(Peeked(head, stream), HEAD_BYTES))
    if head.startswith(PARQUET):
        return Kind.parquet, "it begins like Parquet", whole
    lines = _lines(head, form.encoding)
    first = lines[0] if lines else ""
    if form.column_names or form.delimiter:
        return Kind.csv, "its columns or what separates them are given", whole
    if re.match(r"\[\s*\{", "".join(lines)):
        return Kind.jsonl, "it begins like an array of JSON objects", whole
    if first.startswith("{") and _is_json(first, whole=len(lines) > 1):
        return Kind.jsonl, "its first line is a JSON object", whole
    found = _header(first, wanted)
    if found is None:
        return Kind.txt, "its first line is neither JSON nor a header with the column of the texts", whole
    separator, column = found
    records = list(csv.reader(lines[:-1] or lines, delimiter=separator))
    if len(records) > 1 and len(records[1]) != len(records[0]):
        return Kind.txt, "its second line has not the fields of a header", whole
    return SEPARATORS[separator], f"its first line names the column {column!r}", whole


def _lines(head: bytes, encoding: str) -> list[str]:
    """Return the lines of a beginning, unpacked, from the first that is not blank; the last may be cut off."""
    packing = packing_of(Path("stdin"), head[:6], is_named=False)
    raw = head if packing is None else b""
    if packing is not None:
        with suppress(*DAMAGED, OSError):  # it is cut off somewhere
            stream = packing.unpack(io.BytesIO(head))
            while len(raw) < HEAD_BYTES and (some := getattr(stream, "read1", stream.read)(4096)):
                raw += some
    if encoding == AUTO:
        encoding = guess_of_head(raw) or UTF8
    text = raw.removeprefix(UTF8_MARK).decode(encoding, "replace").lstrip("\r\n\t \ufeff")
    return text.splitlines(keepends=True) + ([""] if text.endswith("\n") else []) or [""]


def _is_json(line: str, whole: bool) -> bool:
    """Whether a line is JSON; one that is cut off is taken for it."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return not whole
    return True


def _header(line: str, wanted: WantedTexts) -> tuple[str, str] | None:
    """Return the separator of a line that names the columns of the texts, and the first of them; none of another."""
    for separator in SEPARATORS:
        names = next(csv.reader([line], delimiter=separator), [])
        unusable = any(not name.strip() or len(name) > MOST_NAME_CHARACTERS for name in names)
        if unusable or len(set(names)) < len(names):
            continue
        try:
            found = wanted.found_in(names, "stdin")
        except DataError:
            continue
        return separator, str(found.text)
    return None
