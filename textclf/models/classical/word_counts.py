"""Words of texts and groups of neighbouring words, as numbers: found, counted and sorted without a string for each.

It is own code because no library counts the same words as scikit-learn's vectorizers any faster than they do: they look
up a string for each word and each group of words, and sort those strings. Here Arrow numbers the words; a group is an
integer made of the numbers of its words, and sorting integers counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csc_array

CHUNK_CHARACTERS = 8_000_000
"""Characters of texts that are worked on at once."""
CHUNK_TEXTS = 1 << 16
"""Most texts that are worked on at once."""
KEY_BITS = 63
_BETWEEN_WORDS = re.compile(r"[^\w\x00-\x7f]+")
_IN_WORD = bytes(chr(code).isalnum() or chr(code) == "_" or code > 127 for code in range(256))
"""Whether a byte of UTF-8 is part of a word, once characters beyond ASCII that are not were taken out."""


@dataclass(frozen=True)
class Tokens:
    """The words of some texts, end to end."""

    ids: NDArray[np.int32]
    """int32 (tokens,): the number of each word; -1 of one that is not known."""
    counts: NDArray[np.int64]
    """int64 (n,): words of each text."""

    @property
    def owners(self) -> NDArray[np.int64]:
        """The text that each word stands in, int64 (tokens,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


@dataclass(frozen=True)
class Spelling:
    """Some texts as UTF-8, end to end, and where their words stand in it."""

    letters: NDArray[np.uint8]
    """uint8 (bytes,)."""
    inside: NDArray[np.bool_]
    """bool (bytes,): which are of words."""
    starts: NDArray[np.int64]
    """int64 (tokens,): the first byte of each word; one that is of no word follows the last."""
    lengths: NDArray[np.int64]
    """int64 (tokens,): bytes of each word."""
    counts: NDArray[np.int64]
    """int64 (n,): words of each text."""


@dataclass(frozen=True)
class Packing:
    """How groups of words become integers that are ordered as their strings: a space comes before all in words."""

    num_words: int
    sizes: tuple[int, int]
    """Fewest and most words of a group."""

    @property
    def word_bits(self) -> int:
        """Bits of a word; 0 stands for none."""
        return self.num_words.bit_length()

    @property
    def text_bits(self) -> int:
        """Bits that are left for the number of a text."""
        return min(KEY_BITS - self.word_bits * self.sizes[1], CHUNK_TEXTS.bit_length() - 1)

    def keys(self, tokens: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the groups of words in the texts whose words are all known, and the text of each: int64 (groups,)."""
        ids, owners = tokens.ids.astype(np.int64) + 1, tokens.owners
        keys, texts = [], []
        for size in range(self.sizes[0], self.sizes[1] + 1):
            count = max(len(ids) - size + 1, 0)
            key, whole = ids[:count], ids[:count] > 0
            for place in range(1, size):
                key = (key << self.word_bits) | ids[place : place + count]
                whole &= ids[place : place + count] > 0
            whole &= owners[:count] == owners[len(ids) - count :]
            keys.append(key[whole] << (self.word_bits * (self.sizes[1] - size)))
            texts.append(owners[:count][whole])
        return np.concatenate(keys), np.concatenate(texts)

    def word(self, keys: NDArray[np.int64], place: int) -> NDArray[np.int64]:
        """Return the number of the word at a place in each group, int64 (groups,); -1 where it has fewer."""
        return ((keys >> (self.word_bits * (self.sizes[1] - 1 - place))) & ((1 << self.word_bits) - 1)) - 1


@dataclass(frozen=True)
class Counts:
    """How often each group of words occurs in each of some texts, by group."""

    keys: NDArray[np.int64]
    """int64 (groups,): ascending, each once."""
    texts_of_key: NDArray[np.int64]
    """int64 (groups,): in how many of the texts each occurs."""
    texts: NDArray[np.int32]
    """int32 (entries,): those texts, ascending for each group."""
    times: NDArray[np.int32]
    """int32 (entries,): how often it occurs there."""
    num_texts: int

    def rows(self, columns: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """Return values, columns and ends of the rows, one for each text.

        Args:
            columns: The column of each group, ascending; -1 leaves it out. int64 (groups,).
        """
        kept = columns >= 0
        entries = np.repeat(kept, self.texts_of_key)
        starts = np.concatenate([[0], np.cumsum(self.texts_of_key[kept])])
        by_group = csc_array(
            (self.times[entries], self.texts[entries], starts), shape=(self.num_texts, int(kept.sum()))
        )
        by_text = by_group.tocsr()
        return by_text.data, columns[kept][by_text.indices], by_text.indptr[1:]


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the texts in parts of bounded size."""
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size >= CHUNK_CHARACTERS or len(part) >= CHUNK_TEXTS:
            yield part
            part, size = [], 0
    if part:
        yield part


def spelling_of(texts: Sequence[str], lowercase: bool) -> Spelling:
    r"""Return where the words of texts stand, two or more of `\w` in a row."""
    parts = []
    for text in texts:
        own = text.lower() if lowercase else text
        parts.append((own if own.isascii() else _BETWEEN_WORDS.sub(" ", own)).encode())
    ends = np.cumsum([len(part) + 1 for part in parts], dtype=np.int64)
    joined = b" " + b" ".join(parts) + b" "
    inside = np.frombuffer(bytearray(joined.translate(_IN_WORD)), dtype=bool)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    letters = np.frombuffer(joined, dtype=np.uint8)
    long = lengths > 1
    if not joined.isascii():  # one character may be of several bytes
        characters = np.cumsum((letters & 0xC0) != 0x80, dtype=np.int32)
        long = characters[starts + lengths - 1] - characters[starts - 1] > 1
    for place in range(4):
        inside[starts[~long & (lengths > place)] + place] = False
    starts, lengths = starts[long], lengths[long]
    return Spelling(letters, inside, starts, lengths, np.diff(np.searchsorted(starts, ends), prepend=0))


def words_of(texts: Sequence[str], lowercase: bool) -> tuple[pa.DictionaryArray, NDArray[np.int64]]:
    r"""Return the words of texts, two or more of `\w` in a row, and how many each text has, int64 (n,)."""
    found = spelling_of(texts, lowercase)
    letters = found.letters[found.inside]
    offsets = np.zeros(len(found.lengths) + 1, dtype=np.int32)
    np.cumsum(found.lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
    return pa.Array.from_buffers(pa.string(), len(found.lengths), buffers).dictionary_encode(), found.counts


def count(tokens: Tokens, packing: Packing) -> Counts:
    """Return how often each group of words occurs in each text; the texts fit in the packing's bits."""
    keys, texts = packing.keys(tokens)
    bits = packing.text_bits
    found = np.sort((keys << bits) | texts)
    first = np.flatnonzero(_changes(found))
    entries = found[first]
    groups = entries >> bits
    begins = np.flatnonzero(_changes(groups))
    return Counts(
        keys=groups[begins],
        texts_of_key=np.diff(begins, append=len(groups)),
        texts=(entries & ((1 << bits) - 1)).astype(np.int32),
        times=np.diff(first, append=len(found)).astype(np.int32),
        num_texts=len(tokens.counts),
    )


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the values, each once and ascending; numpy's own way by hashes takes several times as long."""
    found = np.sort(values)
    return found[_changes(found)]


def _changes(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each value differs from the one before, bool (n,)."""
    out = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=out[1:])
    return out
