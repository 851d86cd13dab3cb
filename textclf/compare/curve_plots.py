"""Plots of learning curves: scores by number of training examples, and where they cross what takes no more labels.

Each picture is drawn from a table that says the same: `..._data` makes it, `plot_...` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from textclf.compare.comparison import Comparison
from textclf.compare.crossings import LabelCrossing
from textclf.compare.plots import Mark, log_limits, picture, scored, wrapped
from textclf.compare.statistics import Forecast
from textclf.compare.summary import SetupRow
from textclf.documents.drawing import tell
from textclf.evaluation.metric_names import metric_label


def learning_curve_data(
    lines: Mapping[str, Sequence[SetupRow]],
    metric: str,
    ahead: Mapping[str, Forecast] | None = None,
    fixed: Sequence[SetupRow] = (),
) -> pd.DataFrame:
    """Return scores by number of training examples, line by line; setups without the metric are left out.

    Columns: `line`, `setup`, `train_examples`, `seeds` (their number; 0 of what is foretold), `mean`, `low`, `high`,
    `fixed` (whether it takes no more labels where there are more).

    Args:
        lines: The setups of each line, which differ in the number of training examples alone.
        metric: A test metric.
        ahead: What lines foretell, by name, as 1 - score.
        fixed: Setups that take no more labels where there are more.
    """
    found = [
        (line, row.name, row.train_examples, row.num_seeds, level.mean, level.low, level.high, False)
        for line, rows in lines.items()
        for row in sorted(rows, key=lambda row: row.train_examples)
        if row.train_examples > 0 and (level := row.levels.get(metric)) is not None
    ]
    found += [
        (line, "", one.train_examples, 0, 1 - one.mean, 1 - one.high, 1 - one.low, False)
        for line, one in (ahead or {}).items()
    ]
    found += [
        (row.name, row.name, row.train_examples, row.num_seeds, level.mean, level.low, level.high, True)
        for row in fixed
        if (level := row.levels.get(metric)) is not None
    ]
    columns = ["line", "setup", "train_examples", "seeds", "mean", "low", "high", "fixed"]
    return pd.DataFrame(found, columns=columns)


def plot_learning_curves(
    frame: pd.DataFrame,
    metric: str,
    marks: Mapping[str, Mark],
    title: str,
    path: Path,
    crossed: pd.DataFrame | None = None,
    classes: int = 0,
) -> bool:
    """Draw scores with their 95 % intervals over the number of training examples, a line for each model.

    What takes no more labels where there are more is a level with a band, and where lines cross it is marked.

    Args:
        frame: From `learning_curve_data`.
        metric: The metric in it.
        marks: Of the lines, by name.
        title: What stands above.
        path: Where to write.
        crossed: From `crossing_data`; none where nothing is crossed.
        classes: Number of classes where the axis is to count labels of each class; 0 where it counts examples.

    Returns:
        Whether there was anything to draw: some line needs two sizes.
    """
    levels, frame = frame[frame["fixed"].astype(bool)], frame[~frame["fixed"].astype(bool)]
    if frame.groupby("line")["train_examples"].nunique().max() < 2 or frame.empty:
        return False
    names = list(dict.fromkeys(frame["line"]))
    sizes = sorted(set(frame["train_examples"]))
    left, right = log_limits(np.array(sizes, dtype=float), 1.1)
    legend_rows = -(-(len(names) + len(levels)) // 3)
    with picture(path, title, 7.2, 4.4 + 0.2 * legend_rows) as axes:
        for _, row in levels.iterrows():
            _draw_level(axes, row, metric, marks[row["line"]])
        for number, name in enumerate(names):
            own, mark = frame[frame["line"] == name], marks[name]
            aside = (right / left) ** (0.006 * (number - (len(names) - 1) / 2) / max(1, len(names) / 6))
            places = own["train_examples"] * aside
            tell(axes.vlines(places, own["low"], own["high"], color=mark.colour, linewidth=1.3, alpha=0.6), [], name)
            style = {"color": mark.colour, "marker": mark.shape, "markersize": 5, "linewidth": 1.6}
            seen = (own["seeds"] > 0).to_numpy()
            (line,) = axes.plot(places[seen], own["mean"][seen], **style, label=wrapped(name))
            tell(line, [_learned(name, metric, row) for _, row in own[seen].iterrows()], name)
            if not seen.all():
                last = np.flatnonzero(seen)[-1:].tolist() + np.flatnonzero(~seen).tolist()
                style |= {"linestyle": "--", "linewidth": 1.2, "markerfacecolor": "none", "alpha": 0.8}
                (line,) = axes.plot(places.iloc[last], own["mean"].iloc[last], **style)
                tell(line, [_learned(name, metric, row) for _, row in own.iloc[last].iterrows()], name)
        kept: list[int] = []
        for size in sizes:
            if not kept or np.log(size / kept[-1]) > 0.07 * np.log(right / left):
                kept.append(size)
        axes.set(xscale="log", xlim=(left, right))
        axes.set_xticks(kept, [f"{size / (classes or 1):,.0f}" for size in kept])
        axes.xaxis.set_minor_locator(NullLocator())
        what = "labels of each class, for training" if classes else "training examples"
        axes.set(xlabel=what, ylabel=f"{metric_label(metric)}, 95 % interval")
        if crossed is not None:
            _draw_crossings(axes, crossed, marks)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)
    return True


def _draw_level(axes: Axes, row: pd.Series, metric: str, mark: Mark) -> None:
    """Draw the score of a setup that takes no more labels where there are more, and its interval as a band."""
    name = row["line"]
    if not pd.isna(row["low"]):
        band = axes.axhspan(row["low"], row["high"], color=mark.colour, alpha=0.08, linewidth=0, zorder=0)
        tell(band, [], name)
    style = {"color": mark.colour, "linewidth": 1.6, "linestyle": (0, (7, 2))}
    level = axes.axhline(row["mean"], **style, label=wrapped(name), zorder=1)
    shown = f", with {row['train_examples']:,} labels" if row["train_examples"] else ", without labels of train"
    tell(level, scored(name, metric, row, shown), name)


def _draw_crossings(axes: Axes, crossed: pd.DataFrame, marks: Mapping[str, Mark]) -> None:
    """Draw where lines cross levels as a ring, with the interval as a bar; an arrow where it goes on."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for level, own in crossed.groupby("level", sort=False):
        for number, (_, row) in enumerate(own.iterrows()):
            height = float(level) - (number + 1) * 0.022 * (top - bottom)  # below the level, each bar by itself
            colour, line = marks[row["line"]].colour, row["line"]
            ends = [row["low"] if row["low"] > 0 else left, row["high"] if row["high"] < np.inf else right]
            bar = axes.hlines(height, ends[0], ends[1], color=colour, linewidth=3, alpha=0.45, zorder=4)
            tell(bar, row["said"], line)
            shapes = ["|" if row["low"] > 0 else "<", "|" if row["high"] < np.inf else ">"]
            for end, shape in zip(ends, shapes, strict=True):
                style = {"color": colour, "marker": shape, "markersize": 7, "markeredgewidth": 1.6, "clip_on": False}
                (mark,) = axes.plot(end, height, **style, zorder=4)
                tell(mark, row["said"], line)
            style = {"markersize": 9, "markeredgewidth": 1.8, "markeredgecolor": colour, "markerfacecolor": "white"}
            (ring,) = axes.plot(row["at"], level, "o", **style, zorder=5)
            tell(ring, row["said"], line)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _learned(name: str, metric: str, row: pd.Series) -> str:
    """Return what a point of a learning curve says."""
    seeds = f"{row['seeds']} seed{'s' * (row['seeds'] != 1)}" if row["seeds"] else "foretold"
    return scored(name, metric, row, f" of {row['train_examples']:,} training examples, {seeds}")


def crossing_data(crossed: Sequence[LabelCrossing], comparison: Comparison) -> pd.DataFrame:
    """Return the crossings that lie within the sizes tried.

    Columns: `line`, `fixed`, `level` (the score of `fixed`), `at`, `low`, `high` (training examples; 0 and infinity
    where the interval is open), `said`.
    """
    rows = [
        (one.line, one.fixed, level.mean, one.found.at, one.found.low, one.found.high, str(one))
        for one in crossed
        for level in [comparison.by_name[one.fixed].levels[comparison.metric]]
        if 0 < one.found.at < math.inf
    ]
    return pd.DataFrame(rows, columns=["line", "fixed", "level", "at", "low", "high", "said"])
