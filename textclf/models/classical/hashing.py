"""Features by hashes of words and groups of words: those of scikit-learn's `HashingVectorizer`, several times as fast.

The hash is scikit-learn's own (MurmurHash3 of the UTF-8 of a group, its words with a space between). It is own code
because scikit-learn's hashes one Python string at a time; here the groups are slices of one array of bytes, hashed
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils import murmurhash3_32

from textclf.models.classical.word_counts import chunks, spelling_of

COVERED = {
    "analyzer": "word",
    "token_pattern": r"(?u)\b\w\w+\b",
    "strip_accents": None,
    "preprocessor": None,
    "tokenizer": None,
    "stop_words": None,
    "input": "content",
}
"""Arguments of a vectorizer that is covered; the others may be anything."""
FEWEST_TEXTS = 8
"""Texts below which scikit-learn's own loop is faster."""
MOST_BYTES = 256
"""Groups of more are hashed one by one."""
_PADDING = 4
_TAILS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=np.uint32)


def is_hashed(vectorizer: Any) -> bool:
    """Whether a vectorizer is one whose features are known here."""
    return (
        type(vectorizer) is HashingVectorizer
        and all(getattr(vectorizer, name) == value for name, value in COVERED.items())
        and vectorizer.dtype in (np.float32, np.float64)
        and 1 <= vectorizer.ngram_range[0] <= vectorizer.ngram_range[1]
    )


def hashed(vectorizer: HashingVectorizer, texts: Sequence[str]) -> csr_matrix:
    """Return the features of texts, exactly those of `vectorizer.transform`: (n, n_features)."""
    if len(texts) < FEWEST_TEXTS:
        return vectorizer.transform(texts)
    parts = [_counted(vectorizer, chunk) for chunk in chunks(texts)]
    values, columns, lengths = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    kind = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    shape = (len(lengths), vectorizer.n_features)
    out = csr_matrix((values, columns.astype(kind, copy=False), starts.astype(kind)), shape=shape)
    out.has_sorted_indices = True
    if vectorizer.binary:
        out.data.fill(1)
    return out if vectorizer.norm is None else normalize(out, norm=vectorizer.norm, copy=False)


def murmurhash(letters: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the MurmurHash3 (32 bits, seed 0) of slices of an array, int32 (m,).

    Args:
        letters: uint8 (bytes,), with 4 more bytes after the last slice.
        starts: Where each slice begins, int64 (m,).
        lengths: Bytes of each, int64 (m,).
    """
    fours = np.ndarray(len(letters) - _PADDING + 1, dtype="<u4", buffer=letters, strides=(1,))
    found = np.zeros(len(starts), dtype=np.uint32)
    long = lengths > MOST_BYTES
    blocks = np.where(long, 0, lengths >> 2)
    left = np.arange(len(starts))
    for block in range(int(blocks.max(initial=0))):
        left = left[blocks[left] > block]
        mixed = found[left] ^ _scrambled(fours[starts[left] + 4 * block])
        found[left] = _rotated(mixed, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    found ^= _scrambled(fours[starts + 4 * blocks] & _TAILS[lengths & 3])
    found ^= lengths.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        found ^= found >> np.uint32(shift)
        found *= np.uint32(factor)
    found ^= found >> np.uint32(16)
    out = found.view(np.int32)
    for row in np.flatnonzero(long).tolist():
        out[row] = murmurhash3_32(letters[starts[row] : starts[row] + lengths[row]].tobytes())
    return out


def _scrambled(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return four bytes each as MurmurHash3 takes them in."""
    return _rotated(values * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _rotated(values: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))


def _counted(
    vectorizer: HashingVectorizer, texts: Sequence[str]
) -> tuple[NDArray[np.floating], NDArray[np.int32], NDArray[np.int64]]:
    """Return the values and columns of some texts in their order, and how many each text has."""
    spelling = spelling_of(texts, vectorizer.lowercase)
    kept, letters = spelling.inside.copy(), spelling.letters.copy()
    after = spelling.starts + spelling.lengths
    kept[after], letters[after] = True, ord(" ")
    letters = np.concatenate([letters[kept], np.zeros(_PADDING, dtype=np.uint8)])
    stops = np.cumsum(spelling.lengths + 1) - 1
    starts, owners = stops - spelling.lengths, np.repeat(np.arange(len(texts)), spelling.counts)
    bits = int(vectorizer.n_features - 1).bit_length()
    entries = []
    for size in range(vectorizer.ngram_range[0], vectorizer.ngram_range[1] + 1):
        count = max(len(starts) - size + 1, 0)
        own, begin = owners[:count], starts[:count]
        whole = own == owners[len(owners) - count :]
        own, begin = own[whole], begin[whole]
        code = murmurhash(letters, begin, stops[len(stops) - count :][whole] - begin).astype(np.int64)
        column = np.abs(code) % vectorizer.n_features
        column[code == -(1 << 31)] = ((1 << 31) - 1 - (vectorizer.n_features - 1)) % vectorizer.n_features
        entries.append((own << (bits + 1)) | (column << 1) | (code < 0))
    found = np.sort(np.concatenate(entries))
    cells = found >> 1
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(first, append=len(cells))
    if vectorizer.alternate_sign:
        negative = np.add.reduceat(found & 1, first) if len(first) else first
        counts = counts - 2 * negative
    cells = cells[first]
    columns = (cells & ((1 << bits) - 1)).astype(np.int32)
    return counts.astype(vectorizer.dtype), columns, np.bincount(cells >> bits, minlength=len(texts))
