"""Texts as token ids: cut to length or into windows, kept compactly, and padded into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

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
    lengths: list[int] = field(default_factory=list)
    """Tokens of each row."""
    counts: list[int] = field(default_factory=list)
    """Rows of each text."""
    num_cut: int = 0


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    lengths: Lengths,
) -> TokenizedTexts:
    """Tokenise texts, or pairs of texts, no input longer than allowed.

    Args:
        tokenizer: The checkpoint's tokenizer.
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        lengths: The longest input, and what becomes of longer texts.
    """
    rows = _Rows()
    whole = lengths.truncation is Truncation.head_tail or lengths.long_text is LongText.sliding_window
    for start in range(0, len(texts), CHUNK):
        part = slice(start, start + CHUNK)
        pairs = None if text_pairs is None else list(text_pairs[part])
        with _cutting_side(tokenizer, "left" if lengths.truncation is Truncation.tail else "right"):
            encoded = tokenizer(
                list(texts[part]),
                pairs,
                truncation=False if whole else "longest_first",
                max_length=None if whole else lengths.max_length,
                return_attention_mask=False,
            )
        _gather(rows, encoded, lengths if whole else None)
    windowed = lengths.long_text is LongText.sliding_window
    return TokenizedTexts(
        ids=np.concatenate(rows.ids) if rows.ids else np.zeros(0, dtype=np.int32),
        type_ids=np.concatenate(rows.type_ids) if rows.type_ids else None,
        offsets=_bounds(rows.lengths),
        num_cut=rows.num_cut,
        first_rows=_bounds(rows.counts) if windowed else None,
    )


def _gather(rows: _Rows, encoded: Any, lengths: Lengths | None) -> None:
    """Add the rows of one call of the tokenizer, cut to these lengths; none leaves them as they are."""
    type_ids = encoded.get("token_type_ids")
    new_ids, new_type_ids = [], []
    for text, ids in enumerate(encoded["input_ids"]):
        left_out = bool(encoded.encodings and encoded.encodings[text].overflowing)
        row, kept = np.array(ids, dtype=np.int32), [np.arange(len(ids))]
        if lengths is not None and len(ids) > lengths.max_length:
            sequences = np.array([-1 if s is None else s for s in encoded.sequence_ids(text)])
            if lengths.long_text is LongText.sliding_window:
                kept = list(windows(sequences, lengths.max_length, lengths.window_overlap, lengths.max_windows))
            else:
                kept = [head_tail(sequences, lengths.max_length)]
            left_out = len(np.unique(np.concatenate(kept))) < len(ids)
        rows.num_cut += left_out
        new_ids += [row[part] for part in kept]
        if type_ids is not None:
            new_type_ids += [np.array(type_ids[text], dtype=np.int8)[part] for part in kept]
        rows.counts.append(len(kept))
    rows.lengths += [len(row) for row in new_ids]
    rows.ids.append(np.concatenate(new_ids))
    if type_ids is not None:
        rows.type_ids.append(np.concatenate(new_type_ids))


def _bounds(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return where parts of these sizes begin and end: int64 (len(sizes) + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)


@contextmanager
def _cutting_side(tokenizer: PreTrainedTokenizerBase, side: str) -> Iterator[None]:
    """Let the tokenizer cut texts on this side inside the context."""
    before, tokenizer.truncation_side = tokenizer.truncation_side, side
    try:
        yield
    finally:
        tokenizer.truncation_side = before


def pad(
    tokenizer: PreTrainedTokenizerBase,
    tokens: TokenizedTexts,
    texts: Sequence[int] | NDArray[np.int64],
    length: int | None = None,
) -> dict[str, torch.Tensor]:
    """Return a batch of texts padded to its longest row, or to `length` tokens.

    Returns:
        `input_ids`, `attention_mask` and, for models that use them, `token_type_ids`: int64 (rows, longest).
        The padding is on the side where the tokenizer wants it. Where texts are cut into windows, a text has
        several rows, and `windows`, int64 (len(texts),), says how many.
    """
    rows, counts = tokens.rows_of(texts)
    spans = [(int(tokens.offsets[row]), int(tokens.offsets[row + 1])) for row in rows]
    width = length or max(stop - start for start, stop in spans)
    shape = (len(spans), width)
    batch = {"input_ids": np.full(shape, tokenizer.pad_token_id, dtype=np.int64)}
    batch["attention_mask"] = np.zeros(shape, dtype=np.int64)
    if tokens.type_ids is not None:
        batch["token_type_ids"] = np.full(shape, tokenizer.pad_token_type_id, dtype=np.int64)
    left = tokenizer.padding_side == "left"
    for i, (start, stop) in enumerate(spans):
        place = slice(width - (stop - start), width) if left else slice(0, stop - start)
        batch["input_ids"][i, place] = tokens.ids[start:stop]
        batch["attention_mask"][i, place] = 1
        if tokens.type_ids is not None:
            batch["token_type_ids"][i, place] = tokens.type_ids[start:stop]
    if tokens.first_rows is not None:
        batch[WINDOWS] = counts
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def pool_windows(logits: torch.Tensor, counts: torch.Tensor | None) -> torch.Tensor:
    """Return the mean logits of each text's windows.

    Args:
        logits: (rows, num_labels).
        counts: int64 (n,), how many rows each text has, one text after the other; none for one each.

    Returns:
        (n, num_labels), in the arithmetic of `logits` or float32, whichever is finer.
    """
    if counts is None:
        return logits
    texts = torch.arange(len(counts), device=logits.device)
    owners = torch.repeat_interleave(texts, counts, output_size=len(logits))
    sums = torch.zeros(len(counts), logits.shape[1], device=logits.device).index_add(0, owners, logits.float())
    return sums / counts[:, None]
