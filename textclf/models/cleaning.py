"""Cleaning texts before a model reads them, the same in training and in every later prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html.parser import HTMLParser

import ftfy

from textclf.data.dataset import MappedTexts
from textclf.models.options import Cleaning

BREAKS = frozenset(
    ("address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li")
).union(("ol", "p", "pre", "table", "td", "th", "tr", "ul"))
"""Tags that part words from each other."""
SILENT = frozenset({"script", "style"})
"""Tags whose content is no text."""


def clean(texts: Sequence[str], steps: Iterable[Cleaning]) -> list[str]:
    """Return texts after some steps of cleaning.

    Args:
        texts: Any texts.
        steps: What to do; the order in which it is done is that of `Cleaning`.
    """
    asked = set(steps)
    cleaned = list(texts)
    for step in Cleaning:
        if step in asked:
            work = STEPS[step]
            cleaned = [work(text) for text in cleaned]
    return cleaned


def cleaned(texts: Sequence[str], steps: Iterable[Cleaning]) -> Sequence[str]:
    """Return texts after some steps of cleaning; those that are read from disk are cleaned as they are read."""
    if isinstance(texts, MappedTexts):
        return texts.changed(partial(clean, steps=tuple(steps)))
    return clean(texts, steps)


class _Text(HTMLParser):
    """Collects what a page would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.silent += tag in SILENT
        if tag in BREAKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in SILENT))
        if tag in BREAKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(data)


def strip_markup(text: str) -> str:
    """Return a text without HTML tags and comments, its entities as the characters they stand for."""
    if "<" not in text and "&" not in text:
        return text
    parser = _Text()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


def normalize_unicode(text: str) -> str:
    """Return a text in Unicode's form C, wrongly decoded characters repaired and control characters taken out."""
    return ftfy.fix_text(text, unescape_html=False)


def normalize_whitespace(text: str) -> str:
    """Return a text with single spaces in place of any white space, and none at its ends."""
    return " ".join(text.split())


STEPS: dict[Cleaning, Callable[[str], str]] = {
    Cleaning.strip_markup: strip_markup,
    Cleaning.normalize_unicode: normalize_unicode,
    Cleaning.normalize_whitespace: normalize_whitespace,
    Cleaning.lowercase: str.lower,
}
