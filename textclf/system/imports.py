"""Cheaper imports of large libraries, and imports that leave the working folder alone.

A third of the time of an import goes into looking for garbage that it does not make.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MANY_MODULES = 50
"""Modules from which on an import is large."""


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries inside this context, without the collections of garbage that their objects set off.

    What a large import has made stays for good, so it is left out of later collections too (`gc.freeze`): each would
    look through a million objects and more. What is garbage by then is collected first: a traceback that an import
    caught holds the frames of all that called it, and frozen would keep their variables for ever.
    """
    if not gc.isenabled():  # within another, or somebody's choice
        yield
        return
    before = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) - before >= MANY_MODULES:
            gc.collect()
            gc.freeze()
        gc.enable()


@contextmanager
def left_out(*modules: str) -> Iterator[None]:
    """Make modules that are not yet imported look absent to what is imported inside this context.

    Args:
        modules: Full names of modules that are optional to those that ask for them.
    """
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  (None is the import system's word for absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def without_working_folder() -> Iterator[None]:
    """Import nothing from the working folder inside this context.

    `python -m` puts it first on the path of modules, where a file of a library's name would be run in its place.
    """
    here = os.path.realpath(os.curdir)
    before = list(sys.path)
    sys.path[:] = [entry for entry in before if os.path.realpath(entry) != here]
    kept = set(sys.path)
    try:
        yield
    finally:
        added = [entry for entry in sys.path if entry not in kept]
        sys.path[:] = [*before, *(entry for entry in added if entry not in before)]
