"""What a tokenizer makes of texts, and the fastest way to ask for it: the batch call of the tokenizers library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
