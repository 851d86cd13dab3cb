"""Draw every plot of a comparison, with the table it was drawn from beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from textclf.compare.comparison import Comparison
from textclf.compare.crossings import crossings
from textclf.compare.curve_plots import crossing_data, learning_curve_data, plot_learning_curves
from textclf.compare.curves import forecasts, lines_of
from textclf.compare.label_differences import label_difference_data
from textclf.compare.pairs import Pair
from textclf.compare.plots import (
    Mark,
    cost_data,
    marks,
    plot_cost,
    plot_scores,
    scores_data,
)
from textclf.compare.prediction_plots import (
    agreement_data,
    class_difference_data,
    confusion_difference_data,
    plot_agreement,
    plot_class_differences,
    plot_confusion_difference,
)
from textclf.compare.summary import PRICE
from textclf.documents.document import Picture
from textclf.documents.escape import csv_table
from textclf.evaluation.metric_names import metric_label

DATA = "data"
"""Folder of the tables beside that of the pictures."""


def draw(comparison: Comparison, folder: Path, prefix: str) -> dict[str, Picture]:
    """Draw every picture that has something to show.

    Args:
        comparison: What to draw.
        folder: Where the pictures go; their data goes to `data` in it.
        prefix: What the names of the files begin with.

    Returns:
        The pictures by what they show.
    """
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Picture] = {}
    metric, dataset = comparison.metric, comparison.test.dataset
    colours = marks(row.name for row in comparison.rows)

    def keep(name: str, frame: pd.DataFrame, done: bool, caption: str, alt: str) -> None:
        if done:
            csv_table(frame).to_csv(folder / DATA / f"{prefix}{name}.csv", index=False)
            drawn[name] = Picture(folder / f"{prefix}{name}.png", caption, alt)

    def path(name: str) -> Path:
        return folder / f"{prefix}{name}.png"

    frame = scores_data(comparison.test, comparison.rows, metric)
    title = f"{dataset}: {metric_label(metric)} of {_counted(comparison)}"
    caption = "Mean and 95 % interval of each setup."
    if frame["setup"].duplicated().any():
        caption = "Mean and 95 % interval of each setup; the faint marks are its seeds."
    alt = f"{metric_label(metric)} of each setup with its interval; the same figures are in the table of setups."
    keep("scores", frame, plot_scores(frame, metric, colours, title, path("scores")), caption, alt)
    for cost, name, what in [
        ("train_seconds", "score_by_training_time", "training time"),
        ("latency_median_ms", "score_by_prediction_time", "time to predict one text"),
        (PRICE, "score_by_price", "price of 1,000 texts"),
    ]:
        frame = cost_data(comparison.rows, metric, cost)
        title = f"{dataset}: {metric_label(metric)} against {what}"
        caption = f"Up and to the left is better. No setup is better than one on the line at a lower {what}."
        if any(row.collapsed for row in comparison.rows):
            caption += " Setups that have collapsed are not on the line."
        alt = f"{metric_label(metric)} of each setup over its {what}; the same figures are in the tables."
        done = len(frame) > 1 and plot_cost(frame, metric, cost, colours, title, path(name))  # one dot says nothing
        keep(name, frame, done, caption, alt)
    fixed = [row for row in comparison.rows if comparison.setup(row.name).labels_per_class is not None]
    of_lines = {
        name: [comparison.by_name[setup.name] for setup in setups]
        for name, setups in lines_of(comparison).items()
        if setups[0].labels_per_class is None
    }
    ahead, crossed = forecasts(comparison), crossings(comparison)
    frame = learning_curve_data(of_lines, metric, ahead, fixed)
    lines = marks(frame["line"].unique()) if len(frame) else {}
    title = f"{dataset}: learning curve"
    label = metric_label(metric)
    caption = f"{label[:1].upper()}{label[1:]} by number of training examples, with 95 % intervals."
    if ahead:
        caption += " Dashed: what a power law through the scores foretells of twice as many."
    if fixed:
        caption += " Level: what takes no more labels where there are more, with its interval as a band."
    points = crossing_data(crossed, comparison)
    if len(points):
        caption += (
            " Rings: from how many labels on training is as good; the bar is the 95 % interval, with an arrow where it "
            "goes on beyond the sizes tried."
        )
        csv_table(points).to_csv(folder / DATA / f"{prefix}learning_curve_crossings.csv", index=False)
    classes = crossed[0].classes if crossed else 0
    done = plot_learning_curves(frame, metric, lines, title, path("learning_curve"), points, classes)
    keep("learning_curve", frame, done, caption, "Score of each model over the number of training examples.")
    if len(comparison.test.setups) > 1:
        frame = agreement_data(comparison.test.setups)
        answer = "give the same labels" if comparison.test.has_sets else "predict the same class"
        caption = (
            f"Share of test examples on which two setups {answer}, over all pairs of their seeds; on the "
            "diagonal, between seeds of one setup."
        )
        done = plot_agreement(frame, f"{dataset}: agreement", path("agreement"))
        keep("agreement", frame, done, caption, "Matrix of the agreement between setups.")
    if comparison.leading_pairs:
        _draw_pair(comparison, comparison.leading_pairs[0], keep, path, colours)
    return drawn


def _counted(comparison: Comparison) -> str:
    """Return what was compared, as `6 setups, 5 seeds` or `minilm, 40 seeds`."""
    rows = comparison.rows
    seeds = max(row.num_seeds for row in rows)
    what = rows[0].name if len(rows) == 1 else f"{len(rows)} setups"
    return (
        what
        + (f", {seeds} seeds" if seeds > 1 else "")
        + (f", {comparison.test.folds}" if comparison.test.folds else "")
    )


def _draw_pair(
    comparison: Comparison,
    pair: Pair,
    keep: Callable[[str, pd.DataFrame, bool, str, str], None],
    path: Callable[[str], Path],
    colours: Mapping[str, Mark],
) -> None:
    """Draw the differences of two setups in each class, and between their confusion matrices; of sets by label."""
    first, second = comparison.setup(pair.first), comparison.setup(pair.second)
    title = f"{comparison.test.dataset}: {first.name} against {second.name}"
    if comparison.test.has_sets:
        frame = label_difference_data(comparison.test, first, second)
        caption = (
            f"F1 of {first.name} minus that of {second.name} in each label, with a 95 % interval of each label alone."
        )
        shown = frame.rename(columns={"label": "class"})
        done = plot_class_differences(shown, colours, title, path("label_differences"), "label", "labels")
        keep("label_differences", frame, done, caption, "Difference of each label's F1 between the two setups.")
        return
    frame = class_difference_data(first, second)
    caption = f"F1 of {first.name} minus that of {second.name} in each class, with a 95 % interval of each class alone."
    done = plot_class_differences(frame, colours, title, path("class_differences"))
    keep("class_differences", frame, done, caption, "Difference of each class's F1 between the two setups.")
    frame = confusion_difference_data(first, second)
    caption = (
        f"How much more often, in points of the true class, {first.name} predicts a class than {second.name} does. "
        f"On the diagonal more is better, elsewhere less: blue is better for {first.name}, red is worse."
    )
    done = plot_confusion_difference(frame, title, path("confusion_difference"))
    keep("confusion_difference", frame, done, caption, "Difference of the confusion matrices of the two setups.")
