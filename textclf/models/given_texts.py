"""Texts as a caller holds them: sequences, and tables read by column; checked, and made plain lists.

Every classifier reads what it is asked through `given_texts`, and so does a packed one behind MLflow. The command line
and files have the same rule for what is no text (`is_blank`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from textclf.data.text_columns import TextColumns
from textclf.errors import DataError, did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from numpy.typing import NDArray

Texts: TypeAlias = "Sequence[str] | NDArray[Any] | pd.Series | pd.DataFrame | Dataset | Mapping[str, Any]"
"""What a classifier may be asked: a sequence of texts, or a table with the columns that it was trained on."""
NO_VALUES = ("", "nan", "NaN")
"""Texts that stand for none, as in training."""
DEFAULT_COLUMNS = TextColumns("text", "text_pair")
"""Columns that are looked for after those that a classifier was trained on."""


def given_texts(
    texts: Texts, text_pairs: Texts | None, columns: TextColumns = DEFAULT_COLUMNS, has_pairs: bool | None = None
) -> tuple[list[str], list[str] | None]:
    """Return the texts that a caller gives as lists.

    A sequence (list, tuple, Series, array of one dimension, column of a dataset) holds the texts themselves. A table
    (DataFrame, `datasets.Dataset`, pyarrow table, mapping of columns) is read by column; its other columns are ignored.

    Args:
        texts: The n texts, or the first texts of n pairs; or a table that holds them.
        text_pairs: The second texts of the pairs; none for single texts, and for pairs in a table.
        columns: The columns that the classifier was trained on; `text` and `text_pair` are looked for after them.
        has_pairs: Whether the classifier was fitted on pairs; none where that is not known.

    Returns:
        The n texts, and the n second texts or none.

    Raises:
        DataError: If it is neither, a table lacks the columns, an entry is no text or an empty one, or pairs are wrong
            or of unequal number.
    """
    names = _column_names(texts)
    if names is not None:
        first, second = _from_table(texts, names, columns, has_pairs, wants_pair=text_pairs is None)
    else:
        first, second = checked(_entries(texts, "texts"), "texts[{}]".format), None
    if text_pairs is not None:
        if has_pairs is False:
            raise DataError("This classifier was fitted on single texts: leave text_pairs out.")
        second = checked(_entries(text_pairs, "text_pairs"), "text_pairs[{}]".format)
    if second is None:
        if has_pairs:
            raise DataError("This classifier was fitted on pairs of texts: give the second texts as text_pairs.")
        return first, None
    if len(first) != len(second):
        raise DataError(f"Pairs need as many second texts as first ones, got {len(first)} and {len(second)}.")
    return first, second


def checked(entries: Iterable[Any], place: Callable[[int], str]) -> list[str]:
    """Return entries as texts.

    Args:
        entries: What should be texts.
        place: Names an entry by its position, for a person.

    Raises:
        DataError: If one is missing, no string, no Unicode, or empty; it is named.
    """
    found = []
    for row, text in enumerate(entries):
        if not isinstance(text, str):
            if is_no_value(text):
                raise DataError(f"{place(row)} must be a string, got null (a missing value); leave such rows out.")
            raise DataError(f"{place(row)} must be a string, got {type(text).__name__} {text!r:.40}.")
        text = text if type(text) is str else str(text)  # NumPy's strings are a kind of their own
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{place(row)} is no valid Unicode: it holds half of a surrogate pair at character {error.start}."
                ) from error
        if is_blank(text):
            said = f"{text!r}, which stands for a missing text," if text.strip() else "an empty text"
            raise DataError(f"{place(row)} is {said} and cannot be classified; leave such rows out.")
        found.append(text)
    return found


def is_blank(text: str) -> bool:
    """Whether a text is none: empty, white space alone, or `nan` as tools write a missing value."""
    return text in NO_VALUES or text.isspace()


def is_no_value(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, or pandas' NA and NaT."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _column_names(given: Any) -> list[Any] | None:
    """Return the names of a table's columns; none where it is no table."""
    if isinstance(given, Mapping):
        return list(given)
    if not hasattr(given, "__getitem__") or isinstance(given, (str, bytes)):
        return None
    for attribute in ("column_names", "columns"):
        names = getattr(given, attribute, None)
        if names is not None and not callable(names):
            return list(names)
    return None


def _from_table(
    table: Any, names: list[Any], columns: TextColumns, has_pairs: bool | None, wants_pair: bool
) -> tuple[list[str], list[str] | None]:
    """Return the texts of a table's columns, and the second texts where they are wanted and there are any."""
    needs_pair = wants_pair and has_pairs is True
    known = [one for one in (columns, DEFAULT_COLUMNS) if one.text is not None]
    for one in known:
        if one.text not in names or (needs_pair and one.text_pair not in names):
            continue
        entries = _entries(table[one.text], str(one.text))
        if one.title is not None and one.title in names:
            entries = _titled(_entries(table[one.title], one.title), entries, one.title)
        texts = checked(entries, _at(one.text))
        if not wants_pair or has_pairs is False or one.text_pair is None or one.text_pair not in names:
            return texts, None
        return texts, checked(_entries(table[one.text_pair], one.text_pair), _at(one.text_pair))
    wanted = [f"{one.text!r} and {one.text_pair!r}" if needs_pair else repr(one.text) for one in known]
    there = f"the columns {listed(map(str, names))}" if names else "no columns"
    raise DataError(
        f"texts is a {type(table).__name__} with {there}; "
        f"this classifier reads {' or '.join(dict.fromkeys(wanted))}. Rename the column, or give the texts themselves, "
        f'as in predict(table["NAME"]).{did_you_mean(str(known[0].text), map(str, names))}'
    )


def _titled(titles: Sequence[Any], texts: Sequence[Any], name: str) -> list[Any]:
    """Return texts with their titles above them, as in training; entries that are no strings as they are."""
    found = []
    for row, (title, text) in enumerate(zip(titles, texts, strict=True)):
        if not isinstance(title, str) and not is_no_value(title):
            raise DataError(f"{name} of row {row} must be a string, got {type(title).__name__} {title!r:.40}.")
        found.append(f"{title if isinstance(title, str) else ''}\n{text}" if isinstance(text, str) else text)
    return found


def _at(column: str | None) -> Callable[[int], str]:
    return lambda row: f"{column} of row {row}"


def _entries(given: Any, name: str) -> Sequence[Any]:
    """Return the entries of a sequence.

    Raises:
        DataError: If it is none: one string, a set, something that can be read only once, or more than one dimension.
    """
    if isinstance(given, (str, bytes)):
        raise DataError(f"{name} must be a list of texts, got one {type(given).__name__}; write [text] instead.")
    dimensions = getattr(given, "shape", None)
    if isinstance(dimensions, tuple) and len(dimensions) != 1:
        shape = " x ".join(str(size) for size in dimensions) or "no dimension"
        raise DataError(
            f"{name} must be a list of texts, got a {type(given).__name__} of {shape}; give one dimension, such as one "
            f"column of it."
        )
    for attribute in ("tolist", "to_pylist", "to_list"):  # NumPy and pandas; pyarrow; polars
        if hasattr(given, attribute):
            return getattr(given, attribute)()
    if isinstance(given, Sequence):
        return given
    why = (
        "its columns must be sequences, and a table is given as texts"
        if isinstance(given, Mapping) or _column_names(given) is not None
        else "it has no order"
        if isinstance(given, (set, frozenset))
        else "it can be read once, or not by number; write list(…)"
        if hasattr(given, "__iter__")
        else "it holds no texts"
    )
    raise DataError(f"{name} must be a list of texts, got a {type(given).__name__}: {why}.")
