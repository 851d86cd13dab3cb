"""Packed files told by their first bytes, and unpacked as they are read: gzip, bzip2, xz, zstd, and zip of one file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from textclf.errors import DataError, listed


@dataclass(frozen=True)
class Packing:
    """A way to pack a file."""

    name: str
    """What people call it."""
    ending: str
    magic: bytes
    """What a packed file begins with."""
    factor: int
    """About how much larger a packed file of text is, once unpacked."""
    unpack: Callable[[IO[bytes]], IO[bytes]]


def _unzip(file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    return archive.open(_only_member(archive))


def _unxz(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], lzma.open(file))


def _unzstd(file: IO[bytes]) -> IO[bytes]:
    # pyarrow's, since zstandard's own stream takes a file that is cut off for a whole one
    return cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


PACKINGS = (
    Packing("gzip", ".gz", b"\x1f\x8b", 4, lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file))),
    Packing("bzip2", ".bz2", b"BZh", 5, lambda file: cast(IO[bytes], bz2.BZ2File(file))),
    Packing("xz", ".xz", b"\xfd7zXZ\0", 5, _unxz),
    Packing("zstd", ".zst", b"\x28\xb5\x2f\xfd", 4, _unzstd),
    Packing("zip", ".zip", b"PK\x03\x04", 4, _unzip),
)
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
"""What is raised where a packed file is cut off or damaged; so is an `OSError` without a number."""


PART_BYTES = 1_000_000


def packing_of_name(name: str) -> Packing | None:
    """Return the packing that a file's name says, none where it says none."""
    return next((packing for packing in PACKINGS if name.lower().endswith(packing.ending)), None)


def packing_of(path: Path, start: bytes, is_named: bool = True) -> Packing | None:
    """Return how a file is packed, by its first bytes.

    Args:
        path: What it is called.
        start: Its first six bytes or more.
        is_named: Whether its name must agree; that of a pipe need not.

    Raises:
        DataError: If the name says otherwise.
    """
    found = next((packing for packing in PACKINGS if start.startswith(packing.magic)), None)
    said = packing_of_name(path.name) if is_named else found
    if said is not None and found is not said and start:
        raise DataError(
            f"{path}: the file is not {said.name}, though its name ends in {said.ending}; rename or pack it."
        )
    if found is not said and found is not None and found.name != "zip":
        raise DataError(f"{path}: the file is packed with {found.name}; add {found.ending} to its name.")
    return said


def unpacked_name(path: Path) -> str:
    """Return the name of what a file holds: without the ending of its packing, or that of the file in a zip.

    Raises:
        DataError: If a zip archive holds no file, or several.
    """
    packing = packing_of_name(path.name)
    if packing is None:
        return path.name
    bare = path.name[: -len(packing.ending)]
    if packing.name != "zip" or not path.is_file():
        return bare
    try:
        with zipfile.ZipFile(path) as archive:
            return Path(_only_member(archive)).name
    except zipfile.BadZipFile:
        return bare  # reading it says what is wrong
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _only_member(archive: zipfile.ZipFile) -> str:
    """Return the name of the one file in an archive, what systems add to it left aside."""
    names = [
        member.filename
        for member in archive.infolist()
        if not member.is_dir() and not Path(member.filename).name.startswith(".") and "__MACOSX" not in member.filename
    ]
    if len(names) != 1:
        held = f"{len(names)}: {listed(names, 4)}" if names else "none"
        raise DataError(f"a zip archive must hold one file, but it holds {held}. Unpack it, and name what to read.")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise DataError("the zip archive is locked with a password. Unpack it, and name what to read.")
    return names[0]


def unpacked_bytes(data: bytes, name: str, most: int) -> int:
    """Return how many bytes a packed file holds, counted up to a little over `most`; of one that is not, its own.

    Args:
        data: The file.
        name: What it is called.
        most: Bytes from which on it does not matter how many more there are.

    Raises:
        DataError: If it is a zip archive of several files.
    """
    packing = packing_of(Path(name), data[:6], is_named=False)
    if packing is None:
        return len(data)
    found = 0
    try:
        with packing.unpack(io.BytesIO(data)) as stream:
            while found <= most and (part := stream.read(PART_BYTES)):
                found += len(part)
    except (*DAMAGED, OSError):
        pass  # reading it says what is wrong, and gets no further
    return found


def unzipped_bytes(data: bytes) -> int:
    """Return how many bytes the members of a zip archive, such as a workbook, declare together; 0 of no archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return 0  # reading it says what is wrong


class WaitedFor(io.RawIOBase):
    """A stream that may be a pipe, its first bytes waited for so that they can be looked at together."""

    def __init__(self, stream: IO[bytes]):
        self.stream = stream
        self.read_some = stream.read

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether it is no pipe."""
        return self.stream.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        """Return where it is."""
        return self.stream.tell()

    def readinto(self, buffer: Any, /) -> int:
        """Read what has come; the first time, all that is asked for."""
        found = self.read_some(len(buffer))
        self.read_some = getattr(self.stream, "read1", self.stream.read)
        buffer[: len(found)] = found
        return len(found)
