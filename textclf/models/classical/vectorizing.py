"""Fit scikit-learn's word vectorizers and transform texts by them, several times as fast as they do it themselves.

What is fitted is scikit-learn's own object in the state that it would have put itself in, so that whatever reads,
explains or exports it knows nothing of this. Vectorizers that are not covered are left to themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer

from textclf.models.classical.hashing import hashed, is_hashed
from textclf.models.classical.word_counts import Counts, Packing, Tokens, chunks, count, distinct, words_of

COVERED = {
    "analyzer": "word",
    "token_pattern": r"(?u)\b\w\w+\b",
    "strip_accents": None,
    "preprocessor": None,
    "tokenizer": None,
    "stop_words": None,
    "vocabulary": None,
    "input": "content",
}
"""Arguments of a vectorizer that is covered; the others may be anything."""
DTYPES = (np.int64, np.float64)
FEWEST_BITS = 8
"""Least bits for the number of a text; with fewer, groups of so many words are left to scikit-learn."""
FEWEST_TEXTS = 64
"""Texts below which scikit-learn's own loop is as fast."""
FEATURES_PER_TEXT = 400
"""Features that are indexed in the time that the index saves on a text."""


@dataclass(frozen=True)
class FeatureIndex:
    """The features of a fitted vectorizer by number."""

    words: pa.Array
    """All words that occur in features, ascending."""
    packing: Packing
    keys: NDArray[np.int64]
    """int64 (num_features,): the words of each feature, ascending."""


def is_covered(vectorizer: Any) -> bool:
    """Whether a vectorizer is one whose words and features are known here."""
    return (
        type(vectorizer) in (CountVectorizer, TfidfVectorizer)
        and all(getattr(vectorizer, name) == value for name, value in COVERED.items())
        and vectorizer.dtype in DTYPES
        and 1 <= vectorizer.ngram_range[0] <= vectorizer.ngram_range[1]
    )


def fit_transform(vectorizer: Any, texts: Sequence[str]) -> tuple[csr_matrix, FeatureIndex | None]:
    """Fit a vectorizer in place, and return the features of the texts it was fitted to.

    Counts, features and their order are those of scikit-learn's `fit_transform`; the norm of a row may differ in its
    last bit, since the sum behind it is taken in the order of the features, as in scikit-learn's own `transform`.

    Returns:
        Features (n, num_features), and the index for `transform` where the vectorizer is covered.

    Raises:
        ValueError: As of scikit-learn, such as where no words are left.
    """
    if not is_covered(vectorizer):
        return hashed(vectorizer, texts) if is_hashed(vectorizer) else vectorizer.fit_transform(texts), None
    words, tokens = _numbered(texts, vectorizer.lowercase)
    packing = Packing(len(words), tuple(vectorizer.ngram_range))
    if packing.text_bits < FEWEST_BITS:
        return vectorizer.fit_transform(texts), None
    parts = [count(part, packing) for part in _split(tokens, packing)]
    keys, kept = _select(vectorizer, parts)
    if not kept.any():
        return vectorizer.fit_transform(texts), None  # which says why nothing is left
    columns = np.where(kept, np.cumsum(kept) - 1, -1)
    counts = _assemble(vectorizer, parts, [columns[np.searchsorted(keys, part.keys)] for part in parts])
    index = FeatureIndex(words, packing, keys[kept])
    vectorizer.fixed_vocabulary_ = False
    vectorizer.vocabulary_ = dict(zip(_strings(index), range(len(index.keys)), strict=True))
    if not isinstance(vectorizer, TfidfVectorizer):
        return counts, index
    vectorizer._tfidf = TfidfTransformer(
        norm=vectorizer.norm,
        use_idf=vectorizer.use_idf,
        smooth_idf=vectorizer.smooth_idf,
        sublinear_tf=vectorizer.sublinear_tf,
    )
    vectorizer._tfidf.fit(counts)
    return vectorizer._tfidf.transform(counts, copy=False), index


def transform(vectorizer: Any, texts: Sequence[str], index: FeatureIndex | None) -> csr_matrix:
    """Return the features of texts, exactly those of `vectorizer.transform`: (n, num_features)."""
    if is_hashed(vectorizer):
        return hashed(vectorizer, texts)
    if index is None or len(texts) < FEWEST_TEXTS:
        return vectorizer.transform(texts)
    parts: list[Counts] = []
    columns: list[NDArray[np.int64]] = []
    for chunk in chunks(texts):
        found, lengths = words_of(chunk, vectorizer.lowercase)
        known = pc.fill_null(pc.index_in(found.dictionary, value_set=index.words), -1).to_numpy()
        tokens = Tokens(known[found.indices.to_numpy()], lengths)
        for part in _split([tokens], index.packing):
            counts = count(part, index.packing)
            place = np.minimum(np.searchsorted(index.keys, counts.keys), len(index.keys) - 1)
            parts.append(counts)
            columns.append(np.where(index.keys[place] == counts.keys, place, -1))
    counts = _assemble(vectorizer, parts, columns, len(index.keys))
    return vectorizer._tfidf.transform(counts, copy=False) if isinstance(vectorizer, TfidfVectorizer) else counts


def index_of(vectorizer: Any) -> FeatureIndex | None:
    """Return the index of a fitted vectorizer; none where it is not covered."""
    if not is_covered(vectorizer):
        return None
    vocabulary = vectorizer.vocabulary_
    features = pa.array(sorted(vocabulary, key=vocabulary.__getitem__), pa.string())
    split = pc.split_pattern(features, " ")
    coded = split.flatten().dictionary_encode()
    words, ids = _sorted(coded.dictionary, [coded.indices.to_numpy()])
    packing = Packing(len(words), tuple(vectorizer.ngram_range))
    sizes = pc.list_value_length(split).to_numpy()
    if packing.text_bits < FEWEST_BITS or sizes.max() > packing.sizes[1]:
        return None
    starts = np.cumsum(sizes) - sizes
    keys = np.zeros(len(features), dtype=np.int64)
    for place in range(packing.sizes[1]):
        there = sizes > place
        keys <<= packing.word_bits
        keys[there] |= ids[0][starts[there] + place].astype(np.int64) + 1
    if (keys[1:] <= keys[:-1]).any():
        return None  # not in the order that scikit-learn sorts features in
    return FeatureIndex(words, packing, keys)


def pays(vectorizer: Any, num_texts: int) -> bool:
    """Whether an index is made sooner than it saves on so many texts."""
    return is_covered(vectorizer) and num_texts * FEATURES_PER_TEXT > len(vectorizer.vocabulary_)


def _numbered(texts: Sequence[str], lowercase: bool) -> tuple[pa.Array, list[Tokens]]:
    """Return all words of texts in order, and the texts as numbers of these."""
    found, lengths = [], []
    for chunk in chunks(texts):
        words, counts = words_of(chunk, lowercase)
        found.append(words)
        lengths.append(counts)
    kind = pa.dictionary(pa.int32(), pa.string())
    whole = pa.chunked_array(found, kind).unify_dictionaries()
    if not whole.num_chunks:
        return pa.array([], pa.string()), []
    words, ids = _sorted(whole.chunk(0).dictionary, [chunk.indices.to_numpy() for chunk in whole.chunks])
    return words, [Tokens(*part) for part in zip(ids, lengths, strict=True)]


def _sorted(words: pa.Array, ids: Iterable[NDArray[np.int32]]) -> tuple[pa.Array, list[NDArray[np.int32]]]:
    """Return words in the order of their characters, and numbers of words as numbers in that order."""
    order = pc.sort_indices(words).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return words.take(pa.array(order)), [rank[part] for part in ids]


def _split(tokens: Iterable[Tokens], packing: Packing) -> Iterable[Tokens]:
    """Yield the texts in parts that fit in the packing's bits."""
    most = 1 << packing.text_bits
    for part in tokens:
        ends = np.cumsum(part.counts)
        for start in range(0, len(part.counts), most):
            counts = part.counts[start : start + most]
            first = ends[start] - part.counts[start]
            yield Tokens(part.ids[first : first + counts.sum()], counts)


def _select(vectorizer: Any, parts: Sequence[Counts]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return all groups of words, ascending, and which of them become features: as `CountVectorizer` chooses them."""
    keys = distinct(np.concatenate([part.keys for part in parts]) if parts else np.zeros(0, dtype=np.int64))
    num_texts = sum(part.num_texts for part in parts)
    frequencies = np.zeros(len(keys), dtype=np.int64)
    totals = np.zeros(len(keys), dtype=vectorizer.dtype)
    for part in parts:
        place = np.searchsorted(keys, part.keys)
        frequencies[place] += part.texts_of_key
        if vectorizer.max_features is not None and not vectorizer.binary:
            starts = np.cumsum(part.texts_of_key) - part.texts_of_key
            totals[place] += np.add.reduceat(part.times, starts)
    low, high = (_texts(limit, num_texts) for limit in (vectorizer.min_df, vectorizer.max_df))
    kept = (frequencies >= low) & (frequencies <= high) & (low <= high)
    if vectorizer.max_features is not None and kept.sum() > vectorizer.max_features:
        weights = frequencies.astype(vectorizer.dtype) if vectorizer.binary else totals
        chosen = (-weights[kept]).argsort()[: vectorizer.max_features]
        chosen = np.flatnonzero(kept)[chosen]
        kept = np.zeros(len(keys), dtype=bool)
        kept[chosen] = True
    return keys, kept


def _texts(limit: Any, num_texts: int) -> Any:
    """Return a limit that is given as a number of texts, or as a share of them, as a number."""
    return limit if isinstance(limit, Integral) else limit * num_texts


def _assemble(
    vectorizer: Any, parts: list[Counts], columns: list[NDArray[np.int64]], num_features: int | None = None
) -> csr_matrix:
    """Return the counts of all texts, (n, num_features); the parts are used up."""
    values, indices, lengths = [], [], []
    width = 1 + max((int(own.max(initial=-1)) for own in columns), default=-1)
    while parts:
        own_values, own_indices, ends = parts.pop(0).rows(columns.pop(0))
        values.append(own_values.astype(vectorizer.dtype))
        indices.append(own_indices.astype(np.int32))
        lengths.append(np.diff(ends, prepend=0))
    starts = np.concatenate([[0], *lengths]).cumsum()
    kind = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    data = np.concatenate(values) if values else np.zeros(0, dtype=vectorizer.dtype)
    if vectorizer.binary:
        data.fill(1)
    where = np.concatenate(indices).astype(kind, copy=False) if indices else np.zeros(0, dtype=kind)
    out = csr_matrix((data, where, starts.astype(kind)), shape=(len(starts) - 1, num_features or width))
    out.has_sorted_indices = True
    return out


def _strings(index: FeatureIndex) -> list[str]:
    """Return the features as scikit-learn names them: their words with a space between."""
    out = np.empty(len(index.keys), dtype=object)
    left = np.arange(len(index.keys))
    text = index.words.take(pa.array(index.packing.word(index.keys, 0)))
    for place in range(1, index.packing.sizes[1]):
        word = index.packing.word(index.keys[left], place)
        more = word >= 0
        out[left[~more]] = text.filter(pa.array(~more)).to_numpy(zero_copy_only=False)
        left, text = left[more], text.filter(pa.array(more))
        text = pc.binary_join_element_wise(text, index.words.take(pa.array(word[more])), " ")
    out[left] = text.to_numpy(zero_copy_only=False)
    return out.tolist()
