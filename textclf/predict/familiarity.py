"""Distance of texts from those that their classifier was tested on: words, lengths, confidence.

Simple figures, each beside the one that the test texts themselves give: no test of whether two collections differ.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError
from textclf.tracking.record import FOLD_COLUMNS, PREDICTIONS_FILE, refuse_changed

log = logging.getLogger(__name__)
WORD = re.compile(r"\w+")
SAMPLE = 2000
"""Texts of each side whose words are looked at."""
FEWEST = 20
"""Fewer texts say nothing."""
MOST_CHARACTERS = 10_000
"""How much of a text is looked at."""


@dataclass
class Seen:
    """What is looked at of the texts that went by."""

    texts: list[str] = field(default_factory=list)
    """The first of them."""
    count: int = 0
    confidence: float = 0.0
    """Sum of the top probabilities."""

    def add(self, texts: Iterable[str], probabilities: NDArray[np.float32]) -> None:
        """Take note of texts and of their probabilities, float32 (n, num_labels)."""
        self.texts += [text[:MOST_CHARACTERS] for text in texts][: SAMPLE - len(self.texts)]
        self.count += len(probabilities)
        self.confidence += float(probabilities.max(axis=1).sum()) if len(probabilities) else 0.0


def familiarity(seen: Seen, run: Path | None) -> str | None:
    """Return in a sentence how far texts are from the test texts of a run; nothing where that cannot be known.

    Args:
        seen: The texts.
        run: The run folder, which has the test predictions.
    """
    path = None if run is None else run / PREDICTIONS_FILE
    if path is None or not path.is_file() or seen.count < FEWEST:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        refuse_changed(path.parent, PREDICTIONS_FILE)
    except ArtifactError as error:
        log.warning("how far these texts are from the test texts is not said: %s", error)
        return None
    try:
        names = [name for name in pq.read_schema(path).names if name.startswith("probability_")]
        table = pq.read_table(path, columns=["text", *names], filters=_first_of(pq.read_schema(path).names))
    except (OSError, pa.ArrowException, KeyError):
        return None
    if len(table) < 2 * FEWEST or not names:
        return None
    rows = np.unique(np.linspace(0, len(table) - 1, min(2 * SAMPLE, len(table))).astype(int))
    tested = [text[:MOST_CHARACTERS] for text in table.column("text").take(rows).to_pylist()]
    confidence = float(np.max([table.column(name).to_numpy() for name in names], axis=0).mean())
    known = {word for text in tested[::2] for word in words(text)}
    expected, unseen = unseen_share(tested[1::2], known), unseen_share(seen.texts, known)
    lengths = [float(np.median([len(words(text)) for text in texts])) for texts in (seen.texts, tested)]
    own = seen.confidence / seen.count
    said = (
        f"beside the {len(table):,} texts that the run was tested on: {unseen:.0%} of the words do not occur in half "
        f"of those (of the other half: {expected:.0%}), the median length is {lengths[0]:.0f} words (there "
        f"{lengths[1]:.0f}), the mean top probability {own:.2f} (there {confidence:.2f})"
    )
    ratio = (lengths[0] + 1) / (lengths[1] + 1)
    differs = unseen > 2 * expected + 0.05 or not 0.4 < ratio < 2.5 or own < confidence - 0.1
    return said + ("; texts so different may be predicted worse than the test scores say" if differs else "")


def _first_of(columns: Iterable[str]) -> list[tuple[str, str, int]] | None:
    """Return what chooses each text once: of a cross-validation the first repeat."""
    return [(FOLD_COLUMNS[0], "=", 1)] if set(FOLD_COLUMNS) <= set(columns) else None


def words(text: str) -> list[str]:
    """Return the words of a text, lowercased."""
    return WORD.findall(text.lower())


def unseen_share(texts: Iterable[str], known: set[str]) -> float:
    """Return the share of the words of texts, 0 to 1, that are not known; 0 of no words."""
    found = [word not in known for text in texts for word in words(text)]
    return sum(found) / max(len(found), 1)
