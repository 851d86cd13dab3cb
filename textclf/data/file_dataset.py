"""Read datasets from local files, among them those that come with textclf."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from datasets import Dataset

from textclf.data.column_names import check_columns, find_columns, text_columns, wanted_columns
from textclf.data.dataset import SPLITS
from textclf.data.options import LANGUAGE, LANGUAGE_COLUMN, FilesDataset
from textclf.data.prepare import RawData
from textclf.data.readers.arrow import ReadRows, batches_of, cached, in_memory, remark_encoding, schema_of
from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.folders import LabelFolders
from textclf.data.readers.jsonl import JsonLines
from textclf.data.readers.parquet import ParquetFiles
from textclf.data.readers.source import BadRow, Reader, Row
from textclf.data.rejected import RejectedRows
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "bundled"
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
FOLDER = "folder"
SMALL_BYTES = 50_000_000
"""Files that hold less than about this are kept in memory; others are mapped from the cache."""
UNPACKED = {".gz": 4, ".parquet": 3}
"""How much larger files of an ending are about, once unpacked."""


@dataclass(frozen=True)
class Part:
    """A file of a split."""

    path: Path
    language: str | None = None
    """The language that its name says."""


def read_files(options: FilesDataset, rejects: RejectedRows) -> RawData:
    """Read the splits of local files.

    Args:
        options: What the person asked for.
        rejects: Takes the rows that cannot be used.

    Raises:
        DataError: If a file is missing, of an unknown kind, cannot be parsed, or lacks a column.
    """
    asked = {split: file for split in SPLITS if (file := getattr(options, split)) is not None}
    parts = {split: parts_of(file, f"dataset.{split}") for split, file in asked.items()}
    kinds = {split: kind_of(parts[split], f"dataset.{split}={file}") for split, file in asked.items()}
    options = _named(options, kinds["train"], parts["train"])
    raw = {split: read_split(options, split, kinds[split], parts[split], rejects, asked[split]) for split in asked}
    return RawData(raw, options.train, options, options.test_fraction)


def resolve(file: str) -> Path:
    """Return the path that a file option names; `bundled:` stands for textclf's own data."""
    if file.startswith("bundled:"):
        path = BUNDLED / file.removeprefix("bundled:")
        if not Path(os.path.normpath(path)).is_relative_to(BUNDLED):
            raise DataError(f"{file}: only what comes with textclf is bundled; name other files by their own path.")
        return path
    return Path(file).expanduser()


def parts_of(file: str, option: str) -> list[Part]:
    """Return the files that an option names: one, those of a pattern, or one for each language.

    Raises:
        DataError: If there is none.
    """
    path = resolve(file)
    if LANGUAGE in file:
        before, _, after = str(path).partition(LANGUAGE)
        found = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
        if not found:
            raise DataError(f"{option}={file}: there is no file for any language (looked for {before}*{after}).")
        return [Part(Path(name), name[len(before) : len(name) - len(after)]) for name in found]
    if path.exists():
        return [Part(path)]
    if file.startswith("bundled:"):
        known = sorted(str(p.relative_to(BUNDLED)) for p in BUNDLED.rglob("*.jsonl"))
        raise DataError(f"{option}={file}: no such bundled file; there are {listed(known)}.")
    if glob.has_magic(file):
        if found := sorted(glob.glob(str(path), recursive=True)):
            return [Part(Path(name)) for name in found]
        raise DataError(f"{option}={file}: no file fits this pattern (looked for {path.absolute()}).")
    raise DataError(f"{option}={file}: there is no such file (looked at {path.absolute()}).")


def kind_of(parts: Sequence[Part], said: str) -> str:
    """Return the kind of files, as the ending before any .gz, or `folder`.

    Raises:
        DataError: If it is unknown, or they are of several kinds.
    """
    kinds: dict[str, Path] = {}
    for part in parts:
        ending = Path(part.path.name.lower().removesuffix(".gz")).suffix
        kind = FOLDER if part.path.is_dir() else ending
        if kind not in (*ENDINGS, FOLDER) or part.path.name.lower().endswith(".parquet.gz"):
            raise DataError(
                f"{said}: files must end in {listed(ENDINGS)}, all but Parquet also with .gz, or be a folder of "
                f"label/*.txt; got {part.path.suffix or 'no ending'!r}{'' if len(parts) == 1 else f' ({part.path})'}."
            )
        kinds.setdefault(".jsonl" if kind == ".json" else kind, part.path)
    if len(kinds) > 1:
        raise DataError(
            f"{said}: files must be of one kind, but these are {listed([str(path) for path in kinds.values()])}."
        )
    if FOLDER in kinds and len(parts) > 1:
        raise DataError(f"{said}: only one folder of label/*.txt can be read at a time, but {len(parts)} fit.")
    return next(iter(kinds))


def reader_of(kind: str, options: FilesDataset) -> Reader | ParquetFiles:
    """Return what reads files of a kind."""
    if kind in (".csv", ".tsv"):
        return SeparatedValues("," if kind == ".csv" else "\t", options.max_text_characters)
    readers = {".jsonl": JsonLines, FOLDER: LabelFolders, ".parquet": ParquetFiles}
    return readers[kind]()


def _named(options: FilesDataset, kind: str, parts: Sequence[Part]) -> FilesDataset:
    """Return options that name columns of the train files."""
    reader, first = reader_of(kind, options), parts[0].path
    names = reader.columns(first)
    return find_columns(options, names, f"{_said(first, options.train)}: the train split", reader.remark(first))


def _said(path: Path, asked: str) -> str:
    """Return what a file is called: as it was asked for, where that names it alone."""
    return asked if resolve(asked) == path else str(path)


def read_split(
    options: FilesDataset, split: str, kind: str, parts: Sequence[Part], rejects: RejectedRows, asked: str
) -> Dataset:
    """Return the rows of a split, with the columns that the options name and the place of each row."""
    reader = reader_of(kind, options)
    for part in parts:
        where = f"{_said(part.path, asked)}: the {split} split"
        check_columns(options, reader.columns(part.path), where, reader.remark(part.path))
    columns, found = wanted_columns(options), ReadRows()
    by_language = parts[0].language is not None and options.language_column is None
    names = [*columns, LANGUAGE_COLUMN] if by_language else columns
    paths = [(part.path, part.language) for part in parts]
    if isinstance(reader, ParquetFiles):
        found.files += [str(part.path) for part in parts]
        schema = reader.schema([part.path for part in parts], options, by_language)
        batches = reader.batches(paths, columns, schema)
    else:
        schema = schema_of(names)
        rows = chain.from_iterable(_rows(reader, part, columns, by_language) for part in parts)
        has_lines = kind != FOLDER
        batches = batches_of(rows, names, text_columns(options), options.label_column, split, rejects, found, has_lines)
    size, key = _size_and_key(parts)
    if size < SMALL_BYTES:
        dataset = in_memory(batches, schema)
    else:
        log.info("%s: %.1f GB; read once into the cache of datasets, and mapped from there", asked, size / 1e9)
        limits = [split, names, text_columns(options), options.label_column, options.max_text_characters]
        dataset = cached([kind, key, limits], batches, schema, split, rejects, found)
    remark_encoding(split, rejects)
    rejects.sources[split] = asked
    rejects.files[split], rejects.has_lines[split] = found.files, kind in (".jsonl", ".csv", ".tsv")
    if len(dataset) == 0 and not rejects.total(split):
        raise DataError(f"{asked}: the file names columns, and holds no rows.")
    return dataset


def _rows(reader: Reader, part: Part, columns: Sequence[str], by_language: bool) -> Iterator[Row | BadRow]:
    """Yield the rows of a file, with its language where its name says it."""
    rows = reader.rows(part.path, columns)
    if not by_language:
        return rows
    return (row if type(row) is BadRow else Row(row[0], row[1], [*row[2], part.language]) for row in rows)  # type: ignore[misc]


def _size_and_key(parts: Sequence[Part]) -> tuple[float, list[tuple[str, int, int, str | None]]]:
    """Return about how many bytes files hold, unpacked, and what changes when one of them does."""
    size, key = 0.0, []
    for part in parts:
        files = [part.path] if part.path.is_file() else [p for p in part.path.glob("*/*.txt")]
        for path in sorted(files):
            stat = path.stat()
            size += stat.st_size * UNPACKED.get(path.suffix.lower(), 1)
            key.append((str(path.absolute()), stat.st_size, stat.st_mtime_ns, part.language))
    return size, key
