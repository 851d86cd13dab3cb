"""Which tokens of a text that is too long are read: its head and tail, or windows over it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HEAD_SHARE = 0.25
"""Share of the room that `head_tail` gives to the head (Sun et al. 2019: 128 of 510 tokens)."""


def head_tail(sequences: NDArray[np.int64], max_length: int) -> NDArray[np.int64]:
    """Return which tokens to keep, the beginning and the end of each text.

    Args:
        sequences: int64 (tokens,): 0 and 1 for tokens of the first and second text, -1 for the tokenizer's own.
        max_length: Most tokens to keep, the tokenizer's own among them.

    Returns:
        Positions, int64 (at most max_length,), ascending.
    """
    own, first, second = (np.flatnonzero(sequences == kind) for kind in (-1, 0, 1))
    rooms = _shared_out(len(first), len(second), max(max_length - len(own), 0))
    kept = [own]
    for positions, room in zip((first, second), rooms, strict=True):
        head = len(positions) if len(positions) <= room else int(room * HEAD_SHARE)
        tail = min(room, len(positions)) - head
        kept += [positions[:head], positions[len(positions) - tail :]]
    return np.sort(np.concatenate(kept))


def windows(sequences: NDArray[np.int64], max_length: int, overlap: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Yield which tokens each window reads; of a pair, a part of the first text and all of the second.

    A second text that takes more than half of the room is cut to that.

    Args:
        sequences: int64 (tokens,): 0 and 1 for tokens of the first and second text, -1 for the tokenizer's own.
        max_length: Most tokens of a window, the tokenizer's own among them.
        overlap: Tokens of the first text that a window shares with the one before.
        most: Most windows; of more, this many are spread evenly, the first and the last among them.
    """
    own, first, second = (np.flatnonzero(sequences == kind) for kind in (-1, 0, 1))
    room = max(max_length - len(own), 1)
    if len(first) + len(second) > room:
        second = second[: max(room // 2, room - len(first))]
    size = max(room - len(second), 1)
    step = max(size - overlap, 1)
    starts = np.arange(0, max(len(first) - overlap, 1), step)
    if len(starts) > most:
        starts = starts[np.unique(np.linspace(0, len(starts) - 1, most).round().astype(int))]
    for start in starts:
        begin = max(0, min(start, len(first) - size))  # the last window is full too
        yield np.sort(np.concatenate([own, first[begin : begin + size], second]))


def _shared_out(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the room of each text of a pair, cutting the longer one first."""
    if first + second <= room:
        return first, second
    shorter = min(first, second, room // 2)
    return (shorter, room - shorter) if first <= second else (room - shorter, shorter)
