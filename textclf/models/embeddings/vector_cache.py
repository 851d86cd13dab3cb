"""Embeddings that were made before.

What it took to make them is kept with them, and counts as if they were made again: a run's costs do not depend on what
ran before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.system.text_cache import TextCache


def _arrays(vectors: NDArray[np.float32]) -> dict[str, NDArray]:
    return {"vectors": vectors}


def _about(vectors: NDArray[np.float32]) -> dict[str, Any]:
    return {}


def _vectors(arrays: dict[str, NDArray], about: dict[str, Any], num_texts: int) -> NDArray[np.float32]:
    """Return the vectors of a file, or raise ValueError if it holds none of so many texts."""
    vectors = arrays["vectors"]
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != num_texts:
        raise ValueError("it holds no vectors of these texts")
    return vectors


VECTORS = TextCache(
    name="embeddings",
    variable="TEXTCLF_EMBEDDING_CACHE_MB",
    memory_bytes=512_000_000,
    fewest_texts=8,
    file_seconds=0.5,
    arrays=_arrays,
    about=_about,
    result=_vectors,
    chosen=lambda vectors, rows: vectors[rows],
)
"""Embeddings, float32 (n, size), by encoder and texts."""
