"""What each example is known by: a number that exact duplicates share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from textclf.audit.shingles import digest
from textclf.data.dataset import SPLITS, TextData, in_batches, labels_of


@dataclass(frozen=True)
class Keys:
    """The examples of a split, by number instead of by text."""

    values: NDArray[np.uint64]
    """uint64 (n,): the same for two examples whose texts (both texts of a pair) differ in case and spaces at most."""
    empty: NDArray[np.bool_]
    """bool (n,): whether the text, or one of a pair, is blank."""
    labels: NDArray[np.int64]
    """int64 (n,)."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def repeated(self) -> NDArray[np.bool_]:
        """Whether an earlier example of the split has the same text, bool (n,)."""
        _, first = np.unique(self.values, return_index=True)
        out = np.ones(len(self.values), dtype=bool)
        out[first] = False
        return out & ~self.empty


def keys_of(split: Dataset) -> Keys:
    """Return the keys of a split, read a batch at a time."""
    columns = [name for name in ("text", "text_pair") if name in split.column_names]
    values, empty = np.empty(len(split), dtype=np.uint64), np.empty(len(split), dtype=bool)
    for start, batch in in_batches(split, columns):
        rows = list(zip(*(column.to_pylist() for column in batch), strict=True))
        stop = start + len(rows)
        values[start:stop] = [digest(*row) for row in rows]
        empty[start:stop] = [not all(text.strip() for text in row) for row in rows]
    return Keys(values, empty, labels_of(split))


def keys_by_split(data: TextData) -> dict[str, Keys]:
    """Return the keys of every split."""
    return {name: keys_of(data.split(name)) for name in SPLITS}


def contradicting(keys: Mapping[str, Keys]) -> dict[str, NDArray[np.bool_]]:
    """Return whether an example's text bears another label elsewhere, in whichever split, bool (n,) of each split."""
    values = np.concatenate([part.values for part in keys.values()])
    labels = np.concatenate([part.labels for part in keys.values()])
    empty = np.concatenate([part.empty for part in keys.values()])
    _, text = np.unique(values, return_inverse=True)
    lowest = np.full(text.max(initial=-1) + 1, np.iinfo(np.int64).max)
    highest = np.full(len(lowest), -1)
    np.minimum.at(lowest, text, labels)
    np.maximum.at(highest, text, labels)
    found = (lowest[text] != highest[text]) & ~empty
    ends = np.cumsum([len(part) for part in keys.values()])[:-1]
    return dict(zip(keys, np.split(found, ends), strict=True))
