"""Folds of cross-validation: every example of a pool is tested once in each repeat, by a fit that has not seen it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One fit of a cross-validation: rows of the pool, int64, ascending."""

    repeat: int
    """Counted from 0."""
    number: int
    """Counted from 0 in each repeat."""
    train: Rows
    validation: Rows
    """A slice of what is not tested: epochs, thresholds and calibration are chosen on it."""
    test: Rows

    def __str__(self) -> str:
        return f"fold {self.number + 1} of repeat {self.repeat + 1}"


@dataclass(frozen=True)
class Folds:
    """A pool of examples and its partitions."""

    pool: Dataset
    """All examples that are tested, with the columns of a split."""
    parts: tuple[Fold, ...]
    """By repeat, then by number."""
    fixed_test: Dataset | None = None
    """The source's own test split, which no fold touches."""
    extra: Dataset | None = None
    """Further examples that every fit is trained on."""

    def __str__(self) -> str:
        times = "" if self.repeats == 1 else f", drawn {self.repeats} times"
        return f"{self.count} folds{times}, {len(self.parts[0].train):,} examples to train on in each"

    @property
    def count(self) -> int:
        """Folds of each repeat."""
        return 1 + max(part.number for part in self.parts)

    @property
    def repeats(self) -> int:
        """Partitions that were drawn."""
        return 1 + max(part.repeat for part in self.parts)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The fold that tests each example, int64 (repeats, n)."""
        found = np.zeros((self.repeats, len(self.pool)), dtype=np.int64)
        for part in self.parts:
            found[part.repeat, part.test] = part.number
        return found

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the partitions: what two runs must share to be paired example by example."""
        return hashlib.blake2b(self.numbers.tobytes(), digest_size=8).hexdigest()

    def splits_of(self, part: Fold) -> dict[str, Dataset]:
        """Return the three splits of one fit, by name."""
        pool = self.pool
        train = self.training(part.train)
        return {"train": train, "validation": pool.select(part.validation), "test": pool.select(part.test)}

    def training(self, rows: Rows) -> Dataset:
        """Return the examples of a fit: some of the pool, and the further ones."""
        chosen = self.pool.select(rows)
        return chosen if self.extra is None else concatenate_datasets([chosen, self.extra])

    def keeping(self, rows: Rows) -> Folds:
        """Return the folds of some examples of the pool alone; each stays in its fold."""
        place = np.full(len(self.pool), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))

        def left(own: Rows) -> Rows:
            found = place[own]
            return found[found >= 0]

        parts = tuple(
            replace(part, train=left(part.train), validation=left(part.validation), test=left(part.test))
            for part in self.parts
        )
        return replace(self, pool=self.pool.select(rows), parts=parts)
