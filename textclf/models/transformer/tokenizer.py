"""A checkpoint's tokenizer at work: texts to token ids, token ids to batches of tensors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding, PreTrainedTokenizer, PreTrainedTokenizerBase, TokenizersBackend
from transformers.tokenization_utils_base import PaddingStrategy, TruncationStrategy

from textclf.models.transformer.encoded import (
    Encoded,
    Lengths,
    PadIds,
    TokenizedTexts,
    encoded_by_backend,
    padded,
    tokenized,
)
from textclf.models.transformer.token_cache import TOKENS

_ONE_AT_A_TIME = threading.Lock()
"""A tokenizer keeps on which side and where it cuts, so threads that share one must take turns."""
_WAYS_IN = ("__call__", "_encode_plus")
"""What a kind of tokenizer overrides that has a way of its own."""


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
    with_types = "token_type_ids" in tokenizer.model_input_names
    with _ONE_AT_A_TIME, _cutting_side(tokenizer, lengths.cutting_side):
        plain = _plain(tokenizer)
        if plain is None:
            encode = partial(_encoded_by_transformers, tokenizer, lengths.tokenizer_cuts)
            return tokenized(encode, texts, text_pairs, lengths, with_types)
        encode = partial(encoded_by_backend, _set_up(plain, lengths.tokenizer_cuts))

        def make(some: Sequence[str], pairs: Sequence[str] | None) -> TokenizedTexts:
            return tokenized(encode, some, pairs, lengths, with_types)

        return TOKENS.remembered(partial(_how, plain, lengths, with_types), texts, make, text_pairs)


def _plain(tokenizer: PreTrainedTokenizerBase) -> TokenizersBackend | None:
    """Return a tokenizer that leaves all the work to the `tokenizers` library; some change texts or ids themselves."""
    if not isinstance(tokenizer, TokenizersBackend):
        return None
    own = any(getattr(type(tokenizer), name) is not getattr(TokenizersBackend, name) for name in _WAYS_IN)
    return None if own else tokenizer


def _set_up(tokenizer: TokenizersBackend, cut: int | None) -> tokenizers.Tokenizer:
    """Return what works for a tokenizer, told to cut to so many tokens, as transformers does before each call.

    Its own batch call gives the same ids as that of transformers, which counts characters besides.
    """
    strategy = TruncationStrategy.DO_NOT_TRUNCATE if cut is None else TruncationStrategy.LONGEST_FIRST
    tokenizer.set_truncation_and_padding(PaddingStrategy.DO_NOT_PAD, strategy, cast(int, cut), 0, None, None)
    backend = tokenizer.backend_tokenizer
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def _how(tokenizer: TokenizersBackend, lengths: Lengths, with_types: bool) -> list[str]:
    """Return all that a text's token ids depend on beside the text."""
    backend = tokenizer.backend_tokenizer
    return [
        tokenizers.__version__,
        backend.to_str(),  # vocabulary, rules and where it cuts
        f"{backend.encode_special_tokens} {with_types} {lengths}",
    ]


@dataclass(frozen=True)
class _Row:
    """One text of what transformers returns of several."""

    encoded: BatchEncoding
    row: int

    @property
    def ids(self) -> list[int]:
        return self.encoded["input_ids"][self.row]

    @property
    def type_ids(self) -> list[int]:
        return self.encoded["token_type_ids"][self.row]

    @property
    def overflowing(self) -> Sequence[object]:
        return self.encoded.encodings[self.row].overflowing if self.encoded.encodings else ()

    @property
    def sequence_ids(self) -> list[int | None]:
        return self.encoded.sequence_ids(self.row)


def _encoded_by_transformers(
    tokenizer: PreTrainedTokenizerBase, cut: int | None, texts: Sequence[str], text_pairs: Sequence[str] | None
) -> Sequence[Encoded]:
    """Return the token ids of texts, or pairs of texts, by way of transformers."""
    pairs = None if text_pairs is None else list(text_pairs)
    if isinstance(tokenizer, PreTrainedTokenizer):
        return _encoded_in_python(tokenizer, cut, list(texts), pairs)
    truncation = cut is not None and "longest_first"
    encoded = tokenizer(list(texts), pairs, truncation=truncation, max_length=cut, return_attention_mask=False)
    return [_Row(encoded, row) for row in range(len(texts))]


@dataclass(frozen=True)
class _PythonRow:
    """One text of what a tokenizer written in Python makes of several."""

    ids: list[int]
    type_ids: list[int]
    overflowing: Sequence[object]
    sequence_ids: list[int | None]


def _encoded_in_python(
    tokenizer: PreTrainedTokenizer, cut: int | None, texts: list[str], text_pairs: list[str] | None
) -> list[_PythonRow]:
    """Return the token ids of a tokenizer that does not say which text a token is of, nor whether it cut."""

    def plain(given: list[str]) -> list[list[int]]:
        return tokenizer(given, add_special_tokens=False, return_attention_mask=False)["input_ids"] if given else []

    own = tokenizer.num_special_tokens_to_add(pair=text_pairs is not None)
    seconds = [None] * len(texts) if text_pairs is None else plain(text_pairs)
    rows = []
    for first, second in zip(plain(texts), seconds, strict=True):
        over = 0 if cut is None else max(0, len(first) + len(second or []) + own - cut)
        if over:
            first, second, _ = tokenizer.truncate_sequences(first, second, over, TruncationStrategy.LONGEST_FIRST)
        special = tokenizer.get_special_tokens_mask(first, second)
        order = iter([0] * len(first) + [1] * len(second or []))
        rows.append(
            _PythonRow(
                ids=tokenizer.build_inputs_with_special_tokens(first, second),
                type_ids=tokenizer.create_token_type_ids_from_sequences(first, second),
                overflowing=range(over),
                sequence_ids=[None if own_token else next(order) for own_token in special],
            )
        )
    return rows


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
