"""Arrow tables: as datasets, and some rows of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from numpy.typing import NDArray


def dataset_of(table: pa.Table) -> Dataset:
    """Return a table as a dataset in memory.

    Left to itself, `datasets` names one by a hash of all that is in it, for caches that textclf does not use: of
    500,000 texts of 450 characters that takes 1.4 s and a second copy of them.
    """
    return Dataset(table, fingerprint=generate_random_fingerprint())  # type: ignore[arg-type]


def take_rows(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> pa.ChunkedArray:
    """Return the chosen rows of a column, ascending, as one chunk; the others are not copied."""
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    cuts = np.searchsorted(rows, ends)
    parts, first, done = [], 0, 0
    for chunk, end, cut in zip(column.chunks, ends.tolist(), cuts.tolist(), strict=True):
        if cut > done:
            parts.append(chunk.take(pa.array(rows[done:cut] - first)))
        first, done = end, cut
    return pa.chunked_array([pa.concat_arrays(parts)] if parts else [], column.type)
