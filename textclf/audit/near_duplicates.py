"""Pairs of texts that are nearly the same: MinHash proposes them, the exact overlap decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from textclf.audit.shingles import CHARACTER_GRAM, WORD_GRAM, Pieces, beside, characters_of, grams, jaccard, words_of

THRESHOLD = 0.7
"""Share of their pieces that near duplicates have in common, 0 to 1."""
LONG_WORDS = 20
"""Words from which a text is taken apart into groups of words, and below which into groups of characters."""
BANDS = 16
BAND_ROWS = 4
"""Two texts are compared if all rows of any band agree: at an overlap of 0.7 that is missed by 1 pair in 80, at 0.8 by
1 in 4,000."""
MARGIN = 0.2
"""How far below the threshold the estimated overlap may lie for a pair to be compared (3.5 standard errors)."""
MOST_NEIGHBOURS = 30
"""Texts of one band that each is compared with."""
CHUNK = 4096
"""Texts that are taken apart at once."""
WORDS, CHARACTERS = "words", "characters"
SEED = 1


@dataclass(frozen=True)
class NearPairs:
    """Pairs of near duplicates."""

    first: NDArray[np.int64]
    """int64 (m,): number of the one text."""
    second: NDArray[np.int64]
    """int64 (m,): number of the other, always larger."""
    similarity: NDArray[np.float64]
    """float64 (m,): share of the pieces of both that both have; of pairs of texts the lower of two."""
    capped: bool
    """Whether so many texts resemble each other that not all were compared."""


def near_pairs(
    texts: Sequence[str], text_pairs: Sequence[str] | None, members: NDArray[np.uint8], threshold: float = THRESHOLD
) -> NearPairs:
    """Find near duplicates that do not lie in the same split alone.

    Args:
        texts: The n texts, no two the same.
        text_pairs: The second texts, where the examples are pairs; both have to be near duplicates.
        members: The splits that each text occurs in, one bit each, uint8 (n,).
        threshold: Least share of common pieces, 0 to 1.
    """
    size, signed = _signed(texts, text_pairs, threshold)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    capped = False
    for kind, (rows, signatures) in signed.items():
        if len(rows) < 2:
            continue
        a, b, many = _candidates(signatures, members[rows], threshold)
        capped |= many
        a, b = rows[a], rows[b]
        if kind == CHARACTERS:
            short = np.minimum(size[a], size[b]) < LONG_WORDS
            a, b = a[short], b[short]
        similarity = _overlaps(texts, text_pairs, kind, a, b)
        close = similarity >= threshold
        found.append((a[close], b[close], similarity[close]))
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return NearPairs(nothing, nothing, nothing.astype(np.float64), False)
    one, other, similarity = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return NearPairs(np.minimum(one, other), np.maximum(one, other), similarity, capped)


def _signed(
    texts: Sequence[str], text_pairs: Sequence[str] | None, threshold: float
) -> tuple[NDArray[np.int64], dict[str, tuple[NDArray[np.int64], NDArray[np.uint32]]]]:
    """Return the words of each example, int64 (n,), and for words and characters the rows they suit and their MinHash.

    It is done a chunk at a time, since the pieces of texts take more room than the texts themselves.
    """
    sizes: list[NDArray[np.int64]] = []
    rows: dict[str, list[NDArray[np.int64]]] = {WORDS: [], CHARACTERS: []}
    signatures: dict[str, list[NDArray[np.uint32]]] = {WORDS: [], CHARACTERS: []}
    for start in range(0, len(texts), CHUNK):
        columns = [texts[start : start + CHUNK]]
        columns += [] if text_pairs is None else [text_pairs[start : start + CHUNK]]
        words = [words_of(column) for column in columns]
        size = np.sum([part.counts for part in words], axis=0)
        long = size >= LONG_WORDS
        short = (size > 0) & (size < LONG_WORDS / threshold)  # one just above the limit may resemble one just below
        by_words = [grams(part.chosen(long), WORD_GRAM) for part in words]
        kept = np.flatnonzero(short).tolist()
        by_characters = [_pieces([column[row] for row in kept], CHARACTERS) for column in columns]
        for kind, chosen, parts in ((WORDS, long, by_words), (CHARACTERS, short, by_characters)):
            rows[kind].append(start + np.flatnonzero(chosen))
            signatures[kind].append(_signatures(parts[0] if len(parts) == 1 else beside(*parts)))
        sizes.append(size)
    if not sizes:
        return np.zeros(0, dtype=np.int64), {}
    return np.concatenate(sizes), {
        kind: (np.concatenate(rows[kind]), np.concatenate(signatures[kind])) for kind in rows
    }


def _pieces(texts: Sequence[str], kind: str) -> Pieces:
    """Return groups of words, or of characters."""
    return grams(words_of(texts), WORD_GRAM) if kind == WORDS else grams(characters_of(texts), CHARACTER_GRAM)


def _signatures(pieces: Pieces) -> NDArray[np.uint32]:
    """Return the MinHash of each text, uint32 (n, bands × rows)."""
    size = BANDS * BAND_ROWS
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(pieces.values, pieces.offsets.astype(np.uint64), size, SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(-1, size)


def _candidates(
    signatures: NDArray[np.uint32], members: NDArray[np.uint8], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Return the pairs that agree in a band and, estimated, nearly reach the threshold; and whether some were left."""
    count = len(signatures)
    shuffled = np.random.default_rng(SEED).permutation(count)  # so that a crowded band is not compared split by split
    seen = np.zeros(0, dtype=np.int64)
    capped = False
    for band in range(BANDS):
        rows = np.ascontiguousarray(signatures[shuffled, band * BAND_ROWS : (band + 1) * BAND_ROWS])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * BAND_ROWS))).ravel()
        _, inverse = np.unique(keys, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        ranked, texts = inverse[order], shuffled[order]
        for shift in range(1, min(MOST_NEIGHBOURS + 1, count)):
            same = ranked[shift:] == ranked[:-shift]
            if not same.any():
                break
            one, other = texts[shift:][same], texts[:-shift][same]
            apart = np.bitwise_count(members[one] | members[other]) > 1
            one, other = one[apart], other[apart]
            likely = _agreement(signatures, one, other) >= threshold - MARGIN
            pairs = np.minimum(one, other)[likely] * count + np.maximum(one, other)[likely]
            seen = np.union1d(seen, pairs)
        else:
            capped |= count > MOST_NEIGHBOURS + 1
    return seen // count, seen % count, capped


def _agreement(
    signatures: NDArray[np.uint32], one: NDArray[np.int64], other: NDArray[np.int64], chunk: int = 100_000
) -> NDArray[np.float64]:
    """Return the estimated overlap of pairs, float64 (m,)."""
    parts = [
        (signatures[one[start : start + chunk]] == signatures[other[start : start + chunk]]).mean(axis=1)
        for start in range(0, len(one), chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _overlaps(
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    kind: str,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the exact overlap of pairs of examples, float64 (m,); of pairs of texts the lower of the two."""
    involved, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    one, other = place[: len(a)].tolist(), place[len(a) :].tolist()
    measured = []
    columns: list[Sequence[str]] = [texts] if text_pairs is None else [texts, text_pairs]
    for column in columns:
        pieces = _pieces([column[int(row)] for row in involved], kind)
        of = [pieces.of(number) for number in range(len(involved))]
        measured.append([jaccard(of[i], of[j]) for i, j in zip(one, other, strict=True)])
    return np.min(np.array(measured, dtype=np.float64), axis=0)
