"""The page where a text is typed: label, every class's probability, the words that mattered, and feedback."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from textclf.app import facts, markup
from textclf.app.classifiers import Loaded, Weighed, check_text
from textclf.app.feedback import LONGEST_NOTE, Feedback, count_lines, feedback_file, save_feedback, training_command
from textclf.app.history import Asked, kept
from textclf.app.pages import common
from textclf.app.run_list import Choice
from textclf.documents.escape import markdown
from textclf.documents.wording import excerpt, percent
from textclf.errors import DataError
from textclf.models.prediction import Prediction, SetPrediction
from textclf.predict import examples_to_try
from textclf.predict.examples_to_try import Example

MOST_BARS = 12
"""Classes that are shown; of more, the most probable."""
MOST_BOXES = 24
"""Labels that are ticked in a box each; of more, a person chooses from a list."""
MOST_WORDS = 8
MOST_CHARACTERS = 100
"""Of an example, on its button."""


@dataclass
class Result:
    """What was predicted last, and what became of it."""

    asked: Asked
    key: str
    """Of the run."""
    seconds: float
    weighed: dict[str, Weighed | None]
    """What the words count for, by the label that was asked about."""
    words: int
    """Words that are left out in turn; 0 where nobody asked which mattered."""
    number: int
    """Of the predictions of this session."""
    saved: str | None = None
    """The label or labels that feedback gave it, in words."""


def page() -> None:
    """Show the page."""
    st.title("Predict", anchor=False)
    choice = common.pick_run(common.found().predicting)
    if choice is None:
        return
    loaded = common.classifier_of(choice)
    _introduce(choice, loaded)
    most = common.settings().max_characters
    with st.form("typed", border=False):
        text = st.text_area("First text" if loaded.has_pairs else "Text", key="text", height=140, max_chars=most)
        pair = st.text_area("Second text", key="text_pair", height=140, max_chars=most) if loaded.has_pairs else None
        words = common.settings().words
        why = words > 0 and st.checkbox("Show which words mattered", value=True, key="why")
        threshold = common.pick_threshold(choice, loaded)
        asked = st.form_submit_button("Predict", type="primary")
    if asked:
        st.session_state.pop("result", None)
        _ask(choice, loaded, text or "", pair, words if why else 0, threshold)
    result = st.session_state.get("result")
    if result is not None and result.key == choice.key:
        _show(result, choice, loaded)


def _introduce(choice: Choice, loaded: Loaded) -> None:
    """Say what the classifier is and how good, and offer examples of its own test split."""
    if choice.record is None:
        return
    common.show(markup.paragraph(facts.introduction(choice.record)))
    offered = [
        one for one in _examples(str(choice.folder), choice.version) if (one.text_pair is None) != loaded.has_pairs
    ]
    if not offered:
        return
    common.show(markup.paragraph("Type a text of your own, or try one of its test examples:", quiet=True))
    with st.container(key="examples", gap="xsmall"):
        _offer(offered)


def _offer(offered: Sequence[Example]) -> None:
    """Show a button for each example."""
    for number, one in enumerate(offered):
        shown = excerpt(one.text if one.text_pair is None else f"{one.text} ⇒ {one.text_pair}", MOST_CHARACTERS)
        label = markdown(f"{shown} ({one.what})")  # a button's label is read as Markdown
        st.button(label, key=f"example{number}", type="tertiary", on_click=_fill_in, args=(one,))


@st.cache_data(max_entries=32, show_spinner=False)
def _examples(folder: str, version: float) -> list[Example]:
    return examples_to_try.examples(Path(folder))


def _fill_in(one: Example) -> None:
    """Put an example where a person would type."""
    st.session_state["text"] = one.text
    if one.text_pair is not None:
        st.session_state["text_pair"] = one.text_pair


def _ask(choice: Choice, loaded: Loaded, text: str, pair: str | None, words: int, threshold: float | None) -> None:
    """Predict what was typed, and keep the result for this session."""
    try:
        check_text(text, pair, loaded.has_pairs)
    except DataError as error:
        common.show(markup.message("error", error))
        return
    known = common.session() | {"run": choice.name, "rows": 1}
    with common.event_log().timed("prediction", text=text, **known) as event, st.spinner("Predicting …"):
        begun = datetime.now(UTC)
        prediction = loaded.predict(text, pair)
        seconds = (datetime.now(UTC) - begun).total_seconds()
        event["detail"] = f"{len(text) + len(pair or ''):,} characters"
    time = begun.isoformat(timespec="seconds")
    asked = _asked(time, choice.name, text, pair, prediction, threshold, loaded)
    number = st.session_state["asked"] = st.session_state.get("asked", 0) + 1
    result = Result(asked, choice.key, seconds, {}, words, number)
    _weigh(result, choice, loaded, asked.label)
    st.session_state["history"] = kept(st.session_state.get("history", []), asked)
    st.session_state["result"] = result


def _asked(
    time: str,
    run: str,
    text: str,
    pair: str | None,
    prediction: Prediction | SetPrediction,
    threshold: float | None,
    loaded: Loaded,
) -> Asked:
    """Return what the history keeps of a prediction."""
    if isinstance(prediction, Prediction):
        found = prediction.probabilities
        return Asked(time, run, text, prediction.label, prediction.score, found, pair, threshold)
    ((label, score),) = prediction.top(1)
    least = dict(zip(loaded.label_names, loaded.thresholds or (), strict=True))
    given = prediction.labels
    return Asked(time, run, text, label, score, prediction.probabilities, pair, labels=given, thresholds=least)


def _weigh(result: Result, choice: Choice, loaded: Loaded, label: str) -> None:
    """Weigh the words of a text for a label, once."""
    if label in result.weighed:
        return
    asked, known = result.asked, common.session() | {"run": choice.name, "rows": 1}
    with common.event_log().timed("words weighed", **known) as event, st.spinner("Weighing the words …"):
        weighed = result.weighed[label] = loaded.weigh(asked.text, asked.text_pair, label, result.words)
        event["rows"] = sum(map(len, weighed.texts)) if weighed else 0


def _show(result: Result, choice: Choice, loaded: Loaded) -> None:
    """Show a result."""
    asked = result.asked
    st.header("Result", anchor=False)
    if asked.labels is None:
        common.show(markup.answer(asked.label, asked.score, result.seconds, asked.is_unsure))
    else:
        common.show(markup.given_labels(asked.labels, result.seconds))
    if choice.record is not None and (trust := facts.trust(choice.folder)):
        common.show(markup.message("note", f"This classifier's {trust} (measured on its own test examples)."))
    if not loaded.gives_probabilities:
        common.show(markup.message("note", "This model names labels without probabilities: 100 % is what it named."))
    ranked = sorted(asked.probabilities.items(), key=lambda item: -item[1])
    shown = ranked[:MOST_BARS]
    if asked.thresholds is not None:
        caption = "Probability of each label, and the one from which on it is given"
        if len(shown) < len(ranked):
            caption = f"The {len(shown)} most probable of {len(ranked):,} labels, and from which probability on each is"
            caption += " given"
        bars = [markup.LabelBar(name, p, asked.thresholds[name]) for name, p in shown]
        common.show(markup.label_bars(bars, caption))
    else:
        caption = "Probability of each class"
        if len(shown) < len(ranked):
            caption = f"Probability of the {len(shown)} most probable of {len(ranked):,} classes"
        common.show(markup.bars([(name, p, percent(p)) for name, p in shown], caption, "Class", "Probability"))
    if result.words > 0 and not loaded.is_billed:
        _show_words(result, choice, loaded, [name for name, _ in ranked])
    if asked.labels is not None:
        _feedback_on_set(result, choice, loaded)
    elif len(loaded.label_names) > 1:
        _feedback(result, choice, loaded)


def _show_words(result: Result, choice: Choice, loaded: Loaded, labels: Sequence[str]) -> None:
    """Show which words mattered; of sets for a label that the person chooses, at first the most probable one."""
    st.header("Words that mattered", anchor=False)
    label = result.asked.label
    if result.asked.labels is not None and len(labels) > 1:
        label = st.selectbox("For the label", labels, key=f"words {result.number}")
    _weigh(result, choice, loaded, label)
    weighed = result.weighed[label]
    if weighed is None:
        common.show(markup.paragraph("The text has no words to leave out."))
        return
    common.show(markup.legend())
    common.show(markup.weighed_words(weighed))
    if weighed.is_cut:
        cut = f"The text goes on; only its first {common.settings().words} words were left out in turn."
        common.show(markup.paragraph(cut, quiet=True))
    common.show(markup.word_table(weighed.strongest(MOST_WORDS)))


def _feedback(result: Result, choice: Choice, loaded: Loaded) -> None:
    """Let a person say what the label should have been."""
    st.header("Which is right?" if result.asked.is_unsure else "Is this wrong?", anchor=False)
    path = feedback_file(common.settings(), choice.dataset)
    if _is_saved(result, choice, path):
        return
    others = [name for name in loaded.label_names if result.asked.is_unsure or name != result.asked.label]
    with st.form("feedback", border=False):
        label = st.selectbox("It should be", others, index=None, placeholder="Choose a label")
        remark = st.text_input("Note (optional)", max_chars=LONGEST_NOTE)
        sent = st.form_submit_button("Save feedback")
    _say_what_is_kept("label", path)
    if not sent:
        return
    if label is None:
        common.show(markup.message("error", "Choose what the label should be first."))
        return
    _save(result, choice, loaded, path, label, remark)
    st.rerun()


def _feedback_on_set(result: Result, choice: Choice, loaded: Loaded) -> None:
    """Let a person tick the labels that are right."""
    st.header("Which labels are right?", anchor=False)
    path = feedback_file(common.settings(), choice.dataset)
    if _is_saved(result, choice, path):
        return
    given = result.asked.labels or ()
    with st.form("feedback", border=False):
        if len(loaded.label_names) <= MOST_BOXES:
            with st.container(key="labels", horizontal=True):
                right = [name for name in loaded.label_names if _box(name, name in given, result)]
        else:
            key = f"right {result.number}"
            right = st.multiselect("Labels that are right", loaded.label_names, default=given, key=key)
        remark = st.text_input("Note (optional)", max_chars=LONGEST_NOTE)
        sent = st.form_submit_button("Save feedback")
    _say_what_is_kept("ticked labels", path)
    if sent:
        _save(result, choice, loaded, path, tuple(name for name in loaded.label_names if name in right), remark)
        st.rerun()


def _box(name: str, is_given: bool, result: Result) -> bool:
    """Show the box of a label, ticked where it is given, and return whether it is ticked."""
    return st.checkbox(markdown(name), value=is_given, key=f"right {result.number} {name}")


def _is_saved(result: Result, choice: Choice, path: Path) -> bool:
    """Say what was saved, and how to train on it; return whether there is feedback already."""
    if result.saved is None:
        return False
    said = f"Saved: it should be {result.saved}. {common.short(path)} has {count_lines(path):,} lines now."
    common.show(markup.message("done", said))
    common.show(markup.paragraph("To train on the feedback as well:"))
    st.code(training_command(choice.record, Path(common.short(path))), language=None, wrap_lines=True)
    return True


def _say_what_is_kept(what: str, path: Path) -> None:
    said = f"The text and the {what} are kept on the server, in {common.short(path)}, to train on."
    common.show(markup.paragraph(said, quiet=True))


def _save(
    result: Result, choice: Choice, loaded: Loaded, path: Path, label: str | tuple[str, ...], remark: str | None
) -> None:
    """Write the feedback.

    Raises:
        DataError: If it cannot be written.
    """
    asked = result.asked
    said = Feedback(
        text=asked.text,
        label=label,
        predicted=asked.label if asked.labels is None else asked.labels,
        score=asked.score if asked.labels is None else None,
        run=choice.name,
        text_pair=asked.text_pair,
        note=remark,
        user=common.user(),
    )
    try:
        save_feedback(path, said, loaded.label_names)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataError(
            f"{shlex.quote(common.short(path))}: the feedback could not be written: {why}. Nothing was saved."
        ) from error
    result.saved = _said(label)
    predicted = asked.label if asked.labels is None else _said(asked.labels)
    common.note("feedback", asked.text, run=choice.name, detail=f"{predicted} should be {result.saved}")


def _said(label: str | tuple[str, ...]) -> str:
    return label if isinstance(label, str) else ", ".join(label) or "no label"
