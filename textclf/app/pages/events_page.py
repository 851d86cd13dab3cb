"""The page with what happened in this server."""

from __future__ import annotations

import streamlit as st

from textclf.app import markup
from textclf.app.events import Event
from textclf.app.pages import common
from textclf.documents.document import Column, Table

COUNTS = (50, 200, 1000)


def page() -> None:
    """Show the page."""
    st.title("Events", anchor=False)
    log = common.event_log()
    said = "with the texts" if log.log_texts else "without the texts (--log-texts keeps them)"
    told = common.short(f"What happened in this server since it started, {said}. Also in {log.path}.")
    common.show(markup.paragraph(told, quiet=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.selectbox("Show the last", COUNTS, width=160)
        st.button("Refresh")
    events = log.latest(count)
    common.show(markup.table(_table(events, log.log_texts)))


def _table(events: list[Event], with_texts: bool) -> Table:
    columns = [
        Column("event"), Column("time (UTC)"), Column("seconds", numeric=True), Column("rows", numeric=True),
        Column("run"), Column("detail"), Column("session"),
    ]  # fmt: skip
    users = any(event.user for event in events)
    columns += [Column("user")] * users + [Column("text")] * with_texts
    rows = tuple(
        (
            event.what,
            event.time[:19].replace("T", " "),
            "" if event.seconds is None else f"{event.seconds:.3f}",
            "" if event.rows is None else f"{event.rows:,}",
            event.run or "",
            common.short(event.detail or ""),
            event.session,
            *([event.user or ""] * users),
            *([markup.text(event.text or "", 200)] * with_texts),
        )
        for event in events
    )
    return Table(tuple(columns), rows, f"{len(events):,} events, the newest first")
