"""Places that a record or a journal names: followed only where they lie at hand or a person names them too."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.system.redact import MASK

TRUST = "--trust"
SQLITE = "sqlite:///"


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
        """Return whether a place lies at hand, or was named: itself, or a folder above it."""
        if place in self.named:
            return True
        path = path_of(place)
        if path is None:
            return False
        near = [folder.resolve() for folder in self.folders]
        near += [Path(given).resolve() for name in self.named if (given := path_of(name)) is not None]
        found = [Path(match) for match in glob.glob(path)] if glob.has_magic(path) else []
        return all(any(entry.resolve().is_relative_to(folder) for folder in near) for entry in [Path(path), *found])


def path_of(place: str) -> str | None:
    """Return the path of a place, be it a path or a SQLite store; none for any other address."""
    if place.startswith(SQLITE):
        place = place.removeprefix(SQLITE).partition("?")[0]
        return None if place.startswith("file:") else os.path.expanduser(place)
    return None if "://" in place else os.path.expanduser(place)


def places_in(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the options of a config that are texts, with their values: any of them may be a path or an address."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from places_in(value, f"{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from ((name, inner) for inner in value if isinstance(inner, str))
        elif isinstance(value, str) and MASK not in value:
            yield name, value
