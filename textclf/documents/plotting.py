"""Style of all plots, the PNG that they are written to, and names cut to fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

DPI = 130
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
    "legend.fontsize": 9,
    # The palette of Okabe and Ito (2008), which colour-blind readers can distinguish too.
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
    ),
}


@contextmanager
def figure(path: Path, width: float = 5.6, height: float = 4.4) -> Iterator[Axes]:
    """Open a figure of one plot and write it to `path` on leaving."""
    with mpl.rc_context(STYLE):
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
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=(width, sum(heights)), dpi=DPI, layout="constrained"))
        plots = canvas.figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))
        yield list(plots[:, 0])
        _write(canvas, path)


def _write(canvas: FigureCanvasAgg, path: Path) -> None:
    """Draw a figure and write it as PNG.

    `savefig` draws a figure with a layout twice, once for the layout alone, and keeps a transparency that these
    pictures do not have.
    """
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.save(path, format="png", dpi=(DPI, DPI), compress_level=COMPRESSION)


def legend_below(axes: Axes, columns: int) -> None:
    """Put the legend of a plot under the whole figure, where it covers nothing."""
    whole = axes.get_figure(root=True)
    assert whole is not None
    whole.legend(loc="outside lower center", ncols=columns)


def short(name: str, width: int = 24) -> str:
    """Return a class's name cut to fit, its dollar signs kept from being read as formulas."""
    return (name if len(name) <= width else name[: width - 1] + "…").replace("$", r"\$")
