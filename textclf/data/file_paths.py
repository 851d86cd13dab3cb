"""Paths of data files: what an option such as `dataset.train` names, found without importing what reads it."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textclf.data.options import LANGUAGE
from textclf.data.remote import fetch, is_address
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Part:
    """A file of a split."""

    path: Path
    language: str | None = None
    """The language that its name says."""


def resolve(file: str) -> Path:
    """Return the path that a file option names; `bundled:` stands for textclf's own data."""
    if file.startswith("bundled:"):
        path = BUNDLED / file.removeprefix("bundled:")
        if not Path(os.path.normpath(path)).is_relative_to(BUNDLED):
            raise DataError(f"{file}: only what comes with textclf is bundled; name other files by their own path.")
        return path
    return Path(file).expanduser()


def parts_of(file: str, option: str) -> list[Part]:
    """Return the files that an option names: one, those of a pattern, or one for each language.

    Raises:
        DataError: If there is none.
    """
    if is_address(file) and LANGUAGE not in file:
        return [Part(fetch(file, option))]
    path = resolve(file)
    if LANGUAGE in file:
        before, _, after = str(path).partition(LANGUAGE)
        found = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
        if not found:
            raise DataError(f"{option}={file}: there is no file for any language (looked for {before}*{after}).")
        return [Part(Path(name), name[len(before) : len(name) - len(after)]) for name in found]
    if path.exists():
        return [Part(path)]
    if file.startswith("bundled:"):
        known = sorted(str(p.relative_to(BUNDLED)) for p in BUNDLED.rglob("*.jsonl"))
        raise DataError(f"{option}={file}: no such bundled file; there are {listed(known)}.")
    if glob.has_magic(file):
        if found := [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]:
            _tell_links(found, path, f"{option}={file}")
            return [Part(name) for name in found]
        raise DataError(f"{option}={file}: no file fits this pattern (looked for {path.absolute()}).")
    raise DataError(f"{option}={file}: there is no such file (looked at {path.absolute()}).")


def _tell_links(found: Sequence[Path], pattern: Path, said: str) -> None:
    """Say which of the files that fit a pattern are links that lead out of its folder; they are read all the same."""
    from textclf.data.origins import is_outside  # imports the library datasets

    start = next(number for number, part in enumerate(pattern.parts) if glob.has_magic(part))
    folder = Path(*pattern.parts[:start])
    if led := [path for path in found if path.is_symlink() and is_outside(path, folder)]:
        more = f" (and {len(led) - 1:,} more)" if len(led) > 1 else ""
        log.warning("%s: %s is a link to %s, out of the folder of the pattern%s", said, led[0], led[0].resolve(), more)
