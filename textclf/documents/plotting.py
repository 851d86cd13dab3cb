"""Style of all plots, the PNG and SVG that they are written to, and names cut to fit."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from textclf.documents.drawing import as_svg

log = logging.getLogger(__name__)

DPI = 130
LETTER, KEY = 0.072, 0.55
"""Width of a letter of a legend, and of its key with the gap, in inches."""
COMPRESSION = 3
"""Of 0 to 9: as small a file as 6 with transparency, in half the time."""
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "textclf",
    "legend.fontsize": 9,
    # The palette of Okabe and Ito (2008), which colour-blind readers can distinguish too.
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
    ),
}
FIRST_FONT = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic and more."""
FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK TC", "Noto Sans SC", "Noto Sans JP",
    "Noto Sans KR", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Yu Gothic",
    "MS Gothic", "IPAexGothic", "Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic", "Noto Sans Arabic",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Noto Sans Hebrew", "Nirmala UI",
    "Leelawadee UI", "Arial Unicode MS", "Unifont",
)  # fmt: skip
"""Where the first has no glyph, these are asked in turn, as far as they are installed."""
MISSING_GLYPH = re.compile(r"Glyph (\d+) ")
_told: set[str] = set()


def font_families(installed: Iterable[str] | None = None) -> list[str]:
    """Return the fonts that words in figures are drawn with, each asked where those before it have no glyph.

    Args:
        installed: Names of the fonts that there are; none asks matplotlib.
    """
    there = set(installed if installed is not None else _installed())
    return [FIRST_FONT, *(name for name in FURTHER_FONTS if name in there)]


@cache
def _installed() -> frozenset[str]:
    """Return the names of the fonts that matplotlib has found."""
    from matplotlib.font_manager import fontManager

    return frozenset(font.name for font in fontManager.ttflist)


@contextmanager
def _styled() -> Iterator[None]:
    """Draw in the style of all plots; that there is no glyph for a character is told once, not at each drawing."""
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    fonts.setLevel(logging.ERROR)  # it would tell of each font that has no bold of its own
    try:
        with warnings.catch_warnings(record=True) as caught, mpl.rc_context({**STYLE, "font.family": font_families()}):
            warnings.simplefilter("always")
            yield
    finally:
        fonts.setLevel(level)
    for one in caught:
        if (glyph := MISSING_GLYPH.match(str(one.message))) is None:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif not _told:
            _told.add(glyph[1])
            log.warning(
                "figures show boxes for characters such as %r, since no installed font has them; install one, such as "
                "Noto Sans CJK (fonts-noto-cjk) for Chinese, Japanese and Korean",
                chr(int(glyph[1])),
            )


@contextmanager
def figure(path: Path, width: float = 5.6, height: float = 4.4) -> Iterator[Axes]:
    """Open a figure of one plot and write it to `path` on leaving."""
    with _styled():
        canvas = FigureCanvasAgg(Figure(figsize=(width, height), dpi=DPI, layout="constrained"))
        yield canvas.figure.add_subplot()
        _write(canvas, path)


@contextmanager
def stacked_figure(path: Path, heights: Sequence[float], width: float = 5.6) -> Iterator[list[Axes]]:
    """Open a figure of plots above one another that share their x axis, and write it to `path` on leaving.

    Args:
        path: The PNG to write.
        heights: Height of each plot in inches, from the top.
        width: Width of all in inches.
    """
    with _styled():
        canvas = FigureCanvasAgg(Figure(figsize=(width, sum(heights)), dpi=DPI, layout="constrained"))
        plots = canvas.figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))
        yield list(plots[:, 0])
        _write(canvas, path)


@dataclass
class Sketch:
    """A figure of one plot that is drawn for a page alone."""

    axes: Axes
    svg: str = ""
    """The drawing, once the figure is closed; empty where it has too many marks."""


@contextmanager
def sketch(width: float, height: float) -> Iterator[Sketch]:
    """Open a figure of one plot that is no file: on leaving, its drawing is there."""
    with _styled():
        canvas = FigureCanvasAgg(Figure(figsize=(width, height), dpi=DPI, layout="constrained"))
        made = Sketch(canvas.figure.add_subplot())
        yield made
        made.svg = _svg(canvas)


def _svg(canvas: FigureCanvasAgg) -> str:
    """Lay a figure out and draw it."""
    layout = canvas.figure.get_layout_engine()
    assert layout is not None
    layout.execute(canvas.figure)
    return as_svg(canvas.figure) or ""


def _write(canvas: FigureCanvasAgg, path: Path) -> None:
    """Draw a figure and write it as PNG, and beside that as SVG for pages unless it has too many marks.

    `savefig` draws a figure with a layout twice, once for the layout alone, and keeps a transparency that these
    pictures do not have.
    """
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.save(path, format="png", dpi=(DPI, DPI), compress_level=COMPRESSION)
    svg = as_svg(canvas.figure)
    if svg is None:
        path.with_suffix(".svg").unlink(missing_ok=True)
    else:
        path.with_suffix(".svg").write_text(svg, encoding="utf-8")


def legend_below(axes: Axes, columns: int) -> None:
    """Put the legend of a plot under the whole figure, where it covers nothing, in as many columns as fit."""
    whole = axes.get_figure(root=True)
    assert whole is not None
    longest = max(map(len, axes.get_legend_handles_labels()[1]), default=0)
    whole.legend(loc="outside lower center", ncols=fitting_columns(longest, whole.get_figwidth(), columns))


def fitting_columns(longest: int, width: float, most: int) -> int:
    """Return how many columns a legend can have, from its longest label in characters and a width in inches."""
    return max(1, min(most, int(width / (LETTER * longest + KEY))))


def short(name: str, width: int = 24) -> str:
    """Return a class's name cut to fit, its dollar signs kept from being read as formulas.

    It is cut in the middle: names of many classes begin alike, and end alike.
    """
    if len(name) > width:
        tail = (width - 1) // 2
        name = f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"
    return name.replace("$", r"\$")
