"""Text files opened with care: gzip, byte order marks, and files that are no UTF-8 text at all."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from charset_normalizer import from_bytes

from textclf.errors import DataError

HEAD_BYTES = 65_536
"""How much of a file is looked at before it is read."""
GZIP = b"\x1f\x8b"
UTF8_MARK = b"\xef\xbb\xbf"
OTHER_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
FOREIGN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook (export its sheet as CSV)",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word document (export it as CSV)",
    b"PAR1": "a Parquet file (give it the ending .parquet)",
    b"ARROW1": "an Arrow file (write it as .parquet)",
    b"BZh": "compressed with bzip2 (textclf reads gzip)",
    b"\xfd7zXZ": "compressed with xz (textclf reads gzip)",
    b"\x28\xb5\x2f\xfd": "compressed with zstd (textclf reads gzip)",
    b"SQLite": "an SQLite database",
}
"""What files of other kinds begin with."""


class _Fed(io.RawIOBase):
    """A stream that may be a pipe, its first bytes waited for so that they can be looked at together."""

    def __init__(self, stream: IO[bytes]):
        self.stream = stream
        self.read_some = stream.read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self.read_some(len(buffer))
        self.read_some = getattr(self.stream, "read1", self.stream.read)
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def open_text(path: Path, given: IO[bytes] | None = None) -> Iterator[IO[str]]:
    """Open a text file, unpacked where its name ends in .gz.

    Bytes that are no UTF-8 come as lone surrogates, so that the lines that hold them can be told; line ends are
    kept as they are.

    Args:
        path: The file.
        given: What to read instead, such as a pipe; unpacked where it begins like gzip, and left open. `path` is
            then only what it is called.

    Raises:
        DataError: If the file is empty, cannot be unpacked, is no text, or is of another encoding as a whole. While
            the context lasts, it also stands for errors of reading.
    """
    packed = path.suffix.lower() == ".gz"
    try:
        with path.open("rb") if given is None else io.BufferedReader(_Fed(given), HEAD_BYTES) as file:
            start = file.peek(2)[:2]
            if given is not None:
                packed = start == GZIP
            if packed and start and start != GZIP:
                raise DataError(f"{path}: the file is not gzip, though its name ends in .gz; rename or pack it.")
            if not packed and start == GZIP:
                raise DataError(f"{path}: the file is packed with gzip; add .gz to its name.")
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
            buffered = io.BufferedReader(cast(io.RawIOBase, stream), HEAD_BYTES) if packed else file
            head = buffered.peek(HEAD_BYTES)
            _check_head(path, head)
            if head.startswith(UTF8_MARK):
                buffered.read(len(UTF8_MARK))
            with io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape", newline="") as text:
                yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: the gzip file is cut off or damaged ({str(error) or type(error).__name__}); "
            f"fetch or pack it again (`gzip -t` tests it)."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror or error}.") from error


def _check_head(path: Path, head: bytes) -> None:
    """Refuse a file that is empty, or is no UTF-8 text, by how it begins."""
    if not head.strip(b" \t\r\n" + UTF8_MARK):
        raise DataError(f"{path}: the file is empty.")
    for mark, kind in FOREIGN.items():
        if head.startswith(mark):
            raise DataError(f"{path}: the file is no text; it is {kind}.")
    for mark, encoding in OTHER_MARKS.items():
        if head.startswith(mark):
            raise DataError(_other_encoding(path, encoding))
    nul = head.count(b"\0")
    if nul > len(head) // 4:
        even = head[::2].count(b"\0")
        guess = "UTF-16BE" if even > nul - even else "UTF-16LE"
        if nul > len(head) * 0.6:
            guess = "UTF-32BE" if head[:1] == b"\0" else "UTF-32LE"
        if nul > len(head) * 0.9:
            raise DataError(f"{path}: the file is no text; it holds little but NUL bytes.")
        raise DataError(_other_encoding(path, guess))


def encoding_remark(path: Path, bad: bytes) -> str:
    """Return what to do about a file with lines that are not UTF-8, with a guess at their encoding.

    Args:
        path: The file.
        bad: The first such lines.
    """
    matches = from_bytes(bad, cp_exclusion=["utf_8", "utf_16", "utf_32"])
    best = matches.best()
    western = [m for m in matches if {"cp1252", "latin_1"} & set(m.could_be_from_charset)]
    if (
        best is not None and western and western[0].chaos <= best.chaos
    ):  # the usual one, where nothing speaks against it
        guess = "CP1252"
    else:
        guess = best.encoding.replace("_", "-").upper() if best is not None else None
    if guess is None or guess == "ASCII":
        return "Save the file as UTF-8."
    return _convert(path, guess, "It looks like (a guess; check the accents)")


def _other_encoding(path: Path, encoding: str) -> str:
    return f"{path}: the file is not UTF-8. {_convert(path, encoding, 'It looks like')}"


def _convert(path: Path, encoding: str, opening: str) -> str:
    target = path.name.removesuffix(".gz")
    unpack = f"gunzip -c {path} | iconv -f {encoding} -t UTF-8" if path.suffix.lower() == ".gz" else (
        f"iconv -f {encoding} -t UTF-8 {path}"
    )  # fmt: skip
    return f"{opening} {encoding}; convert it with `{unpack} > utf8-{target}`."
