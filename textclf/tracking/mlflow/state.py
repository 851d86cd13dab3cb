"""What the journal of a run says as a whole: what the run is, how far each store has been told, how it ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textclf.errors import ArtifactError
from textclf.tracking.mlflow.points import Points
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

FORMAT = 1
MARKS = ("opened", "sent", "nested", "refused")
"""Lines that say how far the others have come; these are not sent themselves."""

Entry = dict[str, Any]


@dataclass
class State:
    """What a journal says as a whole."""

    run: Entry | None = None
    """What the run is: its own id, experiment, name, tags, time of the start."""
    parent: str | None = None
    """The run that holds this one: its id in the store, or `local:` and its own id."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """The store's id of the run, by address of the store."""
    urls: dict[str, str] = field(default_factory=dict)
    """Where a person finds the run, by address of the store."""
    through: dict[str, int] = field(default_factory=dict)
    """Up to which byte the journal has been sent, by the store's id of the run."""
    nested: set[str] = field(default_factory=set)
    """The store's ids of the runs that are under their parent there."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """What a store would not take, by the store's id of the run."""
    ended: str | None = None
    """How the run ended; none while it has not."""
    last_time: int = 0
    """Time of the last line that has one, in milliseconds since 1970."""
    end: int = 0
    """Where the last line ends that is to be sent, in bytes."""
    points: Points = field(default_factory=Points)

    def unsent(self, address: str) -> bool:
        """Whether a store has not been told all of it."""
        run_id = self.run_ids.get(address)
        if run_id is None or self.through.get(run_id, 0) < self.end:
            return True
        return self.ended is None or (self.parent is not None and run_id not in self.nested)

    @property
    def is_somewhere(self) -> bool:
        """Whether some store has been told all of it."""
        return not all(self.unsent(address) for address in self.run_ids)

    def take(self, entry: Entry, end: int) -> None:
        """Take in a line that ends at a byte."""
        kind = entry.get("kind")
        self.last_time = entry.get("time", self.last_time)
        if kind == "opened":
            self.run_ids[entry["address"]], self.urls[entry["address"]] = entry["run_id"], entry["url"]
        elif kind == "sent":
            self.through[entry["run_id"]] = entry["through"]
        elif kind == "nested":
            self.nested.add(entry["run_id"])
        elif kind == "refused":
            self.refused.setdefault(entry["run_id"], []).append(entry["why"])
        if kind in MARKS:
            return
        self.end = end
        if kind == "run":
            self.run = entry
        elif kind == "metrics":
            self.points.add({name: float(value) for name, value in entry["metrics"].items()}, entry["step"])
        elif kind == "parent":
            self.parent = entry["parent"]
        elif kind == "end":
            self.ended = entry["status"]
        elif kind == "resumed":
            self.ended = None


def read_state(folder: Path) -> State:
    """Return what the journal of a folder says, which another process may be writing.

    Raises:
        ArtifactError: If there is none, or it is of another format.
    """
    path = Path(folder) / TRACKING_FILE

    def lines() -> Iterator[tuple[int, bytes]]:
        at = 0
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    at += len(line)
                    yield at, line

    try:
        return scan(lines(), path)[0]
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder} holds no journal of a tracker: there is no {TRACKING_FILE} in it.") from error


def scan(lines: Iterator[tuple[int, bytes]], path: Path) -> tuple[State, int]:
    """Return what the lines of a journal say, and where the last of them ends."""
    state, whole, damaged = State(), 0, 0
    for end, line in lines:
        whole = end
        entry = parsed(line)
        if entry is None:
            damaged += 1
            continue
        if state.run is None and (entry.get("kind") != "run" or entry.get("format") != FORMAT):
            raise ArtifactError(
                f"{path} is of format {entry.get('format')!r}; this textclf reads {FORMAT}. Use the version of "
                f"textclf that wrote it, or move it away."
            )
        try:
            state.take(entry, end)
        except (KeyError, TypeError, ValueError, AttributeError):
            damaged += 1
    if damaged:
        log.warning("%s has %d damaged lines, which are passed over", path, damaged)
    return state, whole


def parsed(line: bytes) -> Entry | None:
    """Return a line's content; none where it is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
