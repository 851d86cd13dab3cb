"""Characters that should not be in a text: markup, control characters, wrongly decoded text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ftfy import TextFixerConfig, fix_encoding
from ftfy.badness import is_bad

from textclf.audit.corpus import MOST_EXAMPLES, Corpus
from textclf.audit.finding import Finding, Severity

TAGS = (
    "a|abbr|article|b|big|blockquote|body|br|center|cite|code|dd|div|dl|dt|em|font|footer|form|h[1-6]|head|header|hr|html|"
    "i|iframe|img|input|li|link|meta|nobr|ol|option|p|pre|q|s|script|section|small|span|strike|strong|style|sub|sup|"
    "table|tbody|td|th|thead|title|tr|tt|u|ul"
)
HTML = re.compile(
    rf"</?(?:{TAGS})(?:\s[^<>]{{0,500}})?/?>"  # tags
    r"|&(?:[a-z]{2,8}\d{0,2}|#\d{2,6}|#x[0-9a-f]{2,6});"  # entities
    r"|(?<![\w&])#\d{2,4};",  # entities that lost their ampersand
    re.IGNORECASE,
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
UPPER_CONTROL = re.compile("[\x80-\x9f]")
"""Nobody types these: each is a character of Windows-1252 (a dash, a quotation mark) that was read as Latin-1."""
ZERO_WIDTH = re.compile("[\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
REPLACEMENT = re.compile("\ufffd")
PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
URL = re.compile(r"https?://\w\S*|\bwww\.\w+\.\w\S*", re.IGNORECASE)
FIXING = TextFixerConfig(unescape_html=False)


@dataclass(frozen=True)
class Oddity:
    """Something to look for in texts."""

    code: str
    title: str
    find: Callable[[str], int | None]
    """Returns the place in a text where it is, or none."""
    meaning: str
    remedy: str
    warning: float | None = 0.001
    """Share of examples from which it is a warning; none leaves it a note."""
    may_have: Callable[[str], bool] = lambda text: not text.isascii()
    """A fast answer to whether a text needs to be searched."""


def _place(pattern: re.Pattern[str]) -> Callable[[str], int | None]:
    """Return what finds the first match of a pattern."""

    def find(text: str) -> int | None:
        match = pattern.search(text)
        return match.start() if match else None

    return find


def _mojibake(text: str) -> int | None:
    """Return the place where a text was decoded by the wrong encoding, or where ftfy would change it."""
    if match := UPPER_CONTROL.search(text):
        return match.start()
    if text.isascii() or not is_bad(text):
        return None
    fixed = fix_encoding(text, FIXING)
    if fixed == text:
        return None
    return next((i for i, (a, b) in enumerate(zip(text, fixed, strict=False)) if a != b), 0)


ODDITIES = (
    Oddity(
        "markup",
        "Markup left in the text",
        _place(HTML),
        "Tags and entities take up tokens, and a model may learn where a text came from instead of what it says.",
        "model.text_cleaning=[strip_markup] takes it out, in training and in use alike.",
        0.01,
        lambda text: "<" in text or ";" in text,
    ),
    Oddity(
        "control_characters",
        "Control characters",
        _place(CONTROL),
        "They show a wrong encoding or a damaged export; tokenizers drop them or make them unknown tokens.",
        "See where they come from; remove them if they carry nothing.",
        may_have=lambda text: not text.isprintable(),
    ),
    Oddity(
        "zero_width_characters",
        "Invisible characters",
        _place(ZERO_WIDTH),
        "Zero-width spaces, byte order marks and direction marks split words without being seen.",
        "Remove them before training, and the same way in use.",
    ),
    Oddity(
        "replacement_characters",
        "Characters lost in decoding (U+FFFD)",
        _place(REPLACEMENT),
        "Each stands for a character that could not be decoded, and that is gone.",
        "Read the source again with its own encoding.",
    ),
    Oddity(
        "private_use_characters",
        "Private-use characters",
        _place(PRIVATE),
        "They mean something in one font only, often symbols of a document or a web page.",
        "Replace them by what they stand for, or remove them.",
    ),
    Oddity(
        "mojibake",
        "Text decoded by the wrong encoding",
        _mojibake,
        "One encoding was taken for another: “Ã©” stands for “é”, or an unseen control character (U+0080 to U+009F) "
        "for a dash or a quotation mark. Words with accents become unknown ones.",
        "Read the source again in its own encoding, or let model.text_cleaning=[normalize_unicode] repair it.",
    ),
    Oddity(
        "addresses",
        "Web addresses",
        _place(URL),
        "They are long in tokens and rarely tell the class; where they do, they may tell the source instead.",
        "Consider one word such as URL in their place.",
        None,
        lambda text: "://" in text or "www." in text.lower(),
    ),
)


def check_characters(corpus: Corpus) -> list[Finding]:
    """Find markup, odd characters, text decoded wrongly and addresses."""
    found = {oddity.code: np.zeros(len(corpus), dtype=bool) for oddity in ODDITIES}
    places: dict[str, list[tuple[int, int]]] = {oddity.code: [] for oddity in ODDITIES}
    for row in range(len(corpus)):
        text = corpus.texts[row] if corpus.text_pairs is None else corpus.whole(row)
        for oddity in ODDITIES:
            if not oddity.may_have(text):
                continue
            place = oddity.find(text)
            if place is not None:
                found[oddity.code][row] = True
                if len(places[oddity.code]) < MOST_EXAMPLES:
                    places[oddity.code].append((row, place))
    return [
        _finding(corpus, oddity, found[oddity.code], places[oddity.code])
        for oddity in ODDITIES
        if found[oddity.code].any()
    ]


def _finding(corpus: Corpus, oddity: Oddity, found: np.ndarray, places: list[tuple[int, int]]) -> Finding:
    """Return what to say of an oddity."""
    warns = oddity.warning is not None and float(found.mean()) >= oddity.warning
    return Finding(
        oddity.code,
        Severity.warning if warns else Severity.note,
        oddity.title,
        int(found.sum()),
        len(corpus),
        "examples",
        oddity.meaning,
        oddity.remedy,
        corpus.counted(found),
        tuple(corpus.example(row, _visible(corpus.whole(row)[place : place + 12]), place) for row, place in places),
    )


def _visible(text: str) -> str:
    """Return a few characters with the unseen ones by their number."""
    return "".join(
        c if c.isprintable() and not (0xE000 <= ord(c) <= 0xF8FF) else f"U+{ord(c):04X} " for c in text
    ).strip()
