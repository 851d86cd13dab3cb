"""What tests spare themselves: pictures of more than one pixel, and speed that is measured often."""

from __future__ import annotations

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
