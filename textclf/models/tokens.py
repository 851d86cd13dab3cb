"""Texts as token ids: kept compactly, and padded into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

CHUNK = 1000
"""Texts that are tokenised in one call."""


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of n texts, end to end in one array."""

    ids: NDArray[np.int32]
    """int32 (tokens of all texts,)."""
    type_ids: NDArray[np.int8] | None
    """int8 of the same shape: which text of a pair each token belongs to; none where models have no use for it."""
    offsets: NDArray[np.int64]
    """int64 (n + 1,): text i is `ids[offsets[i]:offsets[i + 1]]`."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, int64 (n,)."""
        return np.diff(self.offsets)


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    max_length: int,
) -> TokenizedTexts:
    """Tokenise texts, or pairs of texts, keeping at most `max_length` tokens of each.

    Args:
        tokenizer: The checkpoint's tokenizer.
        texts: The n texts, or the first texts of n pairs.
        text_pairs: The second texts of the pairs; none for single texts.
        max_length: Longest input in tokens; the longer text of a pair is cut first.
    """
    ids: list[NDArray[np.int32]] = []
    type_ids: list[NDArray[np.int8]] = []
    lengths: list[int] = []
    for start in range(0, len(texts), CHUNK):
        part = slice(start, start + CHUNK)
        encoded = tokenizer(
            list(texts[part]),
            None if text_pairs is None else list(text_pairs[part]),
            truncation="longest_first",
            max_length=max_length,
            return_attention_mask=False,
        )
        rows = encoded["input_ids"]
        ids.append(np.concatenate([np.array(row, dtype=np.int32) for row in rows]))
        lengths.extend(len(row) for row in rows)
        if "token_type_ids" in encoded:
            type_ids.append(np.concatenate([np.array(row, dtype=np.int8) for row in encoded["token_type_ids"]]))
    return TokenizedTexts(
        ids=np.concatenate(ids) if ids else np.zeros(0, dtype=np.int32),
        type_ids=np.concatenate(type_ids) if type_ids else None,
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
    )


def pad(
    tokenizer: PreTrainedTokenizerBase,
    tokens: TokenizedTexts,
    rows: Sequence[int] | NDArray[np.int64],
    length: int | None = None,
) -> dict[str, torch.Tensor]:
    """Return a batch of texts padded to its longest, or to `length` tokens.

    Returns:
        `input_ids`, `attention_mask` and, for models that use them, `token_type_ids`:
        int64 (len(rows), longest). The padding is on the side where the tokenizer wants it.
    """
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
    return {name: torch.from_numpy(values) for name, values in batch.items()}
