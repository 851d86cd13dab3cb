"""What predicting costs, measured in the same way for every model.

Latency: single examples of the validation split, spread over it, each predicted on its own after a
few that are not counted. Throughput: the whole test split at once, after that warm-up; what takes
an instant is done again until it has taken long enough to be timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from textclf.data.dataset import TextData, texts_of

if TYPE_CHECKING:
    from textclf.models.base import Classifier

T = TypeVar("T")

WARM_UP = 5
"""Single predictions that are not counted."""
SINGLES = 100
"""Single predictions that are timed, unless they take too long."""
FEWEST_SINGLES = 10
SINGLES_SECONDS = 2.0
"""After this time no further single example is predicted, once there are the fewest."""
REPEAT_SECONDS = 0.2
"""Work that is done sooner is repeated, and its median time taken."""
MOST_REPEATS = 7


def latency(classifier: Classifier, data: TextData) -> dict[str, float]:
    """Return the latency of single examples: `latency_median_seconds` and `latency_p95_seconds`."""
    rows = np.linspace(0, len(data.validation) - 1, WARM_UP + SINGLES).astype(int)
    texts, pairs = texts_of(data.validation.select(rows))
    taken: list[float] = []
    begun = time.perf_counter()
    for number, text in enumerate(texts):
        pair = None if pairs is None else [pairs[number]]
        start = time.perf_counter()
        classifier.predict_proba([text], pair)
        end = time.perf_counter()
        if number >= WARM_UP:
            taken.append(end - start)
        if len(taken) >= FEWEST_SINGLES and end - begun > SINGLES_SECONDS:
            break
    median, high = np.percentile(taken, [50, 95])
    return {"latency_median_seconds": float(median), "latency_p95_seconds": float(high)}


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work gives, and its duration in seconds; the median of several where it is short."""
    taken: list[float] = []
    while True:
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
        if sum(taken) >= REPEAT_SECONDS or len(taken) >= MOST_REPEATS:
            return result, float(np.median(taken))
