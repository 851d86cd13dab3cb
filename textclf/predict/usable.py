"""Which rows of an input can be predicted, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textclf.data import rejected
from textclf.data.readers.source import BadRow, encodable, is_missing
from textclf.data.readers.text import encoding_remark
from textclf.errors import DataError
from textclf.predict.inputs import TextColumns

MAX_TEXT_CHARACTERS = 1_000_000
"""A row with a longer text than this is not predicted."""
NO_VALUES = ("", "nan", "NaN")
"""Texts that stand for none, as in training."""


@dataclass
class Texts:
    """The texts of a batch as they are gathered, and what is wrong with some."""

    columns: TextColumns
    texts: list[str] = field(default_factory=list)
    pairs: list[str] | None = None
    problems: dict[int, BadRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pairs = [] if self.columns.text_pair is not None else None

    def add(self, said: str, at: int | None, value: Callable[[Any], Any]) -> None:
        """Add a row by its values; what is wrong with it is noted."""
        text = value(self.columns.text)
        pair = "" if self.pairs is None else value(self.columns.text_pair)
        title = "" if self.columns.title is None else value(self.columns.title)
        wrong = _wrong_with(text) or _wrong_with(pair) or _wrong_with(title)
        needed = (text,) if self.pairs is None else (text, pair)
        is_none = is_missing if self.columns.title is not None else _is_blank  # a title may stand alone
        if wrong is None and any(map(is_none, needed)):
            wrong = rejected.NO_TEXT, ""
        if wrong is not None:
            self.add_problem(BadRow(said, at, *wrong, ""))
            return
        self.texts.append(text if self.columns.title is None else f"{'' if is_missing(title) else title}\n{text}")
        if self.pairs is not None:
            self.pairs.append(pair)

    def add_problem(self, row: BadRow) -> None:
        """Add a row that cannot be predicted."""
        self.problems[len(self.texts)] = row
        self.texts.append("")
        if self.pairs is not None:
            self.pairs.append("")


def _wrong_with(value: Any) -> tuple[str, str] | None:
    """Return what is wrong with a value that should be a text: cause and detail; nothing where it is missing."""
    if is_missing(value):
        return None
    if not isinstance(value, str):
        return rejected.NOT_A_TEXT, f"(but {value!r:.60})"
    if len(value) > MAX_TEXT_CHARACTERS:
        return rejected.TOO_LONG, f"({len(value):,} characters; at most {MAX_TEXT_CHARACTERS:,} are read)"
    return None if value.isascii() or encodable(value) else (rejected.HALF_CHARACTER, "")


def _is_blank(value: Any) -> bool:
    return is_missing(value) or value in NO_VALUES or value.isspace()


def refusal(row: BadRow, remedy: str = "") -> DataError:
    """Return the error that names a row that cannot be predicted.

    Args:
        row: The row, and what is wrong with it.
        remedy: What more a person can do.
    """
    where = rejected.place(row.file, row.at, None)
    start = f": {row.start[:60].encode('utf-8', 'replace').decode()!r}" if row.start else ""
    help = rejected.REMEDIES.get(row.cause, "") if row.cause != rejected.TOO_LONG else "Cut it."
    if row.cause == rejected.NOT_UTF8:
        help = encoding_remark(Path(row.file), row.start.encode("utf-8", "surrogateescape"))
    said = f"{where}: {row.cause}{' ' * bool(row.detail)}{row.detail}{start}."
    return DataError(" ".join(part for part in (said, help, remedy) if part))
