"""Values between formats: JSON into columns of one type, and columns into JSON or into the fields of a CSV file."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

INT64 = 2**63
EXACT = 2**53
"""Integers up to this size are exact as float64."""


def column_of(values: Sequence[Any]) -> pa.Array:
    """Return the values of a key of JSON objects as a column; mixed and nested ones as JSON, strings as they are."""
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    try:
        if kinds == {str}:
            return pa.array(values, pa.string())
        if kinds == {bool}:
            return pa.array(values, pa.bool_())
        if kinds == {int} and all(-INT64 <= value < INT64 for value in values if value is not None):
            return pa.array(values, pa.int64())
        if kinds <= {int, float} and all(abs(v) <= EXACT for v in values if type(v) is int):
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
    except UnicodeEncodeError:
        pass  # half a surrogate pair, which no file but JSON can hold
    return pa.array([None if value is None else _whole(_said(value)) for value in values], pa.string())


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _whole(text: str) -> str:
    """Return a text with halves of surrogate pairs replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain_value(value: Any) -> Any:
    """Return a value that JSON does not know as one that it does: dates and decimals as strings, bytes as base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def as_json(column: pa.ChunkedArray) -> list[str]:
    """Return each value of a column as JSON; NaN and infinity, which it does not know, as null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_json(column.cast(kind.value_type))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return ["null" if value is None else value for value in column.cast(pa.string()).to_pylist()]
    if pa.types.is_floating(kind):
        known = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return ["null" if value is None else _decimal(value) for value in known.cast(pa.string()).to_pylist()]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        known = {}
        out = []
        for value in column.to_pylist():
            if len(known) < 10_000 and value not in known:
                known[value] = json.dumps(value, ensure_ascii=False)
            out.append(known[value] if value in known else json.dumps(value, ensure_ascii=False))
        return out
    return [json.dumps(_known(value), ensure_ascii=False, default=plain_value) for value in column.to_pylist()]


def as_fields(column: pa.ChunkedArray) -> list[str]:
    """Return each value of a column as a field of a CSV file: none as nothing, nested ones as JSON."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_fields(column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return ["" if value == "null" else value for value in as_json(column)]
    if pa.types.is_floating(kind):
        return ["" if value is None else _decimal(value) for value in column.cast(pa.string()).to_pylist()]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        column = column.cast(pa.string())
    return ["" if value is None else value for value in column.to_pylist()]


def _decimal(number: str) -> str:
    """Return a number so that it is read as a float again."""
    return f"{number}.0" if number.lstrip("-").isdigit() else number


def _known(value: Any) -> Any:
    """Return a value with NaN and infinity, which JSON does not know, as none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _known(inner) for key, inner in value.items()}
    return [_known(inner) for inner in value] if isinstance(value, (list, tuple)) else value
