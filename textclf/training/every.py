"""How often training keeps its state, as a person says it: `500` (steps), `90s`, `10min`, `1h`, `never`."""

from __future__ import annotations

import re
from dataclasses import dataclass

NEVER = "never"
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
FORMS = "a number of steps such as 500, a duration such as 90s, 10min or 1h, or never"


@dataclass(frozen=True)
class Interval:
    """A number of steps, a duration, or neither for never."""

    steps: int | None = None
    seconds: float | None = None

    @property
    def is_never(self) -> bool:
        """Whether no state is ever kept."""
        return self.steps is None and self.seconds is None


def parse_every(text: str) -> Interval:
    """Return what is meant.

    Raises:
        ValueError: If it is none of the forms, or nothing at all, such as `0s`.
    """
    if text == NEVER:
        return Interval()
    found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?) ?(s|min|h)", text)
    if found is None:
        raise ValueError(text)
    steps, amount, unit = found.groups()
    every = Interval(steps=int(steps)) if steps else Interval(seconds=float(amount) * SECONDS[unit])
    if not (every.steps or every.seconds):
        raise ValueError(text)
    return every


def is_every(text: str) -> bool:
    """Return whether a text says how often."""
    try:
        parse_every(text)
    except ValueError:
        return False
    return True
