"""Texts as sets of short pieces, by which texts that are nearly the same are known."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from textclf.data.scripts import UNSPACED

WORD_GRAM = 3
"""Words in a piece of a long text."""
CHARACTER_GRAM = 5
"""Characters in a piece of a short text."""
CHUNK_CHARACTERS = 4_000_000
"""Characters that are worked on at once."""
_SEPARATOR, _LETTER, _UNSPACED = 0, 1, 2
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))


@dataclass(frozen=True)
class Pieces:
    """The pieces of n texts, end to end in one array."""

    values: NDArray[np.uint64]
    """uint64 (pieces of all texts,): a hash of each piece, the same in every process."""
    offsets: NDArray[np.int64]
    """int64 (n + 1,): text i has `values[offsets[i]:offsets[i + 1]]`."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pieces of each text, int64 (n,)."""
        return np.diff(self.offsets)

    def chosen(self, texts: NDArray[np.bool_]) -> Pieces:
        """Return the pieces of some texts, marked in bool (n,)."""
        counts = self.counts
        return Pieces(self.values[np.repeat(texts, counts)], np.concatenate([[0], np.cumsum(counts[texts])]))

    def of(self, text: int) -> NDArray[np.uint64]:
        """Return the pieces of one text, sorted and each once."""
        return np.unique(self.values[self.offsets[text] : self.offsets[text + 1]])


def normalised(text: str) -> str:
    """Return a text in lower case with single spaces: what two exact duplicates share."""
    return " ".join(text.casefold().split())


def digest(text: str, text_pair: str | None = None) -> int:
    """Return a number of 64 bits that exact duplicates share, and two other texts practically never."""
    said = normalised(text) if text_pair is None else f"{normalised(text)}\0{normalised(text_pair)}"
    return int.from_bytes(blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that puts no spaces between words."""
    return any(low <= ord(character) <= high for low, high in UNSPACED)


def words_of(texts: Sequence[str]) -> Pieces:
    """Return the words of texts: runs of letters and digits in lower case, and each character of unspaced scripts."""
    return _joined([_words(codes, ends) for codes, ends in _chunks(texts)])


def characters_of(texts: Sequence[str]) -> Pieces:
    """Return the characters of texts in lower case, whatever stands between two words as one space."""
    return _joined([_characters(codes, ends) for codes, ends in _chunks(texts)])


def grams(pieces: Pieces, size: int) -> Pieces:
    """Return each piece together with the `size - 1` before it; at the start of a text fewer are before it."""
    counts = pieces.counts
    place = np.arange(len(pieces.values)) - np.repeat(pieces.offsets[:-1], counts)
    combined = pieces.values * _BASE
    for back in range(1, size):
        before = np.zeros_like(pieces.values)
        before[back:] = pieces.values[:-back]
        before[place < back] = 0
        combined = _mixed(combined + before)
    return Pieces(combined, pieces.offsets)


def beside(first: Pieces, second: Pieces) -> Pieces:
    """Return the pieces of pairs of texts; those of the second text differ from those of the first."""
    owner = np.concatenate([np.repeat(np.arange(len(part)), part.counts) for part in (first, second)])
    values = np.concatenate([first.values, _mixed(second.values + np.uint64(1))])
    return Pieces(values[np.argsort(owner, kind="stable")], first.offsets + second.offsets)


def jaccard(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """Return the share of the pieces of two texts that both have, 0 to 1; 1 where neither has any.

    Args:
        first: Pieces of a text, each once, as `Pieces.of` gives them.
        second: Those of the other.
    """
    shared = len(np.intersect1d(first, second, assume_unique=True))
    either = len(first) + len(second) - shared
    return shared / either if either else 1.0


def _chunks(texts: Sequence[str]) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
    """Yield the code points of some texts, each ended by a line break, and where each text ends."""
    start, size = 0, 0
    for stop, text in enumerate(texts, 1):
        size += len(text) + 1
        if size >= CHUNK_CHARACTERS or stop == len(texts):
            lowered = [text.casefold() for text in texts[start:stop]]
            joined = "\n".join(lowered) + "\n"
            codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            yield codes, np.cumsum([len(text) + 1 for text in lowered])
            start, size = stop, 0


def _kinds(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return what each code point is: between words, part of a word, or a word of its own; uint8 (codes,)."""
    present = np.flatnonzero(np.bincount(codes))
    table = np.zeros(int(present[-1]) + 1, dtype=np.uint8)
    for code in present.tolist():
        character = chr(code)
        if character.isalnum() or unicodedata.category(character).startswith("M"):
            table[code] = _UNSPACED if is_unspaced(character) else _LETTER
    return table[codes]


def _words(codes: NDArray[np.uint32], ends: NDArray[np.int64]) -> Pieces:
    """Return the words of one chunk, each hashed by a polynomial of its characters."""
    kinds = _kinds(codes)
    before = np.concatenate([[_SEPARATOR], kinds[:-1]])
    begins = (kinds != _SEPARATOR) & ((kinds == _UNSPACED) | (before != _LETTER))
    starts = np.flatnonzero(begins)
    stops = np.flatnonzero((kinds != _SEPARATOR) & np.concatenate([begins[1:] | (kinds[1:] == _SEPARATOR), [True]])) + 1
    powers = np.cumprod(np.full(len(codes), _BASE, dtype=np.uint64))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers)])
    del powers
    inverses = np.cumprod(np.full(len(codes), _INVERSE, dtype=np.uint64))  # takes a word's place out of its hash
    values = _mixed((sums[stops] - sums[starts]) * inverses[starts])
    return Pieces(values, np.concatenate([[0], np.searchsorted(starts, ends)]))


def _characters(codes: NDArray[np.uint32], ends: NDArray[np.int64]) -> Pieces:
    """Return the characters of one chunk; each text ends with a space."""
    kinds = _kinds(codes)
    before = np.concatenate([[_SEPARATOR], kinds[:-1]])
    kept = np.flatnonzero((kinds != _SEPARATOR) | (before != _SEPARATOR))
    values = np.where(kinds[kept] == _SEPARATOR, 32, codes[kept]).astype(np.uint64)
    return Pieces(_mixed(values + np.uint64(1)), np.concatenate([[0], np.searchsorted(kept, ends)]))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return hashes whose every bit depends on every bit of the values (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _joined(parts: list[Pieces]) -> Pieces:
    """Return the pieces of several chunks as those of one."""
    if not parts:
        return Pieces(np.zeros(0, dtype=np.uint64), np.zeros(1, dtype=np.int64))
    counts = np.concatenate([part.counts for part in parts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pieces(np.concatenate([part.values for part in parts]), offsets)
