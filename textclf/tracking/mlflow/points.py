"""The points of a run's metrics: each name has one at a step, however often the run was begun anew."""

from __future__ import annotations

from collections.abc import Mapping

REMEMBERED = 100
"""Values of a name that are remembered, the latest; what lies before them is never logged again."""


class Points:
    """The points that a run has, in bounded memory.

    A run that is taken up at a checkpoint passes once more through steps that it has logged: these points are there
    already. A name's steps only rise while training goes on, so the highest says which those are. A point of an
    earlier step comes once more at the end of a run, when its final scores are logged as those of its best step: an
    equal value is the same point, and another value corrects it.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self._values: dict[str, dict[int, float]] = {}

    def begin_session(self) -> None:
        """Take what there is so far for what an earlier process has logged."""
        self._passed = {}

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Take in points that a run has."""
        for name, value in metrics.items():
            self._highest[name] = max(step, self._highest.get(name, step))
            self._passed[name] = max(step, self._passed.get(name, step))
            values = self._values.setdefault(name, {})
            values[step] = value
            if len(values) > REMEMBERED:
                del values[next(iter(values))]

    def new(self, metrics: Mapping[str, float], step: int, corrects: bool = False) -> dict[str, float]:
        """Return those of some points that the run does not have yet.

        Args:
            metrics: Values by name.
            step: The step that they belong to.
            corrects: Take another value at a known step for a correction, whoever has logged it.
        """
        # Training repeats names that it has logged before; a name that is new comes with a call that was never made.
        corrects = corrects or any(name not in self._highest for name in metrics)
        found = {}
        for name, value in metrics.items():
            if name not in self._highest or step > self._highest[name]:
                found[name] = value
            elif corrects or step <= self._passed.get(name, -1):
                known = self._values[name]
                if not _same(known[step], value) if step in known else len(known) < REMEMBERED:
                    found[name] = value
            else:
                self._passed[name] = max(step, self._passed.get(name, step))
        return found

    def highest(self, name: str) -> int:
        """Return the highest step of a name, -1 where it has none."""
        return self._highest.get(name, -1)


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
