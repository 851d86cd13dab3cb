"""Events of the server: kept for the page that shows them, and written to a file."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

from textclf.system.appending import append_line

log = logging.getLogger(__name__)

MOST_KEPT = 1000
"""Events that the page can show; the file has more."""
MOST_BYTES = 5_000_000
"""Size at which the file is renamed and a new one started; so there are never more than twice as many."""


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    time: str
    """ISO 8601 with zone."""
    what: str
    """Such as `prediction`."""
    session: str = ""
    """The visit it happened in, by an arbitrary name."""
    user: str | None = None
    """Who, where people sign in."""
    run: str | None = None
    seconds: float | None = None
    """How long it took."""
    rows: int | None = None
    """How many texts."""
    detail: str | None = None
    text: str | None = None
    """The text, where the app was started to log texts."""

    def plain(self) -> dict[str, Any]:
        """Return what is known of the event by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


class EventLog:
    """The events of one server, safe to write from every session at once."""

    def __init__(self, path: Path, log_texts: bool = False):
        """Begin with none.

        Args:
            path: The file that events are appended to.
            log_texts: Keep the texts too.
        """
        self.path = path
        self.log_texts = log_texts
        self._kept: deque[Event] = deque(maxlen=MOST_KEPT)
        self._lock = threading.Lock()
        self._is_silent = False

    def add(self, what: str, text: str | None = None, **known: Any) -> Event:
        """Note an event; a file that cannot be written is said once in the server's log and stops nothing.

        Args:
            what: What happened, in a word or two.
            text: The text it was about, kept only where texts are to be logged.
            known: The other fields of `Event`.
        """
        if known.get("seconds") is not None:
            known["seconds"] = round(known["seconds"], 4)
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = Event(time, what, text=text if self.log_texts else None, **known)
        with self._lock:
            self._kept.append(event)
        try:
            append_line(self.path, event.plain(), sync=False, most_bytes=MOST_BYTES)
            self._is_silent = False
        except OSError as error:
            if not self._is_silent:
                log.warning("%s: the events cannot be written: %s", self.path, error)
            self._is_silent = True
        return event

    @contextmanager
    def timed(self, what: str, text: str | None = None, **known: Any) -> Iterator[dict[str, Any]]:
        """Note an event with its duration once the block is left; an error is noted as one, and passed on.

        Yields:
            The fields of the event, to be added to.
        """
        begun = perf_counter()
        try:
            yield known
        except Exception as error:
            detail = f"{what}: {type(error).__name__}: {error}" if self.log_texts else f"{what}: {type(error).__name__}"
            known |= {"seconds": perf_counter() - begun, "detail": detail}
            self.add("error", text, **known)
            raise
        known["seconds"] = perf_counter() - begun
        self.add(what, text, **known)

    def latest(self, count: int = MOST_KEPT) -> list[Event]:
        """Return the last events, the newest first."""
        with self._lock:
            return list(reversed(self._kept))[:count]


@lru_cache(maxsize=8)
def event_log_of(path: Path, log_texts: bool) -> EventLog:
    """Return the one log of this process that writes to a file, begun with the event `started`."""
    found = EventLog(path, log_texts)
    found.add("started", detail=f"the events go to {path}")
    return found
