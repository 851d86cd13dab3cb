"""A page on which anyone can try the classifier that lies beside it: python app.py."""

from __future__ import annotations

import html
import json
import os
import re
import string
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from textclf.errors import DataError
from textclf.evaluation.words import FLOOR, FULL, UNMOVED, WordMask, strength, word_weights
from textclf.models.families import load_classifier
from textclf.models.prediction import Prediction, SetPrediction

HERE = Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "space.json").read_text(encoding="utf-8"))
CLASSIFIER = load_classifier(HERE / "classifier")
PAIRS = bool(CLASSIFIER.has_pairs)
SETS = CLASSIFIER.has_sets
MOST_CHARACTERS = 10_000
MOST_CLASSES = 10
MOST_WAITING = 32
MOST_WORDS = 40
OWN = [[one["text"], one.get("text_pair", "")] for one in SETTINGS.get("examples", [])]
EXAMPLES = OWN or [
    ["The parcel arrived on Tuesday morning.", "The parcel came before noon."],
    ["The meeting was moved to the room upstairs.", "Nobody met today."],
    ["She opened the window because it was warm.", "It was warm, so the window was opened."],
]
THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_700",
)
CSS = """
footer * {color: var(--body-text-color) !important}
.gradio-container {max-width: 60rem !important; margin: 0 auto}
:root {--for: 0 114 178; --against: 179 71 0}
.dark {--for: 86 180 233; --against: 240 163 94}
.words {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2}
.words + .words {margin-top: .6rem}
.hint {font-size: .9rem; margin: 1.5rem 0 .5rem}
.chips, .none {margin: 1.5rem 0 .5rem}
.chips {display: flex; flex-wrap: wrap; gap: .4rem; padding: 0; list-style: none}
.chips li {margin: 0; padding: .1rem .7rem; border: 2px solid rgb(var(--for)); border-radius: 1rem; font-weight: 600;
  overflow-wrap: anywhere}
.chips + .hint, .none + .hint {margin: 0 0 .25rem}
.for, .against {padding: .1em .15em; border-radius: 3px}
.for {background: rgb(var(--for) / var(--a)); border-bottom: 3px solid rgb(var(--for))}
.against {background: rgb(var(--against) / var(--a)); border-bottom: 3px dotted rgb(var(--against))}
"""
LEGEND = (
    'Each word was left out in turn and the text predicted again. <span class="for" style="--a:.3">Blue with a solid '
    'line</span>: speaks for the prediction. <span class="against" style="--a:.3">Orange with a dotted line</span>: '
    f"speaks against it. Full colour from {FULL} log-odds on, none below {FLOOR}."
)


def classify(text: str, text_pair: str | None = None) -> dict[str, float]:
    """Return each class's probability for a text, or a pair of texts."""
    return predicted(checked(text, text_pair)).probabilities


def label(text: str, text_pair: str | None = None) -> tuple[str, dict[str, float], list[str]]:
    """Return the labels that a text, or a pair of texts, is given: as HTML, their probabilities, and their names."""
    found = predicted(checked(text, text_pair))
    assert isinstance(found, SetPrediction)
    chips = "".join(f"<li>{html.escape(name)}</li>" for name in found.labels)
    least = dict(zip(CLASSIFIER.label_names, CLASSIFIER.thresholds or (), strict=True))
    told = ", ".join(f"{html.escape(name)} from {least[name]:.0%}" for name, _ in found.top(MOST_CLASSES))
    shown = (
        f'<ul class="chips">{chips}</ul>'
        if chips
        else '<p class="none"><strong>No label reaches its threshold.</strong></p>'
    )
    return f'{shown}<p class="hint">Given: {told}.</p>', found.probabilities, list(found.labels)


def predicted(clean: list[str]) -> Prediction | SetPrediction:
    """Return what the classifier says of a text, or of the two texts of a pair."""
    try:
        return CLASSIFIER.predict([clean[0]], [clean[1]] if PAIRS else None)[0]
    except DataError as error:
        raise gr.Error("These texts could not be read.", print_exception=False) from error


def checked(text: str, text_pair: str | None) -> list[str]:
    """Return the text, or the two texts of a pair, as they can be read, or say what is wrong with them."""
    given = [text, text_pair] if PAIRS else [text]
    for one in given:
        if not isinstance(one, str) or not one.strip():
            raise gr.Error("Type both texts first." if PAIRS else "Type a text first.", print_exception=False)
        if len(one) > MOST_CHARACTERS:
            raise gr.Error(f"A text may have {MOST_CHARACTERS:,} characters at most.", print_exception=False)
    return [one.encode("utf-8", "replace").decode("utf-8") for one in given if isinstance(one, str)]


def explain(text: str, text_pair: str | None = None) -> str:
    """Return the texts as HTML, each word in the colour of what the prediction owes to it."""
    clean = checked(text, text_pair)
    masks = [WordMask(one, -(-MOST_WORDS // len(clean))) for one in clean]
    if not any(mask.words for mask in masks):
        return ""
    ((most, _),) = predicted(clean).top(1)
    weights = iter(word_weights(CLASSIFIER, masks, list(CLASSIFIER.label_names).index(most)).tolist())
    shown, slight = "", True
    for mask in masks:
        parts = [html.escape(mask.before)]
        for word, gap in zip(mask.words, mask.gaps, strict=True):
            weight = next(weights)
            said = html.escape(word)
            if strength(weight):
                slight = False
                side = "for" if weight > 0 else "against"
                said = (
                    f'<span class="{side}" style="--a:{strength(weight) / 2:.2f}" title="{weight:+.2f}">{said}</span>'
                )
            parts.append(said + html.escape(gap))
        shown += f'<div class="words" dir="auto">{"".join(parts)}{html.escape(mask.after)}</div>'
    cut = f" Of a longer text only the first {MOST_WORDS} words were left out." if any(m.is_cut for m in masks) else ""
    own = f"Words for the label {html.escape(most)}, the most probable. " if SETS else ""
    return f'<p class="hint">{own}{f"{UNMOVED.capitalize()}." if slight else LEGEND}{cut}</p>{shown}'


def plain(text: str) -> str:
    """Return a text in which Markdown finds no markup."""
    return re.sub(f"[{re.escape(string.punctuation)}]", r"\\\g<0>", " ".join(text.split()))


def page() -> gr.Blocks:
    """Return the page."""
    with gr.Blocks(title=SETTINGS["title"], analytics_enabled=False) as made:
        gr.Markdown(f"# {plain(SETTINGS['title'])}\n\n{plain(SETTINGS['description'])}")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                titles = ["First text", "Second text"] if PAIRS else ["Text"]
                texts = [gr.Textbox(label=title, lines=4, max_lines=12, max_length=MOST_CHARACTERS) for title in titles]
                button = gr.Button("Classify", variant="primary")
            with gr.Column(min_width=280):
                what = "Labels and their probabilities" if SETS else "Classes and their probabilities"
                given = gr.HTML(label="Labels that are given", show_label=True, container=True, visible=SETS)
                names = gr.JSON(label="Names of the labels that are given", visible=False)
                sizes = gr.Label(label=what, num_top_classes=MOST_CLASSES, show_heading=not SETS)
                if SETTINGS.get("note"):
                    gr.Markdown(plain(SETTINGS["note"]))
                words = gr.HTML(label="Words that mattered", show_label=True, container=True, visible=False)
        gr.Examples(
            [row[: len(texts)] for row in EXAMPLES], texts, cache_examples=False, api_visibility="private",
            label="Test examples of its own data" if OWN else "To begin with",
        )  # fmt: skip
        gr.on(
            [button.click, *(one.submit for one in texts)], label if SETS else classify, texts,
            [given, sizes, names] if SETS else sizes, api_name="classify",
            concurrency_limit=1, concurrency_id="classifier",
        ).success(
            lambda *given: gr.HTML(explain(*given), visible=True), texts, words, api_visibility="private",
            concurrency_limit=1, concurrency_id="classifier", show_progress="minimal",
        )  # fmt: skip
    return made.queue(max_size=MOST_WAITING)


if __name__ == "__main__":
    # Which address to listen on comes from GRADIO_SERVER_NAME, which Spaces set; it is 127.0.0.1 where nothing does.
    page().launch(
        share=False,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        footer_links=["api", "gradio"],
        theme=THEME,
        css=CSS,
    )
