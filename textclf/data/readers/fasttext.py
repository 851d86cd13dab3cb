"""Rows of fastText's files: `__label__positive a text`, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textclf.data.readers.source import BadRow, Lines, Row
from textclf.data.readers.text import PLAIN, TextForm, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError

LABEL = "__label__"
"""Stands in front of a label."""
NAMES = ("text", "label")
AHEAD_LINES = 20
AHEAD_CHARACTERS = 100_000


class FastText:
    """Lines of labels and a text. Blank lines are no rows."""

    def __init__(self, form: TextForm = PLAIN):
        """Take how the file is written."""
        self.form = form

    def columns(self, path: Path) -> list[str]:
        """Return `text` and `label`.

        Raises:
            DataError: If the first lines begin with no label.
        """
        with open_text(path, encoding=self.form.encoding) as stream:
            if not is_labelled(Lines(stream).ahead(AHEAD_LINES, AHEAD_CHARACTERS)):
                raise DataError(
                    f"{path}: the lines of a text file that is trained or tested on must begin with their label, as "
                    f"in fastText's `{LABEL}positive a text`. Give other files their ending: .csv, .tsv or .jsonl."
                )
        return list(NAMES)

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each line that is not blank."""
        name = str(path)
        with open_text(path, encoding=self.form.encoding) as stream:
            lines = Lines(stream)
            for line in lines:
                lines.held.clear()
                if lines.bad:
                    yield BadRow(name, lines.number, lines.bad.pop()[1], "", line[:START_CHARACTERS])
                elif not line.isspace():
                    text, labels = text_and_labels(line)
                    row = {"text": text, "label": labels}
                    yield Row(name, lines.number, [row[column] for column in wanted])

    def remark(self, path: Path) -> str:
        """Return what the columns of such a file are."""
        return " The columns of a .txt file are always text and label."


def is_labelled(lines: Sequence[str]) -> bool:
    """Whether the first line that is not blank begins with a label."""
    return next((line for line in lines if not line.isspace()), "").lstrip().startswith(LABEL)


def text_and_labels(line: str) -> tuple[str, list[str]]:
    """Return the text of a line and the labels that stand in front of it."""
    labels, rest = [], line.strip()
    while rest.startswith(LABEL):
        label, _, rest = rest.partition(" ")
        labels.append(label.removeprefix(LABEL))
        rest = rest.lstrip()
    return rest, labels
