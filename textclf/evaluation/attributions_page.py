"""The page of words that predictions hang on: one HTML file without scripts, every text escaped."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from textclf.documents.escape import shown
from textclf.evaluation.attributions import Attribution, signed

TEMPLATE = "attributions.html.j2"


def attributions_page(title: str, attributions: Sequence[Attribution]) -> str:
    """Return the texts with their words coloured and underlined by what a prediction owes to them."""
    page = _template().render(title=title, attributions=attributions)
    return shown(page).strip() + "\n"


@functools.cache
def _template() -> Template:
    """Return the page's template, compiled once in a process."""
    environment = Environment(
        loader=PackageLoader("textclf.evaluation", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(texts=_texts, strength=_strength, signed=signed)
    return environment.get_template(TEMPLATE)


def _texts(one: Attribution) -> list[list[tuple[str, str, float]]]:
    """Return the words of each text with the gap after them and their weight; a text without words is left out."""
    rows = list(zip(one.words, one.gaps, one.weights, strict=True))
    return [part for part in (rows[: one.first_words], rows[one.first_words :]) if part]


def _strength(one: Attribution, weight: float) -> float:
    """Return a weight's size, 0 to 1, beside the largest of its text."""
    largest = max(map(abs, one.weights), default=0.0)
    return abs(weight) / largest if largest > 0 else 0.0
