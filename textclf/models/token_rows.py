"""Token ids of texts, cut to length or into windows, kept compactly, and padded into batches; without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textclf.models.cuts import head_tail, windows
from textclf.models.options import LongText, Truncation

CHUNK = 1000
"""Texts that are tokenised in one call."""
WINDOWS = "windows"
"""The entry of a batch that says how many of its rows each text has; it is no input of the model."""


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


class Encoded(NamedTuple):
    """What a tokenizer makes of one text, or pair of texts."""

    ids: Sequence[int]
    type_ids: Sequence[int] | None
    """Which text of a pair each token belongs to; none where models have no use for it."""
    is_cut: bool
    """Whether the tokenizer left tokens out."""
    sequences: Callable[[], Sequence[int | None]]
    """Gives 0 and 1 for tokens of the first and second text, none for the tokenizer's own."""


Encode = Callable[[Sequence[str], Sequence[str] | None], Iterable[Encoded]]
"""Takes texts and, of pairs, the second texts; gives each as token ids."""


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
    """Rows as they are gathered."""

    ids: list[NDArray[np.int32]] = field(default_factory=list)
    type_ids: list[NDArray[np.int8]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Rows of each text."""
    num_cut: int = 0


def tokenized(
    encode: Encode, texts: Sequence[str], text_pairs: Sequence[str] | None, lengths: Lengths
) -> TokenizedTexts:
    """Tokenise texts, or pairs of texts, no input longer than allowed.

    Args:
        encode: The tokenizer, which cuts to `lengths.tokenizer_cuts` by itself.
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        lengths: The longest input, and what becomes of longer texts.
    """
    rows = _Rows()
    for start in range(0, len(texts), CHUNK):
        part = slice(start, start + CHUNK)
        for encoded in encode(texts[part], None if text_pairs is None else text_pairs[part]):
            _add(rows, encoded, lengths)
    windowed = lengths.long_text is LongText.sliding_window
    return TokenizedTexts(
        ids=np.concatenate(rows.ids) if rows.ids else np.zeros(0, dtype=np.int32),
        type_ids=np.concatenate(rows.type_ids) if rows.type_ids else None,
        offsets=_bounds([len(row) for row in rows.ids]),
        num_cut=rows.num_cut,
        first_rows=_bounds(rows.counts) if windowed else None,
    )


def _add(rows: _Rows, encoded: Encoded, lengths: Lengths) -> None:
    """Add a text as one row or as its windows."""
    ids, is_cut = np.array(encoded.ids, dtype=np.int32), encoded.is_cut
    kept = [slice(None)]
    if lengths.tokenizer_cuts is None and len(ids) > lengths.max_length:
        sequences = np.array([-1 if s is None else s for s in encoded.sequences()])
        if lengths.long_text is LongText.sliding_window:
            kept = list(windows(sequences, lengths.max_length, lengths.window_overlap, lengths.max_windows))
        else:
            kept = [head_tail(sequences, lengths.max_length)]
        is_cut = len(np.unique(np.concatenate(kept))) < len(ids)
    rows.num_cut += is_cut
    rows.ids += [ids[part] for part in kept]
    if encoded.type_ids is not None:
        type_ids = np.array(encoded.type_ids, dtype=np.int8)
        rows.type_ids += [type_ids[part] for part in kept]
    rows.counts.append(len(kept))


def _bounds(sizes: Sequence[int]) -> NDArray[np.int64]:
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
    spans = [(int(tokens.offsets[row]), int(tokens.offsets[row + 1])) for row in rows]
    width = length or max(stop - start for start, stop in spans)
    shape = (len(spans), width)
    batch = {"input_ids": np.full(shape, pad_ids.token, dtype=np.int64)}
    batch["attention_mask"] = np.zeros(shape, dtype=np.int64)
    if tokens.type_ids is not None:
        batch["token_type_ids"] = np.full(shape, pad_ids.token_type, dtype=np.int64)
    left = pad_ids.side == "left"
    for i, (start, stop) in enumerate(spans):
        place = slice(width - (stop - start), width) if left else slice(0, stop - start)
        batch["input_ids"][i, place] = tokens.ids[start:stop]
        batch["attention_mask"][i, place] = 1
        if tokens.type_ids is not None:
            batch["token_type_ids"][i, place] = tokens.type_ids[start:stop]
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
