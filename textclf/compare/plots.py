"""The pictures of a comparison by score: the systems' scores, score against cost, learning curves.

Each picture is drawn from a table that says the same: `..._data` makes it, `plot_...` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator

from textclf.compare.drawing import (
    BYTES,
    COUNT,
    MILLISECONDS,
    SECONDS,
    Mark,
    Unit,
    log_limits,
    picture,
    place_labels,
    plain_ticks,
    wrapped,
)
from textclf.compare.setups import SharedTest
from textclf.compare.summary import SystemRow, pareto_front
from textclf.compare.verdicts import words
from textclf.evaluation.metric_names import METRICS, MetricName

MOST_SYSTEMS = 30
"""Systems in the picture of scores; of more, the best."""
MOST_NAMED = 8
"""Systems up to which points bear names; of more, they bear numbers, and a key beside gives the names."""
MOST_LABELS = 20
"""Points that bear a name or number; of more systems, those that are not beaten, then the best."""


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
}
"""The costs that scores can be drawn against; those in milliseconds follow from throughput and latency."""


def scores_data(test: SharedTest, rows: Sequence[SystemRow], metric: str) -> pd.DataFrame:
    """Return each seed's score beside its system's, best system first; systems without the metric are left out.

    Columns: `system`, `seed`, `score` (this seed's), `mean`, `low`, `high` (the system's, 95 % interval).
    """
    systems = {system.name: system for system in test.systems}
    able = [row for row in rows if metric in row.levels]
    able.sort(key=lambda row: (-_sign(metric) * row.levels[metric].mean, row.name))
    found = [
        (row.name, run.record.seed, run.record.metrics[f"test/{metric}"], level.mean, level.low, level.high)
        for row in able
        for level in [row.levels[metric]]
        for run in systems[row.name].runs
    ]
    return pd.DataFrame(found, columns=["system", "seed", "score", "mean", "low", "high"])


def plot_scores(frame: pd.DataFrame, metric: str, marks: Mapping[str, Mark], title: str, path: Path) -> bool:
    """Draw each system's score with its 95 % interval, and faintly each seed's.

    Returns:
        Whether there was anything to draw.
    """
    names = list(dict.fromkeys(frame["system"]))
    if not names:
        return False
    shown = names[:MOST_SYSTEMS]
    if len(names) > len(shown):
        title = f"{title} (best {len(shown)} of {len(names)})"
    labels = [wrapped(name, 44) for name in shown]
    height = 1.3 + sum(0.2 + 0.14 * (1 + label.count("\n")) for label in labels)
    with picture(path, title, 8.2, height) as axes:
        for place, name in enumerate(shown):
            own, mark = frame[frame["system"] == name], marks[name]
            axes.hlines(place, own["low"].iloc[0], own["high"].iloc[0], color=mark.colour, linewidth=2)
            axes.plot(own["mean"].iloc[0], place, mark.shape, color=mark.colour, markersize=6)
            if len(own) > 1:
                axes.plot(own["score"], [place + 0.27] * len(own), "o", color=mark.colour, alpha=0.4, markersize=3)
        axes.set_yticks(range(len(shown)), labels)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.margins(x=0.06)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        several = frame["system"].duplicated().any()
        axes.set_xlabel(f"{words(metric)}, 95 % interval" + ("; small: single seeds" if several else ""))
    return True


def cost_data(rows: Sequence[SystemRow], metric: str, cost: str) -> pd.DataFrame:
    """Return scores against a cost, cheapest first; systems without the metric or the cost are left out.

    Columns: `system`, the cost under its own name, `mean`, `low`, `high`, and `front`: whether no other
    system is as good at lower cost.

    Args:
        rows: The systems.
        metric: A test metric.
        cost: One of `COSTS`.
    """
    priced = [replace(row, costs={cost: price}) for row in rows if (price := _price(row, cost)) is not None]
    able = sorted((row for row in priced if metric in row.levels), key=lambda row: (row.costs[cost], row.name))
    front = pareto_front(able, metric, cost, _sign(metric) > 0)
    found = [
        (row.name, row.costs[cost], level.mean, level.low, level.high, row.name in front)
        for row in able
        for level in [row.levels[metric]]
    ]
    return pd.DataFrame(found, columns=["system", cost, "mean", "low", "high", "front"])


def plot_cost(frame: pd.DataFrame, metric: str, cost: str, marks: Mapping[str, Mark], title: str, path: Path) -> bool:
    """Draw scores with their 95 % intervals against a cost, and which systems none beats at lower cost.

    Returns:
        Whether there was anything to draw.
    """
    if frame.empty:
        return False
    frame = frame.assign(last=-_sign(metric) * frame["mean"]).sort_values(["front", "last"], ascending=[False, True])
    prices, means = frame[cost].to_numpy(dtype=float), frame["mean"].to_numpy(dtype=float)
    low, high = (frame[end].fillna(frame["mean"]).to_numpy(dtype=float) for end in ("low", "high"))
    left, right = log_limits(prices, 7)
    numbered = len(frame) > MOST_NAMED
    texts = [wrapped(name, 44 if numbered else 30) for name in frame["system"][:MOST_LABELS]]
    if len(texts) < len(frame):
        title = f"{title} ({len(texts)} of {len(frame)} systems named)"
    key = "\n".join(texts).splitlines() if numbered else []
    width, height = 7.6 + 0.075 * max(map(len, key), default=0), max(5.4, 0.8 + 0.21 * len(key))
    with picture(path, title, width, height) as axes:
        front = frame[frame["front"]].sort_values(cost)
        at, best = [*front[cost], right], [*front["mean"], front["mean"].iloc[-1]]
        axes.step(at, best, where="post", color="#777777", linewidth=1.2, label="not beaten at lower cost", zorder=1)
        for row, name in enumerate(frame["system"]):
            mark = marks[name]
            axes.vlines(prices[row], low[row], high[row], color=mark.colour, linewidth=1.3, alpha=0.6)
            label = f"{row + 1}  {texts[row]}" if numbered and row < len(texts) else None
            style = {"color": mark.colour, "marker": mark.shape, "markersize": 6, "linestyle": "none"}
            axes.plot(prices[row], means[row], **style, label=label)
        room = 0.08 * max(high.max() - low.min(), 1e-3)
        axes.set(xscale="log", xlim=(left, right), ylim=(low.min() - room, high.max() + room))
        ticks = plain_ticks(left, right, COSTS[cost].unit)
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel=COSTS[cost].words, ylabel=f"{words(metric)}, 95 % interval")
        axes.figure.legend(loc="outside right upper" if numbered else "outside lower center")
        lines = [
            np.column_stack([prices, low, prices, high]),
            np.column_stack([at[:-1], best[:-1], at[1:], best[:-1]]),
            np.column_stack([at[1:], best[:-1], at[1:], best[1:]]),
        ]
        labels = [str(row + 1) for row in range(len(texts))] if numbered else texts
        place_labels(axes, list(prices), list(means), labels, np.concatenate(lines))
    return True


def learning_curve_data(lines: Mapping[str, Sequence[SystemRow]], metric: str) -> pd.DataFrame:
    """Return scores by number of training examples, line by line; systems without the metric are left out.

    Columns: `line`, `system`, `train_examples`, `seeds` (their number), `mean`, `low`, `high`.

    Args:
        lines: The systems of each line, which differ in the number of training examples alone.
        metric: A test metric.
    """
    found = [
        (line, row.name, row.train_examples, row.num_seeds, level.mean, level.low, level.high)
        for line, rows in lines.items()
        for row in sorted(rows, key=lambda row: row.train_examples)
        if row.train_examples > 0 and (level := row.levels.get(metric)) is not None
    ]
    return pd.DataFrame(found, columns=["line", "system", "train_examples", "seeds", "mean", "low", "high"])


def plot_learning_curves(frame: pd.DataFrame, metric: str, marks: Mapping[str, Mark], title: str, path: Path) -> bool:
    """Draw scores with their 95 % intervals over the number of training examples, a line for each model.

    Args:
        frame: From `learning_curve_data`.
        metric: The metric in it.
        marks: Of the lines, by name.
        title: What stands above.
        path: Where to write.

    Returns:
        Whether there was anything to draw: some line needs two sizes.
    """
    if frame.groupby("line")["train_examples"].nunique().max() < 2 or frame.empty:
        return False
    names = list(dict.fromkeys(frame["line"]))
    sizes = sorted(set(frame["train_examples"]))
    left, right = log_limits(np.array(sizes, dtype=float), 1.1)
    legend_rows = -(-len(names) // 3)
    with picture(path, title, 7.2, 4.4 + 0.2 * legend_rows) as axes:
        for number, name in enumerate(names):
            own, mark = frame[frame["line"] == name], marks[name]
            aside = (right / left) ** (0.006 * (number - (len(names) - 1) / 2) / max(1, len(names) / 6))
            places = own["train_examples"] * aside
            axes.vlines(places, own["low"], own["high"], color=mark.colour, linewidth=1.3, alpha=0.6)
            style = {"color": mark.colour, "marker": mark.shape, "markersize": 5, "linewidth": 1.6}
            axes.plot(places, own["mean"], **style, label=wrapped(name))
        kept: list[int] = []
        for size in sizes:
            if not kept or np.log(size / kept[-1]) > 0.07 * np.log(right / left):
                kept.append(size)
        axes.set(xscale="log", xlim=(left, right))
        axes.set_xticks(kept, [f"{size:,}" for size in kept])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="training examples", ylabel=f"{words(metric)}, 95 % interval")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)
    return True


def _sign(metric: str) -> int:
    """Return 1 where more of a metric is better, else -1; of metrics from the Hub more is taken to be better."""
    return 1 if METRICS.get(metric, MetricName()).higher_is_better else -1


def _price(row: SystemRow, cost: str) -> float | None:
    """Return what a system costs; nothing where that was not measured or no log axis can show it."""
    if cost == "latency_median_ms":
        price = 1000 * row.costs.get("latency_median_seconds", np.nan)
    elif cost == "milliseconds_per_example":
        speed = row.costs.get("test_examples_per_second") or np.nan
        price = 1000 / speed
    else:
        price = row.costs.get(cost, np.nan)
    return float(price) if np.isfinite(price) and price > 0 else None
