"""What tests spare themselves: pictures of more than one pixel, speed that is measured often, cases like others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from PIL import Image

from textclf.documents import plotting
from textclf.evaluation import evaluate

DRAW, SKETCH = plotting._write, plotting._svg
"""What draws pictures as they are."""


def draw_pixels() -> None:
    """Make every picture one pixel: drawing takes half of a small run."""
    plotting._write = lambda canvas, path: Image.new("RGB", (1, 1)).save(path, format="png")
    plotting._svg = lambda canvas: "<svg></svg>"


def measure_little() -> None:
    """Measure speed a few times: it takes a fifth of a small run."""
    evaluate.SINGLES, evaluate.MOST_REPEATS = 3, 1


def seldom(cases: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """Return cases of a test as its parameters, those beside `always` for the slow tests alone.

    Args:
        cases: The cases.
        always: Those that every run of the tests tries.
    """
    return [case if case in always else pytest.param(case, marks=pytest.mark.slow) for case in cases]
