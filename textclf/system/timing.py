"""Phases of a run, and the seconds that each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

WORDS = {
    "start": "starting",
    "load": "data",
    "audit": "audit",
    "fit": "fit",
    "evaluate": "scoring",
    "record": "figures and records",
}
"""The phases of a run in their order, in the words of the log."""


class Phases:
    """A clock that adds up the seconds of named phases."""

    def __init__(self, begun: float | None = None):
        """Begin to count.

        Args:
            begun: When the command was given, in seconds since 1970; none for now. What lies between then and the
                first phase is the phase `start`.
        """
        self.begun = time.time() if begun is None else begun
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside this context towards a phase."""
        if not self.seconds:
            self.seconds["start"] = max(0.0, time.time() - self.begun)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def plain(self, rest: str, first_step: float | None) -> dict[str, float]:
        """Return the seconds of each phase so far, to the millisecond.

        Args:
            rest: The phase that all else since the beginning counts towards.
            first_step: When the first training step began, in seconds since 1970; none where there are no steps.
        """
        passed = time.time() - self.begun
        found = {**self.seconds, rest: max(0.0, passed - sum(self.seconds.values()))}
        if first_step is not None:
            found["before_first_step"] = first_step - self.begun
        return {name: round(seconds, 3) for name, seconds in found.items()}


def format_phases(phases: dict[str, float]) -> str:
    """Return the phases of a run for a person, such as `starting 4.1 s, data 0.2 s, fit 3.1 s`."""
    return ", ".join(f"{word} {phases[name]:.1f} s" for name, word in WORDS.items() if name in phases)
