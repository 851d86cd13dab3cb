"""Rows of an input in batches: JSON Lines, CSV, TSV, plain lines (each also packed) and Parquet; files and pipes.

for batch in read_batches(Path("reviews.csv"), Kind.csv, WantedTexts()):
    batch.texts, batch.table
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from textclf.data import rejected
from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.jsonl import JsonLines, one_array
from textclf.data.readers.source import BadRow, Row, encodable
from textclf.data.readers.text import open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, first_line
from textclf.predict.inputs import MAX_TEXT_CHARACTERS, TextColumns, Texts, WantedTexts, refusal
from textclf.predict.values import column_of

WINDOW_ROWS = 16_384
"""Rows that are in memory at once."""
WINDOW_CHARACTERS = 64_000_000
"""A window ends early where its rows hold about so many characters."""
LINE_COLUMN = "text"
"""What the lines of a file without columns are called."""


class Kind(Enum):
    """A format of rows."""

    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    txt = "txt"


ENDINGS = {".jsonl": Kind.jsonl, ".ndjson": Kind.jsonl, ".json": Kind.jsonl, ".csv": Kind.csv, ".tsv": Kind.tsv,
           ".parquet": Kind.parquet, ".txt": Kind.txt}  # fmt: skip
OTHER_SEPARATORS = (";", "\t", "|", ",")
PACKED = (".gz",)
"""What may follow the ending of a file that is packed."""
SEPARATORS = {Kind.csv: ",", Kind.tsv: "\t"}


def readable_endings() -> list[str]:
    """Return the endings of all files that can be predicted, packed ones last."""
    packed = [ending + more for ending, kind in ENDINGS.items() if kind is not Kind.parquet for more in PACKED]
    return [*ENDINGS, *packed]


def kind_of_name(name: str) -> Kind | None:
    """Return the format that a file's name says, before any `.gz`; none where it says none."""
    lowered = name.lower()
    ending = Path(lowered.removesuffix(".gz")).suffix
    return None if lowered.endswith(".parquet.gz") else ENDINGS.get(ending)


@dataclass(frozen=True)
class Batch:
    """Some rows of an input, in order."""

    table: pa.Table
    """All columns of the rows; of JSON Lines, nested and mixed values as JSON."""
    texts: list[str]
    """What is to be predicted, or the first texts of pairs; empty where there is a problem."""
    text_pairs: list[str] | None
    """The second texts of pairs."""
    problems: dict[int, BadRow] = field(default_factory=dict)
    """What is wrong with rows that cannot be predicted, by their number in the batch."""
    lines: Sequence[str | None] | None = None
    """Of JSON Lines, the rows as they stood, without the line end; none for one that is no JSON object."""
    added: tuple[str, ...] = ()
    """The columns of the table, its last ones, that hold predictions."""
    share: float | None = None
    """How much of the input was read when the batch was full, 0 to 1; none where that is not known."""

    def __len__(self) -> int:
        return len(self.texts)


def read_batches(
    source: Path | BinaryIO,
    kind: Kind,
    wanted: WantedTexts | None = None,
    size: int = WINDOW_ROWS,
    name: str | None = None,
) -> Iterator[Batch]:
    """Yield the rows of an input in batches; one that is empty comes first where there are no rows.

    Args:
        source: A file, or an open one such as a pipe, packed with gzip or not. Parquet cannot come through a pipe.
        kind: Its format.
        wanted: Which columns hold the texts; none looks for usual names.
        size: Most rows of a batch.
        name: What the input is called, for a person; none takes its path.

    Raises:
        DataError: If it cannot be read, holds no rows of this format, or lacks the columns.
    """
    said = name or str(source if isinstance(source, Path) else getattr(source, "name", "the input"))
    wanted = wanted or WantedTexts()
    if kind is Kind.parquet:
        yield from read_parquet(source, wanted, size, said)
        return
    readers: dict[Kind, Callable[..., Iterator[Batch]]] = {Kind.jsonl: _json_lines, Kind.txt: _plain_lines}
    with _opened(source, said) as (stream, share):
        yield from readers.get(kind, _separated)(stream, kind, wanted, size, said, share)


def read_column_names(source: BinaryIO, kind: Kind, name: str) -> list[str]:
    """Return the names of an input's columns; none where it has no rows that could say them.

    Args:
        source: An open file, packed with gzip or not.
        kind: Its format.
        name: What it is called, for a person.

    Raises:
        DataError: If it cannot be read in this format.
    """
    if kind is Kind.parquet:
        try:
            return pq.read_schema(source).names
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: the file cannot be read as Parquet: {first_line(error)}") from error
    if kind is Kind.txt:
        return [LINE_COLUMN]
    with _opened(source, name) as (stream, _):
        if kind is Kind.jsonl:
            first = next(JsonLines().objects(stream, name), None)
            if isinstance(first, BadRow):
                raise _no_object(first, name)
            return [] if first is None else list(first[2])
        reader = SeparatedValues(SEPARATORS[kind], MAX_TEXT_CHARACTERS)
        header = next(reader.records(stream, Path(name)))
        names = list(header.values) if isinstance(header, Row) else []
        if len(names) == 1 and (other := next((s for s in OTHER_SEPARATORS if s in names[0]), None)):
            raise DataError(
                f"{name} names one column, {names[0]!r}, whose name holds {other!r}. If that is what stands between "
                f"columns, write {SEPARATORS[kind]!r} instead; else take it out of the name."
            )
        return names


def _no_object(row: BadRow, name: str) -> DataError:
    """Return the error on a file of JSON Lines that does not begin with an object."""
    return one_array(name) if row.start.lstrip().startswith("[") else refusal(row)


@contextmanager
def _opened(source: Path | BinaryIO, said: str) -> Iterator[tuple[IO[str], Callable[[], float | None]]]:
    """Open an input as text, with what tells how much of it was read, 0 to 1."""
    if not isinstance(source, Path):
        with open_text(Path(said), source) as stream:
            yield stream, lambda: None
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise DataError(f"{said}: the file cannot be read: {error.strerror or error}.") from error
    with file, open_text(Path(said), file) as stream:
        size = os.fstat(file.fileno()).st_size
        yield stream, lambda: file.tell() / size if size else None


def _json_lines(
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str, share: Callable[[], float | None]
) -> Iterator[Batch]:
    columns: TextColumns | None = None
    for window in _windows(JsonLines().objects(stream, said), size, lambda row: len(row[1])):
        rows = [({}, row) if isinstance(row, BadRow) else (row[2], row) for row in window]
        names = list(dict.fromkeys(key for content, _ in rows for key in content))
        if columns is None:
            bad = next((row for row in window if isinstance(row, BadRow)), None)
            if not names and bad is not None:
                raise _no_object(bad, said)
            columns = wanted.found_in(names, said)
        table = pa.Table.from_arrays([column_of([content.get(key) for content, _ in rows]) for key in names], names)
        found = Texts(columns)
        for content, row in rows:
            if isinstance(row, BadRow):
                found.add_problem(row)
            else:
                found.add(said, row[0], content.get)
        lines = [None if isinstance(row, BadRow) else row[1].strip() for row in window]
        yield Batch(table, found.texts, found.pairs, found.problems, lines, share=share())


def _separated(
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str, share: Callable[[], float | None]
) -> Iterator[Batch]:
    reader = SeparatedValues(SEPARATORS[kind], MAX_TEXT_CHARACTERS)
    records = reader.records(stream, Path(said))
    header = next(records)
    names = list(header.values) if isinstance(header, Row) else []
    columns = wanted.found_in(names, said, reader.remark_on(reader.separator.join(names)))
    at = {name: number for number, name in reversed(list(enumerate(names)))}
    nothing = [""] * len(names)
    some = False
    for window in _windows(records, size, lambda row: sum(map(len, row.values))):
        found = Texts(columns)
        for row in window:
            if isinstance(row, BadRow):
                found.add_problem(row)
            else:
                found.add(said, row.at, lambda name, values=row.values: values[at[name]])
        values = [nothing if isinstance(row, BadRow) else row.values for row in window]
        table = pa.Table.from_arrays([pa.array(v, pa.string()) for v in zip(*values, strict=True)], names)
        yield Batch(table, found.texts, found.pairs, found.problems, share=share())
        some = True
    if not some:
        yield Batch(
            pa.table({name: pa.array([], pa.string()) for name in names}), [], [] if columns.text_pair else None
        )


def _plain_lines(
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str, share: Callable[[], float | None]
) -> Iterator[Batch]:
    columns = wanted.found_in([LINE_COLUMN], f"{said} (plain lines)")
    rows = ((number, line.rstrip("\r\n")) for number, line in enumerate(stream, 1))
    for window in _windows(rows, size, lambda row: len(row[1])):
        found = Texts(columns)
        for number, line in window:
            if not encodable(line):
                found.add_problem(BadRow(said, number, rejected.NOT_UTF8, "", line[:START_CHARACTERS]))
            else:
                found.add(said, number, {LINE_COLUMN: line}.get)
        lines = [line.encode("utf-8", "replace").decode() for _, line in window]
        yield Batch(pa.table({LINE_COLUMN: lines}), found.texts, None, found.problems, share=share())


def _windows(rows: Iterator[Any], size: int, length: Callable[[Any], int]) -> Iterator[list[Any]]:
    """Yield rows in lists of at most so many, and of no more than about `WINDOW_CHARACTERS`."""
    window, characters = [], 0
    for row in rows:
        window.append(row)
        characters += 0 if isinstance(row, BadRow) else length(row)
        if len(window) >= size or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def read_parquet(source: Path | BinaryIO, wanted: WantedTexts, size: int, said: str) -> Iterator[Batch]:
    """Yield the rows of a Parquet file in batches; an empty one where there are none.

    Args:
        source: A file, or an open one that is no pipe.
        wanted: Which columns hold the texts.
        size: Most rows of a batch.
        said: What the file is called.

    Raises:
        DataError: If it cannot be read as Parquet, or lacks the columns, or they hold no strings.
    """
    if not isinstance(source, Path) and not source.seekable():
        raise DataError(f"{said}: Parquet is read from its end, so it cannot come through a pipe; name the file.")
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            schema = file.schema_arrow
            columns = wanted.found_in(schema.names, said)
            named = [name for name in (columns.text, columns.text_pair, columns.title) if name is not None]
            for name in named:
                if not _is_text(schema.field(name).type):
                    raise DataError(
                        f"{said}: texts must be strings, but column {name!r} holds {schema.field(name).type}. Name "
                        f"another with --text-column."
                    )
            total, done = file.metadata.num_rows, 0
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            row_bytes = sum(group.total_byte_size for group in groups) / max(total, 1)
            rows = max(1, min(size, int(WINDOW_CHARACTERS / max(row_bytes, 1))))
            for batch in file.iter_batches(batch_size=rows):
                table = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
                values = {name: table.column(name).cast(pa.large_string()).to_pylist() for name in set(named)}
                found = Texts(columns)
                for number in range(len(table)):
                    found.add(said, done + number + 1, {name: texts[number] for name, texts in values.items()}.get)
                done += len(table)
                yield Batch(table, found.texts, found.pairs, found.problems, share=done / total)
            if total == 0:
                yield Batch(schema.empty_table(), [], [] if columns.text_pair else None, share=1.0)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{said}: the file cannot be read as Parquet: {first_line(error)}") from error


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column can hold texts."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
                                             pa.types.is_null))  # fmt: skip
