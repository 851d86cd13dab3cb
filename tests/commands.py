"""Commands that are called in the process of the tests, as a person types them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def call(main: Callable[[], None], name: str, arguments: tuple[Any, ...], monkeypatch, capsys) -> tuple[Any, str, str]:
    """Return the exit status of a command, and what it said on stdout and stderr."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return code, said.out, said.err
