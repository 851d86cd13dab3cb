"""Escape untrusted text for terminals, Markdown and spreadsheets, one function for each.

HTML is escaped by Jinja (`autoescape`) and MarkupSafe, which know where in a page a text stands. LaTeX has but one
table, which `tabulate` escapes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")
"""Control characters, overrides of the writing direction, and halves of characters that UTF-8 cannot write."""
MOVES = re.compile("\r(?!\n)|[\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters by which a terminal writes over a line, or shows its parts in another order."""
MARKUP = re.compile(r"[\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters that GitHub reads as markup anywhere in a line, bare addresses included."""
IN_SCRIPT = re.compile("[<>&\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that a script element does not hold as they are."""
CONTROL_ESCAPE = re.compile(r"((?<!\\)(?:\\\\)*)\\(?:u00[01][0-9a-f]|[bf])")
"""Escapes of JSON for control characters, but for tabs and line breaks."""
LIST_MARKER = re.compile(r"^(\d*)([-+.)])(?=\s|-|$)")
"""Characters that begin a list or a rule at the start of a line."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings by which a spreadsheet takes a cell for a formula, the wide signs of East Asian keyboards among them."""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
"""Numbers, which begin like a formula and are none."""


def shown(text: str) -> str:
    """Return a text without what no page or file should hold: control characters become �."""
    return UNPRINTABLE.sub("�", text)


def terminal(text: str) -> str:
    """Return a text that a terminal shows and does not obey: it moves no cursor, sets no colour or title.

    Line breaks and tabs stay.
    """
    return MOVES.sub("�", shown(text))


def is_plain(text: str) -> bool:
    """Say whether a text is one line that a terminal shows as it is: no control character and no line break."""
    return terminal(text) == text and not re.search(r"[\t\r\n]", text)


def markdown(text: str) -> str:
    """Return a text on one line in which Markdown finds no markup."""
    return MARKUP.sub(r"\\\g<0>", shown(" ".join(text.split())))


def markdown_line(text: str) -> str:
    """Return a text without markup that can also stand at the start of a line."""
    return LIST_MARKER.sub(r"\1\\\2", markdown(text))


def script_json(value: Any) -> str:
    """Return a value as JSON that can stand in a page's script element: no text in it ends the element.

    Signs of markup, line separators and those that turn the writing direction become escapes of JSON; control
    characters become �.

    Args:
        value: Lists, dicts, texts and finite numbers.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = CONTROL_ESCAPE.sub(r"\1�", shown(text))
    return IN_SCRIPT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_formula(value: Any) -> bool:
    """Say whether a spreadsheet would take a cell for a formula; numbers are none."""
    return isinstance(value, str) and value.lstrip(" ").startswith(FORMULA) and not NUMBER.fullmatch(value)


def csv_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: a text that looks like one gets a `'` in front."""
    return f"'{value}" if is_formula(value) else value


def csv_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts and column names no spreadsheet takes for formulas; numbers stay as they are."""
    import pandas as pd

    is_number = pd.api.types.is_numeric_dtype
    safe = {csv_cell(name): own if is_number(own) else own.map(csv_cell) for name, own in table.items()}
    return pd.DataFrame(safe, index=table.index)
