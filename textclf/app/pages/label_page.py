"""The page where people label texts one after the other, the suggested label chosen already; a key does each step."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from textclf.app import markup
from textclf.app.feedback import Feedback, save_label
from textclf.app.pages import common
from textclf.documents.escape import markdown
from textclf.documents.wording import decimals
from textclf.errors import DataError
from textclf.label.worklist import FOLDER, Item, Worklist, given_labels, read_worklist, worklists

MOST_BUTTONS = 24
"""Labels that have a button each; of more the most probable ones have, and the others are in a list."""
MOST_FILES = 8
"""Files that have a button each."""
KEYS = 9
"""Labels that have a key, 1 to 9."""
ACCEPT, SKIP, BACK = "a", "s", "b"
"""Keys of the other steps."""


@dataclass
class Place:
    """Where somebody is in a file."""

    skipped: set[int] = field(default_factory=set)
    """Texts that are passed over in this session, by their keys."""
    visited: list[int] = field(default_factory=list)
    """Texts that were labelled or skipped in this session, in order."""
    at: int | None = None
    """The text that somebody went back to; none where the next one is shown."""
    ticked: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Labels that are ticked and not yet saved, of sets."""


def page() -> None:
    """Show the page."""
    st.title("Label", anchor=False)
    path = _pick()
    if path is None:
        common.show(
            markup.message("note", f"There is no file of texts to label in {common.short(_folder())}. Make one first:")
        )
        st.code("python -m textclf.label FILE --with RUN", language=None)
        return
    changed = path.stat().st_mtime_ns
    work = _worklist(str(path), changed)
    place: Place = st.session_state.setdefault(f"place in {path}", Place())
    done = _given(work.labels_file)
    left = [item for item in work.items if item.key not in done]
    item = _current(work, left, place)
    _show_progress(work, len(left))
    if item is None:
        common.show(markup.message("done", f"Every text of {path.name} has a label."))
    else:
        _ask(work, item, done.get(item.key), place)
    _show_end(work, len(done))


def _folder() -> Path:
    return common.settings().outputs_folder / FOLDER


def _pick() -> Path | None:
    """Let a person pick a file with suggestions; the one that the app was started with comes first."""
    named = common.settings().to_label
    found = [path.resolve() for path in worklists(_folder())]
    if named is not None and Path(named).is_file():
        found = [Path(named), *(path for path in found if path != Path(named))]
    if len(found) > MOST_FILES:
        return st.selectbox("File", found, format_func=lambda path: path.name)
    if len(found) > 1:  # buttons, since keys that are pressed in a field are the field's own
        return st.pills("File", found, default=found[0], required=True, format_func=lambda path: markdown(path.name))
    return found[0] if found else None


@st.cache_resource(max_entries=4, show_spinner="Reading the texts …")
def _worklist(path: str, changed: int) -> Worklist:
    return read_worklist(Path(path))


def _given(path: Path) -> Mapping[int, tuple[str, ...]]:
    """Return the labels that people gave so far.

    Raises:
        DataError: If they cannot be read.
    """
    try:
        return given_labels(path)
    except OSError as error:
        raise DataError(f"{path}: the labels given so far cannot be read: {error.strerror or error}.") from error


def _current(work: Worklist, left: list[Item], place: Place) -> Item | None:
    """Return the text to show: the one that was gone back to, or the next; skipped ones again once no other is left."""
    if place.at is not None:
        found = next((item for item in work.items if item.key == place.at), None)
        if found is not None:
            return found
    following = next((item for item in left if item.key not in place.skipped), None)
    if following is None and left:
        place.skipped.clear()
        following = left[0]
    return following


def _show_progress(work: Worklist, left: int) -> None:
    total = len(work.items)
    done = total - left
    st.progress(done / total if total else 1.0, text=f"{done:,} of {total:,} texts labelled")


def _ask(work: Worklist, item: Item, given: tuple[str, ...] | None, place: Place) -> None:
    """Show a text with what can be done about it."""
    if item.text_pair is None:
        common.show(markup.reading(item.text))
    else:
        common.show(markup.paragraph("First text", quiet=True) + markup.reading(item.text))
        common.show(markup.paragraph("Second text", quiet=True) + markup.reading(item.text_pair))
    common.show(markup.paragraph(_told(item, given), quiet=True))
    chosen = given if given is not None else item.suggested
    labels = _set_of(work, item, chosen or (), place) if work.has_sets else _one_of(work, item, chosen)
    with st.container(key="steps", horizontal=True):
        if work.has_sets:
            said = "Save these labels" if labels else "Save: no label"
            accepted = st.button(said, key=f"save {item.key}", type="primary", shortcut=ACCEPT)
        else:
            can = chosen is not None
            accepted = st.button("Accept", key=f"accept {item.key}", shortcut=ACCEPT, disabled=not can)
        skipped = st.button("Skip", key=f"skip {item.key}", shortcut=SKIP)
        before = _before(item, place)
        back = before is not None and st.button("Back", key=f"back {item.key}", shortcut=BACK)
    if not work.has_sets and labels is None and accepted:
        labels = chosen
    if labels is not None and (accepted or not work.has_sets):
        _keep(work, item, labels)
        _go_on(item, place)
        st.rerun()
    if skipped:
        place.skipped.add(item.key)
        _go_on(item, place)
        st.rerun()
    if back:
        place.at = before
        st.rerun()


def _told(item: Item, given: tuple[str, ...] | None) -> str:
    """Return what is suggested for a text, or which labels it was given."""
    if given is not None:
        return f"It was labelled {', '.join(given) or 'with no label'}. What you choose now takes that place."
    if item.suggested is None:
        return "No label is suggested."
    said = ", ".join(
        f"{name} ({decimals(item.probabilities[name])})" if name in item.probabilities else name
        for name in item.suggested
    )
    nearest = next((name for name in item.probabilities if name not in item.suggested), None)
    more = f"; next {nearest} ({decimals(item.probabilities[nearest])})" if nearest is not None else ""
    return f"Suggested: {said or 'no label'}{more}"


def _offered(work: Worklist, item: Item) -> tuple[str, ...]:
    """Return the labels that have a button: all, or the most probable of many."""
    if len(work.label_names) <= MOST_BUTTONS:
        return work.label_names
    ranked = dict.fromkeys([*(item.suggested or ()), *item.probabilities, *work.label_names])
    return tuple(ranked)[:KEYS]


def _key(number: int) -> str | None:
    return str(number + 1) if number < KEYS else None


def _one_of(work: Worklist, item: Item, chosen: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Show a button for each label, and return the label of the one that was pressed."""
    offered, pressed = _offered(work, item), None
    with st.container(key="choices", horizontal=True):
        for number, name in enumerate(offered):
            kind = "primary" if chosen == (name,) else "secondary"
            if st.button(markdown(name), key=f"choice {item.key} {number}", type=kind, shortcut=_key(number)):
                pressed = (name,)
    if len(offered) < len(work.label_names):
        others = [name for name in work.label_names if name not in offered]
        other = st.selectbox("Another label", others, index=None, placeholder="Choose", key=f"other {item.key}")
        pressed = (other,) if other is not None else pressed
    return pressed


def _set_of(work: Worklist, item: Item, chosen: tuple[str, ...], place: Place) -> tuple[str, ...]:
    """Show a button that ticks each label, and return those that are ticked."""
    ticked = place.ticked.get(item.key, chosen)
    offered = _offered(work, item)
    if len(offered) < len(work.label_names):
        offered = tuple(dict.fromkeys([*ticked, *offered]))
    with st.container(key="choices", horizontal=True):
        for number, name in enumerate(offered):
            is_ticked = name in ticked
            said = f"✓ {markdown(name)}" if is_ticked else markdown(name)
            kind = "primary" if is_ticked else "secondary"
            if st.button(said, key=f"choice {item.key} {number}", type=kind, shortcut=_key(number)):
                _tick(item, name, ticked, place)
    if len(offered) < len(work.label_names):
        others = [name for name in work.label_names if name not in offered]
        key = f"other {item.key} {len(ticked)}"
        other = st.selectbox("Another label", others, index=None, placeholder="Choose", key=key)
        if other is not None:
            _tick(item, other, ticked, place)
    return tuple(name for name in work.label_names if name in ticked)


def _tick(item: Item, name: str, ticked: tuple[str, ...], place: Place) -> None:
    """Tick a label, or take its tick away, and show it."""
    kept = tuple(other for other in ticked if other != name)
    place.ticked[item.key] = kept if name in ticked else (*ticked, name)
    st.rerun()


def _keep(work: Worklist, item: Item, labels: tuple[str, ...]) -> None:
    """Write the labels of a text.

    Raises:
        DataError: If they cannot be written.
    """
    suggested = item.suggested
    said = Feedback(
        text=item.text,
        label=labels if work.has_sets else labels[0],
        predicted=suggested if work.has_sets or suggested is None else suggested[0],
        score=item.score,
        run=work.path.name,
        text_pair=item.text_pair,
        user=common.user(),
    )
    path = work.labels_file
    try:
        save_label(path, said, work.label_names)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataError(
            f"{shlex.quote(common.short(path))}: the label could not be written: {why}. Nothing was saved; those given "
            f"before are kept."
        ) from error
    common.note("label", item.text, run=work.path.name, detail=", ".join(labels) or "no label")


def _go_on(item: Item, place: Place) -> None:
    """Leave a text for the next one."""
    if item.key in place.visited and place.at is not None:  # gone back to: forward again, one by one
        following = place.visited.index(item.key) + 1
        place.at = place.visited[following] if following < len(place.visited) else None
    else:
        place.visited.append(item.key)
        place.at = None
    place.ticked.pop(item.key, None)


def _before(item: Item, place: Place) -> int | None:
    """Return the text before this one in this session; none where it was the first."""
    number = place.visited.index(item.key) if place.at is not None and item.key in place.visited else None
    before = place.visited if number is None else place.visited[:number]
    return before[-1] if before else None


def _show_end(work: Worklist, given: int) -> None:
    """Say what the keys do, where the labels are kept, and how to go on."""
    does = ("tick", "saves") if work.has_sets else ("choose", "accepts")
    keys = f"Keys: 1 to {min(KEYS, len(work.label_names))} {does[0]} a label, {ACCEPT.upper()} {does[1]}, "
    keys += f"{SKIP.upper()} skips, {BACK.upper()} goes back."
    path = common.short(work.labels_file)
    common.show(markup.paragraph(f"{keys} Each label is kept on the server at once, in {path}.", quiet=True))
    if not given:
        return
    with st.expander("Train on the labels"):
        common.show(markup.paragraph(f"{path} has {given:,} labelled text{'s' * (given != 1)}. To train on them:"))
        pairs = " dataset.text_pair_column=text_pair" if any(item.text_pair is not None for item in work.items) else ""
        command = f"python -m textclf.run dataset=files {shlex.quote(f'dataset.train={path}')}{pairs}"
        command += " model=minilm_embeddings"
        st.code(command, language=None, wrap_lines=True)
        common.show(markup.paragraph("Then let the run choose the texts that it is least certain of:"))
        output = "" if work.path.parent == _folder().resolve() else f" --output {shlex.quote(common.short(work.path))}"
        st.code(f"python -m textclf.label FILE --with latest --force{output}", language=None, wrap_lines=True)
