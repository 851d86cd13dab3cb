"""The only place where HTML is put together: every text of a person, a file or a run is escaped here.

Streamlit reads Markdown in most of what it shows, so names and texts go through here, or through
elements that take plain text alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from textclf.app.classifiers import Weighed, Word
from textclf.documents.document import Cell, Table
from textclf.documents.escape import shown
from textclf.documents.wording import percent, signed
from textclf.evaluation.words import FLOOR, FULL, UNMOVED
from textclf.system.redact import redacted

EMPTY = Markup("")


@dataclass(frozen=True)
class LabelBar:
    """A label, its probability and the one from which on it is given, 0 to 1."""

    label: str
    probability: float
    threshold: float

    @property
    def is_given(self) -> bool:
        """Whether the text gets it."""
        return self.probability >= self.threshold


def text(value: object, most: int | None = None) -> str:
    """Return a plain text as it can be shown: control characters replaced, cut where it is too long."""
    said = shown(str(value))
    return said if most is None or len(said) <= most else said[: most - 1] + "…"


def paragraph(value: object, quiet: bool = False) -> str:
    """Return a paragraph of plain text."""
    return str(Markup('<p class="tc-p{}" dir="auto">{}</p>').format(" tc-quiet" if quiet else "", text(value)))


def heading(value: object, level: int) -> str:
    """Return a heading of plain text."""
    return str(Markup("<h{0}><bdi>{1}</bdi></h{0}>").format(level, text(value)))


def reading(value: object) -> str:
    """Return a text that a person reads to judge it; a long one is scrolled, also by keys."""
    said = Markup('<div class="tc-text tc-reading" dir="auto" tabindex="0" role="group" aria-label="Text">{}</div>')
    return str(said.format(text(value)))


def message(kind: str, value: object) -> str:
    """Return a message that a screen reader says at once.

    Args:
        kind: `error`, `note` or `done`; each says so in words too.
        value: Plain text.
    """
    heads = {"error": "Error", "note": "Note", "done": "Done"}
    role = "alert" if kind == "error" else "status"
    said = Markup('<div class="tc-message tc-{}" role="{}"><strong>{}:</strong> {}</div>')
    return str(said.format(kind, role, heads[kind], text(redacted(str(value)))))


def answer(label: str, score: float, seconds: float, is_unsure: bool = False) -> str:
    """Return the predicted label with its probability; of an unsure one this first."""
    said = Markup(
        '<div class="tc-answer" role="status">{} <strong><bdi>{}</bdi></strong> <span>{}</span> '
        '<span class="tc-quiet">in {}</span></div>'
    )
    what = Markup('<span class="tc-quiet">Prediction</span>')
    if is_unsure:
        what = Markup('<strong>Unsure</strong> <span class="tc-quiet">most probably</span>')
    return str(said.format(what, text(label), percent(score), duration(seconds)))


def given_labels(labels: Sequence[str], seconds: float) -> str:
    """Return the labels of a predicted set, or in words that there is none."""
    chip = Markup("<li><bdi>{}</bdi></li>")
    what = Markup('<strong>no label</strong> <span class="tc-quiet">reaches its threshold</span>')
    if labels:
        what = Markup('<ul class="tc-chips">{}</ul>').format(EMPTY.join(chip.format(text(one, 200)) for one in labels))
    said = Markup(
        '<div class="tc-answer" role="status"><span class="tc-quiet">Labels</span> {} '
        '<span class="tc-quiet">in {}</span></div>'
    )
    return str(said.format(what, duration(seconds)))


def label_bars(rows: Sequence[LabelBar], caption: str) -> str:
    """Return a table of labels with a bar each, their thresholds marked on it; those that are given stand out."""
    row = Markup(
        '<tr{}><th scope="row"><bdi>{}</bdi></th><td>{}</td><td class="tc-number">{}</td><td class="tc-number">{}</td>'
        '<td class="tc-bar" aria-hidden="true"><div><span style="width:{:.2f}%"></span><i style="left:{:.2f}%"></i>'
        "</div></td></tr>"
    )
    body = EMPTY.join(
        row.format(
            Markup(' class="tc-given"') if one.is_given else EMPTY,
            text(one.label, 200),
            "given" if one.is_given else "not given",
            percent(one.probability),
            f"from {percent(one.threshold)}",
            100 * one.probability,
            100 * one.threshold,
        )
        for one in rows
    )
    return str(
        Markup(
            '<table class="tc-bars tc-labels"><caption>{}</caption><thead class="tc-unseen"><tr><th scope="col">Label'
            '</th><th scope="col">Given</th><th scope="col">Probability</th><th scope="col">Threshold</th><td></td>'
            "</tr></thead><tbody>{}</tbody></table>"
        ).format(caption, body)
    )


def bars(rows: Sequence[tuple[str, float, str]], caption: str, first: str, second: str) -> str:
    """Return a table with a bar in each row.

    Args:
        rows: Name, length of the bar (0 to 1) and what it stands for in words.
        caption: What the table shows.
        first: Heading of the names.
        second: Heading of the numbers.
    """
    row = Markup(
        '<tr><th scope="row"><bdi>{}</bdi></th><td class="tc-number">{}</td>'
        '<td class="tc-bar" aria-hidden="true"><span style="width:{:.2f}%"></span></td></tr>'
    )
    body = EMPTY.join(row.format(text(name, 200), said, 100 * min(max(size, 0.0), 1.0)) for name, size, said in rows)
    return str(
        Markup(
            '<table class="tc-bars"><caption>{}</caption><thead class="tc-unseen"><tr><th scope="col">{}</th>'
            '<th scope="col">{}</th><td></td></tr></thead><tbody>{}</tbody></table>'
        ).format(caption, first, second, body)
    )


def legend() -> str:
    """Return what the marks on words mean."""
    return (
        '<p class="tc-p tc-quiet">Word occlusion: each word was left out in turn and the text predicted again. '
        '<span class="tc-for" style="--a:.3">Blue with a solid line</span>: speaks for the prediction, which falls '
        'without it. <span class="tc-against" style="--a:.3">Orange with a dotted line</span>: speaks against it. '
        f"The stronger the colour, the more it changed: full colour from {FULL} log-odds on, none below {FLOOR}. Words "
        "that say the same cover for each other.</p>"
    )


def weighed_words(weighed: Weighed) -> str:
    """Return the texts with their words marked: for the prediction, or against it."""
    return str(EMPTY.join(_weighed_text(words) for words in weighed.texts if words))


def _weighed_text(words: Iterable[Word]) -> Markup:
    span = Markup('<span class="tc-{}" style="--a:{:.2f}" title="{}">{}</span>{}')
    parts = [
        span.format(_side(word), word.strength * 0.5, signed(word.weight), text(word.word), text(word.gap))
        if word.is_marked
        else Markup("{}{}").format(text(word.word), text(word.gap))
        for word in words
    ]
    return Markup('<div class="tc-text" dir="auto">{}</div>').format(EMPTY.join(parts))


def word_table(words: Sequence[Word]) -> str:
    """Return the words that matter most, with their weights in numbers and words."""
    if not words:
        return paragraph(f"{UNMOVED.capitalize()}.")
    row = Markup(
        '<tr><th scope="row"><bdi class="tc-{}" style="--a:{:.2f}">{}</bdi></th><td>{}</td>'
        '<td class="tc-number">{}</td></tr>'
    )
    body = EMPTY.join(
        row.format(_side(word), word.strength * 0.5, text(word.word, 80), _side(word), signed(word.weight))
        for word in words
    )
    head = Markup(
        '<div class="tc-scroll" role="group" tabindex="0" aria-label="The words that matter most">'
        '<table class="tc-table"><caption>The words that matter most</caption><thead><tr>'
        '<th scope="col">Word</th><th scope="col">Speaks</th><th scope="col" class="tc-number">Log-odds</th></tr>'
        "</thead><tbody>{}</tbody></table></div>"
    )
    return str(head.format(body))


def _side(word: Word) -> str:
    return "for" if word.weight > 0 else "against"


def table(content: Table) -> str:
    """Return a report's table."""
    heads = EMPTY.join(
        Markup('<th scope="col"{}>{}</th>').format(_number(column.numeric), text(column.title))
        for column in content.columns
    )
    rows = EMPTY.join(_row(content, cells) for cells in content.rows)
    hints = [(column.title, column.hint) for column in content.columns if column.hint]
    said = Markup(
        '<div class="tc-scroll" role="region" tabindex="0" aria-label="{}"><table class="tc-table{}">'
        "<caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}"
    )
    caption = text(content.caption or "Table")
    wide = " tc-wide" if len(content.columns) > 4 else ""
    return str(said.format(caption, wide, caption, heads, rows, _hints(hints)))


def _row(content: Table, cells: Sequence[str | Cell]) -> Markup:
    parts = []
    for place, (column, cell) in enumerate(zip(content.columns, cells, strict=True)):
        said, strong = (cell, False) if isinstance(cell, str) else (cell.text, cell.strong)
        inner = Markup("<strong>{}</strong>" if strong else "{}").format(text(said))
        frame = '<th scope="row"{}><div><bdi>{}</bdi></div></th>' if place == 0 else "<td{}><div>{}</div></td>"
        parts.append(Markup(frame).format(_number(column.numeric), inner))
    return Markup("<tr>{}</tr>").format(EMPTY.join(parts))


def _number(is_number: bool) -> Markup:
    return Markup(' class="tc-number"') if is_number else EMPTY


def _hints(hints: Sequence[tuple[str, str]]) -> Markup:
    if not hints:
        return EMPTY
    rows = EMPTY.join(Markup("<dt>{}</dt><dd>{}</dd>").format(text(title), text(hint)) for title, hint in hints)
    return Markup('<details class="tc-hints"><summary>What the columns mean</summary><dl>{}</dl></details>').format(
        rows
    )


def bullets(items: Iterable[object]) -> str:
    """Return a list of plain texts."""
    rows = EMPTY.join(Markup("<li><bdi>{}</bdi></li>").format(text(item)) for item in items)
    return str(Markup('<ul class="tc-list">{}</ul>').format(rows))


def quotes(items: Sequence[object]) -> str:
    """Return sentences that stand out."""
    return str(EMPTY.join(Markup('<blockquote class="tc-quote">{}</blockquote>').format(text(item)) for item in items))


def duration(seconds: float) -> str:
    """Return a duration for a person."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
