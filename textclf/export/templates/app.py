"""A page on which anyone can try the classifier that lies beside it: python app.py."""

from __future__ import annotations

import json
import os
import re
import string
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from textclf.errors import DataError
from textclf.models.families import load_classifier

HERE = Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "space.json").read_text(encoding="utf-8"))
CLASSIFIER = load_classifier(HERE / "classifier")
PAIRS = bool(CLASSIFIER.has_pairs)
MOST_CHARACTERS = 10_000
MOST_CLASSES = 10
MOST_WAITING = 32
EXAMPLES = [
    ["The parcel arrived on Tuesday morning.", "The parcel came before noon."],
    ["The meeting was moved to the room upstairs.", "Nobody met today."],
    ["She opened the window because it was warm.", "It was warm, so the window was opened."],
]
CSS = ".gradio-container {max-width: 60rem !important; margin: 0 auto}"


def classify(text: str, text_pair: str | None = None) -> dict[str, float]:
    """Return each class's probability for a text, or a pair of texts."""
    given = [text, text_pair] if PAIRS else [text]
    for one in given:
        if not isinstance(one, str) or not one.strip():
            raise gr.Error("Type both texts first." if PAIRS else "Type a text first.", print_exception=False)
        if len(one) > MOST_CHARACTERS:
            raise gr.Error(f"A text may have {MOST_CHARACTERS:,} characters at most.", print_exception=False)
    clean = [one.encode("utf-8", "replace").decode("utf-8") for one in given]
    try:
        found = CLASSIFIER.predict([clean[0]], [clean[1]] if PAIRS else None)[0]
    except DataError as error:
        raise gr.Error("These texts could not be read.", print_exception=False) from error
    return found.probabilities


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
                label = gr.Label(label="Classes and their probabilities", num_top_classes=MOST_CLASSES)
        gr.Examples([row[: len(texts)] for row in EXAMPLES], texts, cache_examples=False, label="To begin with")
        gr.on(
            [button.click, *(one.submit for one in texts)], classify, texts, label, api_name="classify",
            concurrency_limit=1,
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
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )
