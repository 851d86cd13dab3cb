"""Token ids that were made before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.models.transformer.encoded import TokenizedTexts
from textclf.system.text_cache import TextCache

DTYPES = {"ids": np.int32, "type_ids": np.int8, "offsets": np.int64, "first_rows": np.int64}
"""The arrays of a file."""


def _arrays(tokens: TokenizedTexts) -> dict[str, NDArray]:
    """Return the arrays of token ids by name."""
    found = {name: getattr(tokens, name) for name in DTYPES}
    return {name: array for name, array in found.items() if array is not None}


def _about(tokens: TokenizedTexts) -> dict[str, Any]:
    return {"num_cut": int(tokens.num_cut)}


def _tokens(arrays: dict[str, NDArray], about: dict[str, Any], num_texts: int) -> TokenizedTexts:
    """Return arrays of a file as token ids, or raise ValueError if they are not what was written."""
    if wrong := [name for name, array in arrays.items() if array.dtype != DTYPES[name] or array.ndim != 1]:
        raise ValueError(f"{wrong[0]} is of another type")
    tokens = TokenizedTexts(
        ids=arrays["ids"],
        type_ids=arrays.get("type_ids"),
        offsets=arrays["offsets"],
        num_cut=int(about["num_cut"]),
        first_rows=arrays.get("first_rows"),
    )
    if len(tokens) != num_texts or tokens.offsets[-1] != len(tokens.ids):
        raise ValueError("it is of other texts")
    return tokens


TOKENS = TextCache(
    name="tokens",
    variable="TEXTCLF_TOKEN_CACHE_MB",
    memory_bytes=64_000_000,
    fewest_texts=500,
    file_seconds=1.0,
    arrays=_arrays,
    about=_about,
    result=_tokens,
)
"""Token ids by tokenizer and texts."""
