"""History of the predictions in a session, and its download."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textclf.documents.escape import csv_cell

MOST_KEPT = 500
"""Predictions of a session that are kept; of more, the newest."""


@dataclass(frozen=True)
class Asked:
    """One prediction of a session."""

    time: str
    """ISO 8601 with zone."""
    run: str
    text: str
    label: str
    """The most probable class; of a set the most probable label, given or not."""
    score: float
    """Probability of the label."""
    probabilities: dict[str, float]
    text_pair: str | None = None
    threshold: float | None = None
    """The probability below which it counts as unsure; none takes every label as it is."""
    labels: tuple[str, ...] | None = None
    """The labels that are given, the most probable first; none of single classes."""
    thresholds: dict[str, float] | None = None
    """The probability of each label from which on it is given; none of single classes."""

    @property
    def is_unsure(self) -> bool:
        """Whether the probability of the label lies below the threshold."""
        return self.threshold is not None and self.score < self.threshold

    def row(self) -> dict[str, Any]:
        """Return a row of the download."""
        pair = {} if self.text_pair is None else {"text_pair": self.text_pair}
        known = {"time": self.time, "run": self.run, "text": self.text, **pair}
        if self.labels is not None:
            return known | {"labels": list(self.labels)}
        known |= {"label": self.label}
        unsure = {} if self.threshold is None else {"unsure": self.is_unsure}
        return known | {"score": round(self.score, 6)} | unsure


def kept(history: Sequence[Asked], asked: Asked) -> list[Asked]:
    """Return the history with one more at its start, the oldest dropped where there are too many."""
    return [asked, *history][:MOST_KEPT]


def as_jsonl(history: Sequence[Asked]) -> bytes:
    """Return the history as JSON lines, the newest first, with the probability of every class."""
    rows = [
        one.row() | {"probabilities": {name: round(p, 6) for name, p in one.probabilities.items()}} for one in history
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return text.encode("utf-8", errors="replace")


def as_csv(history: Sequence[Asked]) -> bytes:
    """Return the history as CSV, the newest first; no cell is a formula to a spreadsheet."""
    rows = [{name: _field(value) for name, value in one.row().items()} for one in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode("utf-8-sig", errors="replace")  # the mark tells spreadsheets that it is UTF-8


def _field(value: Any) -> Any:
    """Return a value as a field of CSV: a list as JSON, as the predictions of a file have it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
