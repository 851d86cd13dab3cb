"""Pictures of the page of all runs: the best test score by date, and the validation scores of runs under way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import MaxNLocator

from textclf.documents.document import Drawing
from textclf.documents.drawing import tell
from textclf.documents.plotting import legend_below, short, sketch
from textclf.evaluation.metric_names import direction, metric_label
from textclf.experiment.leaderboard.entries import OpenEntry
from textclf.experiment.leaderboard.ranking import Ranking

FEWEST = 3
"""Runs from which on there is a trend."""
MOST_DRAWN = 300
"""Runs that are drawn, the latest; those that were the best in their time are drawn in any case."""
MOST_LINES = 6
"""Runs under way whose scores are drawn."""


def trend_drawing(ranking: Ranking) -> Drawing | None:
    """Return the best test score of a run so far by date; none of too few runs, or of runs of a single moment."""
    scored = [
        (date, run.metrics[ranking.metric], row.name, run.seed)
        for row in ranking.rows
        for run in row.runs
        if ranking.metric in run.metrics and (date := _date(run.started)) is not None
    ]
    scored.sort(key=lambda one: one[0])
    if len(scored) < FEWEST or scored[0][0] == scored[-1][0]:
        return None
    label, better = metric_label(ranking.metric), direction(ranking.metric)
    best = [scored[0]]
    for one in scored[1:]:
        if better * one[1] > better * best[-1][1]:
            best.append(one)
    shown = [one for one in scored[-MOST_DRAWN:] if one not in best]
    with sketch(8.2, 3.0) as drawing:
        axes = drawing.axes
        dates = [date2num(date) for date, *_ in best] + [date2num(scored[-1][0])]
        scores = [score for _, score, *_ in best]
        axes.step(dates, [*scores, scores[-1]], where="post", color="#0072B2", linewidth=1.6, label="best so far")
        for ones, alpha, size in ((shown, 0.45, 4), (best, 1.0, 6)):
            places = [date2num(date) for date, *_ in ones]
            (points,) = axes.plot(
                places, [score for _, score, *_ in ones], "o", color="#0072B2", alpha=alpha, markersize=size
            )
            said = "the best so far" if ones is best else "a run"
            tell(points, [f"{name}, seed {seed}: {score:.4f} {label}, {said}\n{date:%Y-%m-%d %H:%M}"
                          for date, score, name, seed in ones])  # fmt: skip
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.margins(y=0.12)
        axes.set(title=f"{short(ranking.dataset, 40)}: best test {label} so far", ylabel=f"test {label}")
    caption = "Each mark is a run. The more runs are tried on a test set, the more the best of them flatters."
    return Drawing(drawing.svg, caption, f"Best test {label} on {ranking.dataset} by date; the table has the scores.")


def _date(started: str) -> datetime | None:
    """Return when a run was started, in local time; none where nobody can say."""
    try:
        return datetime.fromisoformat(started).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


def live_drawing(sweep: str, running: Sequence[OpenEntry]) -> Drawing | None:
    """Return the validation scores so far of the runs of a sweep that are under way; none where none is recorded."""
    found = [run for run in running if run.points][:MOST_LINES]
    if not found:
        return None
    label = metric_label(found[0].metric)
    with sketch(8.2, 2.8 + 0.2 * len(found)) as drawing:
        axes = drawing.axes
        for run in (run for run in found if run.metric == found[0].metric):
            steps, scores = zip(*run.points, strict=True)
            (line,) = axes.plot(steps, scores, "o-", markersize=5, linewidth=1.6, label=short(run.name, 40))
            said = [f"{run.name}: validation {label} {score:.4f} after step {step:,}" for step, score in run.points]
            tell(line, said, run.name)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.margins(x=0.05, y=0.15)
        axes.set(title=f"{short(sweep, 40)}: validation so far", xlabel="step", ylabel=label)
        legend_below(axes, 2)
    return Drawing(drawing.svg, "", f"Validation {label} by step of the runs under way.")
