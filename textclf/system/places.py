"""Places that a record or a journal names: followed only where they lie at hand or a person names them too."""

from __future__ import annotations

import glob
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from textclf.system.redact import MASK

TRUST = "--trust"
SQLITE = "sqlite:///"
OWN_ARTIFACTS = re.compile(r"mlflow-artifacts:/(?!/)")
"""Artifacts that a server keeps for a store: an address that names no server leads nowhere."""
_PLACES_OF_A_STORE = re.compile(r"artifact|location|root|storage")
"""Columns of a store that say where its files are."""
_ONLY_REFUSES = re.compile(
    r"CREATE TRIGGER [\w\s.!=<>]*\sBEGIN\s+SELECT RAISE\(ABORT, ?'[^']*'\);\s*END", re.IGNORECASE
)
"""A trigger that changes nothing, such as MLflow's own."""


@dataclass(frozen=True)
class AtHand:
    """What may be read and written, and who may be spoken to, because of a record alone.

    A record is data of whoever wrote it. Without a person's word it may name files below the working folder and its own
    folder, links followed, and no address.
    """

    folders: tuple[Path, ...]
    named: tuple[str, ...] = ()
    """Addresses, files and folders that a person named, as they were written."""

    def holds(self, place: str) -> bool:
        """Return whether a place lies at hand, or was named: itself, or a folder above it.

        A folder lies at hand with all that is in it: none of it may be a link that leads elsewhere.
        """
        if place in self.named or not place:
            return True
        paths = paths_of(place)
        if paths is None:
            return False
        try:
            near = [folder.resolve() for folder in self.folders]
            near += [Path(path).resolve() for name in self.named for path in paths_of(name) or ()]
            return all(_is_below(entry, near) for path in paths for entry in _meant_by(path))
        except (OSError, ValueError, RuntimeError):  # no name that a file can have, or links in a circle
            return False

    def holds_store(self, address: str) -> bool:
        """Return whether a store of MLflow lies at hand, or was named.

        A SQLite store is a file of somebody as well, and says itself where artifacts go: one that was not named leads
        to no place that is not at hand either.
        """
        if AtHand((), self.named).holds(address):
            return True
        if not address.startswith(SQLITE) or not self.holds(address):
            return False
        return all(self._holds_places_of(Path(path)) for path in paths_of(address) or ())

    def _holds_places_of(self, database: Path) -> bool:
        """Return whether all places that a SQLite store names are at hand; not where it could name others later."""
        if not database.exists():
            return True
        try:
            with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
                return all(map(self._holds_artifacts, _places(opened)))
        except (sqlite3.Error, ValueError, _UnusualError):
            return False

    def _holds_artifacts(self, place: str) -> bool:
        """Return whether a place of artifacts is at hand, read as MLflow's client does: paths are unquoted too."""
        parts = urlsplit(place)
        if parts.scheme == "file":
            return self.holds(unquote(parts.path))
        if len(parts.scheme) > 1:  # not the letter of a drive
            return OWN_ARTIFACTS.match(place) is not None
        return self.holds(place) and self.holds(unquote(place))


class _UnusualError(Exception):
    """A store computes what is read from it."""


def paths_of(place: str) -> tuple[str, ...] | None:
    """Return the paths that a place may mean, be it a path or a SQLite store; none for any other address."""
    if place.startswith(SQLITE):
        said = place.removeprefix(SQLITE).partition("?")[0]
        found = tuple(dict.fromkeys((said, unquote(said))))  # SQLAlchemy reads it as the latter from 2.1 on
        return None if any(path.startswith("file:") for path in found) else tuple(map(os.path.expanduser, found))
    return None if "://" in place else (os.path.expanduser(place),)


def places_in(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the options of a config that are texts, with their values: any of them may be a path or an address."""
    for key, value in config.items():
        yield from _places_in_value(value, f"{prefix}{key}")


def _places_in_value(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from places_in(value, f"{name}.")
    elif isinstance(value, str):
        if MASK not in value:
            yield name, value
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _places_in_value(inner, name)


def _is_below(path: Path, near: Sequence[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in near)


def _meant_by(path: str) -> Iterator[Path]:
    """Yield a path, what fits it where it is a pattern, and the links in each of these that is a folder."""
    found = [Path(match) for match in glob.iglob(path, recursive=True)] if glob.has_magic(path) else []
    for entry in [Path(path), *found]:
        yield entry
        for root, folders, files in os.walk(entry):
            yield from (link for name in (*folders, *files) if (link := Path(root, name)).is_symlink())


def _places(store: sqlite3.Connection) -> Iterator[str]:
    """Yield what a store says of where files are.

    Raises:
        _UnusualError: If it has parts that change or compute what is read, which MLflow's stores have not.
    """
    store.execute("PRAGMA trusted_schema=OFF")
    tables = []
    for kind, name, sql in store.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        is_virtual = kind == "table" and re.match(r"\s*CREATE\s+VIRTUAL", sql or "", re.IGNORECASE)
        if kind == "view" or is_virtual or (kind == "trigger" and not _ONLY_REFUSES.fullmatch(str(sql).strip())):
            raise _UnusualError(name)
        if kind == "table":
            tables.append(_quoted(name))
    for table in tables:
        columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})").fetchall()]
        for column in filter(_PLACES_OF_A_STORE.search, columns):
            rows = store.execute(f"SELECT DISTINCT {_quoted(column)} FROM {table}")
            yield from (str(place) for (place,) in rows if place)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
