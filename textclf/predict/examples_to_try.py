"""Short test examples of a run to try its classifier with: surely right, surely wrong, and unsure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as parquet
from pyarrow import ArrowException

from textclf.errors import ArtifactError
from textclf.tracking.record import PREDICTIONS_FILE, refuse_changed

MOST_LOOKED_AT = 2000
"""Test examples among which those to try are looked for."""
LONGEST_EXAMPLE = 200
"""Characters."""


@dataclass(frozen=True)
class Example:
    """A test example to try a classifier with."""

    text: str
    text_pair: str | None
    what: str
    """Why it is shown: `sure and right`, `sure and wrong` or `unsure`."""


def examples(folder: Path) -> list[Example]:
    """Return short test examples of a run: what it was surest of, right and wrong, and what it was least sure of.

    None where the run's predictions are not as the run left them, or hold no text that is short enough.
    """
    path = folder / PREDICTIONS_FILE
    try:
        refuse_changed(folder, PREDICTIONS_FILE)
        rows = next(parquet.ParquetFile(path).iter_batches(batch_size=MOST_LOOKED_AT), None)
    except (ArtifactError, OSError, ArrowException):
        return []
    if rows is None or not {"text", "prediction"} < {*rows.schema.names} & {"text", "label", "labels", "prediction"}:
        return []
    table = rows.to_pandas()
    pairs = "text_pair" in table
    lengths = table["text"].str.len() + (table["text_pair"].str.len() if pairs else 0)
    table = table[lengths.between(1, LONGEST_EXAMPLE)]
    probabilities = table[[name for name in table if name.startswith("probability_")]]
    if "labels" in table:  # as sure as of the label that it is least sure of
        sure = (probabilities - 0.5).abs().min(axis=1) + 0.5
        right = table["labels"].map(set) == table["prediction"].map(set)
    else:
        sure = probabilities.max(axis=1)
        right = table["label"] == table["prediction"]
    chosen = [("sure and right", sure[right].nlargest(1)), ("sure and wrong", sure[~right].nlargest(1))]
    chosen.append(("unsure", sure.nsmallest(1)))
    found: dict[int, Example] = {}
    for what, few in chosen:
        for at in few.index:
            pair = str(table.loc[at, "text_pair"]) if pairs else None
            found.setdefault(at, Example(str(table.loc[at, "text"]), pair, what))
    return list(found.values())
