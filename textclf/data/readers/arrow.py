"""Rows into an Arrow table: in memory where they are few, else through a file in the cache of `datasets`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, config

from textclf.data import rejected
from textclf.data.arrow_tables import dataset_of
from textclf.data.readers import encoding as encodings
from textclf.data.readers.exports import labels_in
from textclf.data.readers.source import BadRow, Row, encodable, is_missing
from textclf.data.rejected import RejectedRows, Rejection, place
from textclf.errors import DataError, first_line
from textclf.system.files import write_text
from textclf.system.unfinished import begin

log = logging.getLogger(__name__)

FILE_COLUMN = "textclf_file"
"""Which of the files a row came from, by its number in `ReadRows.files`."""
LINE_COLUMN = "textclf_line"
"""The line a row begins on, or its number in a source without lines."""
BATCH_ROWS = 10_000
BATCH_CHARACTERS = 8_000_000
"""Rows are written in batches of at most about so many."""
STRINGS = {str}
CACHE_FORMAT = 2
"""Raised when what the cache holds changes."""


@dataclass
class ReadRows:
    """What was found while the rows of a split were read."""

    files: list[str] = field(default_factory=list)
    """The files, by number."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Where each kind of label (`strings`, `integers`, …) was first seen."""

    def check_labels(self) -> None:
        """Refuse labels that are strings here and numbers there."""
        alike = {kind.replace("whole numbers", "integers") for kind in self.kinds}
        if len(alike) > 1:
            said = ", ".join(f"{kind} ({where})" for kind, where in self.kinds.items())
            lists = any(kind.startswith("lists") for kind in alike)
            way = "Write all of them as lists of strings." if lists else "Write all of them as strings."
            raise DataError(f"Labels must be of one kind, but they are {said}. {way}")
        if "whole numbers" in self.kinds:
            log.info("%s: labels such as 1.0 are read as the integers they stand for", self.kinds["whole numbers"])


def batches_of(
    rows: Iterable[Row | BadRow],
    columns: Sequence[str],
    texts: Sequence[str],
    label: str | None,
    split: str,
    rejects: RejectedRows,
    found: ReadRows,
    lines: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows as batches of strings with the place of each; rows that cannot be used are rejected.

    Args:
        rows: The rows, their values in the order of `columns`.
        columns: Names of the columns.
        texts: Those that must hold texts.
        label: The one that holds the label, or a list of them; none where each label has a column of its own.
        split: The split, for the rejected rows.
        rejects: Takes the rejected rows.
        found: Takes the names of the files and the kinds of labels.
        lines: Whether rows are known by their line; else by their number.
    """
    schema = schema_of(columns)
    text_at = [columns.index(name) for name in texts]
    label_at = None if label is None else columns.index(label)
    numbers = {file: number for number, file in enumerate(found.files)}
    kept: list[tuple[int, int | None, Sequence[Any]]] = []
    size = 0
    for row in rows:
        file, at, values = row.file, row.at, row.values if isinstance(row, Row) else row
        if isinstance(row, Row) and ("strings" not in found.kinds or set(map(type, row.values)) != STRINGS):
            values = _plain(row, text_at, label_at, found.kinds, lines)
        if isinstance(values, BadRow):
            line, number = (at, None) if lines else (None, at)
            rejects.add(Rejection(split, file, line, number, values.cause, values.detail, values.start))
            continue
        if file not in numbers:
            numbers[file] = len(numbers)
            found.files.append(file)
        kept.append((numbers[file], at, values))
        for index in text_at:
            size += len(values[index] or "")
        if len(kept) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
            yield _batch(kept, schema, split, rejects, found, lines)
            kept, size = [], 0
    if kept:
        yield _batch(kept, schema, split, rejects, found, lines)
    found.check_labels()


def schema_of(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of rows that are read as strings."""
    return pa.schema([(FILE_COLUMN, pa.int32()), (LINE_COLUMN, pa.int64()), *((name, pa.string()) for name in columns)])


def _plain(
    row: Row, text_at: Sequence[int], label_at: int | None, kinds: dict[str, str], lines: bool
) -> list[str | None] | BadRow:
    """Return the values as strings, or what is wrong with them."""
    values: list[str | None] = []
    for index, value in enumerate(row.values):
        if is_missing(value):
            values.append(None)
        elif index in text_at:
            if not isinstance(value, str):
                return BadRow(row.file, row.at, rejected.NOT_A_TEXT, f"(but {value!r:.60})", start_of(row.values))
            values.append(value)
        elif index == label_at:
            label = labels_in(value)
            inner = label if isinstance(label, list) else [label]
            found = [_kind_of(one) for one in inner]
            if None in found:
                return BadRow(row.file, row.at, rejected.NOT_A_LABEL, f"({label!r:.60})", start_of(row.values))
            plain = [
                str(int(one)) if kind == "whole numbers" else str(one) for one, kind in zip(inner, found, strict=True)
            ]
            for kind in {f"lists of {kind}" if isinstance(label, list) else str(kind) for kind in found}:
                if kind not in kinds:
                    kinds[kind] = place(row.file, row.at, None) if lines else place(row.file, None, row.at)
            values.append(plain[0] if len(plain) == 1 else json.dumps(plain, ensure_ascii=False))
        else:
            values.append(value if isinstance(value, str) else str(value))
    return values


def _kind_of(label: Any) -> str | None:
    """Return what a label is, or nothing where it can be no class."""
    if isinstance(label, bool):
        return "true or false"
    if isinstance(label, float):
        return "whole numbers" if label.is_integer() else None
    return "strings" if isinstance(label, str) else "integers" if isinstance(label, int) else None


def start_of(values: Any) -> str:
    """Return how a row begins, as JSON."""
    short = [value[: rejected.START_CHARACTERS] if isinstance(value, str) else value for value in values]
    return json.dumps(short, ensure_ascii=False, default=str)[: rejected.START_CHARACTERS]


def _batch(
    kept: list[tuple[int, int | None, Sequence[Any]]],
    schema: pa.Schema,
    split: str,
    rejects: RejectedRows,
    found: ReadRows,
    lines: bool,
) -> pa.RecordBatch:
    """Return a batch, without the rows that hold a half of a surrogate pair."""
    try:
        numbers, places, values = zip(*kept, strict=True)
        arrays = [pa.array(numbers, pa.int32()), pa.array(places, pa.int64())]
        arrays += [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
    except UnicodeEncodeError:
        whole = []
        for file, number, row in kept:
            if all(value is None or encodable(value) for value in row):
                whole.append((file, number, row))
            else:
                line, at = (number, None) if lines else (None, number)
                cause = rejected.HALF_CHARACTER
                rejects.add(Rejection(split, found.files[file], line, at, cause, "", start_of(row)))
        if not whole:
            return pa.RecordBatch.from_pylist([], schema)
        return _batch(whole, schema, split, rejects, found, lines)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def in_memory(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Dataset:
    """Return the batches as a dataset in memory."""
    return dataset_of(pa.Table.from_batches(list(batches), schema))


def cached(
    key: object,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    split: str,
    rejects: RejectedRows,
    found: ReadRows,
) -> Dataset:
    """Return the batches as a dataset that is mapped from a file, read again only where `key` is new.

    The rows rejected on the way are kept beside the file, so that they are told of each time.

    Raises:
        DataError: If the cache cannot be written.
    """
    digest = hashlib.blake2b(json.dumps([CACHE_FORMAT, key], default=str).encode(), digest_size=12).hexdigest()
    folder = Path(config.HF_DATASETS_CACHE) / "textclf"
    path, beside = folder / f"{digest}.arrow", folder / f"{digest}.json"
    if path.is_file() and beside.is_file():
        try:
            return _known(path, beside, schema, split, rejects, found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s); the files are read again", path, first_line(error))
    temporary = begin(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
        known = {
            "files": found.files, "kinds": found.kinds, "counts": rejects.counts.get(split, {}),
            "remarks": rejects.remarks, "rejected": [asdict(r) for r in rejects.written.get(split, [])],
        }  # fmt: skip
        _write(beside, known)
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"{folder}: what was read cannot be kept there: {error.strerror or error}. Make room, or name another "
            f"place with the environment variable HF_DATASETS_CACHE."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return Dataset.from_file(str(path))


def _known(path: Path, beside: Path, schema: pa.Schema, split: str, rejects: RejectedRows, found: ReadRows) -> Dataset:
    """Return what was read before, and tell of the rows that were rejected then."""
    known = json.loads(beside.read_text(encoding="utf-8"))
    dataset = Dataset.from_file(str(path))
    if dataset.data.schema.names != schema.names:
        raise ValueError("its columns are others")
    counts, rejections = Counter(known["counts"]), [Rejection(**rejection) for rejection in known["rejected"]]
    remarks, files, kinds, written = known["remarks"], list(known["files"]), known["kinds"], known["written"]
    rejects.counts[split], rejects.written[split], rejects.remarks = counts, rejections, rejects.remarks | remarks
    found.files[:], found.kinds = files, kinds
    log.info("%s: already read, on %s; taken from %s", split, written, path)
    return dataset


def _write(path: Path, known: dict[str, Any]) -> None:
    from datetime import datetime

    known["written"] = datetime.now().isoformat(" ", "minutes")
    write_text(path, json.dumps(known))


def remark_encoding(split: str, rejects: RejectedRows) -> None:
    """Guess the encoding of rejected lines that are not UTF-8, for a person."""
    bad = [rejection for rejection in rejects.written.get(split, []) if rejection.cause == rejected.NOT_UTF8]
    if bad and rejected.NOT_UTF8 not in rejects.remarks:
        sample = "\n".join(rejection.start for rejection in bad[:50]).encode("utf-8", "surrogateescape")
        rejects.remarks[rejected.NOT_UTF8] = encodings.remark(sample)
