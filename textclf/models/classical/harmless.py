"""Options of scikit-learn's objects by which a pipeline would read files, call functions or unpickle: none is taken.

A pipeline of trusted types alone can still be told to open the file that a text names (`input="filename"`). So what a
config names is checked before it is made, and what a file holds after it is read, by the values that a pipeline for
texts has.
"""

from __future__ import annotations

import codecs
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from textclf.errors import cut

VALUES: Mapping[str, tuple[Any, ...]] = {
    "input": ("content",),
    "analyzer": ("word", "char", "char_wb"),
    "preprocessor": (None,),
    "tokenizer": (None,),
    "stop_words": (None, "english"),
    "decode_error": ("strict", "ignore", "replace"),
    "strip_accents": (None, "ascii", "unicode"),
    "memory": (None,),
}
"""All values that options may have by which files are opened, functions called or caches unpickled. Stop words may also
be listed."""
MOST_AT_ONCE = 4096
"""Threads or processes (`n_jobs`) that a pipeline may ask for."""
LEFT_OUT = ("sklearn.preprocessing._function_transformer.",)
"""Modules whose classes call what they are given."""
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


def strange_option(name: str, value: Any) -> str | None:
    """Return what is wrong with an option, as the end of a sentence; none if it is harmless."""
    if name == "stop_words" and isinstance(value, (list, tuple, set, frozenset)):
        return None if all(isinstance(word, str) for word in value) else "must hold words alone"
    if name == "encoding" and not _is_encoding(value):
        return f"must name an encoding of text, such as utf-8, got {cut(repr(value))}"
    if name == "n_jobs" and isinstance(value, int) and abs(value) > MOST_AT_ONCE:
        return f"must be at most {MOST_AT_ONCE:,}, got {value:,}"
    if name in VALUES and not any(type(value) is type(known) and value == known for known in VALUES[name]):
        return f"must be {' or '.join(map(_said, VALUES[name]))}, got {cut(repr(value))}"
    return None


def _is_encoding(value: Any) -> bool:
    """Whether a value names an encoding that turns bytes into text."""
    try:
        return isinstance(value, str) and codecs.lookup(value)._is_text_encoding
    except (LookupError, ValueError):
        return False


def _said(value: Any) -> str:
    """Return a value as a config has it."""
    return "null" if value is None else str(value)


def strange_part(fitted: Any) -> str | None:
    """Return what in a fitted pipeline may do more than compute, as a sentence; none if nothing may.

    Args:
        fitted: What was read from a file.
    """
    for value, place in _parts(fitted):
        kind = type(value)
        holder = kind.__name__ if _is_estimator(kind) else place
        if inspect.isroutine(value) or isinstance(value, (functools.partial, np.ufunc)):
            return f"{place} is a function ({getattr(value, '__name__', kind.__name__)})"
        if isinstance(value, type) and not issubclass(value, (np.generic, bool, int, float, complex, str, bytes)):
            return f"{place} is the class {value.__name__}"
        if f"{kind.__module__}.".startswith(LEFT_OUT):
            return f"{place} is a {kind.__name__}"
        for name, option in _attributes(value).items():
            if _is_estimator(kind) and hasattr(kind, name) and not _is_value(kind, name):
                return f"{holder} has {name} in place of its own method"
            if said := strange_option(name, option):
                return f"{holder}'s {name} {said}"
    return None


def _is_estimator(kind: type) -> bool:
    """Whether a class is one of scikit-learn's estimators."""
    return hasattr(kind, "get_params")


def _is_value(kind: type, name: str) -> bool:
    """Whether a class has an attribute of a name that is no method, so that objects may have one of their own."""
    return not callable(inspect.getattr_static(kind, name))


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds by name."""
    return vars(value) if hasattr(value, "__dict__") and not isinstance(value, type) else {}


def _parts(whole: Any) -> Iterator[tuple[Any, str]]:
    """Yield an object and all that it holds, with where; plain values and arrays of numbers are left out."""
    waiting: list[tuple[Any, str]] = [(whole, type(whole).__name__)]
    seen: set[int] = set()
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, PLAIN) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value, place
        if isinstance(value, np.ndarray):
            waiting += [(item, place) for item in value.ravel()] if value.dtype.hasobject else []
        elif isinstance(value, Mapping):
            waiting += [(item, place) for pair in value.items() for item in pair]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(item, place) for item in value]
        own = type(value).__name__ if _is_estimator(type(value)) else place
        waiting += [(item, f"{own}.{name}") for name, item in _attributes(value).items()]
