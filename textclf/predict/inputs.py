"""Inputs of a prediction: the columns that hold the texts, and the rows that cannot be predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from textclf.data import rejected
from textclf.data.column_names import PAIRS, TEXTS, plain_name
from textclf.data.readers import encoding as encodings
from textclf.data.readers.source import BadRow, encodable, is_missing
from textclf.data.text_columns import UNNAMED, TextColumns
from textclf.errors import DataError, did_you_mean, listed
from textclf.models.given_texts import is_blank

NAME_THEM = "Name them with --text-column and --text-pair-column."
MAX_TEXT_CHARACTERS = 1_000_000
"""A row with a longer text than this is not predicted."""


@dataclass(frozen=True)
class WantedTexts:
    """What a classifier wants to read, and where a person says that it is."""

    asked: TextColumns = UNNAMED
    """The columns that the person names."""
    trained_on: TextColumns = UNNAMED
    """The columns that the classifier was trained on: tried first, where they are there."""
    has_pairs: bool | None = None
    """Whether the classifier was fitted on pairs; none where that is not known."""

    def found_in(self, names: Sequence[str], where: str, further: str = "") -> TextColumns:
        """Return the columns of an input that hold the texts.

        Args:
            names: The columns of the input.
            where: The input, for a person.
            further: What more to say where a column is missing.

        Raises:
            DataError: If there is none, several could be meant, or the input has single texts where pairs are wanted.
        """
        asked, trained = self.asked, self.trained_on
        for option in ("text", "text_pair", "title"):
            column = getattr(asked, option)
            if column is not None and column not in names:
                raise DataError(
                    f"{where} has no column {column!r} (--{option.replace('_', '-')}-column); it has "
                    f"{listed(names) or 'none'}.{did_you_mean(column, names)}{further}"
                )
        if asked.text_pair is not None and self.has_pairs is False:
            raise DataError("This classifier was fitted on single texts: leave --text-pair-column out.")
        title = asked.title or (trained.title if trained.title in names else None)
        if asked.text is not None and (asked.text_pair is not None or self.has_pairs is False):
            return TextColumns(asked.text, asked.text_pair, title)
        if asked.text is None and asked.text_pair is None and self._is_there(trained, names):
            return TextColumns(trained.text, trained.text_pair, title)
        text, pair = self._looked_for(names, where, further)
        return TextColumns(text, pair, title)

    def _is_there(self, columns: TextColumns, names: Sequence[str]) -> bool:
        """Whether an input has the columns that the classifier was trained on."""
        needed = [columns.text, *([columns.text_pair] if self.has_pairs is not False else [])]
        if self.has_pairs is None or (self.has_pairs and columns.text_pair is None):
            return False
        return all(column in names for column in needed)

    def _looked_for(self, names: Sequence[str], where: str, further: str) -> tuple[str, str | None]:
        """Return the columns of texts, and of second texts where pairs are wanted, by their usual names."""
        asked = self.asked
        free = {plain_name(name): name for name in reversed(names)}
        if self.has_pairs is not False:
            pairs = [(free[one], free[two]) for one, two in (("text", "text_pair"), *PAIRS) if {one, two} <= set(free)]
            fit = [p for p in pairs if (asked.text in (None, p[0])) and (asked.text_pair in (None, p[1]))]
            if len(fit) == 1:
                return fit[0]
            if len(fit) > 1:
                said = "; ".join(f"{one} and {two}" for one, two in fit)
                raise DataError(f"{where}: several pairs of columns could be meant: {said}. {NAME_THEM}")
            if asked.text is not None and asked.text_pair is not None:
                return asked.text, asked.text_pair
            if self.has_pairs:
                raise DataError(
                    f"{where}: this classifier was fitted on pairs of texts, and the columns are "
                    f"{listed(names) or 'none'}. {NAME_THEM}{further}"
                )
        if asked.text is not None:
            return asked.text, asked.text_pair
        usual = ["text"] if "text" in names else [name for name in names if plain_name(name) in TEXTS]
        if len(usual) != 1:
            said = f"several could be meant: {listed(usual)}" if usual else f"it has {listed(names) or 'none'}"
            single = " This classifier was fitted on single texts." if self.has_pairs is False else ""
            raise DataError(f"{where} has no column 'text'; {said}.{single} Name one with --text-column.{further}")
        return usual[0], asked.text_pair


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
        is_titled = self.columns.title is not None
        if wrong is None and any(map(is_missing if is_titled else _is_blank, needed)):
            wrong = rejected.NO_TEXT, ""
        if wrong is None and is_titled:  # a title may stand alone
            text = f"{'' if is_missing(title) else title}\n{text}"
            wrong = (rejected.NO_TEXT, "") if _is_blank(text) or _is_blank(pair or "x") else None
        if wrong is not None:
            self.add_problem(BadRow(said, at, *wrong, ""))
            return
        self.texts.append(text)
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
    return is_missing(value) or is_blank(value)


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
        help = encodings.remark(row.start.encode("utf-8", "surrogateescape"))
    said = f"{where}: {row.cause}{' ' * bool(row.detail)}{row.detail}{start}."
    return DataError(" ".join(part for part in (said, help, remedy) if part))
