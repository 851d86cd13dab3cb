"""Files of texts with suggested labels, and the labels that people gave: what the app opens, and what it keeps.

The labels of `reviews.jsonl` are kept in `reviews.labels.jsonl` beside it, one row a text, as a run can train on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from textclf.audit.shingles import digest
from textclf.data.readers.exports import labels_in, one_label
from textclf.data.readers.packed import packing_of_name
from textclf.errors import DataError, listed
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.rows import Batch, Kind, kind_of_name, read_batches
from textclf.predict.true_labels import label_column, names_in
from textclf.predict.values import as_fields

PREFIX = "suggested_"
"""What the names of the columns begin with that hold suggestions."""
LABEL, LABELS, SCORE, PROBABILITY = (f"{PREFIX}{name}" for name in ("label", "labels", "score", "probability_"))
FOLDER = "labelling"
"""The folder, below that of the outputs, in which the app looks for such files."""
ENDING = ".labels.jsonl"
"""What the name of the file with people's labels ends in."""


@dataclass(frozen=True)
class Item:
    """A text to be labelled."""

    text: str
    text_pair: str | None
    suggested: tuple[str, ...] | None
    """The label, or the set of labels; none where none was suggested."""
    score: float | None
    """The probability of the label; none where it is not known, and of sets."""
    probabilities: dict[str, float]
    """That of each label, the most probable first; empty where none is known."""
    key: int
    """What tells it from others: the same for the same text."""


@dataclass(frozen=True)
class Worklist:
    """Texts with suggested labels, the least certain first."""

    path: Path
    label_names: tuple[str, ...]
    """The labels that there are to choose from."""
    has_sets: bool
    """Whether a text may have several labels at once, or none."""
    items: tuple[Item, ...]

    @property
    def labels_file(self) -> Path:
        """The file with the labels that people gave."""
        return labels_file(self.path)


@dataclass(frozen=True)
class Labelled:
    """A text that a person has labelled."""

    text: str
    text_pair: str | None
    labels: tuple[str, ...]

    @property
    def key(self) -> int:
        """What tells it from others: the same for the same text."""
        return digest(self.text, self.text_pair)


def labels_file(path: Path) -> Path:
    """Return the file that keeps the labels which people give the texts of a file with suggestions."""
    return path.with_name(stem_of(path) + ENDING)


def stem_of(path: Path) -> str:
    """Return the name of a file without the endings of its format and packing."""
    packing = packing_of_name(path.name)
    name = path.name if packing is None else path.name[: -len(packing.ending)]
    return Path(name).stem


def worklists(folder: Path) -> list[Path]:
    """Return the files in a folder that may hold suggestions, the newest first."""
    files = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(ENDING)
        if kind_of_name(path.name) not in (None, Kind.txt)
    ]
    return sorted(files, key=lambda path: (-path.stat().st_mtime, path.name))


def read_worklist(path: Path) -> Worklist:
    """Read a file with suggestions.

    Raises:
        DataError: If it cannot be read, or holds no suggestions.
    """
    names: list[str] = []
    items: list[Item] = []
    for batch in _batches(path, TextColumns("text"), None):
        own = batch.table.column_names
        if not names:
            names = own
            if LABEL not in own and LABELS not in own:
                raise DataError(
                    f"{path} holds no suggested labels: there is no column {LABEL!r}, only {listed(own) or 'none'}. "
                    f"Make such a file with python -m textclf.label FILE --with RUN."
                )
        items += _items(batch)
    labels = tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    if not labels:
        raise DataError(f"{path}: no column begins with {PROBABILITY!r}, so there are no labels to choose from.")
    return Worklist(path, labels, LABELS in names, tuple(items))


def _items(batch: Batch) -> list[Item]:
    """Return the rows of a batch that can be labelled."""
    table = batch.table
    fields = {name: as_fields(table.column(name)) for name in table.column_names if name.startswith(PREFIX)}
    chances = {name.removeprefix(PROBABILITY): own for name, own in fields.items() if name.startswith(PROBABILITY)}
    found = []
    for row, text in enumerate(batch.texts):
        if row in batch.problems:
            continue
        pair = None if batch.text_pairs is None else batch.text_pairs[row]
        suggested = _suggested(fields.get(LABELS, fields.get(LABEL, []))[row], LABELS in fields)
        known = {name: float(own[row]) for name, own in chances.items() if own[row]}
        ranked = dict(sorted(known.items(), key=lambda item: -item[1]))
        score = fields[SCORE][row] if SCORE in fields else ""
        found.append(Item(text, pair, suggested, float(score) if score else None, ranked, digest(text, pair)))
    return found


def _suggested(value: str, is_set: bool) -> tuple[str, ...] | None:
    """Return what was suggested, as it stands in a field."""
    if not is_set:
        return (value,) if value else None
    labels = labels_in(value)
    return tuple(map(str, labels)) if isinstance(labels, list) else None


def given_labels(path: Path) -> dict[int, tuple[str, ...]]:
    """Return the labels that people gave in the app, by the key of the text; empty where there is no file yet.

    Raises:
        OSError: If the file cannot be read.
    """
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            labels = [row["label"]] if "label" in row else row["labels"]
            found[digest(row["text"], row.get("text_pair"))] = tuple(map(str, labels))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):  # a line that a killed writer left, or is none of ours
            continue
    return found


def read_labelled(path: Path, texts: TextColumns, has_pairs: bool | None, column: str | None = None) -> list[Labelled]:
    """Read the texts of a file that people have labelled; rows without a label are passed over.

    Args:
        path: Any file that can be trained on, such as the feedback and the labels that the app keeps.
        texts: The columns of the input, which are tried first.
        has_pairs: Whether they are pairs of texts; none where that is not known.
        column: The column of the labels; none looks for a usual name.

    Raises:
        DataError: If it cannot be read, or has no column of texts or of labels.
    """
    found: list[Labelled] = []
    own = None
    for batch in _batches(path, texts, has_pairs):
        if own is None:
            own = label_column(names_in(batch), column, None, (texts.text, texts.text_pair, "score"))
            if own is None and len(batch):
                raise DataError(
                    f"{path}: no column holds labels; there are {listed(names_in(batch))}. Call it 'label'."
                )
        found += labelled_in(batch, own) if own is not None else []
    return found


def labelled_in(batch: Batch, column: str) -> list[Labelled]:
    """Return the rows of a batch that have a label."""
    if column not in batch.table.column_names:
        return []
    found = []
    for row, value in enumerate(as_fields(batch.table.column(column))):
        labels = labels_in(value) if value.startswith(("[", "{")) else one_label(value.strip())
        if row in batch.problems or labels in (None, ""):
            continue
        pair = None if batch.text_pairs is None else batch.text_pairs[row]
        found.append(Labelled(batch.texts[row], pair, _all(labels)))
    return found


def _all(labels: object) -> tuple[str, ...]:
    return tuple(map(str, labels)) if isinstance(labels, Sequence) and not isinstance(labels, str) else (str(labels),)


def _batches(path: Path, texts: TextColumns, has_pairs: bool | None) -> Iterator[Batch]:
    """Yield the rows of a file."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file (looked at {path.absolute()}).")
    kind = Kind.folder if path.is_dir() else kind_of_name(path.name)
    if kind is None:
        raise DataError(f"{path}: its ending says no format that textclf reads.")
    return read_batches(path, kind, WantedTexts(trained_on=texts, has_pairs=has_pairs))
