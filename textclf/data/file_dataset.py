"""Read datasets from local files, among them those that come with textclf."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
from datasets import Dataset

from textclf.data.column_names import (
    check_columns,
    find_columns,
    label_columns,
    plain_name,
    text_columns,
    wanted_columns,
)
from textclf.data.dataset import SPLITS
from textclf.data.file_paths import Part, parts_of, resolve
from textclf.data.options import LANGUAGE_COLUMN, FilesDataset
from textclf.data.prepare import RawData
from textclf.data.readers.arrow import ReadRows, batches_of, cached, in_memory, remark_encoding, schema_of
from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.encoding import AUTO, told
from textclf.data.readers.excel import Workbook
from textclf.data.readers.fasttext import FastText
from textclf.data.readers.folders import LabelFolders
from textclf.data.readers.jsonl import JsonLines
from textclf.data.readers.packed import PACKINGS, packing_of_name, unpacked_name
from textclf.data.readers.saved_dataset import is_saved, read_saved
from textclf.data.readers.source import BadRow, Reader, Row
from textclf.data.readers.tables import TableFiles
from textclf.data.readers.text import TextForm, encoding_of
from textclf.data.rejected import RejectedRows
from textclf.data.remote import is_address
from textclf.errors import DataError, listed

log = logging.getLogger(__name__)

JSON, VALUES, TEXT, EXCEL = ".jsonl", ".csv", ".txt", ".xlsx"
KINDS = {".jsonl": JSON, ".ndjson": JSON, ".json": JSON, ".csv": VALUES, ".tsv": ".tsv", ".tab": ".tsv", ".txt": TEXT,
         ".xlsx": EXCEL, ".parquet": ".parquet", ".arrow": ".arrow", ".feather": ".feather"}  # fmt: skip
"""What reads files of each ending, by the ending that stands for it."""
TABLES = (".parquet", ".arrow", ".feather")
WITH_LINES = (JSON, VALUES, ".tsv", TEXT, EXCEL)
SEPARATORS = {VALUES: ",", ".tsv": "\t", TEXT: "\t"}
FOLDER, SAVED = "folder", "saved dataset"
REFUSED = {
    (".pkl", ".pickle", ".p", ".joblib"): "a pickle runs code of whoever wrote it when it is read, so it is not; write "
    "it as Parquet, in pandas with frame.to_parquet('reviews.parquet')",
    (".xls", ".ods", ".doc", ".docx"): "of the office formats only .xlsx is read; save it as .xlsx or CSV",
    (".tar", ".tgz", ".rar", ".7z"): "unpack it, and name what to read",
}
"""What is said of files that people have and that are not read."""
SMALL_BYTES = 50_000_000
"""Files that hold less than about this are kept in memory; others are mapped from the cache."""
COMPRESSED = {".parquet": 3, EXCEL: 6}
"""How much larger files of an ending are about, once read."""
SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
               "val": "validation", "dev": "validation", "development": "validation", "test": "test",
               "testing": "test"}  # fmt: skip
"""The split that each value of a split column stands for."""
SPLIT_COLUMNS = ("split", "set", "partition", "subset", "fold", "data_split", "dataset_split", "usage")
SAMPLED = 200


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
    if SAVED in kinds.values():
        return _saved(options, {split: found[0].path for split, found in parts.items()}, kinds, asked)
    options = _named(options, kinds["train"], parts["train"])
    raw = {split: read_split(options, split, kinds[split], parts[split], rejects, asked[split]) for split in asked}
    if options.split_column is not None:
        raw = _by_split(raw["train"], options.split_column, options.train, rejects)
    return RawData(raw, options.train, options, options.test_fraction)


def check_files(options: FilesDataset) -> None:
    """Raise where files are missing, of an unknown kind, or lack a column, by their first lines; none is fetched.

    Raises:
        DataError: With the first that is wrong.
    """
    asked = {split: file for split in SPLITS if (file := getattr(options, split)) is not None and not is_address(file)}
    parts = {split: parts_of(file, f"dataset.{split}") for split, file in asked.items()}
    kinds = {split: kind_of(parts[split], f"dataset.{split}={file}") for split, file in asked.items()}
    if SAVED in kinds.values() or "train" not in asked:  # which says what columns there are
        return
    options = _with_columns(options, kinds["train"], parts["train"][0].path, tell=False)
    for split, file in asked.items():
        reader, path = reader_of(kinds[split], options), parts[split][0].path
        where = f"{_said(path, file)}: the {split} split"
        check_columns(options, reader.columns(path), where, reader.remark(path), partial(_first_values, reader, path))


def _with_columns(options: FilesDataset, kind: str, first: Path, tell: bool = True) -> FilesDataset:
    """Return options that name columns of a file of the train split."""
    reader = reader_of(kind, options)
    where, values = f"{_said(first, options.train)}: the train split", partial(_first_values, reader, first)
    return find_columns(options, reader.columns(first), where, reader.remark(first), values, tell)


def _saved(
    options: FilesDataset, folders: dict[str, Path], kinds: dict[str, str], asked: dict[str, str]
) -> RawData:  # fmt: skip
    """Return the splits of folders that `save_to_disk` wrote; one that holds several gives those not asked for."""
    if other := [split for split in kinds if kinds[split] != SAVED]:
        raise DataError(
            f"dataset.{other[0]}={asked[other[0]]}: it must be a folder of save_to_disk as the other splits are."
        )
    raw: dict[str, Dataset] = {}
    for split, folder in folders.items():
        found = {SPLIT_NAMES.get(name.lower(), name): rows for name, rows in read_saved(folder).items()}
        if len(found) == 1:
            raw[split] = next(iter(found.values()))
        elif split not in found:
            raise DataError(f"dataset.{split}={asked[split]}: it has no split {split!r}; it has {listed(found)}.")
        else:
            raw[split] = found[split]
            if split == "train":
                raw |= {name: found[name] for name in SPLITS if name in found and name not in asked}
    return RawData(raw, options.train, options, options.test_fraction)


def _by_split(rows: Dataset, column: str, source: str, rejects: RejectedRows) -> dict[str, Dataset]:
    """Return the rows of a file by the split that a column says each is of."""
    values = rows.data.column(column).to_pylist()
    found: dict[str, list[int]] = {}
    unknown: dict[str, int] = {}
    for number, value in enumerate(values):
        split = SPLIT_NAMES.get(str(value).strip().lower())
        if split is None:
            unknown[str(value)] = unknown.get(str(value), 0) + 1
        else:
            found.setdefault(split, []).append(number)
    if unknown or "train" not in found:
        said = ", ".join(f"{value!r} ({count:,} rows)" for value, count in list(unknown.items())[:5])
        raise DataError(
            f"{source}: column {column!r} (dataset.split_column) must say train, validation or test of every row; "
            f"{f'it also says {said}' if unknown else 'no row is of train'}. Correct it, or leave dataset.split_column "
            f"out and name a file for each split."
        )
    for split in found:
        rejects.files[split], rejects.has_lines[split] = rejects.files["train"], rejects.has_lines["train"]
    return {split: rows.select(found[split]) for split in SPLITS if split in found}


def kind_of(parts: Sequence[Part], said: str) -> str:
    """Return the kind of files, as the ending that stands for it, `folder` or `saved dataset`.

    Raises:
        DataError: If it is unknown, or they are of several kinds.
    """
    kinds: dict[str, Path] = {}
    for part in parts:
        kinds.setdefault(_kind(part.path, said if len(parts) == 1 else f"{said} ({part.path})"), part.path)
    if len(kinds) > 1:
        raise DataError(
            f"{said}: files must be of one kind, but these are {listed([str(path) for path in kinds.values()])}."
        )
    kind = next(iter(kinds))
    if kind in (FOLDER, SAVED) and len(parts) > 1:
        raise DataError(f"{said}: only one folder of label/*.txt can be read at a time, but {len(parts)} fit.")
    return kind


def _kind(path: Path, said: str) -> str:
    """Return the kind of a file."""
    if path.is_dir():
        return SAVED if is_saved(path) else FOLDER
    ending = Path(unpacked_name(path).lower()).suffix
    reason = next((reason for endings, reason in REFUSED.items() if ending in endings), None)
    if reason is not None:
        raise DataError(f"{said}: {reason}.")
    packing = packing_of_name(path.name)
    if ending not in KINDS or (packing is not None and KINDS[ending] in (*TABLES, EXCEL)):
        packed = listed([one.ending for one in PACKINGS])
        raise DataError(
            f"{said}: files must end in {listed(KINDS, 20)} (those of text also with {packed} behind it), or be a "
            f"folder of label/*.txt; got {path.suffix or 'no ending'!r}."
        )
    return KINDS[ending]


def reader_of(kind: str, options: FilesDataset) -> Reader | TableFiles:
    """Return what reads files of a kind."""
    form = TextForm(options.encoding, options.delimiter, tuple(options.column_names), options.quoting)
    if kind in TABLES:
        return TableFiles(kind)
    if kind == EXCEL:
        return Workbook()
    if kind == JSON:
        return JsonLines(form)
    if kind == FOLDER:
        return LabelFolders(form)
    if kind == TEXT and options.delimiter is None and not options.column_names:
        return FastText(form)
    return SeparatedValues(SEPARATORS[kind], options.max_text_characters, form)


def _named(options: FilesDataset, kind: str, parts: Sequence[Part]) -> FilesDataset:
    """Return options that name columns of the train files; what they leave unused is told of."""
    first = parts[0].path
    reader = reader_of(kind, options)
    names, said = reader.columns(first), _said(first, options.train)
    options = _with_columns(options, kind, first)
    unused = [name for name in names if name not in wanted_columns(options)]
    if options.title_column is None and (titles := [name for name in unused if plain_name(name) == "title"]):
        log.info("%s: column %r is not read; dataset.title_column=%s puts it before the text", said, *titles * 2)
    if options.test is None and options.split_column is None:
        for name in unused:
            values = _first_values(reader, first, name) if plain_name(name) in SPLIT_COLUMNS else []
            if values and {str(value).strip().lower() for value in values} <= set(SPLIT_NAMES):
                log.warning(
                    "%s: column %r says which split rows are of (%s), and is not used: the splits are made at random. "
                    "To take them from it, say dataset.split_column=%s",
                    said, name, listed(sorted(set(map(str, values)))), name,
                )  # fmt: skip
    return options


def _first_values(reader: Reader | TableFiles, path: Path, column: str) -> list[object]:
    """Return the first values of a column, those of rows that can be read."""
    if isinstance(reader, TableFiles):
        schema = pa.schema([(column, pa.string())])
        batch = next(reader.batches([(path, None)], [column], schema), None)
        return [] if batch is None else batch.column(column)[:SAMPLED].to_pylist()
    return [row.values[0] for row in islice(reader.rows(path, [column]), SAMPLED) if isinstance(row, Row)]


def _said(path: Path, asked: str) -> str:
    """Return what a file is called: as it was asked for, where that names it alone."""
    return asked if resolve(asked) == path else str(path)


def read_split(
    options: FilesDataset, split: str, kind: str, parts: Sequence[Part], rejects: RejectedRows, asked: str
) -> Dataset:
    """Return the rows of a split, with the columns that the options name and the place of each row."""
    reader = reader_of(kind, options)
    for part in parts:
        if options.encoding == AUTO and isinstance(reader, (JsonLines, FastText, SeparatedValues)):
            told(part.path, encoding_of(part.path))
        where = f"{_said(part.path, asked)}: the {split} split"
        values = partial(_first_values, reader, part.path)
        check_columns(options, reader.columns(part.path), where, reader.remark(part.path), values)
    columns, found = wanted_columns(options), ReadRows()
    by_language = parts[0].language is not None and options.language_column is None
    names = [*columns, LANGUAGE_COLUMN] if by_language else columns
    paths = [(part.path, part.language) for part in parts]
    if isinstance(reader, TableFiles):
        found.files += [str(part.path) for part in parts]
        schema = reader.schema([part.path for part in parts], options, by_language)
        batches = reader.batches(paths, columns, schema)
    else:
        schema = schema_of(names)
        rows = chain.from_iterable(_rows(reader, part, columns, by_language) for part in parts)
        has_lines = kind != FOLDER
        label = None if options.label_columns else options.label_column
        batches = batches_of(rows, names, text_columns(options), label, split, rejects, found, has_lines)
    size, key = _size_and_key(parts, kind)
    if size < SMALL_BYTES:
        dataset = in_memory(batches, schema)
    else:
        log.info("%s: %.1f GB; read once into the cache of datasets, and mapped from there", asked, size / 1e9)
        form = [options.encoding, options.delimiter, list(options.column_names), options.quoting.value]
        limits = [form, split, names, text_columns(options), label_columns(options), options.max_text_characters]
        dataset = cached([kind, key, limits], batches, schema, split, rejects, found)
    remark_encoding(split, rejects)
    rejects.sources[split] = asked
    rejects.files[split], rejects.has_lines[split] = found.files, kind in WITH_LINES
    if len(dataset) == 0 and not rejects.total(split):
        raise DataError(f"{asked}: the file names columns, and holds no rows.")
    return dataset


def _rows(reader: Reader, part: Part, columns: Sequence[str], by_language: bool) -> Iterator[Row | BadRow]:
    """Yield the rows of a file, with its language where its name says it."""
    rows = reader.rows(part.path, columns)
    if not by_language:
        return rows
    return (row if type(row) is BadRow else Row(row[0], row[1], [*row[2], part.language]) for row in rows)  # type: ignore[misc]


def _size_and_key(parts: Sequence[Part], kind: str) -> tuple[float, list[tuple[str, int, int, str | None]]]:
    """Return about how many bytes files hold, unpacked, and what changes when one of them does."""
    size, key = 0.0, []
    for part in parts:
        files = [part.path] if part.path.is_file() else [p for p in part.path.glob("*/*") if p.is_file()]
        packing = packing_of_name(part.path.name)
        factor = COMPRESSED.get(kind, 1) if packing is None else packing.factor
        for path in sorted(files):
            stat = path.stat()
            size += stat.st_size * factor
            key.append((str(path.absolute()), stat.st_size, stat.st_mtime_ns, part.language))
    return size, key
