"""The errors a person sees, and how they are worded.

Each says in one paragraph what was found, what is required and what to do about it. The
commands print that paragraph alone; the traceback goes to the run's log.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator


class TextclfError(Exception):
    """Base of every error that a person can put right."""


class ConfigError(TextclfError):
    """An option is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(TextclfError):
    """A dataset cannot be reached, read, split or labelled as asked."""


class ArtifactError(TextclfError):
    """A checkpoint, a saved classifier or a run folder is missing, damaged or refused."""


class TrainingError(TextclfError):
    """Training went wrong in a way that other options would prevent."""


class ResourceError(TextclfError):
    """The memory or the disk is too small for what was asked."""


def refuse_unless(*checks: tuple[bool, str]) -> None:
    """Raise one `ConfigError` that names every failed check.

    Args:
        checks: Pairs of a condition and the sentence to say when it does not hold.

    Raises:
        ConfigError: If any condition is false; one line for each.
    """
    problems = [message for holds, message in checks if not holds]
    if problems:
        raise ConfigError("\n".join(problems))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x' or 'y'?` for the known names close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def looks_like(value: str, known: Iterable[str]) -> str:
    """Return how a value differs from a known one that a person sees as the same, else nothing.

    Two such differ only in white space, case, Unicode form or characters that are not seen; both are shown as Python
    writes them, everything beyond ASCII by its number where that is what differs.
    """
    for name in known:
        if name != value and as_seen(name) == as_seen(value):
            shown = repr if name.isascii() and value.isascii() else ascii
            way = difference(value, name)
            return f" It looks like the class {shown(name)} and is {shown(value)}: they differ in {way}."
    return ""


def as_seen(text: str) -> str:
    """Return a text without what a person does not see: case, form, hidden characters, white space of any kind."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(" " if char.isspace() else char for char in plain if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(plain.split()).casefold())


def difference(value: str, name: str) -> str:
    """Return in what two texts differ that look alike."""
    if value.casefold() == name.casefold():
        return "upper and lower case"
    if "".join(value.split()) == "".join(name.split()):
        return "white space"
    if unicodedata.normalize("NFC", value) == unicodedata.normalize("NFC", name):
        return "Unicode form (NFC and NFD)"
    return "characters that look alike or are not seen"


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Return names joined by commas, cut after `limit` with the number left out."""
    names = [cut(str(name)) for name in names]
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def cut(text: str, width: int = 200) -> str:
    """Return a text cut to so many characters, with an ellipsis where something is left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def first_line(error: Exception) -> str:
    """Return an error's own first line, ended as a sentence."""
    line = str(error).strip().split("\n")[0] or type(error).__name__
    return line if line.endswith((".", "!", "?")) else line + "."


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
