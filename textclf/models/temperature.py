"""A temperature on probabilities: less sure above 1, surer below (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tempered(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """Return what a softmax of logits divided by `temperature` would give: float32 (n, num_labels).

    Args:
        probabilities: Those of the undivided logits, (n, num_labels).
        temperature: Above 0.
    """
    smallest = np.finfo(np.float64).tiny
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), smallest)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)
