"""What tests spare themselves: pictures of more than a pixel, speed measured often, MLflow stores made anew, like cases."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
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


def make_one_store(folder: Path) -> None:
    """Make the first MLflow store alone, and copy it to a folder and from there: making one takes more than a second."""
    from textclf.tracking.mlflow import database  # here, since most of what spares itself something needs no MLflow

    make, known = database._make, folder / "mlflow.db"

    def made(path: Path) -> None:
        if known.exists():
            shutil.copy(known, path)
            return
        make(path)
        half = known.with_suffix(".half")
        shutil.copy(path, half)
        half.rename(known)

    database._make = made


def seldom(cases: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """Return cases of a test as its parameters, those beside `always` for the slow tests alone.

    Args:
        cases: The cases.
        always: Those that every run of the tests tries.
    """
    return [case if case in always else pytest.param(case, marks=pytest.mark.slow) for case in cases]
