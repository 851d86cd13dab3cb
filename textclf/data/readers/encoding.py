"""Encodings of text files: named by the person, told by marks and NUL bytes, or guessed from the other bytes."""

from __future__ import annotations

import codecs
import logging
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from charset_normalizer import from_bytes

from textclf.errors import DataError

log = logging.getLogger(__name__)

AUTO = "auto"
"""Stands for the encoding that the bytes show."""
UTF8 = "utf-8"
UTF8_MARK = codecs.BOM_UTF8
OTHER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
GUESSED = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "iso8859_2", "cp932",
    "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
"""Encodings that files are still written in. Others differ from these in a few characters, and are rare."""
SURE = 0.1
"""A guess is sure where charset-normalizer finds less mess than this, 0 to 1, in the text that it gives."""
CLEARLY = 0.03
"""Another encoding than cp1252 is taken where its text is by so much, of 0 to 1, more like that of a language."""
SAMPLE_BYTES = 100_000
BLOCK_BYTES = 1 << 20


class Guess(NamedTuple):
    """What an encoding may be."""

    encoding: str | None
    is_sure: bool


def is_utf8(encoding: str) -> bool:
    """Whether an encoding is UTF-8 by one of its names."""
    return encoding != AUTO and codecs.lookup(encoding).name in (UTF8, "utf-8-sig")


def guess(bad: bytes) -> Guess:
    """Return what the encoding of bytes that are not UTF-8 may be.

    Most of them are cp1252, which holds latin-1: it is taken unless another is clearly better.
    """
    found = list(from_bytes(bad[:SAMPLE_BYTES], cp_isolation=list(GUESSED)))
    if not found:
        return Guess(None, False)
    best = found[0]
    western = next((match for match in found if "cp1252" in (match.encoding, *match.could_be_from_charset)), None)
    if western is not None and western.chaos < SURE and best.coherence < western.coherence + CLEARLY:
        return Guess("cp1252", western.chaos < SURE)
    return Guess(best.encoding, best.chaos < SURE)


def guess_of_head(head: bytes) -> str | None:
    """Return the encoding that the first bytes of a file show by a mark or by their NUL bytes; none for others.

    Returns:
        Its name; an empty one where the bytes are no text at all.
    """
    for mark, encoding in OTHER_MARKS.items():
        if head.startswith(mark):
            return encoding
    nul = head.count(b"\0")
    if nul <= len(head) // 4:
        return None
    if nul > len(head) * 0.9:
        return ""
    if nul > len(head) * 0.6:
        return "utf-32-be" if head[:1] == b"\0" else "utf-32-le"
    return "utf-16-be" if head[::2].count(b"\0") > nul - head[::2].count(b"\0") else "utf-16-le"


def found_in(path: Path, lines: list[bytes]) -> str:
    """Return the encoding of a file by its lines that are not UTF-8; UTF-8 where there are none.

    Raises:
        DataError: If no guess is sure.
    """
    if not lines:
        return UTF8
    return sure_of(b"\n".join(lines), str(path))


@lru_cache(256)
def sure_of(bad: bytes, where: str) -> str:
    """Return the encoding of bytes that are not UTF-8.

    Args:
        bad: The bytes.
        where: What they come from, for a person.

    Raises:
        DataError: If no guess is sure.
    """
    encoding, is_sure = guess(bad)
    if encoding is None or not is_sure:
        perhaps = f"; {encoding} is likeliest" if encoding else ""
        raise DataError(
            f"{where}: the file is not UTF-8, and its bytes do not show for sure what else it is{perhaps}. Name its "
            f"encoding, as in dataset.encoding=cp1252 (of predict: --encoding cp1252), or save it as UTF-8."
        )
    return encoding


def told(path: Path, encoding: str, what: str = "it is") -> str:
    """Return an encoding, and log it where it is not UTF-8."""
    if not is_utf8(encoding):
        log.warning("%s: %s read as %s, which the bytes show (dataset.encoding=auto)", path, what, encoding)
    return encoding


def remark(bad: bytes) -> str:
    """Return what to do about lines that are not UTF-8, with a guess at their encoding."""
    encoding, _ = guess(bad)
    return "Save the file as UTF-8." if encoding is None else _read_as(encoding, " (a guess; check the accents)")


def other_encoding(path: Path, encoding: str) -> DataError:
    """Return the error on a file that is of another encoding as a whole."""
    return DataError(f"{path}: the file is not UTF-8. {_read_as(encoding)}")


def _read_as(encoding: str, how_sure: str = "") -> str:
    return (
        f"It looks like {encoding}{how_sure}: dataset.encoding={encoding} reads it so (of predict: --encoding "
        f"{encoding})."
    )
