"""Text files opened with care: packed ones, byte order marks, other encodings, and files that are no text at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from textclf.data.options import DELIMITERS, Quoting, is_encoding
from textclf.data.readers import encoding as encodings
from textclf.data.readers.encoding import AUTO, UTF8, UTF8_MARK
from textclf.data.readers.packed import DAMAGED, Packing, WaitedFor, packing_of
from textclf.errors import DataError, refuse_unless

HEAD_BYTES = 65_536
"""How much of a file is looked at before it is read."""
MAX_SAMPLED = 500
"""Lines that are not UTF-8 by which an encoding is told."""
FOREIGN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook (give it the ending .zip or .xlsx)",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word document (save it as .xlsx or CSV)",
    b"PAR1": "a Parquet file (give it the ending .parquet)",
    b"ARROW1": "an Arrow file (give it the ending .arrow)",
    b"SQLite": "an SQLite database",
}
"""What files of other kinds begin with."""


@dataclass(frozen=True)
class TextForm:
    """How a text file is written."""

    encoding: str = UTF8
    """Its encoding, or `auto`."""
    delimiter: str | None = None
    """What stands between the values of a row; none goes by the file's ending and its first lines."""
    column_names: tuple[str, ...] = ()
    """Names of the columns of a file whose first line does not name them."""
    quoting: Quoting = Quoting.check
    """What quote marks mean."""


PLAIN = TextForm()


def form_of(encoding: str, delimiter: str | None, column_names: str | None, quoting: str) -> TextForm:
    """Return how a text file is written, as a command line says it.

    Args:
        encoding: Its encoding, or `auto`.
        delimiter: One character, or the name of one such as `tab`; none goes by the file.
        column_names: Names apart by commas; none where the first line names them.
        quoting: A name of `Quoting`.

    Raises:
        ConfigError: If the encoding is unknown, or the delimiter is no character.
    """
    separator = DELIMITERS.get((delimiter or "").lower(), delimiter)
    refuse_unless(
        (is_encoding(encoding), f"--encoding must be one that Python knows, or auto, got {encoding!r}."),
        (separator is None or len(separator) == 1, f"--delimiter must be one character, or tab, got {delimiter!r}."),
    )
    names = tuple(name.strip() for name in (column_names or "").split(",") if name.strip())
    return TextForm(encoding, separator, names, Quoting(quoting))


@contextmanager
def open_text(path: Path, given: IO[bytes] | None = None, encoding: str = UTF8) -> Iterator[IO[str]]:
    """Open a text file, unpacked where its name says that it is packed.

    Bytes that are not of the encoding come as lone surrogates, so that the lines that hold them can be told; line
    ends are kept as they are.

    Args:
        path: The file.
        given: What to read instead, such as a pipe; unpacked where it begins like a packed file, and left open.
            `path` is then only what it is called.
        encoding: Its encoding; `auto` goes by what all of the file, or of a pipe its beginning, shows.

    Raises:
        DataError: If the file is empty, cannot be unpacked, is no text, or is of another encoding as a whole. While
            the context lasts, it also stands for errors of reading.
    """
    packing: Packing | None = None
    if encoding == AUTO and given is None:
        encoding = encoding_of(path)
    try:
        with ExitStack() as stack:
            source = path.open("rb") if given is None else io.BufferedReader(WaitedFor(given), HEAD_BYTES)
            file = stack.enter_context(source)
            packing = packing_of(path, file.peek(6)[:6], is_named=given is None)
            if packing is not None and packing.name == "zip" and not file.seekable():
                raise DataError(f"{path}: a zip archive is read from its end, so it cannot come through a pipe.")
            raw = file if packing is None else _buffered(packing.unpack(file))
            head = raw.peek(HEAD_BYTES)
            _check_head(path, head, encoding)
            if head.startswith(UTF8_MARK):
                raw.read(len(UTF8_MARK))
            if encoding == AUTO:
                encoding = encodings.guess_of_head(head) or encodings.found_in(path, _bad_lines(head.splitlines()[:-1]))
                encodings.told(path, encoding)
            with io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape", newline="") as text:
                yield text
    except DAMAGED as error:
        raise _damaged(path, packing, error) from error
    except OSError as error:
        if packing is not None and error.errno is None:
            raise _damaged(path, packing, error) from error
        raise DataError(f"{path}: the file cannot be read: {error.strerror or error}.") from error
    except UnicodeError as error:
        raise DataError(f"{path}: the file is not {encoding}: {error}. Name another dataset.encoding.") from error


def encoding_of(path: Path) -> str:
    """Return the encoding that all of a file's bytes show.

    Raises:
        DataError: If they do not show it for sure.
    """
    stat = path.stat()
    return _encoding_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(256)
def _encoding_of(path: Path, size: int, changed: int) -> str:
    """Read all of a file, once for each state of it."""
    with open_text(path, encoding="latin-1") as stream:
        head = cast(io.BufferedReader, stream.buffer).peek(HEAD_BYTES)  # type: ignore[attr-defined]
        found = encodings.guess_of_head(head)
        if not found:
            found = encodings.found_in(path, _bad_lines(line.encode("latin-1") for line in stream))
    return found


def _bad_lines(lines: object) -> list[bytes]:
    """Return the first of some lines that are not UTF-8."""
    bad: list[bytes] = []
    for line in cast("Iterator[bytes]", lines):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                bad.append(line)
                if len(bad) == MAX_SAMPLED:
                    break
    return bad


def _buffered(stream: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream), HEAD_BYTES)


def _damaged(path: Path, packing: Packing | None, error: BaseException) -> DataError:
    kind = packing.name if packing is not None else "packed"
    test = " (`gzip -t` tests it)" if kind == "gzip" else ""
    said = str(error) or type(error).__name__
    return DataError(f"{path}: the {kind} file is cut off or damaged ({said}); fetch or pack it again{test}.")


def _check_head(path: Path, head: bytes, encoding: str) -> None:
    """Refuse a file that is empty, no text, or not of its encoding, by how it begins."""
    if not head.strip(b" \t\r\n" + UTF8_MARK):
        raise DataError(f"{path}: the file is empty.")
    for mark, kind in FOREIGN.items():
        if head.startswith(mark):
            raise DataError(f"{path}: the file is no text; it is {kind}.")
    found = encodings.guess_of_head(head)
    if found == "":
        raise DataError(f"{path}: the file is no text; it holds little but NUL bytes.")
    if found is not None and encodings.is_utf8(encoding):
        raise encodings.other_encoding(path, found)
