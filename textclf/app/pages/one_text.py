"""One text through several runs: their answers, probabilities and marked words side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import streamlit as st

from textclf.app import facts, markup
from textclf.app.classifiers import Weighed, check_text
from textclf.app.pages import common
from textclf.app.run_list import Choice, titles_of
from textclf.documents.wording import percent
from textclf.errors import DataError, listed
from textclf.models.prediction import Prediction, SetPrediction

FEWEST_RUNS, MOST_RUNS = 2, 4
MOST_BARS = 8
"""Classes that are shown; of more, those that are the most probable on average over the runs."""

MOST_WORDS = 4


@dataclass(frozen=True)
class Answer:
    """What one run says of the text."""

    choice: Choice
    prediction: Prediction | SetPrediction
    seconds: float
    weighed: Weighed | None
    is_unsure: bool
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Of sets of labels the probability of each from which on it is given."""

    @property
    def said(self) -> str:
        """The label, or the labels of a set in the order of their names."""
        if isinstance(self.prediction, SetPrediction):
            return " + ".join(sorted(self.prediction.labels)) or "no label"
        return self.prediction.label

    @property
    def model(self) -> str:
        """What the run's model is called."""
        return self.choice.record.model if self.choice.record is not None else self.choice.name


def show(choices: Sequence[Choice]) -> None:
    """Show the part of the page."""
    able = [choice for choice in choices if choice.classifier is not None]
    if len(able) < FEWEST_RUNS:
        common.show(markup.message("note", "It takes two runs of this dataset that kept their classifiers."))
        return
    titles = titles_of(able)
    picked = st.multiselect(
        f"Runs ({FEWEST_RUNS} to {MOST_RUNS})",
        list(titles),
        default=[choice.key for choice in _one_of_each_model(able)],
        max_selections=MOST_RUNS,
        format_func=titles.__getitem__,
        key=f"runs of one text {able[0].dataset}",
    )
    chosen = [choice for choice in able if choice.key in picked]
    if len(chosen) < FEWEST_RUNS:
        common.show(markup.message("note", f"Choose {FEWEST_RUNS} to {MOST_RUNS} runs."))
        return
    pairs = {common.classifier_of(choice).has_pairs for choice in chosen}
    if len({common.classifier_of(choice).has_sets for choice in chosen}) > 1:
        said = "Some of these runs give a text one class, and others a set of labels."
        common.show(markup.message("error", said))
        return
    if len(pairs) > 1:
        common.show(markup.message("error", "Some of these runs take single texts, and others pairs of texts."))
        return
    limits = common.settings()
    with st.form("one text", border=False):
        has_pairs = pairs.pop()
        text = st.text_area("First text" if has_pairs else "Text", height=100, max_chars=limits.max_characters)
        pair = st.text_area("Second text", height=100, max_chars=limits.max_characters) if has_pairs else None
        why = limits.words > 0 and st.checkbox("Show which words mattered", value=True)
        asked = st.form_submit_button("Predict with each", type="primary")
    if asked:
        st.session_state.pop("side by side", None)
        try:
            check_text(text or "", pair, has_pairs)
        except DataError as error:
            common.show(markup.message("error", error))
            return
        answers = [_ask(choice, text or "", pair, limits.words if why else 0) for choice in chosen]
        st.session_state["side by side"] = answers
    answers = st.session_state.get("side by side", [])
    if [answer.choice.key for answer in answers] == [choice.key for choice in chosen]:
        _show(answers)


def _one_of_each_model(choices: Sequence[Choice]) -> list[Choice]:
    """Return the newest run of each model, as many as can stand side by side; of one model alone its newest runs."""
    models: dict[str, Choice] = {}
    for choice in choices:
        models.setdefault(choice.record.model if choice.record is not None else choice.key, choice)
    found = list(models.values()) if len(models) >= FEWEST_RUNS else list(choices)[:FEWEST_RUNS]
    return found[:MOST_RUNS]


def _ask(choice: Choice, text: str, pair: str | None, words: int) -> Answer:
    """Ask one run."""
    loaded = common.classifier_of(choice)
    with (
        common.event_log().timed("prediction", text=text, **common.session(), run=choice.name, rows=1) as event,
        st.spinner(f"Predicting with {choice.name} …"),
    ):
        begun = perf_counter()
        prediction = loaded.predict(text, pair)
        seconds = perf_counter() - begun
        label = prediction.label if isinstance(prediction, Prediction) else prediction.top(1)[0][0]
        weighed = loaded.weigh(text, pair, label, words)
        event["detail"] = "side by side"
    if isinstance(prediction, SetPrediction):
        least = dict(zip(loaded.label_names, loaded.thresholds or (), strict=True))
        return Answer(choice, prediction, seconds, weighed, False, least)
    threshold = common.threshold_of(choice, loaded)
    is_unsure = threshold is not None and prediction.score < threshold
    return Answer(choice, prediction, seconds, weighed, is_unsure)


def _show(answers: Sequence[Answer]) -> None:
    """Show the answers, the classes in the same order in all of them."""
    st.header("Answers", anchor=False)
    common.show(markup.paragraph(agreement(answers)))
    if any(answer.weighed is not None for answer in answers):
        common.show(markup.legend())
    names = dict.fromkeys(name for answer in answers for name in answer.prediction.probabilities)
    order = sorted(names, key=lambda name: -sum(answer.prediction.probabilities.get(name, 0.0) for answer in answers))
    shown = order[:MOST_BARS]
    what, each = ("labels", "label") if answers[0].thresholds else ("classes", "class")
    caption = f"Probability of each {each}" if len(shown) == len(order) else f"The {len(shown)} most probable {what}"
    for answer, column in zip(answers, st.columns(len(answers)), strict=True):
        with column:
            _show_one(answer, shown, caption)


def _show_one(answer: Answer, names: Sequence[str], caption: str) -> None:
    """Show what one run says."""
    choice, prediction = answer.choice, answer.prediction
    common.show(markup.heading(answer.model, 3))
    common.show(markup.paragraph(choice.title.partition(f"{answer.model} · ")[2] or choice.title, quiet=True))
    known = [(name, p) for name in names if (p := prediction.probabilities.get(name)) is not None]
    if isinstance(prediction, SetPrediction):
        common.show(markup.given_labels(prediction.labels, answer.seconds))
        bars = [markup.LabelBar(name, p, answer.thresholds[name]) for name, p in known]
        common.show(markup.label_bars(bars, caption))
    else:
        common.show(markup.answer(prediction.label, prediction.score, answer.seconds, answer.is_unsure))
        common.show(markup.bars([(name, p, percent(p)) for name, p in known], caption, "Class", "Probability"))
    if answer.weighed is not None:
        if isinstance(prediction, SetPrediction):
            common.show(markup.paragraph(f"Words for the label {prediction.top(1)[0][0]}:", quiet=True))
        common.show(markup.weighed_words(answer.weighed))
        common.show(markup.word_table(answer.weighed.strongest(MOST_WORDS)))
    if choice.record is not None and (trust := facts.trust(choice.folder)):
        common.show(markup.paragraph(f"Its {trust}.", quiet=True))


def agreement(answers: Sequence[Answer]) -> str:
    """Return in a sentence whether the runs say the same."""
    by_label: dict[str, Counter[str]] = {}
    for answer in answers:
        by_label.setdefault(answer.said, Counter())[answer.model] += 1
    if len(by_label) == 1:
        return f"{'Both' if len(answers) == FEWEST_RUNS else f'All {len(answers)}'} say {next(iter(by_label))}."
    said = (
        f"{label} ({listed(f'{count} runs of {model}' if count > 1 else model for model, count in models.items())})"
        for label, models in by_label.items()
    )
    return f"They differ: {'; '.join(said)}."
