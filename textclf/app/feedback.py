"""Corrections of labels that people enter, kept as rows that the next run can train on."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textclf.app.settings import Settings
from textclf.errors import DataError, did_you_mean, listed
from textclf.export.contents import public_command
from textclf.system.appending import append_line, replace_line
from textclf.tracking.record import RunRecord

LONGEST_NOTE = 2000
"""Characters of a note."""
FOLDER = "feedback"


@dataclass(frozen=True)
class Feedback:
    """One prediction, and what it should have been."""

    text: str
    label: str | tuple[str, ...]
    """What it should have been: a class, or the set of labels in label order."""
    predicted: str | tuple[str, ...] | None
    """What the run said; none where it said nothing."""
    score: float | None
    """Probability of the predicted class; none of a set of labels."""
    run: str
    """Name of the run, or the classifier's folder where it has none; of a file with suggestions its name."""
    text_pair: str | None = None
    note: str | None = None
    user: str | None = None
    """Who said so, where people sign in."""

    def row(self, time: str) -> dict[str, Any]:
        """Return the row of the file; what is not known is left out."""
        said = {
            "text": self.text,
            "text_pair": self.text_pair,
            **({"label": self.label} if isinstance(self.label, str) else {"labels": list(self.label)}),
            "predicted": list(self.predicted) if isinstance(self.predicted, tuple) else self.predicted,
            "score": None if self.score is None else round(self.score, 6),
            "run": self.run,
            "note": self.note or None,
            "user": self.user,
            "time": time,
        }
        return {name: value for name, value in said.items() if value is not None}


def save_feedback(path: Path, feedback: Feedback, label_names: Sequence[str]) -> None:
    """Append feedback to a file of JSON lines; when this returns, the disk has it.

    Raises:
        DataError: If a label is none of the classes, there is no text, or the note is too long.
        OSError: If the file cannot be written.
    """
    _check(feedback, label_names)
    append_line(path, feedback.row(_now()))


def save_label(path: Path, feedback: Feedback, label_names: Sequence[str]) -> None:
    """Keep the label of a text in a file of JSON lines, in place of an earlier one of the same text.

    When this returns, the disk has it.

    Raises:
        DataError: If a label is none of those on offer, or there is no text.
        OSError: If the file cannot be written.
    """
    _check(feedback, label_names)
    same = (feedback.text, feedback.text_pair)
    replace_line(path, feedback.row(_now()), lambda row: (row.get("text"), row.get("text_pair")) == same)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check(feedback: Feedback, label_names: Sequence[str]) -> None:
    """Refuse feedback that no run could be trained on."""
    for label in [feedback.label] if isinstance(feedback.label, str) else feedback.label:
        if label not in label_names:
            raise DataError(f"The label {label!r} is none of {listed(label_names)}.{did_you_mean(label, label_names)}")
    if not feedback.text.strip():
        raise DataError("Feedback needs the text that it is about.")
    if feedback.note and len(feedback.note) > LONGEST_NOTE:
        raise DataError(f"The note has {len(feedback.note):,} characters; up to {LONGEST_NOTE:,} are kept.")


def feedback_file(settings: Settings, dataset: str) -> Path:
    """Return the file that feedback on a dataset's classifiers goes to."""
    if settings.feedback:
        return Path(settings.feedback)
    return settings.outputs_folder / FOLDER / f"{file_name(dataset)}.jsonl"


def file_name(name: str) -> str:
    """Return a name with all but letters, digits, dots and dashes replaced, so that it stays in its folder."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:100] or "unnamed"


def count_lines(path: Path) -> int:
    """Return how many lines a file has; 0 where there is none."""
    try:
        with open(path, "rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def training_command(record: RunRecord | None, path: Path) -> str:
    """Return the command that trains again with the feedback added.

    Args:
        record: The run that predicted; of none the command names no model. Of its files the names are told alone.
        path: The file with the feedback, as it is to be typed.
    """
    typed = public_command(record.command) if record is not None else ""
    return f"{typed or 'python -m textclf.run'} {shlex.quote(f'dataset.extra_train={_hydra_value(str(path))}')}"


def _hydra_value(text: str) -> str:
    """Return a text as a value of Hydra's override grammar, quoted only where it has to be."""
    if re.fullmatch(r"[A-Za-z0-9_./\\:%+@-]+", text):
        return text
    return json.dumps(text, ensure_ascii=False)
