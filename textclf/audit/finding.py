"""One thing that an audit found: how much of it, where, what it means and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from textclf.documents.wording import rounded_percent

EXCERPT = 220
"""Characters of a text that are shown."""


class Severity(Enum):
    """How bad a finding is."""

    problem = "problem"
    """Scores on this data mislead, or a class cannot be learned."""
    warning = "warning"
    """Worth a look before training."""
    note = "note"
    """Good to know."""


@dataclass(frozen=True)
class Example:
    """An example of a finding."""

    split: str
    example: int
    """Row in the source's own split."""
    text: str
    """The text, or the part of it that matters."""
    label: str
    remark: str = ""
    """What is wrong with it, or what it resembles."""


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found."""

    code: str
    """Short name that stays the same, such as `leakage_train_test`."""
    severity: Severity
    title: str
    """What was found, in a few words."""
    count: int
    of: int
    """How many there are in all, of the same kind."""
    unit: str
    """What is counted, such as `test examples`."""
    meaning: str
    """What it means for training and scores."""
    remedy: str
    """What to do about it."""
    by_split: dict[str, int] = field(default_factory=dict)
    """The count of each split, where that says something."""
    examples: tuple[Example, ...] = ()

    @property
    def share(self) -> float:
        """Share that the count is of all, 0 to 1."""
        return self.count / self.of if self.of else 0.0

    @property
    def amount(self) -> str:
        """The count and its share, such as `123 of 25,000 test examples (0.5 %)`."""
        return f"{self.count:,} of {self.of:,} {self.unit} ({rounded_percent(self.share)})"


def by_share(share: float, problem: float, warning: float = 0.0) -> Severity:
    """Return the severity of a share: a problem from `problem` on, a warning from `warning` on, else a note."""
    if share >= problem:
        return Severity.problem
    return Severity.warning if share >= warning else Severity.note


def excerpt(text: str, around: int = 0, width: int = EXCERPT) -> str:
    """Return a text on one line, cut to `width` characters about the place `around`."""
    start = max(0, min(around - width // 3, len(text) - width))
    said = " ".join(text[start : start + width].split())
    return ("…" if start else "") + said + ("…" if start + width < len(text) else "")
