"""Plots of a comparison by score: scores with intervals, score against cost.

Each picture is drawn from a table that says the same: `..._data` makes it, `plot_...` draws it.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from textclf.compare.setups import SharedTest
from textclf.compare.summary import SetupRow, pareto_front
from textclf.documents.drawing import tell, tell_names
from textclf.documents.plotting import STYLE, figure
from textclf.evaluation.metric_names import direction, metric_label

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
MONEY: Unit = ((1, ""),)
COUNT: Unit = ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"))
RADII = (5, 9, 15, 23, 33, 45, 60, 80, 105, 135, 170, 210, 260)
"""Distances in pixels at which the place of a label is tried."""
DIRECTIONS = 24
COVERED = 1000.0
"""Cost of a place that covers a text or point, in pixels of distance."""
CROSSED = 25.0
"""Cost of a place that crosses an interval or a line."""
MOST_SETUPS = 30
"""Setups in the picture of scores; of more, the best."""
MOST_NAMED = 8
"""Setups up to which points are labelled by name; of more, by number, and a key gives the names."""
MOST_LABELS = 20
"""Points that are labelled; of more setups, those that are not beaten, then the best."""


@dataclass(frozen=True)
class Cost:
    """A cost that scores are drawn against."""

    words: str
    unit: Unit


COSTS = {
    "train_seconds": Cost("training time", SECONDS),
    "milliseconds_per_example": Cost("time per example when predicting the test split", MILLISECONDS),
    "latency_median_ms": Cost("time to predict one text alone, median", MILLISECONDS),
    "peak_memory_bytes": Cost("peak memory", BYTES),
    "size_bytes": Cost("size on disk", BYTES),
    "num_parameters": Cost("parameters", COUNT),
    "price_per_1000_texts": Cost("price of predicting 1,000 texts", MONEY),
}
"""The costs that scores can be drawn against; those in milliseconds follow from throughput and latency."""


def scores_data(test: SharedTest, rows: Sequence[SetupRow], metric: str) -> pd.DataFrame:
    """Return each seed's score beside its setup's, best setup first; setups without the metric are left out.

    Columns: `setup`, `seed`, `score` (this seed's), `mean`, `low`, `high` (the setup's, 95 % interval).
    """
    setups = {setup.name: setup for setup in test.setups}
    able = [row for row in rows if metric in row.levels]
    able.sort(key=lambda row: (-direction(metric) * row.levels[metric].mean, row.name))
    found = [
        (row.name, run.record.seed, run.record.metrics[f"test/{metric}"], level.mean, level.low, level.high)
        for row in able
        for level in [row.levels[metric]]
        for run in setups[row.name].runs
    ]
    frame = pd.DataFrame(found, columns=["setup", "seed", "score", "mean", "low", "high"])
    frame.attrs["examples"] = len(test.labels)
    return frame


def scored(name: str, metric: str, row: Mapping[str, float] | pd.Series, more: str = "") -> str:
    """Return what a mark of a setup's score says: name, score, and its 95 % interval where there is one."""
    said = f"{name}: {row['mean']:.4f} {metric_label(metric)}{more}"
    return said if pd.isna(row["low"]) else f"{said}\n95 % interval {row['low']:.4f} to {row['high']:.4f}"


def plot_scores(frame: pd.DataFrame, metric: str, marks: Mapping[str, Mark], title: str, path: Path) -> bool:
    """Draw each setup's score with its 95 % interval, and faintly each seed's.

    Returns:
        Whether there was anything to draw.
    """
    names = list(dict.fromkeys(frame["setup"]))
    if not names:
        return False
    shown = names[:MOST_SETUPS]
    if len(names) > len(shown):
        title = f"{title} (best {len(shown)} of {len(names)})"
    labels = [wrapped(name, 44) for name in shown]
    runs = "draws" if "draw" in frame else "seeds"
    tested = f", {frame.attrs['examples']:,} test examples" if "examples" in frame.attrs else ""
    height = 1.3 + sum(0.2 + 0.14 * (1 + label.count("\n")) for label in labels)
    with picture(path, title, 8.2, height) as axes:
        for place, name in enumerate(shown):
            own, mark = frame[frame["setup"] == name], marks[name]
            row = own.iloc[0]
            tell(axes.hlines(place, row["low"], row["high"], color=mark.colour, linewidth=2), [], name)
            (point,) = axes.plot(row["mean"], place, mark.shape, color=mark.colour, markersize=6)
            seeds = f", mean of {len(own)} {runs}" if len(own) > 1 else ""
            tell(point, scored(name, metric, row, f"{seeds}{tested}"), name)
            if len(own) > 1:
                (small,) = axes.plot(
                    own["score"], [place + 0.27] * len(own), "o", color=mark.colour, alpha=0.4, markersize=3
                )
                single = zip(own[runs[:-1]], own["score"], strict=True)
                tell(
                    small,
                    [f"{name}, {runs[:-1]} {which}: {score:.4f} {metric_label(metric)}" for which, score in single],
                    name,
                )
        axes.set_yticks(range(len(shown)), labels)
        tell_names(axes.get_yticklabels(), shown, shown)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.margins(x=0.06)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        several = frame["setup"].duplicated().any()
        axes.set_xlabel(f"{metric_label(metric)}, 95 % interval" + (f"; small: single {runs}" if several else ""))
    return True


def cost_data(rows: Sequence[SetupRow], metric: str, cost: str) -> pd.DataFrame:
    """Return scores against a cost, cheapest first; setups without the metric or the cost are left out.

    Columns: `setup`, the cost under its own name, `mean`, `low`, `high`, and `front`: whether no other
    setup is as good at lower cost.

    Args:
        rows: The setups.
        metric: A test metric.
        cost: One of `COSTS`.
    """
    priced = [replace(row, costs={cost: price}) for row in rows if (price := _price(row, cost)) is not None]
    able = sorted((row for row in priced if metric in row.levels), key=lambda row: (row.costs[cost], row.name))
    front = pareto_front(able, metric, cost)
    found = [
        (row.name, row.costs[cost], level.mean, level.low, level.high, row.name in front)
        for row in able
        for level in [row.levels[metric]]
    ]
    return pd.DataFrame(found, columns=["setup", cost, "mean", "low", "high", "front"])


def plot_cost(frame: pd.DataFrame, metric: str, cost: str, marks: Mapping[str, Mark], title: str, path: Path) -> bool:
    """Draw scores with their 95 % intervals against a cost, and which setups none beats at lower cost.

    Returns:
        Whether there was anything to draw.
    """
    if frame.empty:
        return False
    frame = frame.assign(last=-direction(metric) * frame["mean"]).sort_values(
        ["front", "last"], ascending=[False, True]
    )
    prices, means = frame[cost].to_numpy(dtype=float), frame["mean"].to_numpy(dtype=float)
    low, high = (frame[end].fillna(frame["mean"]).to_numpy(dtype=float) for end in ("low", "high"))
    left, right = log_limits(prices, 7)
    numbered = len(frame) > MOST_NAMED
    texts = [wrapped(name, 44 if numbered else 30) for name in frame["setup"][:MOST_LABELS]]
    if len(texts) < len(frame):
        title = f"{title} ({len(texts)} of {len(frame)} setups named)"
    key = "\n".join(texts).splitlines() if numbered else []
    width, height = 7.6 + 0.075 * max(map(len, key), default=0), max(5.4, 0.8 + 0.21 * len(key))
    with picture(path, title, width, height) as axes:
        front = frame[frame["front"]].sort_values(cost)
        lines = [np.column_stack([prices, low, prices, high])]
        if len(front):  # none where every setup has collapsed
            at, best = [*front[cost], right], [*front["mean"], front["mean"].iloc[-1]]
            axes.step(
                at, best, where="post", color="#777777", linewidth=1.2, label="not beaten at lower cost", zorder=1
            )
            lines.append(np.column_stack([at[:-1], best[:-1], at[1:], best[:-1]]))
            lines.append(np.column_stack([at[1:], best[:-1], at[1:], best[1:]]))
        for row, name in enumerate(frame["setup"]):
            mark = marks[name]
            tell(axes.vlines(prices[row], low[row], high[row], color=mark.colour, linewidth=1.3, alpha=0.6), [], name)
            label = f"{row + 1}  {texts[row]}" if numbered and row < len(texts) else None
            style = {"color": mark.colour, "marker": mark.shape, "markersize": 6, "linestyle": "none"}
            (point,) = axes.plot(prices[row], means[row], **style, label=label)
            tell(point, scored(name, metric, frame.iloc[row], f", {priced(prices[row], cost)}"), name)
        room = 0.08 * max(high.max() - low.min(), 1e-3)
        axes.set(xscale="log", xlim=(left, right), ylim=(low.min() - room, high.max() + room))
        ticks = plain_ticks(left, right, COSTS[cost].unit)
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=COSTS[cost].words, ylabel=f"{metric_label(metric)}, 95 % interval")
        if len(front) or numbered:
            axes.figure.legend(loc="outside right upper" if numbered else "outside lower center")
        labels = [str(row + 1) for row in range(len(texts))] if numbered else texts
        place_labels(axes, list(prices), list(means), labels, np.concatenate(lines), list(frame["setup"]))
    return True


def priced(price: float, cost: str) -> str:
    """Return a cost in the largest of its units that is not above it, as `1.52 min`."""
    unit = COSTS[cost].unit
    size, name = next((one for one in reversed(unit) if one[0] <= price), unit[0])
    return f"{price / size:.3g} {name}".strip()


def _price(row: SetupRow, cost: str) -> float | None:
    """Return what a setup costs; nothing where that was not measured or no log axis can show it."""
    if cost == "latency_median_ms":
        price = 1000 * row.costs.get("latency_median_seconds", np.nan)
    elif cost == "milliseconds_per_example":
        speed = row.costs.get("test_examples_per_second") or np.nan
        price = 1000 / speed
    else:
        price = row.costs.get(cost, np.nan)
    return float(price) if np.isfinite(price) and price > 0 else None


@dataclass(frozen=True)
class Mark:
    """Colour and marker of a setup, the same in every plot of a comparison."""

    colour: str
    shape: str
    """A marker of matplotlib's."""


def marks(names: Iterable[str]) -> dict[str, Mark]:
    """Return a mark for each setup, by the order of their names; setups of the same colour differ in shape."""
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


def place_labels(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    texts: Sequence[str],
    lines: Floats,
    names: Sequence[str] = (),
) -> None:
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
        names: Whole names of the points; none where the texts are whole.
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
    for point, centre, text, name in zip(zip(x, y, strict=True), at, texts, names or texts, strict=False):
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
        label = axes.annotate(
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
        )
        label.set_in_layout(False)
        tell(label, name, name)
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
