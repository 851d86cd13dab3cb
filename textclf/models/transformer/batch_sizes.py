"""How many tokens a transformer predicts at a time: fewer where memory is short, as was found out once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from textclf.errors import TextclfError
from textclf.models.transformer.encoded import batches_by_length
from textclf.system.memory import release_memory
from textclf.system.out_of_memory import OutOfMemoryError, brief, is_out_of_memory

log = logging.getLogger(__name__)

TOKENS_PER_BATCH = {"cpu": 2048}
"""Padded tokens of a prediction batch: on CPUs about as many as stay in the cache."""
TOKENS_PER_GPU_BATCH = 65_536

Predict = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass
class FittingBatches:
    """Batches that fit in memory, by the kind of device."""

    tokens: dict[str, int] = field(default_factory=dict)
    """Padded tokens of a batch that were found to fit, where the usual number did not."""

    def in_batches(
        self, predict: Predict, lengths: NDArray[np.int64], pad_length: int | None, device: torch.device
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the rows of each batch and what is predicted for them, in halves for as long as memory runs out.

        Args:
            predict: Takes the numbers of some rows, and returns their probabilities.
            lengths: Tokens of each row, int64 (n,).
            pad_length: Tokens that every row is padded to; none where the batch decides.
            device: Where it is computed.

        Raises:
            OutOfMemoryError: If a single row does not fit.
        """
        kind = device.type
        usual = TOKENS_PER_BATCH.get(kind, TOKENS_PER_GPU_BATCH)
        left = batches_by_length(lengths, self.tokens.get(kind, usual), pad_length)[::-1]
        while left:
            rows = left[-1]
            found = _attempt(predict, rows)
            if not isinstance(found, str):
                left.pop()
                yield rows, found
                continue
            release_memory()
            longest = int(pad_length or lengths[rows[0]])
            if len(rows) == 1:
                raise OutOfMemoryError(
                    f"Out of memory on {kind} in predicting a single text of {longest} tokens ({found}). What would "
                    f"help: a shorter model.max_length, a smaller model (model=distilbert, model=minilm), or more "
                    f"memory; a classifier that is trained already also predicts on a machine without a GPU.",
                    kind,
                )
            self.tokens[kind] = max(1, len(rows) // 2 * longest)
            log.warning(
                "out of memory in predicting %d texts at a time: from here on %s tokens at a time, in place of %s",
                len(rows),
                f"{self.tokens[kind]:,}",
                f"{len(rows) * longest:,}",
            )
            rest = np.concatenate(left[::-1])
            left = [rest[own] for own in batches_by_length(lengths[rest], self.tokens[kind], pad_length)][::-1]


def _attempt(predict: Predict, rows: NDArray[np.int64]) -> NDArray[np.float32] | str:
    """Return what is predicted, or what was said where memory ran out; the error itself would keep memory alive."""
    try:
        return predict(rows)
    except Exception as error:
        if isinstance(error, TextclfError) or not is_out_of_memory(error):
            raise
        return brief(error)
