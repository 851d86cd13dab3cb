"""Probabilities of classes, read from the log-probabilities of the tokens of an answer.

At each token of the label that was said, the server lists what else it might have said. A listed token that begins one
label alone gives that label its probability; the token that was said leads on to the next. A token that begins several
labels alike cannot be divided between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

QUOTES = " \t\r\n\"'`*"
LABEL_BEGINS = re.compile(r'"label"\s*:\s*"')
MOST_SHARED = 0.01
"""Probability that may be left undivided between labels."""


@dataclass(frozen=True)
class Token:
    """A token of an answer, and what might have stood in its place."""

    text: str
    log_probability: float
    others: tuple[tuple[str, float], ...]
    """The likeliest tokens here with their log-probabilities, mostly the token itself among them."""


@dataclass(frozen=True)
class Divided:
    """What the tokens of an answer say of the classes."""

    probabilities: tuple[float, ...]
    """Of each class, in label order; they sum to 1."""
    alike: tuple[int, ...] = ()
    """Labels between which more than `MOST_SHARED` could not be divided."""


def divided(tokens: Sequence[Token], answers: Sequence[str], in_json: bool) -> Divided | None:
    """Return the probability of each class; none where the label's place in the answer is not found.

    What the server does not list is shared evenly by the labels of which nothing is listed, each of them getting no
    more than the least that is listed.

    Args:
        tokens: The answer, token by token.
        answers: What each label is called, in label order.
        in_json: Whether the answer is a JSON object with a field `label`.
    """
    place = _begin(tokens, in_json)
    if place is None:
        return None
    names = [answer.casefold() for answer in answers]
    found = [0.0] * len(names)
    shared: dict[tuple[int, ...], float] = {}
    (start, head), before = place, ""
    path, listed, least = 1.0, 0.0, 1.0
    for token in tokens[start:]:
        for text, value in token.others:
            if text == token.text:
                continue
            share = path * math.exp(value)
            own = _begun(before + _plain(text, head), names)
            least, listed = min(least, share), listed + share
            if len(own) == 1:
                found[own[0]] += share
            elif own:
                shared[tuple(own)] = shared.get(tuple(own), 0.0) + share
        before += _plain(token.text, head)
        head = ""
        path *= math.exp(min(token.log_probability, 0.0))
        own = _begun(before, names)
        if len(own) < 2:
            break
    if len(own := _begun(before, names)) > 1:  # the answer ends where the label does
        own = [label for label in own if names[label] == before.strip(QUOTES)]
    if own:
        found[own[0]] += path
    least = min(least, path)
    unseen = [label for label, share in enumerate(found) if not share and not any(label in some for some in shared)]
    if unseen:
        left = max(0.0, 1.0 - listed - path)
        for label in unseen:
            found[label] = max(min(left / len(unseen), least), math.ulp(0.0))
    total = sum(found)
    if total <= 0:
        return None
    alike = [labels for labels, share in shared.items() if share > MOST_SHARED]
    return Divided(tuple(share / total for share in found), alike[0] if alike else ())


def _begin(tokens: Sequence[Token], in_json: bool) -> tuple[int, str] | None:
    """Return the token in which the label begins, and what of it stands before the label."""
    said = "".join(token.text for token in tokens)
    start = 0
    if in_json:
        begins = LABEL_BEGINS.search(said)
        if begins is None:
            return None
        start = begins.end()
    else:
        if "</think>" in said:
            start = said.rindex("</think>") + len("</think>")
        while start < len(said) and said[start] in QUOTES:
            start += 1
    at = 0
    for number, token in enumerate(tokens):
        if at <= start < at + len(token.text):
            return number, token.text[: start - at]
        at += len(token.text)
    return None


def _plain(text: str, head: str) -> str:
    """Return a token in small letters, without what stands before the label in the first one."""
    if head:
        text = text.removeprefix(head)
    return text.casefold()


def _begun(said: str, names: Sequence[str]) -> list[int]:
    """Return the labels that an answer may be which begins so."""
    said = said.lstrip(QUOTES)
    if not said:
        return list(range(len(names)))
    found = []
    for number, name in enumerate(names):
        rest = said.removeprefix(name)
        if name.startswith(said) or (rest != said and not rest[:1].isalnum() and not _goes_on(said, name, names)):
            found.append(number)
    return found


def _goes_on(said: str, name: str, names: Sequence[str]) -> bool:
    """Say whether what follows a label makes another of it, as `bug report` does of `bug`."""
    return any(other != name and other.startswith(name) and other.startswith(said) for other in names)
