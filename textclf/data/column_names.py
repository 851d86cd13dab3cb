"""Names of the columns that hold the text, the second text and the label."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from textclf.data.options import DatasetOptions
from textclf.errors import DataError, did_you_mean, listed

log = logging.getLogger(__name__)

Values = Callable[[str], Sequence[object]]
"""Gives the first values of a column."""
Options = TypeVar("Options", bound=DatasetOptions)

DEFAULTS = {"text_column": "text", "label_column": "label"}
TEXTS = (
    "text", "texts", "sentence", "review", "reviews", "review_text", "reviewtext", "content", "body", "comment",
    "comments", "comment_text", "message", "tweet", "document", "headline", "utterance", "post", "sms", "full_text",
    "description",
)  # fmt: skip
PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"),
    ("sentence_1", "sentence_2"), ("text_1", "text_2"), ("sentence_a", "sentence_b"), ("text_a", "text_b"),
    ("question", "answer"), ("question", "sentence"), ("query", "document"),
)  # fmt: skip
LABELS = (
    "label", "labels", "class", "classes", "category", "sentiment", "target", "stars", "star_rating", "rating", "y",
    "polarity", "topic", "intent", "emotion", "gold_label", "class_label", "class_index", "label_name",
    "overall", "score",
)  # fmt: skip


def find_columns(
    options: Options,
    names: Sequence[str],
    where: str,
    further: str = "",
    values: Values | None = None,
    tell: bool = True,
) -> Options:
    """Return options that name columns of the source, each of which is there.

    A column that the options leave at its default is looked for under usual names where there is none of that name.

    Args:
        options: What the person asked for.
        names: The columns of the source.
        where: The source, for a person.
        further: What more to say where a column is missing.
        values: Gives the first values of a column, by which the text and the label are guessed for an error.
        tell: Log what is taken as what.

    Raises:
        DataError: If a column is missing, or several could be meant.
    """
    found: dict[str, str] = {}
    if options.text_column == DEFAULTS["text_column"] and options.text_column not in names:
        found |= _find_texts(options, names, where)
    unnamed = options.label_column == DEFAULTS["label_column"] and options.label_column not in names
    if unnamed and not options.label_columns:
        taken = {*_asked(options), *found.values()}
        candidates = [name for name in names if plain_name(name) in LABELS and name not in taken]
        if choice := _only(candidates, "label_column", where):
            found["label_column"] = choice
    if found and tell:
        log.info("%s: %s", where, ", ".join(f"{name!r} is taken as {option}" for option, name in found.items()))
    options = replace(options, **found)
    check_columns(options, names, where, further, values)
    return options


def check_columns(
    options: DatasetOptions, names: Sequence[str], where: str, further: str = "", values: Values | None = None
) -> None:
    """Refuse a source that lacks columns that the options name; of the text and the label it is said how to name them.

    Args:
        options: What the person asked for.
        names: The columns of the source.
        where: The source, for a person.
        further: What more to say where a column is missing.
        values: Gives the first values of a column.

    Raises:
        DataError: With all columns that are missing.
    """
    missing: list[tuple[str, str]] = []
    labels = "label_columns" if options.label_columns else "label_column"
    for option in ("text_column", "text_pair_column", "title_column", labels, "language_column",
                   "group_column", "slice_columns", "split_column"):  # fmt: skip
        value = getattr(options, option, None)
        for column in value if isinstance(value, list) else [value]:
            if column is not None and column not in names:
                missing.append((option, column))
    if not missing:
        return
    said = " nor ".join(f"{column!r} (dataset.{option})" for option, column in missing)
    near = did_you_mean(missing[0][1], names)
    copied = "" if values is None else _to_copy(options, names, [option for option, _ in missing], values)
    raise DataError(f"{where} has no column {said}; it has {listed(names) or 'none'}.{near}{further}{copied}")


def _to_copy(options: DatasetOptions, names: Sequence[str], missing: Sequence[str], values: Values) -> str:
    """Return the options that name what looks like the text and the label; empty where nothing does.

    The text is the column with most words, the label the one with the fewest values.
    """
    asked = [option for option in DEFAULTS if option in missing]
    taken = {getattr(options, option) for option in DEFAULTS if option not in asked}
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in taken and (own := [str(value) for value in values(name) if value is not None]):
            found[name] = own
    guess: dict[str, str] = {}
    if "text_column" in asked and found:
        guess["text_column"] = max(found, key=lambda name: sum(len(value.split()) for value in found[name]))
        del found[guess["text_column"]]
    if "label_column" in asked and found:
        guess["label_column"] = min(found, key=lambda name: len(set(found[name])))
    if not asked or len(guess) < len(asked):
        return ""
    return f" By their values these may be the ones to add: {' '.join(_override(*pair) for pair in guess.items())}"


def _override(option: str, name: str) -> str:
    """Return an option as it is typed; one whose quotes would puzzle is left for the person to write."""
    if re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII):
        return f"dataset.{option}={name}"
    return f"dataset.{option}=…" if set(name) & set("'\"$`!\\") else f"\"dataset.{option}='{name}'\""


def wanted_columns(options: DatasetOptions) -> list[str]:
    """Return the columns of the source that the options name, each once."""
    named = [options.text_column, options.text_pair_column, options.title_column, *label_columns(options)]
    named += [options.language_column, options.group_column, *options.slice_columns]
    named.append(getattr(options, "split_column", None))  # of files alone
    return list(dict.fromkeys(name for name in named if name is not None))


def label_columns(options: DatasetOptions) -> list[str]:
    """Return the columns of the source that hold the labels: one, or one for each label."""
    return list(options.label_columns) or [options.label_column]


def text_columns(options: DatasetOptions) -> list[str]:
    """Return the columns of the source that must hold texts."""
    named = (options.text_column, options.text_pair_column, options.title_column)
    return [name for name in named if name is not None]


def _find_texts(options: DatasetOptions, names: Sequence[str], where: str) -> dict[str, str]:
    """Return the column of the text, and that of the second text where there are two that belong together."""
    taken = _asked(options) - {DEFAULTS["text_column"]}
    free = {plain_name(name): name for name in reversed(names) if name not in taken}
    pairs = [] if options.text_pair_column else [pair for pair in PAIRS if set(pair) <= set(free)]
    if len(pairs) > 1:
        said = "; ".join(f"{free[one]} and {free[two]}" for one, two in pairs)
        raise DataError(
            f"{where} has no column 'text', and several pairs could be meant: {said}. Name the columns with "
            f"dataset.text_column and dataset.text_pair_column."
        )
    belonging = {free[member] for pair in pairs for member in pair}
    singles = [name for name in names if plain_name(name) in TEXTS and name not in taken | belonging]
    if pairs and not singles:
        return {"text_column": free[pairs[0][0]], "text_pair_column": free[pairs[0][1]]}
    choice = _only([*singles, *sorted(belonging)], "text_column", where)
    return {"text_column": choice} if choice else {}


def _only(candidates: list[str], option: str, where: str) -> str | None:
    """Return the one candidate, or nothing where there is none."""
    if len(candidates) > 1:
        raise DataError(
            f"{where} has no column {DEFAULTS[option]!r}, and several could be meant: {listed(candidates)}. "
            f"Name one with dataset.{option}."
        )
    return candidates[0] if candidates else None


def _asked(options: DatasetOptions) -> set[str]:
    """Return the columns that the options name, the default one for labels apart."""
    return {name for name in wanted_columns(options) if name != DEFAULTS["label_column"] or options.label_columns}


def plain_name(name: str) -> str:
    """Return a name as it is compared."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def proposed_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return names for columns that have none, by the first rows: `label`, `text`, and others by their number.

    Returns:
        The names; none where the rows do not show which column holds the label and which the text.
    """
    width = len(rows[0]) if rows else 0
    whole = [row for row in rows if len(row) == width]
    if width < 2 or len(whole) < 4:
        return []
    columns = list(zip(*whole, strict=True))
    words = [sum(len(value.split()) for value in column) / len(whole) for column in columns]
    kinds = [len(set(column)) for column in columns]
    text, label = words.index(max(words)), kinds.index(min(kinds))
    is_data = len(rows[0][text].split()) > 1  # else the first row may well be one of names
    if text == label or kinds[label] > len(whole) / 2 or words[text] < 2 or not is_data:
        return []
    named = {text: "text", label: "label"}
    titles = [number for number, count in enumerate(words) if number not in named and count >= 2]
    if len(titles) == 1:
        named[titles[0]] = "title"
    return [named.get(number, f"column{number + 1}") for number in range(width)]
