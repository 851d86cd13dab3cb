"""Parts of every page: settings, events, the user, the chosen run and its classifier."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from textclf.app import facts, markup
from textclf.app.classifiers import Loaded, load
from textclf.app.events import EventLog, event_log_of
from textclf.app.run_list import Choice, Found, find_choices, place_of, titles_of
from textclf.app.settings import Settings, read_settings
from textclf.app.sign_in import name_of
from textclf.errors import TextclfError
from textclf.models.prediction import ABSTAIN

STYLE = Path(__file__).parents[1] / "style.css"
FRESH_SECONDS = 10
"""How long a list of runs is used before the folder is looked at again."""

NEVER = 0.0
"""The threshold below which no probability lies."""


def settings() -> Settings:
    """Return what the app was told on the command line."""
    return read_settings()


def event_log() -> EventLog:
    """Return the events of this server."""
    return event_log_of(settings().events_file, settings().log_texts)


def note(what: str, text: str | None = None, **known: Any) -> None:
    """Note an event of this session."""
    event_log().add(what, text, **session(), **known)


def session() -> dict[str, Any]:
    """Return the session's arbitrary name and, where people sign in, who it is."""
    if "session" not in st.session_state:
        st.session_state["session"] = secrets.token_hex(4)
    return {"session": st.session_state["session"], "user": user()}


def user() -> str | None:
    """Return who signed in; none where nobody is asked."""
    return name_of(st.user.to_dict()) if settings().sign_in else None


def show(html: str) -> None:
    """Show what `textclf.app.markup` put together."""
    st.html(html)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def _found(given: Settings) -> Found:
    return find_choices(given)


def found() -> Found:
    """Return the runs that there are."""
    return _found(settings())


def short(said: object) -> str:
    """Return a text of the server without the folders that lead to what it names."""
    return settings().short(str(said))


def pick_threshold(choice: Choice, loaded: Loaded) -> float | None:
    """Let a person say from which probability on a label is an answer; none where every label is one."""
    offered = {one.value: one for one in _thresholds(choice, loaded)}
    if not offered:
        return None
    key = f"threshold {choice.key}"
    values = [*offered, NEVER]
    if st.session_state.get(key, ...) not in values:
        st.session_state[key] = threshold_of(choice, loaded) or NEVER
    picked = st.session_state.setdefault("thresholds", {})
    picked[choice.key] = st.selectbox(
        "Say unsure",
        values,
        format_func=lambda value: str(offered[value]) if value in offered else "never",
        key=key,
    )
    return picked[choice.key] or None


def threshold_of(choice: Choice, loaded: Loaded) -> float | None:
    """Return the threshold that was picked for a run, else the first that it offers; none where it offers none."""
    values = [one.value for one in _thresholds(choice, loaded)]
    picked = st.session_state.get("thresholds", {}).get(choice.key)
    return (picked if picked in [*values, NEVER] else next(iter(values), None)) or None


def _thresholds(choice: Choice, loaded: Loaded) -> list[facts.Threshold]:
    return [] if ABSTAIN in loaded.label_names else facts.thresholds_of(choice.folder)


def pick_run(choices: Sequence[Choice], label: str = "Run") -> Choice | None:
    """Let a person pick a run, the one they picked on another page first; say what to do where there is none."""
    if not choices:
        show(
            markup.message(
                "note", f"There is no run to show in {short(settings().outputs)}. Train one first, for example: "
            )
        )
        st.code("python -m textclf.run model=tfidf_logreg", language=None)
        if problems := found().problems:
            show(markup.bullets(map(short, problems)))
        return None
    titles = titles_of(choices)
    wanted = st.session_state.get("picked", settings().run)
    keys = list(titles)
    picked = st.selectbox(label, keys, index=place_of(choices, wanted), format_func=titles.__getitem__)
    st.session_state["picked"] = picked
    return choices[keys.index(picked)]


def classifier_of(choice: Choice) -> Loaded:
    """Return the classifier of a run, from memory where it was used lately.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    assert choice.classifier is not None
    pairs = choice.record.data.get("pairs") if choice.record is not None else None
    with st.spinner("Loading the classifier …"):
        return _loader(settings().classifiers)(str(choice.classifier), choice.version, pairs, choice.name)


@lru_cache(maxsize=4)
def _loader(most: int) -> Callable[[str, float, bool | None, str], Loaded]:
    return st.cache_resource(max_entries=most, show_spinner=False)(_load)


def _load(folder: str, version: float, pairs: bool | None, name: str) -> Loaded:
    loaded = load(Path(folder), pairs)
    note("classifier loaded", run=name, seconds=loaded.seconds)
    return loaded


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """Return a page that says what went wrong in a paragraph, and notes it, where it would break off."""

    def whole() -> None:
        try:
            page()
        except TextclfError as error:
            note("error", detail=type(error).__name__)
            show(markup.message("error", short(error)))
        except Exception as error:
            event_log().add("error", **session(), detail=type(error).__name__)
            show(
                markup.message(
                    "error",
                    f"Something went wrong that should not have ({type(error).__name__}). The server's log says more.",
                )
            )
            _log().exception("a page broke off")

    whole.__name__ = page.__name__
    return whole


def _log() -> Any:
    import logging

    return logging.getLogger("textclf.app")
