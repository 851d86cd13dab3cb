"""Examples of one split that recur in another, word for word or nearly; and the data without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from textclf.audit.near_duplicates import THRESHOLD, NearPairs, near_pairs
from textclf.audit.shingles import digest
from textclf.data.dataset import SPLITS, TextData, answers_of, counts_of, in_batches, texts_of
from textclf.errors import DataError, listed

MOST_MATCHES = 50
"""Exact and near matches that are kept to be shown, of each direction."""
DIRECTIONS = (("train", "test"), ("train", "validation"), ("validation", "test"))
"""Which split may have leaked into which; examples are taken out of the first."""


def find_leakage(
    data: TextData,
    near: bool = True,
    threshold: float = THRESHOLD,
    most_texts: int | None = None,
    keys: Mapping[str, Keys] | None = None,
) -> Leakage:
    """Find the examples that two splits share.

    Exact duplicates differ in case and spaces at most. Near duplicates have at least `threshold` of their pieces in
    common: groups of three words, or of five characters where one of the two texts has fewer than 20 words. MinHash
    proposes pairs and their exact overlap decides. Of pairs of texts both have to match.

    Args:
        data: The three splits.
        near: Look for near duplicates too.
        threshold: Least share of common pieces of near duplicates, 0 to 1.
        most_texts: Number of different texts above which near duplicates are not looked for; none looks always.
        keys: The keys of the splits, where they are known already.
    """
    keys = keys or keys_by_split(data)
    every = np.concatenate([keys[name].values for name in SPLITS])
    split_of = np.repeat(np.arange(len(SPLITS)), [len(keys[name]) for name in SPLITS])
    blank = np.concatenate([keys[name].empty for name in SPLITS])
    _, first, text_of = np.unique(every, return_index=True, return_inverse=True)
    members = np.zeros(len(first), dtype=np.uint8)
    np.bitwise_or.at(members, text_of, (1 << split_of).astype(np.uint8))
    members[text_of[blank]] = 0  # blank texts have nothing that could leak

    pairs, remark = None, ""
    if near and most_texts is not None and len(first) > most_texts:
        near = False
        remark = f"near duplicates were not looked for: {len(first):,} texts are more than {most_texts:,}"
    if near:
        pairs = _near_pairs(data, first, members, threshold)
        if pairs.capped:
            remark = "so many texts resemble each other that not all of them were compared"
    starts = np.concatenate([[0], np.cumsum([len(keys[name]) for name in SPLITS])])
    rows_of = {name: text_of[starts[i] : starts[i + 1]] for i, name in enumerate(SPLITS)}
    leaks = tuple(_leak(source, target, rows_of, members, pairs) for source, target in DIRECTIONS)
    return Leakage(leaks, near, remark)


def _near_pairs(data: TextData, first: NDArray[np.int64], members: NDArray[np.uint8], threshold: float) -> NearPairs:
    """Return near duplicates among the different texts of all splits."""
    columns = [texts_of(data.split(name)) for name in SPLITS]
    texts = [text for part, _ in columns for text in part]
    seconds = [text for _, part in columns for text in part or ()]
    return near_pairs(
        [texts[row] for row in first], [seconds[row] for row in first] if seconds else None, members, threshold
    )


def _leak(
    source: str,
    target: str,
    rows_of: Mapping[str, NDArray[np.int64]],
    members: NDArray[np.uint8],
    pairs: NearPairs | None,
) -> Leak:
    """Return what leaks from one split into another, given the number of each row's text."""
    bits = {name: np.uint8(1 << i) for i, name in enumerate(SPLITS)}
    in_source, in_target = (members & bits[source]) > 0, (members & bits[target]) > 0
    exact = in_source & in_target
    first_row = {name: _first_rows(rows_of[name], len(members)) for name in (source, target)}
    exact_targets = np.flatnonzero(exact[rows_of[target]])
    shown = [rows_of[target][row] for row in exact_targets[: 2 * MOST_MATCHES]]
    exact_matches = [
        Match(int(first_row[source][text]), int(first_row[target][text]), 1.0) for text in dict.fromkeys(shown)
    ]
    near_source = near_target = np.zeros(len(members), dtype=bool)
    near_matches: list[Match] = []
    if pairs is not None:
        one = np.concatenate([pairs.first, pairs.second])
        other = np.concatenate([pairs.second, pairs.first])
        similarity = np.concatenate([pairs.similarity, pairs.similarity])
        across = in_source[one] & in_target[other]
        one, other, similarity = one[across], other[across], similarity[across]
        near_source, near_target = near_source.copy(), near_target.copy()
        near_source[one], near_target[other] = True, True
        fresh = np.flatnonzero(~exact[one] | ~exact[other])
        order = fresh[np.argsort(-similarity[fresh], kind="stable")][:MOST_MATCHES]
        near_matches = [
            Match(int(first_row[source][one[i]]), int(first_row[target][other[i]]), round(float(similarity[i]), 4))
            for i in order
        ]
    return Leak(
        source,
        target,
        exact_rows=np.flatnonzero(exact[rows_of[source]]),
        near_rows=np.flatnonzero((near_source & ~exact)[rows_of[source]]),
        exact_target_rows=exact_targets,
        near_target_rows=np.flatnonzero((near_target & ~exact)[rows_of[target]]),
        exact_matches=tuple(exact_matches[:MOST_MATCHES]),
        near_matches=tuple(near_matches),
    )


def _first_rows(texts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the first row of each text in a split, int64 (count,); -1 where it is not in it."""
    out = np.full(count, -1, dtype=np.int64)
    out[texts[::-1]] = np.arange(len(texts))[::-1]
    return out


def without_leakage(data: TextData, leakage: Leakage) -> TextData:
    """Return data whose train shares nothing with validation and test, and whose validation nothing with test.

    Examples are taken out of train, and out of validation those that recur in test; never out of test.

    Raises:
        DataError: If nothing of a class, or of a split, would be left.
    """
    kept = {}
    for name, rows in (("train", leakage.train_rows), ("validation", leakage.validation_rows)):
        split = data.split(name)
        left = np.setdiff1d(np.arange(len(split)), rows)
        before, after = counts_of(split, data.num_labels), counts_of(split.select(left), data.num_labels)
        if gone := [data.label_names[label] for label in np.flatnonzero((before > 0) & (after == 0))]:
            raise DataError(
                f"{data.name}: {len(rows):,} of {len(split):,} {name} examples recur in another split, and without "
                f"them nothing is left of {listed(gone)} in {name}. Split the data again so that copies of a text lie "
                f"in one split, or set dataset.on_leakage=warn."
            )
        kept[name] = split.select(left) if len(rows) else split
    return replace(data, **kept)


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
    return Keys(values, empty, answers_of(split))


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
