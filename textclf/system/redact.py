"""Take secrets out of what is written or shown: one function for logs, records, reports and errors.

A secret is known by its shape (a password in an address, a token of a known service, a value under a name such as
`password`), because it is the value of an environment variable with such a name, or because it was the password of an
address that the command line, the environment or an option gave. Where such an address stands by itself, its password
ends at the last `@`, whatever signs are in it. In a text that can no longer be seen, and less where a client has cut
the address at a `#` or a quote was escaped. So it is remembered, with its parts and its spellings.
"""

from __future__ import annotations

import functools
import html
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from textclf.documents.escape import terminal
from textclf.system.files import write_text

MASK = "REDACTED"
"""What stands in a secret's place: a word in JSON, YAML and a shell as well."""
SHORTEST_VALUE = 6
"""Values of environment variables below this many characters are no secrets: they would be found in any text."""

_NAME = re.compile(
    r"(?:^|[-_.]|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:password|passwd|passphrase|secret|api[-_]?key|access[-_]?key|private[-_]?key|credential)s?(?=$|[-_.])"
    r"|(?:token|pwd)$)"
)
_NO_SECRETS = re.compile(
    r"^(?:OLD)?PWD$|(?i:DISABLE|ENABLE|[-_.](?:PATH|FILE|DIR|URL|URI)$)"
    r"|(?i:(?:^|[_.])(?:pad|mask|cls|sep|unk|bos|eos|decoder_start|forced_bos|special|added)_token$)"
)
_SCHEME = r"\b[a-z][a-z0-9+.-]{0,30}://"
_ADDRESS = re.compile(_SCHEME, re.IGNORECASE)
_PORT = re.compile(r"\d{1,5}[/?#]")
_WORD = re.compile(r"\S+")
_CUTS = re.compile(r"[\s'\"`\\/?#@:,;&<>\[\]{}()|^%+!*=$~]+|[^\x00-\x7f]+")
"""Signs at which a client cuts an address, or that some spelling writes otherwise."""
_remembered: set[str] = set()
"""Passwords of addresses that options gave in this process, and keys of services that it was given."""
_LOOKS = [  # what stands in the group `keep` stays
    re.compile(rf"(?P<keep>{_SCHEME})[^\s/?#:@'\"]{{16,}}(?=@)", re.IGNORECASE),
    re.compile(r"(?P<keep>)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?P<keep>\bauthorization['\"]?\s?[:=]\s?['\"]?(?:basic|bearer|token)\s)[^\s'\",;]+", re.IGNORECASE),
    re.compile(r"(?P<keep>\bbearer\s)[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE),
    re.compile(
        r"(?P<keep>[?&](?:sig|signature|x-amz-signature|x-amz-security-token|x-amz-credential|auth)=)[^\s&'\"]+",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<keep>)\b(?:hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
        r"|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abposr]-[A-Za-z0-9-]{10,}|sk-[\w-]{20,}|dapi[0-9a-f]{32}"
        r"|pypi-[\w-]{20,}|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+)"
    ),
]
_NAMED = re.compile(
    r"(?<![\w.-])(?P<name>-{0,2}[\w.-]{0,60}?"
    r"(?i:password|passwd|passphrase|secret|key|credential|token|pwd)[\w.-]{0,60}['\"]?)"
    r"(?P<join>\s?[:=]\s?|(?<=\w)\s)"
    r"(?P<value>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^\s'\",;&}\])]+)"
)
"""A name, what joins it to a value, and the value: `password=…`, `"secret": "…"`, `--hf-token …`."""


def names_secret(name: str) -> bool:
    """Say whether what stands under this name is a secret, as with `MLFLOW_TRACKING_PASSWORD` or `hf_token`."""
    return bool(_NAME.search(name)) and not _NO_SECRETS.search(name)


def redacted(text: str) -> str:
    """Return a text without the secrets in it.

    Args:
        text: A log line, an error's message, a command line, an address, a report.

    Returns:
        The text with `REDACTED` for each password in an address, token of a known service, value beside a name such as
        `password`, and value of an environment variable with such a name.
    """
    values = _values_pattern(tuple(_secret_values()))
    if values is not None:
        text = values.sub(MASK, text)
    if "://" in text and "@" in text:
        text = _WORD.sub(_masked_word, text)
    for pattern in _LOOKS:
        text = pattern.sub(lambda match: match["keep"] + MASK, text)
    return _NAMED.sub(_without_value, text)


def redacted_tree(value: Any, name: str = "") -> Any:
    """Return a config or record without its secrets.

    Args:
        value: Mappings, lists and scalars, as read from JSON or YAML.
        name: The name under which the value stands; a secret's name hides it whole, if it is a text.

    Returns:
        The same shape; keys, numbers and what is no secret are left. Passwords of addresses are remembered.
    """
    if isinstance(value, Mapping):
        return {key: redacted_tree(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redacted_tree(inner, name) for inner in value)
    if isinstance(value, str):
        remember(value)
        return MASK if value and names_secret(name) else redacted(value)
    return value


def without_login(address: str) -> str:
    """Return an address without user and password, whatever signs are in these; the password is remembered."""
    remember(address)
    scheme, joined, rest = address.partition("://")
    if any(_passwords(address)) or "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        return redacted(f"{scheme}{joined}{rest.rpartition('@')[2]}")
    return redacted(address)


def remember(address: str) -> None:
    """Keep the password of an address as a secret from now on; a text that is no address is nothing to keep."""
    if _ADDRESS.match(address):
        _remembered.update(_passwords(address))


def hide(secret: str) -> None:
    """Keep a secret, such as a key, out of all that is written from now on, under whatever name it stands."""
    _remembered.add(secret)


class LogFormatter(logging.Formatter):
    """Writes log lines, tracebacks and all, without secrets, and without what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record."""
        return terminal(redacted(super().format(record)))


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Let a command say on stderr what is logged from a level on, a line each."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LogFormatter("%(levelname)s: %(message)s"))


def redact_files(*paths: Path) -> None:
    """Take the secrets out of text files; one that is not there, or is no text, is left alone."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if (clean := redacted(text)) != text:
            write_text(path, clean)


def _without_value(match: re.Match[str]) -> str:
    """Return a name and its value, the value hidden where the name is a secret's."""
    name, join, value = match["name"], match["join"], match["value"]
    plain = name.strip("-'\"")
    if not names_secret(plain) or (join.isspace() and not name.startswith("-")):
        return match[0]
    if join.strip() == ":" and plain == name and name.lower().endswith("token"):  # `unknown token: x` is about a word
        return match[0]
    quote_mark = value[0] if value[0] in "'\"" else ""
    return f"{name}{join}{quote_mark}{MASK}{quote_mark}"


def _passwords(given: str) -> Iterator[str]:
    """Yield the passwords of the addresses that a text consists of, each up to the last `@` before the next address."""
    return (given[begin:end] for begin, end in _password_spans(given))


def _password_spans(given: str) -> Iterator[tuple[int, int]]:
    found = list(_ADDRESS.finditer(given))
    ends = [*(match.start() for match in found[1:]), len(given)]
    for begin, end in zip((match.end() for match in found), ends, strict=False):
        at = given.rfind("@", begin, end)
        colon = given.find(":", begin, max(begin, at))
        if colon >= 0 and not _PORT.match(given, colon + 1, at):
            yield colon + 1, at


def _masked_word(match: re.Match[str]) -> str:
    """Return a word of a text, the passwords of addresses in it hidden."""
    word = match[0]
    if "://" not in word or "@" not in word:
        return word
    for begin, end in reversed(list(_password_spans(word))):
        word = word[:begin] + MASK + word[end:]
    return word


@functools.lru_cache(maxsize=64)
def _spellings(secret: str) -> frozenset[str]:
    """Return how a password may be written, and its parts that are long enough to be looked for."""
    plain = {secret, unquote(secret), secret.replace("\\'", "'").replace("\\\\", "\\")}
    once = {spelled for text in plain for spelled in _spelled(text)}
    found = {spelled for text in once for spelled in _spelled(text)}
    found |= {part for text in plain for part in _CUTS.split(text)}
    return frozenset(text for text in found if len(text) >= SHORTEST_VALUE)


def _spelled(text: str) -> tuple[str, ...]:
    """Return a text in the spellings of URLs, JSON, Python, YAML, shells, Hydra and HTML."""
    escaped = text.replace("\\", "\\\\")
    return (
        text, quote(text, safe=""), quote(text, safe="/"), quote(text, safe="!#$%&'()*+,/:;=?@[]~"),
        json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1],
        text.replace("'", "''"), text.replace("'", "'\"'\"'"), escaped.replace("'", "\\'"), html.escape(text),
    )  # fmt: skip


def _secret_values() -> list[str]:
    """Return what is to be hidden, longest first: values of the environment, and passwords in addresses."""
    named = {
        written
        for name, value in os.environ.items()
        if len(value) >= SHORTEST_VALUE and names_secret(name) and not os.path.exists(value)
        for written in (value, quote(value, safe=""))
    }
    given = [text for text in (*sys.argv[1:], *os.environ.values()) if "@" in text and "://" in text]
    passwords = _remembered.union(*map(_passwords, given))
    found = named.union(*(_spellings(password) for password in passwords))
    return sorted(found, key=lambda value: (-len(value), value))


@functools.lru_cache(maxsize=4)
def _values_pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, values))) if values else None
