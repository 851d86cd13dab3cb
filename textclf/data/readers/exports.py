"""Rows of the programs that people label texts with: Label Studio, Prodigy and doccano; and fields within fields."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from textclf.data import rejected

CHOICES = "choices"
SHOWN_FIELDS = 3
"""Fields within fields are named down to this depth."""


def plain_row(content: dict[str, Any]) -> dict[str, Any] | str:
    """Return a row of an export as one with columns text and label; other rows as they are.

    Label Studio keeps the texts below `data`, and what a person chose below `annotations`; Prodigy keeps the chosen
    class in `accept`, or in `label` with an `answer`.

    Args:
        content: One JSON object.

    Returns:
        The row, or the cause for which it is left out.
    """
    if isinstance(content.get("data"), dict) and isinstance(content.get("annotations"), list):
        done = [one for one in content["annotations"] if isinstance(one, dict) and not one.get("was_cancelled")]
        if content["annotations"] and not done:
            return rejected.NOT_ACCEPTED
        labels = [label for one in done[:1] for label in _chosen(one.get("result"))]
        return content["data"] | {"label": labels or None}
    if isinstance(content.get("data"), str) and "text" not in content and "label" in content:  # doccano's older form
        return content | {"text": content["data"]}
    if "answer" in content and ("_input_hash" in content or "accept" in content):
        if content["answer"] != "accept":
            return rejected.NOT_ACCEPTED
        return content | ({"label": content["accept"]} if "accept" in content else {})
    return content


def _chosen(results: Any) -> list[str]:
    """Return the classes that an annotation of Label Studio chose."""
    values = [result.get("value") for result in results or [] if isinstance(result, dict)]
    return [label for value in values if isinstance(value, dict) for label in value.get(CHOICES) or []]


def value_at(content: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field, which may be one within others, as in `review.body`; None where it is not there."""
    if name in content or "." not in name:
        return content.get(name)
    head, _, rest = name.partition(".")
    inner = content.get(head)
    return value_at(inner, rest) if isinstance(inner, Mapping) else None


def field_names(content: Mapping[str, Any], prefix: str = "", depth: int = SHOWN_FIELDS) -> dict[str, None]:
    """Return the names of an object's fields in order, those within others as `review.body`."""
    names: dict[str, None] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value and depth > 1:
            names |= field_names(value, f"{prefix}{key}.", depth - 1)
        else:
            names[prefix + key] = None
    return names


def one_label(value: Any) -> Any:
    """Return the label in a list of one; a list of several stays one, and an empty one is no label."""
    found = labels_in(value)
    if isinstance(found, list):
        return found[0] if len(found) == 1 else found or None
    return found


def labels_in(value: Any) -> Any:
    """Return the labels in a list, and a value that is none as it is.

    Lists that are written out as JSON or as Python does, and Label Studio's `{"choices": [...]}`, are read too.
    """
    if isinstance(value, str) and value.startswith(('{"' + CHOICES, '["', "['", "[]")):
        try:
            found = ast.literal_eval(value) if value.startswith("['") else json.loads(value)
            value = found[CHOICES] if isinstance(found, dict) else found
        except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError):  # also of deep nesting
            return value
    return list(value) if isinstance(value, (list, tuple)) else value
