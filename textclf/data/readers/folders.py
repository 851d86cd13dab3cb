"""Texts that stand in a file each, in a folder for each label."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from textclf.data import rejected
from textclf.data.origins import check_inside
from textclf.data.readers import encoding as encodings
from textclf.data.readers.encoding import AUTO, UTF8
from textclf.data.readers.source import BadRow, Row
from textclf.data.readers.text import PLAIN, TextForm
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

ENDING = ".txt"
NO_TEXTS = (
    ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".xlsx", ".xls", ".gz", ".bz2",
    ".xz", ".zst", ".zip", ".pkl", ".png", ".jpg", ".jpeg", ".gif", ".pdf",
)  # fmt: skip
"""Endings of files that hold something else than one text."""
UTF8_SIGNED = "utf-8-sig"
"""UTF-8, with or without a mark in front."""
MAX_SAMPLED = 500
"""Texts that are not UTF-8 by which their encoding is told."""


class LabelFolders:
    """A folder with one folder of text files per label: the folder's name is the label, a file is a text.

    Where files end in .txt those are the texts; where none does, every file is one.
    """

    def __init__(self, form: TextForm = PLAIN):
        """Take how the files are written."""
        self.form = form

    def columns(self, path: Path) -> list[str]:
        """Return `text` and `label`."""
        self.files(path)
        return ["text", "label"]

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each file, by label and name."""
        files = self.files(path, tell=True)
        encoding = self._encoding(path, files)
        cause = rejected.NOT_UTF8 if encodings.is_utf8(encoding) else rejected.NOT_DECODED
        for file in files:
            raw = _read(file)
            text = _decoded(raw, (UTF8_SIGNED, encoding) if self.form.encoding == AUTO else (encoding,))
            if text is None:
                yield BadRow(str(file), None, cause, "", raw.decode("utf-8", "surrogateescape")[:START_CHARACTERS])
                continue
            if "\0" in text:
                yield BadRow(str(file), None, rejected.NUL, "", text[:START_CHARACTERS])
                continue
            row = {"text": text, "label": file.parent.name}
            yield Row(str(file), None, [row[column] for column in wanted])

    def files(self, path: Path, tell: bool = False) -> list[Path]:
        """Return the files that are texts, by label and name.

        Args:
            path: The folder.
            tell: Whether to log which files are not read.

        Raises:
            DataError: If there are none, or one is a link that leads out of the folder.
        """
        inside = sorted(path.iterdir())
        folders = [folder for folder in inside if folder.is_dir() and not folder.name.startswith(".")]
        found = [file for folder in folders for file in sorted(folder.iterdir()) if _is_text(file)]
        for entry in (*folders, *found):
            if entry.is_symlink():
                check_inside(entry, path, str(path))
        named = [file for file in found if file.suffix == ENDING]
        if tell and named and len(named) < len(found):
            other = next(file for file in found if file.suffix != ENDING)
            log.warning(
                "%s: %d files do not end in .txt beside %d that do, and are not read (such as %s)",
                path, len(found) - len(named), len(named), other,
            )  # fmt: skip
        if named or found:
            return named or found
        splits = [folder.name for folder in folders if any(inner.is_dir() for inner in folder.iterdir())]
        hint = f" Name the folder of one split, as in dataset.train={path}/{splits[0]}." if splits else ""
        raise DataError(
            f"{path}: the folder must hold one folder of text files for each label, as in {path}/positive/1.txt; it "
            f"holds {listed((f.name for f in inside), 5) or 'nothing'}.{hint} To read several files of rows, name them "
            f"by a pattern, as in {path}/*.csv."
        )

    def remark(self, path: Path) -> str:
        """Return what the columns of a folder are."""
        return " The columns of a folder are always text and label."

    def _encoding(self, path: Path, files: Sequence[Path]) -> str:
        """Return the encoding of the files that are not UTF-8; with `auto`, by what they hold together."""
        if self.form.encoding != AUTO:
            return UTF8_SIGNED if encodings.is_utf8(self.form.encoding) else self.form.encoding
        bad: list[bytes] = []
        for file in files:
            raw = _read(file)
            if not raw.isascii() and _decoded(raw, (UTF8,)) is None:
                bad.append(raw[:2000])
                if len(bad) == MAX_SAMPLED:
                    break
        if not bad:
            return UTF8
        return encodings.told(path, encodings.sure_of(b"\n".join(bad), str(path)), "the texts that are not UTF-8 are")


def _is_text(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() not in NO_TEXTS


def _decoded(raw: bytes, names: Sequence[str]) -> str | None:
    """Return bytes as text of the first encoding that they are of."""
    for name in names:
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: the file cannot be read: {error.strerror or error}.") from error
