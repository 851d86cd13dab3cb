"""What the pictures of a comparison share: marks of systems, names that fit, labels apart, plain ticks."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from textclf.documents.plotting import STYLE, figure

Floats = NDArray[np.float64]
Unit = tuple[tuple[float, str], ...]
"""The names of a unit's sizes, smallest first."""

PALETTE: tuple[str, ...] = tuple(STYLE["axes.prop_cycle"].by_key()["color"])
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
LONGEST_NAME = 90
"""Characters of a name that are shown; of longer ones the middle is left out."""
SECONDS: Unit = ((1, "s"), (60, "min"), (3600, "h"))
MILLISECONDS: Unit = ((1, "ms"), (1000, "s"))
BYTES: Unit = ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))
COUNT: Unit = ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"))
RADII = (5, 9, 15, 23, 33, 45, 60, 80, 105, 135, 170, 210, 260)
"""Distances in pixels at which the place of a label is tried."""
DIRECTIONS = 24
COVERED = 1000.0
"""What covering a text or point costs a place, in pixels of distance."""
CROSSED = 25.0
"""What crossing an interval or a line costs a place."""


@dataclass(frozen=True)
class Mark:
    """How a system is shown in every picture of a comparison."""

    colour: str
    shape: str
    """A marker of matplotlib's."""


def marks(names: Iterable[str]) -> dict[str, Mark]:
    """Return a mark for each system, by the order of their names; systems of the same colour differ in shape."""
    return {
        name: Mark(PALETTE[number % len(PALETTE)], SHAPES[number // len(PALETTE) % len(SHAPES)])
        for number, name in enumerate(sorted(set(names)))
    }


@contextmanager
def picture(path: Path, title: str, width: float, height: float, matrix: bool = False) -> Iterator[Axes]:
    """Open a figure of one plot, or of a matrix, under a title that may be long; write it to `path` on leaving."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font has not
        with figure(path, width, height) as axes:
            lines = textwrap.fill(title, int(width * 10.5)).replace("$", r"\$")
            drawing = axes.get_figure(root=True)
            assert drawing is not None
            if matrix:
                drawing.set_layout_engine("compressed")  # keeps title and colour bar beside square cells
            drawing.suptitle(lines, x=0.01, ha="left", fontsize=11, fontweight="bold")
            yield axes


def wrapped(name: str, width: int = 30) -> str:
    """Return a name in lines of this width, its dollar signs kept from being read as formulas."""
    if len(name) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        name = f"{name[:half]}…{name[1 - half :]}"
    return (textwrap.fill(name, width) or name).replace("$", r"\$")


def plain_ticks(low: float, high: float, unit: Unit) -> dict[float, str]:
    """Return the ticks of a log axis between two values: labels such as `0.1 s` or `10 min` by place."""
    ticks: dict[float, str] = {}
    for steps in ((1,), (1, 2, 5)):
        for number, (size, name) in enumerate(unit):
            end = unit[number + 1][0] if number + 1 < len(unit) else np.inf
            for power in range(-9 if number == 0 else 0, 9):
                for step in steps:
                    count = step * 10.0**power
                    if low <= count * size <= high and 1.5 * count * size < end:
                        ticks[count * size] = f"{np.format_float_positional(count, trim='-')} {name}".strip()
        if len(ticks) >= 3:
            break
    places = sorted(ticks)
    return {place: ticks[place] for place in places[:: 1 + len(places) // 10]}


def log_limits(values: Floats, least: float) -> tuple[float, float]:
    """Return limits of a log axis around values, at least this ratio apart."""
    low, high = float(values.min()), float(values.max())
    spread = max((high / low) ** 0.08, (least * low / high) ** 0.5, 1.05)
    return low / spread, high * spread


def place_labels(axes: Axes, x: Sequence[float], y: Sequence[float], texts: Sequence[str], lines: Floats) -> None:
    """Write a text near each point, where it covers no other text and no point.

    Each text in turn takes the place that is nearest to its point and crosses least; farther ones are
    tied to their point by a thin line. Limits and scales of the axes must be final.

    Args:
        axes: Where to write.
        x: Places of all points; the first have a text.
        y: The same, upwards.
        texts: Texts of the first points.
        lines: Vertical or horizontal lines that texts had better not cross, as x and y of both ends,
            float64 (lines, 4).
    """
    drawing = axes.get_figure(root=True)
    assert drawing is not None
    drawing.draw_without_rendering()  # fixes the layout, which all places depend on
    frame = axes.get_window_extent()
    at = axes.transData.transform(np.column_stack([x, y]))
    ends = axes.transData.transform(lines.reshape(-1, 2)).reshape(-1, 2, 2)
    taken = np.concatenate([_boxes(at, 10, 10), np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)])
    price = np.repeat([COVERED, CROSSED], [len(at), len(ends)])
    radius = np.repeat(RADII, DIRECTIONS).astype(float)
    angle = np.tile(2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS, len(RADII))
    for point, centre, text in zip(zip(x, y, strict=True), at, texts, strict=False):
        probe = axes.text(0, 0, text, fontsize=8)
        size = probe.get_window_extent()
        probe.remove()
        width, height = size.width + 4, size.height + 2
        shift = np.column_stack([np.cos(angle) * (radius + 4 + width / 2), np.sin(angle) * (radius + 4 + height / 2)])
        boxes = _boxes(shift + centre, width, height)
        out = (boxes[:, :2] < frame.min).any(axis=1) | (boxes[:, 2:] > frame.max).any(axis=1)
        way = shift[:, None, :] * np.linspace(0.1, 1, 12)[None, :, None] + centre  # (places, 12, 2)
        crossing = _overlap(_boxes(way.reshape(-1, 2), 1, 1), taken).reshape(len(boxes), 12, -1).any(axis=1)
        far = (radius > RADII[1])[:, None]
        cost = (
            radius + _overlap(boxes, taken) @ price + (crossing & far) @ np.minimum(price, 10 * CROSSED) + out * COVERED
        )
        best = int(cost.argmin())
        tie = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            text,
            point,
            xytext=tuple(shift[best] * 72 / drawing.dpi),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color="#333333",
            arrowprops=tie if far[best, 0] else None,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6},
            annotation_clip=False,
        ).set_in_layout(False)
        taken, price = np.concatenate([taken, boxes[[best]]]), np.append(price, COVERED)
        if far[best, 0]:
            taken = np.concatenate([taken, _boxes(way[best], 2, 2)])
            price = np.append(price, np.full(12, CROSSED))


def _boxes(centres: Floats, width: float, height: float) -> Floats:
    """Return boxes around points as left, bottom, right, top: float64 (n, 4)."""
    half = np.array([width, height]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def _overlap(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    """Return which boxes overlap which others, bool (boxes, others)."""
    apart = (boxes[:, None, :2] > others[None, :, 2:]) | (boxes[:, None, 2:] < others[None, :, :2])
    return np.logical_not(np.any(apart, axis=2))
