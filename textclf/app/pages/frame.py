"""The frame around the pages: style, sign-in, and the way from page to page."""

from __future__ import annotations

import streamlit as st

from textclf.app import markup
from textclf.app.pages import (
    batch_page,
    common,
    compare_page,
    events_page,
    history_page,
    label_page,
    predict_page,
    run_page,
    runs_page,
)
from textclf.app.sign_in import is_allowed, providers
from textclf.errors import TextclfError
from textclf.system.environment import threads
from textclf.system.wait_policy import watch_for_torch

SELDOM = 2
"""Pages at the end that few visitors ask for, kept under a menu."""


def show() -> None:
    """Show the page that was asked for, to who may see it."""
    watch_for_torch(int(threads()))
    st.set_page_config(page_title="textclf", layout="wide", initial_sidebar_state="auto")
    st.html(common.STYLE)
    try:
        settings = common.settings()
    except TextclfError as error:
        common.show(markup.message("error", error))
        return
    common.event_log()
    if settings.sign_in and not _is_in(settings.allowed):
        return
    pages = [
        st.Page(common.guarded(module.page), title=title, url_path=path, default=not path)
        for module, title, path in [
            (predict_page, "Predict", ""),
            (batch_page, "Batch", "batch"),
            (label_page, "Label", "label"),
            (compare_page, "Compare", "compare"),
            (runs_page, "Runs", "runs"),
            (run_page, "Run", "run"),
            (history_page, "History", "history"),
            (events_page, "Events", "events"),
        ]
    ]
    picked = st.navigation(pages, position="hidden")
    with st.container(key="pages", horizontal=True, vertical_alignment="center"):
        for each in pages[:-SELDOM]:  # Streamlit's own list hides behind a button on a phone
            st.page_link(each)
        with st.popover("More", type="tertiary", key=f"more {picked.url_path}"):  # a page of its own closes it
            for each in pages[-SELDOM:]:
                st.page_link(each)
    if settings.sign_in:
        left, right = st.columns([4, 1], vertical_alignment="center")
        with left:
            common.show(markup.paragraph(f"Signed in as {common.user() or 'somebody without a name'}", quiet=True))
        right.button("Sign out", on_click=st.logout)
    picked.run()


def _is_in(allowed: tuple[str, ...]) -> bool:
    """Return whether who is there may come in; show them the door otherwise."""
    if not getattr(st.user, "is_logged_in", False):
        st.title("textclf", anchor=False)
        common.show(markup.paragraph("Sign in to see the runs."))
        for name in _providers():
            st.button(f"Sign in with {name}" if name else "Sign in", on_click=st.login, args=(name,), type="primary")
        return False
    if not is_allowed(st.user.to_dict(), allowed):
        st.title("textclf", anchor=False)
        who = common.user() or "This account"
        common.show(
            markup.message("error", f"{who} may not see this app. Ask who runs it, or sign in as somebody else.")
        )
        st.button("Sign out", on_click=st.logout)
        return False
    if "welcomed" not in st.session_state:
        st.session_state["welcomed"] = True
        common.note("signed in")
    return True


def _providers() -> list[str | None]:
    """Return the identity providers to choose from."""
    try:
        return providers(st.secrets["auth"]) or [None]
    except (KeyError, FileNotFoundError):
        return [None]
