"""A report as a list of blocks, rendered as Markdown and as one HTML file that needs nothing else.

Every text in a block is plain text: neither rendering reads markup from it.
"""

from __future__ import annotations

import base64
import functools
import math
import mimetypes
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from tabulate import tabulate

from textclf.documents.escape import markdown, markdown_line, script_json, shown
from textclf.documents.wording import thousands

TEMPLATE = "page.html.j2"
SCRIPT = "explorer.js"
"""Put into pages with an `Explorer`."""
DRAWINGS_SCRIPT = "drawings.js"


@dataclass(frozen=True)
class Heading:
    """A heading; those of level 2 make the table of contents."""

    level: int
    """1 to 3; a report has one heading of level 1, its title."""
    text: str

    def __post_init__(self) -> None:
        """Refuse levels that have no style."""
        if self.level not in (1, 2, 3):
            raise ValueError(f"A heading's level must be 1, 2 or 3, got {self.level}.")


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """A command line, shown as it is to be typed."""

    text: str


@dataclass(frozen=True)
class Link:
    """A line that leads to a file beside the report."""

    text: str
    path: str
    """Relative to the report, with `/` between folders."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    numeric: bool = False
    """Whether the column is aligned to the right and sorted by number."""
    hint: str = ""
    """What the column means, shown with the table."""


@dataclass(frozen=True)
class Cell:
    """A cell that is sorted by another value than its text, or that stands out."""

    text: str
    sort: float | None = None
    """What to sort by; without one, the text, which in a numeric column has to be a number."""
    strong: bool = False
    links: tuple[Link, ...] = ()
    """Files beside the report that it leads to, shown in place of the text; in Markdown only where there is no text."""


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the columns."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"A row of a table with {len(self.columns)} columns has {len(row)} cells: {row!r}.")


@dataclass(frozen=True)
class Picture:
    """A picture in a PNG, linked by Markdown; HTML has the SVG beside it, which tells more, or the picture itself."""

    path: Path
    caption: str
    alt: str
    """What the picture shows, for readers who cannot see it."""


@dataclass(frozen=True)
class Drawing:
    """A picture that only pages have, such as one of a page that changes all the time."""

    svg: str
    """As `textclf.documents.drawing.as_svg` gives it."""
    caption: str
    alt: str
    """What the picture shows, for readers who cannot see it."""


@dataclass(frozen=True)
class Details:
    """Blocks that HTML folds away under a summary."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Choice:
    """Parts of a page of which a reader can choose to see those of one name; without a script all are there."""

    label: str
    """What is chosen."""
    parts: tuple[tuple[str, tuple[Block, ...]], ...]
    """Names, which several parts may share, and blocks."""


@dataclass(frozen=True)
class Quote:
    """A verdict that stands out."""

    text: str


@dataclass(frozen=True)
class Answer:
    """What a report comes to: a few words that are read first, and the reasons."""

    title: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """Verdicts on pairs, each row against each column; columns are numbered like the rows."""

    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    """A key of `MARKS` each; empty where there is none."""
    caption: str = ""


MARKS = {"better": "+", "worse": "−", "equivalent": "=", "cannot tell": "?"}
"""What stands in a matrix for each verdict."""
WIDEST_MATRIX = 12
"""Names up to which Markdown shows a matrix."""


@dataclass(frozen=True)
class Tile:
    """A figure that is read at a glance."""

    label: str
    value: str
    note: str = ""
    """What to hold the figure against."""


@dataclass(frozen=True)
class Tiles:
    """The few figures that a report is opened for, side by side."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class ConfusionTable:
    """How often each class was predicted as each; on a page its cells filter the mistakes of an `Explorer`."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row for each true class, with the examples that were predicted as each."""
    picture: Picture | None
    """Stands for it in Markdown."""


@dataclass(frozen=True)
class Explorer:
    """Mistakes that a page's own script searches and filters."""

    content: Mapping[str, Any]
    """What `textclf.evaluation.mistakes.explored_mistakes` gives."""
    blocks: tuple[Block, ...]
    """What stands for it in Markdown, and in a page whose script does not run."""


Block = (
    Heading | Paragraph | Bullets | Code | Table | Picture | Drawing | Link | Details | Choice | Quote | Answer | Matrix
    | Tiles | ConfusionTable | Explorer
)  # fmt: skip


def count_cell(value: int) -> Cell:
    """Return a cell with a whole number, which is sorted by number."""
    return Cell(thousands(value), value)


def to_markdown(blocks: Sequence[Block], folder: Path) -> str:
    """Return the blocks as GitHub-flavoured Markdown.

    Args:
        blocks: The report.
        folder: Where the text will be saved; pictures are linked relative to it.
    """
    return "\n\n".join(text for block in blocks if (text := _markdown(block, folder))) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return the blocks as one HTML page with its pictures, styles and script inside.

    Args:
        title: What a browser shows in its tab; the page's own title is the heading of level 1.
        blocks: The report.

    Raises:
        OSError: A picture cannot be read.
    """
    return shown(_template().render(title=title, blocks=blocks)).strip() + "\n"


def with_link(page: str, said: str, link: Link) -> str:
    """Return a page of `to_html` with a line below its title that leads elsewhere; one such line is there once.

    Args:
        page: The page.
        said: What stands before the link.
        link: Where it leads, relative to the page.
    """
    line = shown(str(Markup('<p class="leads">{} <a href="{}">{}</a></p>').format(said, quote(link.path), link.text)))
    return page if line in page else page.replace("</h1>\n", f"</h1>\n{line}\n", 1)


@functools.cache
def _template() -> Template:
    """Return the page's template, compiled once in a process."""
    loader = PackageLoader("textclf.documents", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        kind=lambda block: type(block).__name__, cell=_cell, key=_sort_key, data_uri=_data_uri, drawing=_drawing,
        address=quote, svg=Markup,
        script_json=lambda value: Markup(script_json(value)),
    )  # fmt: skip
    environment.globals["explorer_script"] = Markup(loader.get_source(environment, SCRIPT)[0])
    environment.globals["drawings_script"] = Markup(loader.get_source(environment, DRAWINGS_SCRIPT)[0])
    environment.globals["marks"] = MARKS
    return environment.get_template(TEMPLATE)


def _markdown(block: Block, folder: Path) -> str:
    """Return one block as Markdown."""
    match block:
        case Heading():
            return f"{'#' * block.level} {markdown(block.text)}"
        case Paragraph():
            return markdown_line(block.text)
        case Bullets():
            return "\n".join(f"- {markdown_line(item)}" for item in block.items)
        case Code():
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
            return f"{fence}\n{shown(block.text).rstrip()}\n{fence}"
        case Table():
            return _markdown_table(block)
        case Picture():
            address = quote(Path(os.path.relpath(block.path, folder)).as_posix())
            return f"![{markdown(block.alt)}]({address})" + (
                f"\n\n*{markdown(block.caption)}*" if block.caption else ""
            )
        case Drawing():
            return ""
        case Link():
            return f"[{markdown(block.text)}]({quote(block.path)})"
        case Details():
            return f"**{markdown(block.summary)}**\n\n{to_markdown(block.blocks, folder).rstrip()}"
        case Choice():
            return "\n\n".join(to_markdown(blocks, folder).rstrip() for _, blocks in block.parts)
        case Quote():
            return f"> {markdown_line(block.text)}"
        case Answer():
            return f"> **{markdown_line(block.title)}** {' '.join(map(markdown_line, block.reasons))}".rstrip()
        case Matrix():
            return _markdown_matrix(block)
        case ConfusionTable():
            return _markdown(block.picture, folder) if block.picture else ""
        case Explorer():
            return to_markdown(block.blocks, folder).rstrip()
        case Tiles():
            return "\n".join(
                f"- {markdown_line(one.label)}: **{markdown(one.value)}**"
                + (f" ({markdown(one.note)})" if one.note else "")
                for one in block.tiles
            )


def _markdown_table(table: Table) -> str:
    """Return a table under its caption, followed by what its columns mean."""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    body = tabulate(
        [[_markdown_cell(cell) for cell in row] for row in rows],
        [markdown(column.title) for column in table.columns],
        tablefmt="pipe",  # "github", but its second line says which columns are aligned to the right
        disable_numparse=True,
        colalign=["right" if column.numeric else "left" for column in table.columns],
    )
    hints = [
        f"*{markdown(column.title)}*: {markdown(column.hint.rstrip('.'))}" for column in table.columns if column.hint
    ]
    caption = f"**{markdown(table.caption)}**" if table.caption else ""
    return "\n\n".join(part for part in (caption, body, "; ".join(hints) + "." * bool(hints)) if part)


def _markdown_matrix(matrix: Matrix) -> str:
    """Return a matrix as a table; one of many names would not fit a page."""
    if len(matrix.names) > WIDEST_MATRIX:
        return ""
    heads = ["", *(str(number) for number in range(1, len(matrix.names) + 1))]
    rows = [
        [markdown(f"{number} {name}"), *(markdown(MARKS.get(cell, "")) for cell in cells)]
        for number, (name, cells) in enumerate(zip(matrix.names, matrix.cells, strict=True), 1)
    ]
    body = tabulate(
        rows, heads, tablefmt="pipe", disable_numparse=True, colalign=["left", *["center"] * len(matrix.names)]
    )
    return "\n\n".join(part for part in (f"**{markdown(matrix.caption)}**" if matrix.caption else "", body) if part)


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text) or " ".join(f"[{markdown(link.text)}]({quote(link.path)})" for link in cell.links)
    return f"**{text}**" if cell.strong and text else text


def _cell(cell: str | Cell) -> Cell:
    return Cell(cell) if isinstance(cell, str) else cell


def _sort_key(cell: Cell, column: Column) -> float | None:
    """Return the number that a cell is sorted by; none for a text, and for a number that is missing."""
    try:
        text = cell.text.replace(",", "").replace("−", "-") if column.numeric else "nan"
        value = float(text if cell.sort is None else cell.sort)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _data_uri(path: Path) -> str:
    """Return a picture's bytes as an address."""
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _drawing(path: Path) -> Markup:
    """Return the SVG that was drawn with a picture, as `textclf.documents.drawing` writes it; empty where none was."""
    try:
        return Markup(path.with_suffix(".svg").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Markup("")
