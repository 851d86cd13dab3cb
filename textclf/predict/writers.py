"""Batches into a file or a pipe: whole under its name or not there at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from textclf.documents.escape import csv_cell, is_formula, terminal
from textclf.errors import ArtifactError, DataError, first_line
from textclf.predict.rows import SEPARATORS, Batch, Kind
from textclf.predict.values import as_fields, as_json
from textclf.system.unfinished import claimed


class Writer(ABC):
    """Writes batches of the same columns in one format."""

    is_empty = True
    """Whether nothing is written yet."""

    def __init__(self, binary: IO[bytes], kind: Kind):
        self.binary = binary
        self.kind = kind

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Write the rows of a batch.

        Raises:
            DataError: If its columns do not fit those of the first.
        """

    def close(self) -> None:
        """Write what is left to write; the file stays open."""
        self.binary.flush()

    def abandon(self) -> None:  # noqa: B027  (most have nothing to let go of)
        """Let go of what is half written."""


class JsonWriter(Writer):
    """One JSON object a line; what was JSON before is written as it stood."""

    def write(self, batch: Batch) -> None:
        """Write an object for each row."""
        table = batch.table
        added = set(batch.added)
        own = [] if batch.lines is not None else [name for name in table.column_names if name not in added]
        names = [*own, *batch.added] if own else list(batch.added)
        keys = [json.dumps(name, ensure_ascii=False) + ": " for name in names]
        places = {name: number for number, name in reversed(list(enumerate(table.column_names)))}
        columns = [as_json(table.column(places[name])) for name in names]
        tails = [", ".join(map("".join, zip(keys, row, strict=True))) for row in zip(*columns, strict=True)]
        if batch.lines is None:
            lines = [f"{{{tail}}}\n" for tail in tails]
        else:
            lines = [_with_tail(line, tail) for line, tail in zip(batch.lines, tails, strict=True)]
        self.binary.write("".join(lines).encode())


def _with_tail(line: str | None, tail: str) -> str:
    """Return a JSON object with more keys at its end."""
    head = "{" if line is None else line[:-1].rstrip()
    return f"{head}{'' if head == '{' else ', '}{tail}}}\n"


class SeparatedWriter(Writer):
    """CSV or TSV, the names of the columns above."""

    names: list[str]
    is_for_spreadsheets = False
    """Whether texts that a spreadsheet would take for formulas get a `'` in front."""
    formula: str | None = None
    """The first such text that was written as it is."""

    def write(self, batch: Batch) -> None:
        """Write a record for each row."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=SEPARATORS[self.kind], lineterminator="\n")
        table = batch.table
        if self.is_empty:
            self.names, self.is_empty = table.column_names, False
            writer.writerow(self._safe(self.names))
        columns = [
            self._safe(as_fields(column)) if _holds_texts(column.type) else as_fields(column)
            for column in _aligned(table, self.names, self.kind)
        ]
        writer.writerows(zip(*columns, strict=True))
        self.binary.write(text.getvalue().encode())

    def _safe(self, cells: list[str]) -> list[str]:
        """Return texts as they are to be written."""
        if self.is_for_spreadsheets:
            return [csv_cell(cell) for cell in cells]
        if self.formula is None:
            self.formula = next(filter(is_formula, cells), None)
        return cells


def _holds_texts(kind: pa.DataType) -> bool:
    """Say whether a column may hold texts: a number is no formula."""
    return not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


class LineWriter(Writer):
    """The label of each row on a line of its own."""

    def write(self, batch: Batch) -> None:
        """Write a line for each row."""
        labels = as_fields(batch.table.column(batch.added[0]))
        self.binary.write("".join(f"{label}\n" for label in labels).encode())


class ParquetWriter(Writer):
    """Parquet, each column of the type that it has in the first batch."""

    schema: pa.Schema
    writer: pq.ParquetWriter

    def write(self, batch: Batch) -> None:
        """Write the rows as a row group."""
        table = batch.table
        if self.is_empty:
            self.is_empty = False
            fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
            self.schema = pa.schema(fields, table.schema.metadata)
            self.writer = pq.ParquetWriter(self.binary, self.schema)
        columns = _aligned(table, self.schema.names, self.kind)
        cast = []
        for column, kept in zip(columns, self.schema, strict=True):
            try:
                cast.append(column if column.type == kept.type else column.cast(kept.type))
            except pa.ArrowInvalid as error:
                raise DataError(
                    f"Column {kept.name!r} holds {kept.type} in the first rows and {column.type} further down, which "
                    f"one Parquet column cannot hold ({first_line(error)}) Write JSON Lines."
                ) from error
        self.writer.write_table(pa.Table.from_arrays(cast, schema=self.schema))

    def close(self) -> None:
        """Write the foot of the file."""
        if not self.is_empty:
            self.writer.close()
            self.binary.flush()

    def abandon(self) -> None:
        """Close the half of a file while there is one to close."""
        if not self.is_empty:
            with suppress(Exception):
                self.writer.close()


WRITERS = {
    Kind.jsonl: JsonWriter,
    Kind.csv: SeparatedWriter,
    Kind.tsv: SeparatedWriter,
    Kind.parquet: ParquetWriter,
    Kind.txt: LineWriter,
}


class ForTerminal(io.RawIOBase):
    """Writes text to a terminal, which shows what would move its cursor, set its title or colour it, and does not obey.

    Into pipes and files the same bytes go as they are.
    """

    def __init__(self, binary: IO[bytes]):
        """Take where the terminal's bytes go."""
        self.binary = binary

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, data: Any, /) -> int:
        """Write whole lines of UTF-8."""
        self.binary.write(terminal(bytes(data).decode("utf-8", "replace")).encode())
        return len(data)

    def flush(self) -> None:
        """Show what was written."""
        self.binary.flush()


def _aligned(table: pa.Table, names: list[str], kind: Kind) -> list[pa.ChunkedArray]:
    """Return the columns in the order of the first batch; nulls where one is missing."""
    if table.column_names == names:
        return table.columns
    known, there = set(names), set(table.column_names)
    if new := [name for name in table.column_names if name not in known]:
        raise DataError(
            f"Rows further down have a column {new[0]!r}, which the first rows do not have, and the columns of "
            f"{kind.value} are fixed by then. Write JSON Lines."
        )
    return [table.column(name) if name in there else pa.chunked_array([pa.nulls(len(table))])
            for name in names]  # fmt: skip


Place = Callable[[Path, Path], None]
"""Takes a whole file and the name that it is to have, and gives it this name."""


@contextmanager
def open_writer(
    target: Path | BinaryIO, kind: Kind, force: bool = False, place: Place | None = None
) -> Iterator[Writer]:
    """Open an output; a file appears under its name when the context ends without an error, and not before.

    Args:
        target: The file, packed where its name ends in .gz; or an open one, which stays open.
        kind: Its format.
        force: Replace a file that is there.
        place: Gives a whole file its name, while no other process may write to it; none renames it.

    Raises:
        ArtifactError: If a file is there already, or cannot be written.
        BeingWrittenError: If another process is writing it.
    """
    if not isinstance(target, Path):
        with _writing(WRITERS[kind](target, kind)) as writer:
            yield writer
        return
    check_target(target, force)
    regular = not target.exists() or target.is_file()  # not /dev/null, nor a named pipe
    try:
        with claimed(target) if regular else nullcontext(target) as written:
            with written.open("wb") as file:
                binary = gzip.GzipFile("", "wb", 6, file, mtime=0) if target.name.lower().endswith(".gz") else file
                with _writing(WRITERS[kind](binary, kind)) as writer:  # type: ignore[arg-type]
                    yield writer
                if binary is not file:
                    binary.close()
                if regular:
                    file.flush()
                    os.fsync(file.fileno())
            if regular:
                check_target(target, force)
                (place or Path.replace)(written, target)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise ArtifactError(
            f"{target} cannot be written: {error.strerror or error}. Make room, or name another place."
        ) from error


@contextmanager
def _writing(writer: Writer) -> Iterator[Writer]:
    """Close a writer at the end, or abandon it where an error passes."""
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        raise


def check_target(target: Path, force: bool) -> None:
    """Refuse an output that is there already, or whose folder is not.

    Raises:
        ArtifactError: With what is in the way.
    """
    if target.is_dir():
        raise ArtifactError(f"{target} is a folder; name a file to write to.")
    if target.is_file() and not force:
        raise ArtifactError(f"{target} is there already; name another file, or add --force to replace it.")
    if not target.parent.is_dir():
        raise ArtifactError(f"{target}: there is no folder {target.parent}; make it first.")
