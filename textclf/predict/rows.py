"""Rows of an input in batches: whatever can be trained on, and plain lines; files and pipes.

for batch in read_batches(Path("reviews.csv"), Kind.csv, WantedTexts()):
    batch.texts, batch.table
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa

from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.excel import Workbook
from textclf.data.readers.exports import field_names, value_at
from textclf.data.readers.fasttext import is_labelled, text_and_labels
from textclf.data.readers.folders import LabelFolders
from textclf.data.readers.jsonl import JsonLines
from textclf.data.readers.packed import PACKINGS, packing_of_name, unpacked_name
from textclf.data.readers.saved_dataset import is_saved, read_saved
from textclf.data.readers.source import SAMPLED_ROWS, BadRow, Lines, Row, encodable, undecoded
from textclf.data.readers.tables import Table, open_table
from textclf.data.readers.text import PLAIN, TextForm, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError, first_line, listed
from textclf.predict.inputs import MAX_TEXT_CHARACTERS, TextColumns, Texts, WantedTexts, refusal
from textclf.predict.values import column_of

AHEAD_LINES, AHEAD_CHARACTERS = 20, 65_536
"""So many lines, or about so many characters, show whether lines begin with labels."""
WINDOW_ROWS = 16_384
"""Rows that are in memory at once."""
WINDOW_CHARACTERS = 64_000_000
"""A window ends early where its rows hold about so many characters."""
WINDOW_CELLS = 8_000_000
"""A window of objects is divided where their table would have more cells."""
LINE_COLUMN = "text"
"""What the lines of a file without columns are called."""


LABEL_COLUMN, FILE_COLUMN = "label", "file"
"""What the labels of fastText's lines and of folders are called, and the file of a text in a folder."""


class Kind(Enum):
    """A format of rows."""

    jsonl = "jsonl"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    txt = "txt"
    xlsx = "xlsx"
    arrow = "arrow"
    feather = "feather"
    folder = "folder"


ENDINGS = {".jsonl": Kind.jsonl, ".ndjson": Kind.jsonl, ".json": Kind.jsonl, ".csv": Kind.csv, ".tsv": Kind.tsv,
           ".tab": Kind.tsv, ".parquet": Kind.parquet, ".txt": Kind.txt, ".xlsx": Kind.xlsx, ".arrow": Kind.arrow,
           ".feather": Kind.feather}  # fmt: skip
TABLES = (Kind.parquet, Kind.arrow, Kind.feather)
BINARY = (*TABLES, Kind.xlsx)
"""Formats that are no text, and are read from their end."""
WRITTEN = (Kind.jsonl, Kind.csv, Kind.tsv, Kind.parquet, Kind.txt)
"""Formats that can be written too."""
PACKED = tuple(packing.ending for packing in PACKINGS)
"""What may follow the ending of a file that is packed."""
SEPARATORS = {Kind.csv: ",", Kind.tsv: "\t"}


def readable_endings() -> list[str]:
    """Return the endings of all files that can be predicted, packed ones last."""
    packed = [ending + more for ending, kind in ENDINGS.items() if kind not in BINARY for more in PACKED]
    return [*ENDINGS, *packed]


def kind_of_name(name: str) -> Kind | None:
    """Return the format that a file's name says, before the ending of its packing; none where it says none."""
    kind = ENDINGS.get(Path(unpacked_name(Path(name)).lower()).suffix)
    return None if kind in BINARY and packing_of_name(name) is not None else kind


def kind_to_write(name: str) -> Kind | None:
    """Return the format that the name of an output says, which may be packed with gzip; none where it says none."""
    packing = packing_of_name(name)
    kind = kind_of_name(name) if packing is None or packing.ending == ".gz" else None
    return kind if kind in WRITTEN else None


def kind_like(read: Kind) -> Kind:
    """Return the format in which rows of a format are written, where nobody says which."""
    if read in WRITTEN:
        return Kind.jsonl if read is Kind.txt else read
    return Kind.parquet if read in BINARY and read is not Kind.xlsx else Kind.jsonl


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
    form: TextForm = PLAIN,
) -> Iterator[Batch]:
    """Yield the rows of an input in batches; one that is empty comes first where there are no rows.

    Args:
        source: A file, or an open one such as a pipe, packed or not. Tables and workbooks cannot come through a pipe.
        kind: Its format.
        wanted: Which columns hold the texts; none looks for usual names.
        size: Most rows of a batch.
        name: What the input is called, for a person; none takes its path.
        form: How a text file is written.

    Raises:
        DataError: If it cannot be read, holds no rows of this format, or lacks the columns.
    """
    said = name or str(source if isinstance(source, Path) else getattr(source, "name", "the input"))
    wanted = wanted or WantedTexts()
    if kind in TABLES:
        yield from read_table(source, kind, wanted, size, said)
        return
    if kind is Kind.xlsx:
        yield from _workbook(source, wanted, size, said)
        return
    if kind is Kind.folder:
        yield from _folder(Path(said), wanted, size, form)
        return
    readers: dict[Kind, Callable[..., Iterator[Batch]]] = {Kind.jsonl: _json_lines, Kind.txt: _plain_lines}
    with _opened(source, said, form) as (stream, share):
        yield from readers.get(kind, _separated)(stream, kind, wanted, size, said, share, form)


def read_column_names(source: BinaryIO, kind: Kind, name: str) -> list[str]:
    """Return the names of an input's columns; none where it has no rows that could say them.

    Args:
        source: An open file, packed with gzip or not.
        kind: Its format.
        name: What it is called, for a person.

    Raises:
        DataError: If it cannot be read in this format.
    """
    if kind in TABLES:
        with open_table(source, f".{kind.value}", name) as table:
            return table.names
    if kind is Kind.xlsx:
        return next(Workbook().values(source, name))[1]
    with _opened(source, name, PLAIN) as (stream, _):
        if kind is Kind.txt:
            labelled = is_labelled(Lines(stream).ahead(AHEAD_LINES, AHEAD_CHARACTERS))
            return [LINE_COLUMN, LABEL_COLUMN] if labelled else [LINE_COLUMN]
        if kind is Kind.jsonl:
            first = next(JsonLines().objects(stream, name, accepted_only=False), None)
            if isinstance(first, BadRow):
                raise refusal(first)
            return [] if first is None else list(field_names(first[2]))
        header = next(SeparatedValues(SEPARATORS[kind], MAX_TEXT_CHARACTERS).records(stream, Path(name)))
        return list(header.values) if isinstance(header, Row) else []


@contextmanager
def _opened(source: Path | BinaryIO, said: str, form: TextForm) -> Iterator[tuple[IO[str], Callable[[], float | None]]]:
    """Open an input as text, with what tells how much of it was read, 0 to 1."""
    if not isinstance(source, Path):
        with open_text(Path(said), source, form.encoding) as stream:
            yield stream, lambda: None
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise DataError(f"{said}: the file cannot be read: {error.strerror or error}.") from error
    with file, open_text(Path(said), file, form.encoding) as stream:
        size = os.fstat(file.fileno()).st_size
        yield stream, lambda: file.tell() / size if size else None


def _json_lines(
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str,
    share: Callable[[], float | None], form: TextForm,
) -> Iterator[Batch]:  # fmt: skip
    columns: TextColumns | None = None
    objects = JsonLines(form).objects(stream, said, accepted_only=False)
    windows = _windows(objects, size, lambda row: len(row[1]))
    for window in chain.from_iterable(_narrow(window) for window in windows):
        rows = [({}, row) if isinstance(row, BadRow) else (row[2], row) for row in window]
        names = _keys(window)
        if columns is None:
            bad = next((row for row in window if isinstance(row, BadRow)), None)
            if not names and bad is not None:
                raise refusal(bad)
            fields = dict.fromkeys(name for content, _ in rows[:SAMPLED_ROWS] for name in field_names(content))
            columns = wanted.found_in(list(fields), said)
        table = pa.Table.from_arrays([column_of([content.get(key) for content, _ in rows]) for key in names], names)
        found = Texts(columns)
        for content, row in rows:
            if isinstance(row, BadRow):
                found.add_problem(row)
            else:
                found.add(said, row[0], partial(value_at, content))
        lines = [None if isinstance(row, BadRow) else row[1].strip() for row in window]
        yield Batch(table, found.texts, found.pairs, found.problems, lines, share=share())


def _keys(window: Sequence[Any]) -> list[str]:
    """Return the keys of some objects, each once."""
    return list(dict.fromkeys(key for row in window if not isinstance(row, BadRow) for key in row[2]))


def _narrow(window: list[Any]) -> Iterator[list[Any]]:
    """Yield objects in parts whose tables are not large: where each has keys of its own, a table is mostly empty."""
    if len(window) <= 1 or len(window) * len(_keys(window)) <= WINDOW_CELLS:
        yield window
        return
    half = len(window) // 2
    yield from _narrow(window[:half])
    yield from _narrow(window[half:])


def _separated(
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str,
    share: Callable[[], float | None], form: TextForm,
) -> Iterator[Batch]:  # fmt: skip
    records = SeparatedValues(SEPARATORS[kind], MAX_TEXT_CHARACTERS, form).records(stream, Path(said))
    header = next(records)
    names = list(header.values) if isinstance(header, Row) else []
    first = ",".join(names)
    remark = f" Its first line, which must name the columns, is {first[:80]!r}; if that is data, give --column-names."
    columns = wanted.found_in(names, said, "" if form.column_names else remark)
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
    stream: IO[str], kind: Kind, wanted: WantedTexts, size: int, said: str,
    share: Callable[[], float | None], form: TextForm,
) -> Iterator[Batch]:  # fmt: skip
    lines = Lines(stream)
    labelled = is_labelled(lines.ahead(AHEAD_LINES, AHEAD_CHARACTERS))
    names = [LINE_COLUMN, LABEL_COLUMN] if labelled else [LINE_COLUMN]
    columns, cause = wanted.found_in(names, f"{said} (plain lines)"), undecoded(stream)
    rows = enumerate((line.rstrip("\r\n") for line in chain(lines.first, stream)), 1)
    for window in _windows(rows, size, lambda row: len(row[1])):
        found, texts, labels = Texts(columns), [], []
        for number, line in window:
            text, own = text_and_labels(line) if labelled else (line, [])
            texts.append(text.encode("utf-8", "replace").decode())
            labels.append(" ".join(own))
            if not encodable(line):
                found.add_problem(BadRow(said, number, cause, "", line[:START_CHARACTERS]))
            else:
                found.add(said, number, {LINE_COLUMN: text}.get)
        table = {LINE_COLUMN: texts} | ({LABEL_COLUMN: labels} if labelled else {})
        yield Batch(pa.table(table), found.texts, None, found.problems, share=share())


def _workbook(source: Path | BinaryIO, wanted: WantedTexts, size: int, said: str) -> Iterator[Batch]:
    records = Workbook().values(source, said, tell=True)
    names = next(records)[1]
    columns = wanted.found_in(names, said)
    some = False
    for window in _windows(records, size, lambda row: sum(len(str(value)) for value in row[1])):
        found = Texts(columns)
        for number, values in window:
            found.add(said, number, dict(zip(names, values, strict=True)).get)
        cells = [column_of(list(column)) for column in zip(*(values for _, values in window), strict=True)]
        yield Batch(pa.Table.from_arrays(cells, names), found.texts, found.pairs, found.problems)
        some = True
    if not some:
        yield Batch(
            pa.table({name: pa.array([], pa.string()) for name in names}), [], [] if columns.text_pair else None
        )


def _folder(folder: Path, wanted: WantedTexts, size: int, form: TextForm) -> Iterator[Batch]:
    """Yield the texts of a folder of label folders, with the file of each; or the rows of a saved dataset."""
    if is_saved(folder):
        splits = read_saved(folder)
        if len(splits) > 1:
            raise DataError(f"{folder}: the saved dataset has the splits {listed(splits)}; name the folder of one.")
        rows = next(iter(splits.values())).with_format("arrow")
        columns = wanted.found_in(rows.column_names, str(folder))
        for start in range(0, len(rows), size):
            yield _of_columns(rows[start : start + size], columns, str(folder), start)
        return
    names = [LINE_COLUMN, LABEL_COLUMN]
    columns = wanted.found_in(names, str(folder))
    for window in _windows(LabelFolders(form).rows(folder, names), size, lambda row: len(row.values[0])):
        found = Texts(columns)
        for row in window:
            if isinstance(row, BadRow):
                found.add_problem(row)
            else:
                found.add(row.file, None, dict(zip(names, row.values, strict=True)).get)
        labels = [Path(row.file).parent.name for row in window]
        table = pa.table({LINE_COLUMN: found.texts, LABEL_COLUMN: labels, FILE_COLUMN: [row.file for row in window]})
        yield Batch(table, found.texts, None, found.problems)


def _of_columns(table: pa.Table, columns: TextColumns, said: str, first: int) -> Batch:
    """Return some rows of a saved dataset."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:  # values that lie outside of the file
        raise DataError(f"{said}: the saved dataset is damaged: {first_line(error)}") from error
    named = {name for name in (columns.text, columns.text_pair, columns.title) if name is not None}
    values = {name: table.column(name).cast(pa.large_string()).to_pylist() for name in named}
    found = Texts(columns)
    for number in range(len(table)):
        found.add(said, first + number + 1, {name: texts[number] for name, texts in values.items()}.get)
    return Batch(table, found.texts, found.pairs, found.problems)


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


def read_table(
    source: Path | BinaryIO, kind: Kind, wanted: WantedTexts, size: int, said: str
) -> Iterator[Batch]:  # fmt: skip
    """Yield the rows of a Parquet, Arrow or Feather file in batches; an empty one where there are none.

    Args:
        source: A file, or an open one that is no pipe.
        kind: Its format.
        wanted: Which columns hold the texts.
        size: Most rows of a batch.
        said: What the file is called.

    Raises:
        DataError: If it cannot be read in this format, or lacks the columns, or they hold no strings.
    """
    with open_table(source, f".{kind.value}", said) as table:
        columns = wanted.found_in(table.names, said)
        named = {name for name in (columns.text, columns.text_pair, columns.title) if name is not None}
        for name in named:
            if not _is_text(table.type_of(name)):
                raise DataError(
                    f"{said}: texts must be strings, but column {name!r} holds {table.type_of(name)}. Name another "
                    f"with --text-column."
                )
        yield from _batches_of_table(table, columns, named, size, said)


def _batches_of_table(table: Table, columns: TextColumns, named: set[str], size: int, said: str) -> Iterator[Batch]:
    done = 0
    for batch in table.batches(max(1, min(size, int(WINDOW_CHARACTERS / max(table.row_bytes, 1))))):
        whole = pa.Table.from_batches([batch]).replace_schema_metadata(table.schema.metadata)
        values = {name: table.column(batch, name).cast(pa.large_string()).to_pylist() for name in named}
        found = Texts(columns)
        for number in range(len(whole)):
            found.add(said, done + number + 1, {name: texts[number] for name, texts in values.items()}.get)
        done += len(whole)
        yield Batch(whole, found.texts, found.pairs, found.problems, share=done / max(table.rows, 1))
    if done == 0:
        yield Batch(table.schema.empty_table(), [], [] if columns.text_pair else None, share=1.0)


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column can hold texts."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
                                             pa.types.is_null))  # fmt: skip
