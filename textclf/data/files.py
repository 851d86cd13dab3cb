"""Datasets from local files, among them those that come with textclf."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from datasets import (
    Dataset,
    are_progress_bars_disabled,
    concatenate_datasets,
    disable_progress_bars,
    enable_progress_bars,
)
from datasets.exceptions import DatasetGenerationError

from textclf.data.columns import to_text_data
from textclf.data.options import LANGUAGE, LANGUAGE_COLUMN, FilesDataset
from textclf.data.text_data import SPLITS, TextData
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "bundled"
READERS = {
    ".jsonl": Dataset.from_json,
    ".json": Dataset.from_json,
    ".csv": Dataset.from_csv,
    ".tsv": lambda path, **kwargs: Dataset.from_csv(path, sep="\t", **kwargs),
    ".parquet": Dataset.from_parquet,
}
SMALL_BYTES = 50_000_000
"""Files below this size are kept in memory, and read without a progress bar."""


def load_files_dataset(options: FilesDataset) -> TextData:
    """Load, split and label local files.

    Raises:
        DataError: If a file is missing, of an unknown kind, or cannot be parsed, or lacks a
            column or label.
    """
    files = {split: getattr(options, split) for split in SPLITS}
    raw = {split: _read_all(file, f"dataset.{split}") for split, file in files.items() if file is not None}
    return to_text_data(options, raw, options.train, options.test_fraction)


def resolve(file: str) -> Path:
    """Return the path that a file option names; `bundled:` stands for textclf's own data."""
    if file.startswith("bundled:"):
        return BUNDLED / file.removeprefix("bundled:")
    return Path(file).expanduser()


def _read_all(file: str, option: str) -> Dataset:
    """Return the rows of a file, or of one file for each language with a column that names it."""
    if LANGUAGE not in file:
        return _read(file, option)
    pattern = resolve(file)
    before, _, after = str(pattern).partition(LANGUAGE)
    found = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
    if not found:
        raise DataError(f"{option}={file}: there is no file for any language (looked for {before}*{after}).")
    parts = []
    for path in found:
        rows = _read(path, option)
        language = path[len(before) : len(path) - len(after)]
        parts.append(rows.add_column(LANGUAGE_COLUMN, [language] * len(rows)))  # type: ignore[call-arg]
    try:
        return concatenate_datasets(parts)
    except ValueError as error:
        raise DataError(f"{option}={file}: the files of the languages do not fit together: {error}") from error


def _read(file: str, option: str) -> Dataset:
    """Return the rows of one file as they are."""
    path = resolve(file)
    if not path.is_file():
        if file.startswith("bundled:"):
            known = sorted(str(p.relative_to(BUNDLED)) for p in BUNDLED.rglob("*.jsonl"))
            raise DataError(f"{option}={file}: no such bundled file; there are {listed(known)}.")
        raise DataError(f"{option}={file}: there is no such file (looked at {path.absolute()}).")
    if path.stat().st_size == 0:
        raise DataError(f"{option}={file}: the file is empty.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{option}={file}: files must end in {listed(READERS)}; got {path.suffix or 'no ending'!r}.")
    small = path.stat().st_size < SMALL_BYTES
    try:
        with _without_progress_bars() if small else nullcontext():
            return reader(str(path), keep_in_memory=small)
    except (DatasetGenerationError, OSError, ValueError) as error:
        cause = error.__cause__ or error
        raise DataError(f"{option}={file}: the file could not be read as {path.suffix[1:]}: {cause}") from error


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Silence the progress bars of `datasets` inside the context."""
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
