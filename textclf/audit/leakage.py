"""Examples of one split that recur in another, word for word or nearly; and the data without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textclf.audit.keys import Keys, keys_by_split
from textclf.audit.leaks import DIRECTIONS, Leak, Leakage, Match
from textclf.audit.near_duplicates import THRESHOLD, NearPairs, near_pairs
from textclf.data.dataset import SPLITS, TextData, labels_of, texts_of
from textclf.errors import DataError, listed

MOST_MATCHES = 50
"""Exact and near matches that are kept to be shown, of each direction."""


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
        labels = labels_of(split)
        before = np.bincount(labels, minlength=data.num_labels)
        after = np.bincount(labels[left], minlength=data.num_labels)
        if gone := [data.label_names[label] for label in np.flatnonzero((before > 0) & (after == 0))]:
            raise DataError(
                f"{data.name}: {len(rows):,} of {len(split):,} {name} examples recur in another split, and without "
                f"them nothing is left of {listed(gone)} in {name}. Split the data anew so that copies of a text lie "
                f"in one split, or set dataset.on_leakage=warn."
            )
        kept[name] = split.select(left) if len(rows) else split
    return replace(data, **kept)
