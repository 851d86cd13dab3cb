"""Encoded texts: token ids, cut to length or into windows, kept compactly and padded into batches; without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textclf.models.options import LEAST_TOKENS, MOST_TOKENS, LongText, Truncation

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from textclf.models.saved import Fields

CHUNK = 1000
"""Texts that are tokenised in one call."""
WINDOWS = "windows"
"""The entry of a batch that says how many of its rows each text has; it is no input of the model."""
HEAD_SHARE = 0.25
"""Share of the room that `head_tail` gives to the head (Sun et al. 2019: 128 of 510 tokens)."""


@dataclass(frozen=True)
class Lengths:
    """How long the inputs of a model may be, and what becomes of longer texts."""

    max_length: int = 128
    """Longest input, in tokens; the longer text of a pair is cut first."""
    truncation: Truncation = Truncation.head
    long_text: LongText = LongText.truncate
    window_overlap: int = 32
    max_windows: int = 8

    @property
    def tokenizer_cuts(self) -> int | None:
        """The length, in tokens, that the tokenizer itself cuts to; none where tokens are chosen afterwards."""
        whole = self.truncation is Truncation.head_tail or self.long_text is LongText.sliding_window
        return None if whole else self.max_length

    @property
    def cutting_side(self) -> str:
        """The side on which the tokenizer cuts: `left` or `right`."""
        return "left" if self.truncation is Truncation.tail else "right"


def read_lengths(given: Fields) -> Lengths:
    """Return the lengths that a saved classifier is to be used with; what older ones do not say is the usual.

    Raises:
        ArtifactError: If one is none that a model could be trained with.
    """
    usual = Lengths()
    max_length = given.count("max_length", LEAST_TOKENS, MOST_TOKENS)
    long_text = given.choice("long_text", LongText, usual.long_text)
    most = max_length // 2 if long_text is LongText.sliding_window else MOST_TOKENS
    return Lengths(
        max_length=max_length,
        truncation=given.choice("truncation", Truncation, usual.truncation),
        long_text=long_text,
        window_overlap=given.count("window_overlap", 0, most, usual.window_overlap),
        max_windows=given.count("max_windows", 1, MOST_TOKENS, usual.max_windows),
    )


@dataclass(frozen=True)
class PadIds:
    """What a batch is padded with, and where."""

    token: int
    token_type: int
    side: str
    """`left` or `right`."""


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of the rows of n texts, end to end in one array; a text that is not cut into windows is one row."""

    ids: NDArray[np.int32]
    """int32 (tokens of all rows,)."""
    type_ids: NDArray[np.int8] | None
    """int8 of the same shape: which text of a pair each token belongs to; none where models have no use for it."""
    offsets: NDArray[np.int64]
    """int64 (rows + 1,): row i is `ids[offsets[i]:offsets[i + 1]]`."""
    num_cut: int = 0
    """Texts of which tokens were left out."""
    first_rows: NDArray[np.int64] | None = None
    """int64 (n + 1,): text i has the rows `first_rows[i]` to before `first_rows[i + 1]`; none for one row a text."""

    def __len__(self) -> int:
        return len(self.offsets if self.first_rows is None else self.first_rows) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, those of all its windows together: int64 (n,)."""
        return np.diff(self.offsets if self.first_rows is None else self.offsets[self.first_rows])

    def rows_of(self, texts: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of some texts one after the other, and how many each text has."""
        chosen = np.asarray(texts, dtype=np.int64)
        if self.first_rows is None:
            return chosen, np.ones(len(chosen), dtype=np.int64)
        starts, counts = self.first_rows[chosen], np.diff(self.first_rows)[chosen]
        return np.concatenate([np.arange(s, s + c) for s, c in zip(starts, counts, strict=True)]), counts


@dataclass
class _Rows:
    """Rows as they are gathered, a chunk of texts at a time."""

    ids: list[NDArray[np.int32]] = field(default_factory=list)
    type_ids: list[NDArray[np.int8]] = field(default_factory=list)
    sizes: list[NDArray[np.int64]] = field(default_factory=list)
    """Tokens of each row."""
    counts: list[NDArray[np.int64]] = field(default_factory=list)
    """Rows of each text."""
    num_cut: int = 0


def tokenized(
    encode: Encode,
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    lengths: Lengths,
    with_types: bool,
) -> TokenizedTexts:
    """Tokenise texts, or pairs of texts, no input longer than allowed.

    Args:
        encode: The tokenizer, which cuts to `lengths.tokenizer_cuts` by itself.
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        lengths: The longest input, and what becomes of longer texts.
        with_types: Whether the model reads which text of a pair a token belongs to.
    """
    rows = _Rows()
    for start in range(0, len(texts), CHUNK):
        part = slice(start, start + CHUNK)
        encoded = encode(texts[part], None if text_pairs is None else text_pairs[part])
        ids = [row.ids for row in encoded]
        types = [row.type_ids for row in encoded] if with_types else None
        if lengths.tokenizer_cuts is not None:
            rows.num_cut += sum(bool(row.overflowing) for row in encoded)
            _add(rows, ids, types)
        elif max(map(len, ids)) <= lengths.max_length:
            _add(rows, ids, types)
        else:
            _add_cut(rows, encoded, types, lengths)
    windowed = lengths.long_text is LongText.sliding_window
    return TokenizedTexts(
        ids=_end_to_end(rows.ids, np.int32),
        type_ids=_end_to_end(rows.type_ids, np.int8) if rows.type_ids else None,
        offsets=_bounds(_end_to_end(rows.sizes, np.int64)),
        num_cut=rows.num_cut,
        first_rows=_bounds(_end_to_end(rows.counts, np.int64)) if windowed else None,
    )


def _add(rows: _Rows, ids: list[list[int]], types: list[list[int]] | None) -> None:
    """Add texts as one row each."""
    sizes = np.fromiter(map(len, ids), np.int64, len(ids))
    total = int(sizes.sum())
    rows.ids.append(np.fromiter(chain.from_iterable(ids), np.int32, total))
    if types is not None:
        rows.type_ids.append(np.fromiter(chain.from_iterable(types), np.int8, total))
    rows.sizes.append(sizes)
    rows.counts.append(np.ones(len(ids), dtype=np.int64))


def _add_cut(rows: _Rows, encoded: Sequence[Encoded], types: list[list[int]] | None, lengths: Lengths) -> None:
    """Add texts as one row each or as their windows, some of them too long."""
    for number, row in enumerate(encoded):
        ids, kept = np.array(row.ids, dtype=np.int32), [slice(None)]
        if len(ids) > lengths.max_length:
            sequences = np.array([-1 if s is None else s for s in row.sequence_ids])
            if lengths.long_text is LongText.sliding_window:
                kept = list(windows(sequences, lengths.max_length, lengths.window_overlap, lengths.max_windows))
            else:
                kept = [head_tail(sequences, lengths.max_length)]
            rows.num_cut += len(np.unique(np.concatenate(kept))) < len(ids)
        parts = [ids[part] for part in kept]
        rows.ids += parts
        if types is not None:
            type_ids = np.array(types[number], dtype=np.int8)
            rows.type_ids += [type_ids[part] for part in kept]
        rows.sizes.append(np.array([len(part) for part in parts], dtype=np.int64))
        rows.counts.append(np.array([len(parts)], dtype=np.int64))


def _end_to_end(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    """Return arrays as one, also where there are none."""
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)


def _bounds(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where parts of these sizes begin and end: int64 (len(sizes) + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)


def padded(
    pad_ids: PadIds, tokens: TokenizedTexts, texts: Sequence[int] | NDArray[np.int64], length: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """Return a batch of texts padded to its longest row, or to `length` tokens.

    Returns:
        `input_ids`, `attention_mask` and, for models that use them, `token_type_ids`: int64 (rows, longest). Where
        texts are cut into windows, a text has several rows, and `windows`, int64 (len(texts),), says how many.
    """
    rows, counts = tokens.rows_of(texts)
    starts = tokens.offsets[rows]
    sizes = tokens.offsets[rows + 1] - starts
    width = length or int(sizes.max())
    columns = np.arange(width)
    filled = columns >= width - sizes[:, None] if pad_ids.side == "left" else columns < sizes[:, None]
    before = np.cumsum(sizes) - sizes
    places = np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))  # where the rows' tokens stand
    batch = {"input_ids": np.full(filled.shape, pad_ids.token, dtype=np.int64)}
    batch["input_ids"][filled] = tokens.ids[places]
    batch["attention_mask"] = filled.astype(np.int64)
    if tokens.type_ids is not None:
        batch["token_type_ids"] = np.full(filled.shape, pad_ids.token_type, dtype=np.int64)
        batch["token_type_ids"][filled] = tokens.type_ids[places]
    if tokens.first_rows is not None:
        batch[WINDOWS] = counts
    return batch


def batches_by_length(lengths: NDArray[np.int64], tokens: int, pad_length: int | None) -> list[NDArray[np.int64]]:
    """Return row numbers in batches of similar length, the longest first.

    Args:
        lengths: Tokens of each text, int64 (n,).
        tokens: Most tokens of a batch, padding included; a longer text is a batch of its own.
        pad_length: Tokens that every text is padded to; none where the batch decides.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // int(pad_length or lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def head_tail(sequences: NDArray[np.int64], max_length: int) -> NDArray[np.int64]:
    """Return which tokens to keep, the beginning and the end of each text.

    Args:
        sequences: int64 (tokens,): 0 and 1 for tokens of the first and second text, -1 for the tokenizer's own.
        max_length: Most tokens to keep, the tokenizer's own among them.

    Returns:
        Positions, int64 (at most max_length,), ascending.
    """
    own, first, second = (np.flatnonzero(sequences == kind) for kind in (-1, 0, 1))
    rooms = _shared_out(len(first), len(second), max(max_length - len(own), 0))
    kept = [own]
    for positions, room in zip((first, second), rooms, strict=True):
        head = len(positions) if len(positions) <= room else int(room * HEAD_SHARE)
        tail = min(room, len(positions)) - head
        kept += [positions[:head], positions[len(positions) - tail :]]
    return np.sort(np.concatenate(kept))


def windows(sequences: NDArray[np.int64], max_length: int, overlap: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Yield which tokens each window reads; of a pair, a part of the first text and all of the second.

    A second text that takes more than half of the room is cut to that.

    Args:
        sequences: int64 (tokens,): 0 and 1 for tokens of the first and second text, -1 for the tokenizer's own.
        max_length: Most tokens of a window, the tokenizer's own among them.
        overlap: Tokens of the first text that a window shares with the one before.
        most: Most windows; of more, this many are spread evenly, the first and the last among them.
    """
    own, first, second = (np.flatnonzero(sequences == kind) for kind in (-1, 0, 1))
    room = max(max_length - len(own), 1)
    if len(first) + len(second) > room:
        second = second[: max(room // 2, room - len(first))]
    size = max(room - len(second), 1)
    step = max(size - overlap, 1)
    starts = np.arange(0, max(len(first) - overlap, 1), step)
    if len(starts) > most:
        starts = starts[np.unique(np.linspace(0, len(starts) - 1, most).round().astype(int))]
    for start in starts:
        begin = max(0, min(start, len(first) - size))  # the last window is full too
        yield np.sort(np.concatenate([own, first[begin : begin + size], second]))


def _shared_out(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the room of each text of a pair, cutting the longer one first."""
    if first + second <= room:
        return first, second
    shorter = min(first, second, room // 2)
    return (shorter, room - shorter) if first <= second else (room - shorter, shorter)


class Encoded(Protocol):
    """What a tokenizer makes of one text, or pair of texts; `tokenizers.Encoding` is one."""

    @property
    def ids(self) -> list[int]:
        """Token ids, the tokenizer's own among them."""
        ...

    @property
    def type_ids(self) -> list[int]:
        """Which text of a pair each token belongs to."""
        ...

    @property
    def overflowing(self) -> Sequence[object]:
        """What the tokenizer left out; empty where it left out nothing."""
        ...

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 and 1 for tokens of the first and second text, none for the tokenizer's own."""
        ...


Encode = Callable[[Sequence[str], Sequence[str] | None], Sequence[Encoded]]
"""Takes texts and, of pairs, the second texts; gives each as token ids."""


def encoded_by_backend(backend: Tokenizer, texts: Sequence[str], text_pairs: Sequence[str] | None) -> Sequence[Encoded]:
    """Return the token ids of texts, or pairs of texts, with all cores, cut as the tokenizer was told."""
    given = list(texts) if text_pairs is None else list(zip(texts, text_pairs, strict=True))
    return backend.encode_batch_fast(given)
