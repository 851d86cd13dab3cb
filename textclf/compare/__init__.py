"""Compare trained models: scores, tests of their differences, and costs.

The package can be called, so that `from textclf import compare` gives the same thing before and after one of its
modules was imported: Python then puts the package in the place of a function of its name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that compares runs when it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compare runs, as `textclf.compare.compare_runs.compare` does."""
        from textclf.compare.compare_runs import compare  # with pandas

        return compare(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
