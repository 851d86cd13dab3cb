"""Datasets that a program holds already: rows, a DataFrame, a `datasets.Dataset`, or texts and labels.

data = InMemoryDataset(name="reviews", train=frame, test=(texts, labels))
run_experiment(Experiment(dataset=data, model=model), Path("outputs/mine"))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import pandas as pd
from datasets import Dataset
from datasets.fingerprint import Hasher

from textclf.data.column_names import check_columns, find_columns, text_columns, wanted_columns
from textclf.data.dataset import SPLITS
from textclf.data.options import DatasetOptions
from textclf.data.prepare import RawData
from textclf.data.readers.arrow import ReadRows, batches_of, in_memory, schema_of
from textclf.data.readers.source import SAMPLED_ROWS, Row
from textclf.data.rejected import RejectedRows
from textclf.errors import ConfigError, DataError, refuse_unless

Content: TypeAlias = "Sequence[Mapping[str, Any]] | pd.DataFrame | Dataset | tuple[Sequence[Any], Sequence[Any]]"
"""What a split is given as."""


@dataclass(frozen=True)
class InMemoryDataset(DatasetOptions):
    """Splits that are in memory: lists of dicts, DataFrames, `datasets.Dataset`s, or pairs (texts, labels)."""

    name: str = "in_memory"
    """What the runs on this dataset are called."""
    train: Content | None = None
    """What to train on; must be given."""
    validation: Content | None = None
    """What to select on; none takes a stratified slice of train."""
    test: Content | None = None
    """What is looked at once, at the end; none takes a stratified slice of train."""
    test_fraction: float = 0.2
    """Share of train, 0 to 1, set aside (stratified) where there is no test split."""

    def __post_init__(self) -> None:
        """Refuse what is no split, and fractions that leave nothing to train on."""
        super().__post_init__()
        for split in SPLITS:
            content = getattr(self, split)
            if content is not None or split == "train":
                _check_kind(content, split)
        refuse_unless(
            (0 < self.test_fraction < 1, f"test_fraction must lie between 0 and 1, got {self.test_fraction}."),
            (
                self.test is not None or self.test_fraction + self.validation_fraction < 1,
                "test_fraction and validation_fraction must leave something to train on.",
            ),
        )

    def plain_options(self) -> dict[str, Any]:
        """Return the options by name, each split as a few words and a digest of its content."""
        return super().plain_options() | {split: described(getattr(self, split)) for split in SPLITS}


def read_memory(options: InMemoryDataset, rejects: RejectedRows) -> RawData:
    """Check the splits of a dataset in memory, and return them as tables; `rejects` takes the rows without use."""
    given = {split: content for split in SPLITS if (content := getattr(options, split)) is not None}
    options = find_columns(options, _columns(given["train"]), f"{options.name}: the train split")
    raw = {split: _read(options, content, split, rejects) for split, content in given.items()}
    return RawData(raw, options.name, options, options.test_fraction)


def described(content: Any) -> str | None:
    """Return what a split is, for a record: its kind, its rows, and a digest of them."""
    if content is None:
        return None
    if isinstance(content, Dataset):
        return f"Dataset of {len(content)} rows, {content._fingerprint if content.cache_files else _digest(content)}"
    kind = "DataFrame" if isinstance(content, pd.DataFrame) else "pair of lists" if _is_pair(content) else "list"
    digest = hashlib.blake2b(digest_size=8)
    count = 0
    for row in _rows(content, "", _columns(content)):
        digest.update(json.dumps(row.values, default=str).encode())
        count += 1
    return f"{kind} of {count} rows, {digest.hexdigest()}"


def _digest(content: Dataset) -> str:
    """Return a digest of a dataset that lies in memory: the name that it has itself may be a random one."""
    rows = content.with_format("arrow")[:]
    return Hasher.hash(rows.combine_chunks().replace_schema_metadata(None))


def _check_kind(content: Any, split: str) -> None:
    """Refuse what is no split."""
    if _is_pair(content):
        texts, labels = len(content[0]), len(content[1])
        refuse_unless(
            (texts == labels, f"{split}: texts and labels must be as many, got {texts} texts and {labels} labels.")
        )
        return
    if isinstance(content, (pd.DataFrame, Dataset)):
        return
    listed = isinstance(content, Sequence) and not isinstance(content, (str, bytes))
    if not listed or not all(isinstance(row, Mapping) for row in content):
        raise ConfigError(
            f"{split}: a split must be a list of dicts, a DataFrame, a datasets.Dataset or a pair (texts, labels), "
            f"got {type(content).__name__}."
        )


def _is_pair(content: Any) -> TypeGuard[tuple[Any, Any]]:
    """Whether a split is given as texts and labels."""
    return (
        isinstance(content, tuple)
        and len(content) == 2
        and all(hasattr(part, "__len__") and not isinstance(part, (str, Mapping)) for part in content)
    )


def _columns(content: Any) -> list[str]:
    """Return the names of a split's columns."""
    if isinstance(content, Dataset):
        return content.column_names
    if isinstance(content, pd.DataFrame):
        return [str(name) for name in content.columns]
    if _is_pair(content):
        return ["text", "label"]
    return list(dict.fromkeys(str(key) for row in content[:SAMPLED_ROWS] for key in row))


def _read(options: DatasetOptions, content: Any, split: str, rejects: RejectedRows) -> Dataset:
    """Return a split with the columns that the options name."""
    columns, where = wanted_columns(options), f"{options.name}, {split}"
    if len(content[0] if _is_pair(content) else content) == 0:
        raise DataError(f"{options.name}: the {split} split is empty; it needs at least one example of each class.")
    check_columns(options, _columns(content), f"{options.name}: the {split} split")
    if not _is_pair(content) and isinstance(content, Dataset):
        return Dataset.with_format(content, None).select_columns(columns)
    found = ReadRows()
    batches = batches_of(
        _rows(content, where, columns),
        columns,
        text_columns(options),
        None if options.label_columns else options.label_column,
        split,
        rejects,
        found,
        lines=False,
    )
    rows = in_memory(batches, schema_of(columns))
    rejects.files[split], rejects.has_lines[split] = found.files, False
    return rows


def _rows(content: Any, where: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a split that is no `datasets.Dataset`, numpy's and pandas' values made Python's own."""
    if isinstance(content, pd.DataFrame):
        frame = content.set_axis([str(name) for name in content.columns], axis=1)
        values = zip(*(frame[name].astype(object).tolist() for name in columns), strict=True)
    elif _is_pair(content):
        at = {"text": 0, "label": 1}
        values = zip(*(list(content[at[name]]) for name in columns), strict=True)
    else:
        values = ([row.get(name) for name in columns] for row in content)
    for number, row in enumerate(values):
        yield Row(where, number, [_own(value) for value in row])


def _own(value: Any) -> Any:
    """Return a value of numpy or pandas as Python's own, sets as lists; None for pandas' NA and NaT."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
