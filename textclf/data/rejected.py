"""The rows that cannot be used: counted by cause, written down, and too many of them refused."""

from __future__ import annotations

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from textclf.errors import DataError

log = logging.getLogger(__name__)

REJECTED_FILE = "rejected.jsonl"
START_CHARACTERS = 200
"""How much of a rejected row is kept."""
MAX_WRITTEN = 100_000
"""Rejected rows written down per split; further ones are counted only."""

NOT_JSON = "invalid JSON"
NOT_AN_OBJECT = "not a JSON object"
RAGGED = "wrong number of fields"
NOT_UTF8 = "not UTF-8"
NOT_DECODED = "not of the encoding"
NUL = "NUL byte"
HALF_CHARACTER = "half a surrogate pair"
NO_TEXT = "no text"
NOT_A_TEXT = "text is not a string"
TOO_LONG = "text too long"
NO_LABEL = "no label"
NOT_A_LABEL = "label is not a class"
UNKNOWN_LABEL = "unknown label"
NOT_MAPPED = "label left out by label_map"
RARE_LABEL = "class too rare"
NOT_ACCEPTED = "not accepted by the annotator"
SEVERAL_LABELS = "several labels"
NO_GROUP = "no group"
NO_LANGUAGE = "no language"
REMEDIES = {
    NOT_JSON: "Each line must be one JSON object.",
    NOT_AN_OBJECT: 'Each line must be an object such as {"text": "…", "label": "…"}.',
    RAGGED: "A text that holds the separator or a line break must stand in double quotes, its own quotes doubled.",
    NOT_A_TEXT: "Texts must be strings.",
    TOO_LONG: "Cut them, or raise dataset.max_text_characters.",
    NOT_DECODED: "Name another encoding with dataset.encoding.",
    NO_LABEL: "Predict rows that have none: python -m textclf.predict RUN --input FILE.",
    SEVERAL_LABELS: "Each text has one class here: choose one for each, or say dataset.task=multi.",
    NOT_A_LABEL: "Labels must be strings or integers; round numbers to classes, or name another column with "
    "dataset.label_column.",
}
BY_REQUEST = (UNKNOWN_LABEL, NOT_MAPPED, RARE_LABEL, NOT_ACCEPTED)
"""Causes of rows that an option asked to leave out: they do not count towards `max_rejected`."""


@dataclass(frozen=True)
class Rejection:
    """A row that cannot be used."""

    split: str
    file: str
    """The file, or what else the row came from."""
    line: int | None
    """Line in the file, from 1, where it has lines."""
    row: int | None
    """Row in the source, from 0, where that has no lines."""
    cause: str
    detail: str
    """What was found, where the cause does not say it."""
    start: str
    """How the row begins."""

    @property
    def place(self) -> str:
        """Where the row stands, as `reviews.csv:17`."""
        return place(self.file, self.line, self.row)


@dataclass
class RejectedRows:
    """The rejected rows of a dataset, by split."""

    max_share: float
    """Largest share of a split's rows, 0 to 1, that may be rejected."""
    written: dict[str, list[Rejection]] = field(default_factory=dict)
    """The first `MAX_WRITTEN` of each split."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rejected rows by split and cause, all of them."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Remedies, by cause."""
    sources: dict[str, str] = field(default_factory=dict)
    """What each split came from, for a person, where they came from different places."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """The files of each split by number, where it came from files."""
    has_lines: dict[str, bool] = field(default_factory=dict)
    """Whether those have lines; else rows are known by their number."""

    def add(self, rejection: Rejection) -> None:
        """Count a row, and keep it to be written down."""
        self.count(rejection.split, rejection.cause, 1)
        kept = self.written.setdefault(rejection.split, [])
        if len(kept) < MAX_WRITTEN:
            kept.append(rejection)

    def count(self, split: str, cause: str, rows: int) -> None:
        """Count rows without writing them down."""
        self.counts.setdefault(split, Counter())[cause] += rows

    def total(self, split: str, without: Iterable[str] = ()) -> int:
        """Return how many rows of a split are rejected, but those for some causes."""
        counts = self.counts.get(split, Counter())
        return counts.total() - sum(counts[cause] for cause in without)

    def check(self, split: str, rows: int, source: str) -> None:
        """Stop where too many rows of a split are rejected.

        Args:
            split: The split.
            rows: How many rows it has, rejected ones too.
            source: Where they came from, for a person.

        Raises:
            DataError: If they are more than the share allowed, or all; it names the causes and the first places.
        """
        unusable = self.total(split, BY_REQUEST)
        if unusable == 0 or (unusable <= self.max_share * rows and self.total(split) < rows):
            return
        seen = [cause for cause in self.counts[split] if cause not in BY_REQUEST]
        found = [rejection for rejection in self.written[split] if rejection.cause in seen]
        first = {cause: [r for r in found if r.cause == cause][:3] for cause in seen}
        places = "; ".join(f"{_places(rejections)} ({cause})" for cause, rejections in first.items() if rejections)
        said = [
            f"{source}: {unusable:,} of {rows:,} rows of {split} ({unusable / rows:.1%}) cannot be used, "
            f"and dataset.max_rejected={self.max_share:g} allows no more than {self.max_share:.1%}: "
            f"{self._by_cause(split)}.",
            f"First {places}.",
            *(self.remarks.get(cause) or REMEDIES.get(cause, "") for cause in seen),
            f"Correct them, or go on without them: dataset.max_rejected={math.ceil(unusable / rows * 100) / 100:g}.",
        ]
        raise DataError(" ".join(part for part in said if part))

    def warn(self, split: str, rows: int, source: str) -> None:
        """Log how many rows of a split are left out and why; nothing where none is."""
        if self.total(split):
            first = self.written[split][0]
            remarks = "".join(f" {self.remarks[cause]}" for cause in self.counts[split] if cause in self.remarks)
            log.warning(
                "%s: %s of %s rows of %s are left out (%s), the first at %s.%s",
                source, f"{self.total(split):,}", f"{rows:,}", split, self._by_cause(split), first.place, remarks,
            )  # fmt: skip

    def by_split(self) -> dict[str, dict[str, int]]:
        """Return how many rows are rejected, by split and cause, as a record holds it."""
        return {split: dict(counts.most_common()) for split, counts in self.counts.items() if counts}

    def write(self, folder: Path | None) -> None:
        """Write `rejected.jsonl` to a folder, one rejected row a line; nothing where there is none or no folder."""
        if folder is None or not self.counts:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder) / REJECTED_FILE
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8", errors="backslashreplace") as lines:
            for split, rejections in self.written.items():
                lines.writelines(json.dumps(asdict(r), ensure_ascii=False) + "\n" for r in rejections)
                if (more := self.total(split) - len(rejections)) > 0:
                    lines.write(json.dumps({"split": split, "cause": f"{more:,} more, not written down"}) + "\n")
        temporary.replace(path)
        log.info("the rows left out are in %s", path)

    def _by_cause(self, split: str) -> str:
        return ", ".join(f"{count:,} {cause}" for cause, count in self.counts[split].most_common())


def place(file: str, line: int | None, row: int | None) -> str:
    """Return where a row stands, as `reviews.csv:17` or `imdb, row 3`."""
    return f"{file}:{line}" if line is not None else file if row is None else f"{file}, row {row}"


def _places(rejections: list[Rejection]) -> str:
    return ", ".join(r.place + (f" {r.detail}" if r.detail else "") for r in rejections)
