"""The page of all runs: the leaderboard that every run keeps below the outputs folder."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from textclf.app import markup
from textclf.app.pages import common
from textclf.documents.document import Block, Cell, Choice, Drawing, Heading, Paragraph, Table, to_html
from textclf.experiment.leaderboard.entries import read_entries
from textclf.experiment.leaderboard.home import PAGE, home_blocks

EVERY = "all"
BOX = re.compile(r'viewBox="0 0 [\d.]+ ([\d.]+)"')
PIXELS, UNDER = 4 / 3, 70
"""Pixels of a point, and those that a caption takes."""


def page() -> None:
    """Show the page."""
    st.title("Runs", anchor=False)
    outputs = common.settings().outputs_folder
    if not outputs.is_dir():
        common.pick_run(())
        return
    _show(_blocks(str(outputs))[1:])  # without its title
    if (outputs / PAGE).is_file():
        common.show(
            markup.paragraph(common.short(f"The same page with links to each report: {outputs / PAGE}"), quiet=True)
        )


@st.cache_data(ttl=common.FRESH_SECONDS, show_spinner=False)
def _blocks(outputs: str) -> list[Block]:
    return home_blocks(read_entries(Path(outputs), keep=False))


def _show(blocks: Sequence[Block]) -> None:
    for block in blocks:
        match block:
            case Heading():
                common.show(markup.heading(block.text, block.level))
            case Paragraph():
                common.show(markup.paragraph(block.text))
            case Table():
                common.show(markup.table(_without_links(block)))
            case Drawing():
                _draw(block)
            case Choice():
                names = list(dict.fromkeys(name for name, _ in block.parts))
                chosen = st.selectbox(block.label, [EVERY, *names]) if len(names) > 1 else EVERY
                for name, inner in block.parts:
                    if chosen in (EVERY, name):
                        _show(inner)


def _draw(block: Drawing) -> None:
    """Show a drawing as a page in a frame of its own origin: Streamlit takes no SVG into its own page."""
    box = BOX.search(block.svg)
    if box is None:
        return
    page = to_html("", [block]).replace("</style>", "main { padding: 0; } figure { margin: 0; }</style>", 1)
    address = f"data:text/html;charset=utf-8;base64,{base64.b64encode(page.encode()).decode()}"
    st.iframe(address, height=round(float(box[1]) * PIXELS) + UNDER, alt=block.alt)


def _without_links(table: Table) -> Table:
    """Return a table without the columns of links, which lead to files that the app does not serve."""
    kept = [
        place
        for place in range(len(table.columns))
        if not any(isinstance(row[place], Cell) and row[place].links for row in table.rows)  # type: ignore[union-attr]
    ]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return Table(tuple(table.columns[place] for place in kept), rows, table.caption)
