"""All examples of a dataset in memory, the splits end to end: what the checks of an audit look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.audit.finding import Example, excerpt
from textclf.audit.leakage import Keys, keys_by_split
from textclf.data.dataset import SPLITS, TextData, label_sets_of, labels_of, texts_of

MOST_EXAMPLES = 8
"""Examples that a finding shows."""
NO_LABEL = "no label"
"""Stands for an empty set of labels."""
LANGUAGE = "language"
"""The column of languages, where there is one."""


@dataclass(frozen=True)
class Corpus:
    """The n examples of all splits."""

    data: TextData
    texts: list[str]
    text_pairs: list[str] | None
    """The second texts of pairs; none for single texts."""
    labels: NDArray[np.int64]
    """int64 (n,): the class of each, or the number of its set of labels."""
    sets: NDArray[np.bool_] | None
    """bool (n, num_labels): which labels each has; none where each has one class."""
    split_of: NDArray[np.int64]
    """int64 (n,): index in `SPLITS`."""
    numbers: NDArray[np.int64]
    """int64 (n,): row in the source's own split."""
    languages: list[str] | None
    """Each example's language, where the data says it."""
    keys: dict[str, Keys]

    @classmethod
    def of(cls, data: TextData) -> Corpus:
        """Read all splits into memory."""
        splits = [data.split(name) for name in SPLITS]
        columns = [texts_of(split) for split in splits]
        sets = np.concatenate([label_sets_of(split, data.num_labels) for split in splits]) if data.has_sets else None
        numbered = None if sets is None else np.unique(sets, axis=0, return_inverse=True)[1].reshape(-1)
        has_languages = all(LANGUAGE in split.column_names for split in splits)
        return cls(
            data=data,
            texts=[text for texts, _ in columns for text in texts],
            text_pairs=[text for _, pairs in columns for text in pairs or ()] if data.has_pairs else None,
            labels=np.concatenate([labels_of(split) for split in splits]) if numbered is None else numbered,
            sets=sets,
            split_of=np.repeat(np.arange(len(SPLITS)), [len(split) for split in splits]),
            numbers=np.concatenate([np.asarray(split["example"][:], dtype=np.int64) for split in splits]),
            languages=[str(name) for split in splits for name in split[LANGUAGE]] if has_languages else None,
            keys=keys_by_split(data),
        )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Examples of each split, int64 (3,)."""
        return np.bincount(self.split_of, minlength=len(SPLITS))

    def row(self, split: str, row: int) -> int:
        """Return the number here of a row of a split."""
        return int(self.sizes[: SPLITS.index(split)].sum()) + int(row)

    def whole(self, row: int) -> str:
        """Return an example's text; of a pair both texts with a bar between them."""
        return self.texts[row] if self.text_pairs is None else f"{self.texts[row]} ‖ {self.text_pairs[row]}"

    def counted(self, found: NDArray[np.bool_]) -> dict[str, int]:
        """Return how many examples of each split are marked in a bool (n,) array."""
        return {name: int(found[self.split_of == i].sum()) for i, name in enumerate(SPLITS)}

    def name_of(self, answer: Any) -> str:
        """Return a class by its name, or a set of labels, bool (num_labels,), by the names in it."""
        names = self.data.label_names
        if np.ndim(answer) == 0:
            return names[int(answer)]
        return ", ".join(names[k] for k in np.flatnonzero(answer)) or NO_LABEL

    def label(self, row: int) -> str:
        """Return the class of an example, or its labels, by name."""
        return self.name_of(self.labels[row] if self.sets is None else self.sets[row])

    def example(self, row: int, remark: str = "", around: int = 0) -> Example:
        """Return an example to be shown, cut about a place in its text."""
        return Example(
            split=SPLITS[self.split_of[row]],
            example=int(self.numbers[row]),
            text=excerpt(self.whole(row), around),
            label=self.label(row),
            remark=remark,
        )

    def first_examples(self, rows: Iterable[int]) -> tuple[Example, ...]:
        """Return the first few of some examples to be shown."""
        return tuple(self.example(int(row)) for row in list(rows)[:MOST_EXAMPLES])

    def sample(self, per_split: int, seed: int) -> NDArray[np.int64]:
        """Return at most `per_split` random examples of each split, int64; a smaller sample is part of a larger."""
        rng = np.random.default_rng(seed)
        rows = [rng.permutation(np.flatnonzero(self.split_of == i))[:per_split] for i in range(len(SPLITS))]
        return np.concatenate(rows)
