"""What two splits have in common, as it is found, kept and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = (("train", "test"), ("train", "validation"), ("validation", "test"))
"""Which split may have leaked into which; examples are taken out of the first."""


@dataclass(frozen=True)
class Match:
    """An example and its like in another split."""

    row: int
    """Row of the split that leaks."""
    target_row: int
    """Row of the split that is leaked into."""
    similarity: float
    """Share of their pieces that both have, 0 to 1; 1 for texts that are the same."""


@dataclass(frozen=True)
class Leak:
    """What two splits have in common. An example is exact where its text is the same, else near."""

    source: str
    """The split that leaks: train, or validation into test."""
    target: str
    """The split whose scores become too good."""
    exact_rows: NDArray[np.int64]
    """int64 (a,): rows of `source` whose text is in `target`."""
    near_rows: NDArray[np.int64]
    """int64 (b,): further rows of `source` that are near duplicates of a row of `target`."""
    exact_target_rows: NDArray[np.int64]
    """int64 (c,): rows of `target` whose text is in `source`."""
    near_target_rows: NDArray[np.int64]
    """int64 (d,): further rows of `target` that are near duplicates of a row of `source`."""
    exact_matches: tuple[Match, ...] = ()
    """A few of the pairs that are the same, in the order of the target's rows."""
    near_matches: tuple[Match, ...] = ()
    """A few of the pairs that are nearly the same, the most alike first."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of `source` that recur in `target`, exactly or nearly, in order, int64."""
        return np.union1d(self.exact_rows, self.near_rows)

    @property
    def target_rows(self) -> NDArray[np.int64]:
        """Rows of `target` that recur in `source`, exactly or nearly, in order, int64."""
        return np.union1d(self.exact_target_rows, self.near_target_rows)


@dataclass(frozen=True)
class Leakage:
    """What the three splits have in common."""

    leaks: tuple[Leak, ...]
    """One for each of `DIRECTIONS`."""
    near: bool
    """Whether near duplicates were looked for."""
    remark: str = ""
    """Why they were not, or not all."""

    def between(self, source: str, target: str) -> Leak:
        """Return what leaks from one split into another."""
        return next(leak for leak in self.leaks if (leak.source, leak.target) == (source, target))

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows of train that recur in validation or test, in order, int64."""
        return np.union1d(self.between("train", "test").rows, self.between("train", "validation").rows)

    @property
    def validation_rows(self) -> NDArray[np.int64]:
        """Rows of validation that recur in test, in order, int64."""
        return self.between("validation", "test").rows

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Leakage:
        """Read what `to_dict` returned.

        Raises:
            KeyError, TypeError, ValueError: If it is something else.
        """
        leaks = tuple(_leak_of(leak) for leak in content["leaks"])
        if tuple((leak.source, leak.target) for leak in leaks) != DIRECTIONS:
            raise ValueError("not a record of leakage")
        return cls(leaks, bool(content["near"]), str(content["remark"]))


def _leak_of(content: Mapping[str, Any]) -> Leak:
    """Read a leak from plain values."""

    def rows(name: str) -> NDArray[np.int64]:
        return np.array(content[name], dtype=np.int64)

    return Leak(
        str(content["source"]),
        str(content["target"]),
        exact_rows=rows("exact_rows"),
        near_rows=rows("near_rows"),
        exact_target_rows=rows("exact_target_rows"),
        near_target_rows=rows("near_target_rows"),
        exact_matches=tuple(Match(**match) for match in content["exact_matches"]),
        near_matches=tuple(Match(**match) for match in content["near_matches"]),
    )


def _plain(value: Any) -> Any:
    """Return a value with its arrays as lists."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
