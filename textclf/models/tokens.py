"""A checkpoint's tokenizer at work: texts to token ids, token ids to batches of tensors."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from textclf.models.token_rows import Encoded, Lengths, PadIds, TokenizedTexts, padded, tokenized

_ONE_AT_A_TIME = threading.Lock()
"""A tokenizer keeps on which side and where it cuts, so threads that share one must take turns."""


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

    def encode(texts: Sequence[str], text_pairs: Sequence[str] | None) -> Iterable[Encoded]:
        encoded = tokenizer(
            list(texts),
            None if text_pairs is None else list(text_pairs),
            truncation=False if lengths.tokenizer_cuts is None else "longest_first",
            max_length=lengths.tokenizer_cuts,
            return_attention_mask=False,
        )
        type_ids = encoded.get("token_type_ids")
        for row, ids in enumerate(encoded["input_ids"]):
            yield Encoded(
                ids,
                None if type_ids is None else type_ids[row],
                bool(encoded.encodings and encoded.encodings[row].overflowing),
                partial(encoded.sequence_ids, row),
            )

    with _ONE_AT_A_TIME, _cutting_side(tokenizer, lengths.cutting_side):
        return tokenized(encode, texts, text_pairs, lengths)


def pad_ids_of(tokenizer: PreTrainedTokenizerBase) -> PadIds:
    """Return what a tokenizer pads with."""
    return PadIds(cast(int, tokenizer.pad_token_id), tokenizer.pad_token_type_id, tokenizer.padding_side)


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
    return {
        name: torch.from_numpy(values) for name, values in padded(pad_ids_of(tokenizer), tokens, texts, length).items()
    }


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
