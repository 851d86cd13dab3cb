"""The page with what was predicted in this session."""

from __future__ import annotations

import streamlit as st

from textclf.app import markup
from textclf.app.history import MOST_KEPT, Asked, as_csv, as_jsonl
from textclf.app.pages import common
from textclf.documents.document import Column, Table
from textclf.documents.wording import percent

MOST_SHOWN = 100
MOST_CHARACTERS = 200


def page() -> None:
    """Show the page."""
    st.title("History", anchor=False)
    history: list[Asked] = st.session_state.get("history", [])
    common.show(
        markup.paragraph(
            f"What was predicted on the Predict page since this visit began, up to {MOST_KEPT:,} texts. It is kept in "
            f"the server's memory for this visit alone.",
            quiet=True,
        )
    )
    if not history:
        common.show(markup.message("note", "Nothing was predicted yet."))
        return
    common.show(markup.table(_table(history)))
    with st.container(horizontal=True):
        st.download_button("Download CSV", as_csv(history), "history.csv", "text/csv", on_click="ignore")
        st.download_button("Download JSONL", as_jsonl(history), "history.jsonl", "application/jsonl", on_click="ignore")
        st.button("Clear history", on_click=_clear)


def _table(history: list[Asked]) -> Table:
    columns = (
        Column("text"), Column("label"), Column("probability", numeric=True), Column("run"), Column("time (UTC)"),
    )  # fmt: skip
    rows = tuple(
        (
            markup.text(one.text if one.text_pair is None else f"{one.text} ⇒ {one.text_pair}", MOST_CHARACTERS),
            _answer(one),
            _probability(one),
            one.run,
            one.time[11:19],
        )
        for one in history[:MOST_SHOWN]
    )
    said = f"{len(history):,} predictions, the newest first"
    return Table(columns, rows, said + (f"; {MOST_SHOWN} are shown" if len(history) > MOST_SHOWN else ""))


def _answer(one: Asked) -> str:
    """Return what was predicted, in words."""
    if one.labels is not None:
        return ", ".join(one.labels) or "no label"
    return f"unsure ({one.label})" if one.is_unsure else one.label


def _probability(one: Asked) -> str:
    """Return the probability of what was predicted; of a set that of each of its labels."""
    if one.labels is not None:
        return ", ".join(percent(one.probabilities[label]) for label in one.labels)
    return percent(one.score)


def _clear() -> None:
    st.session_state.pop("history", None)
    st.session_state.pop("result", None)
    common.note("history cleared")
