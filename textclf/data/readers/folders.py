"""Texts that stand in a file each, in a folder for each label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textclf.data import rejected
from textclf.data.readers.source import BadRow, Row
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, listed


class LabelFolders:
    """A folder with one folder of .txt files per label: the folder's name is the label, a file is a text."""

    def columns(self, path: Path) -> list[str]:
        """Return `text` and `label`."""
        self._folders(path)
        return ["text", "label"]

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each file, by label and name."""
        for folder in self._folders(path):
            for file in sorted(folder.glob("*.txt")):
                try:
                    raw = file.read_bytes()
                    text = raw.decode("utf-8-sig")
                except UnicodeDecodeError:
                    yield BadRow(str(file), None, rejected.NOT_UTF8, "", raw.decode("utf-8", "surrogateescape")[:200])
                    continue
                except OSError as error:
                    raise DataError(f"{file}: the file cannot be read: {error.strerror or error}.") from error
                if "\0" in text:
                    yield BadRow(str(file), None, rejected.NUL, "", text[:START_CHARACTERS])
                    continue
                row = {"text": text, "label": folder.name}
                yield Row(str(file), None, [row[column] for column in wanted])

    def remark(self, path: Path) -> str:
        """Return what the columns of a folder are."""
        return " The columns of a folder are always text and label."

    def _folders(self, path: Path) -> list[Path]:
        folders = sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))
        if found := [folder for folder in folders if any(folder.glob("*.txt"))]:
            return found
        raise DataError(
            f"{path}: the folder must hold one folder of .txt files for each label, as in {path}/positive/1.txt; it "
            f"holds {listed((f.name for f in sorted(path.iterdir())), 5) or 'nothing'}. To read several files of "
            f"rows, name them by a pattern, as in {path}/*.csv."
        )
