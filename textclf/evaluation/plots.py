"""Plots of one run: confusion matrix, curves, reliability, coverage, slices, class scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from statsmodels.stats.proportion import proportion_confint

from textclf.documents.drawing import ON_DARK, ON_LIGHT, tell, tell_along, tell_cells, tell_names
from textclf.documents.plotting import figure, fitting_columns, legend_below, short, stacked_figure
from textclf.errors import listed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.calibration import Calibration
from textclf.evaluation.label_sets.set_analysis import SetAnalysis
from textclf.evaluation.label_sets.set_metrics import label_figures
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.metrics import class_figures
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.thresholds import Wanted

BLUE, RED, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#999999"
MARKS = {Wanted.precision: ("o", RED), Wanted.promised_precision: ("^", ORANGE), Wanted.coverage: ("s", GREEN)}
"""Marker and colour of the thresholds."""
MOST_CLASSES = 40
"""Classes in the picture of scores; of more, the worst."""
MOST_NAMED = 77
"""Classes up to which each row and column of a confusion matrix bears its name."""
MOST_CURVES = 8
"""Classes that get a curve of their own; of more, those with most examples do."""
MOST_LEFT = 12
"""Classes without a curve that are named."""
MOST_ANNOTATED = 20
"""Classes up to which the cells of a confusion matrix show numbers."""


def plot_confusion_matrix(predictions: Predictions, path: Path) -> None:
    """Draw how often each true class was predicted as each other, as counts and shares of the true class."""
    names = predictions.label_names
    counts = confusion_matrix(predictions.labels, predictions.predicted, labels=list(range(len(names))))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(3.4 + 0.55 * len(names), 14)
    with figure(path, size + 1.0, size) as axes:
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        tell_cells(
            image, lambda true, other: _confused(names[true], names[other], counts[true, other], counts[true].sum())
        )
        axes.grid(False)
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
        wrong, unnamed = int((~predictions.right).sum()), int((~predictions.answered).sum())
        without = f", {unnamed:,} without any class" if unnamed else ""
        axes.set(
            title=f"Which class is taken for which: {wrong:,} of {len(predictions):,} are wrong{without}",
            xlabel="predicted", ylabel="true",
        )  # fmt: skip
        step = -(-len(names) // MOST_NAMED)
        ticks = range(0, len(names), step)
        shown = [short(names[tick]) for tick in ticks]
        size = 10 if len(shown) <= MOST_ANNOTATED else max(6, 10 * MOST_ANNOTATED / len(shown) + 2)
        turned = max(map(len, shown)) > 8 or len(shown) > 6
        axes.set_xticks(
            ticks, shown, fontsize=size,
            rotation=90 if len(shown) > MOST_ANNOTATED else 45 if turned else 0,
            ha="right" if turned and len(shown) <= MOST_ANNOTATED else "center",
            rotation_mode="anchor" if turned and len(shown) <= MOST_ANNOTATED else "default",
        )  # fmt: skip
        axes.set_yticks(ticks, shown, fontsize=size)
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            tell_names(labels, names[::step])
        if len(names) <= MOST_ANNOTATED:
            for (row, column), count in np.ndenumerate(counts):
                share = shares[row, column]
                text = f"{count:,}\n{share:.0%}" if len(names) <= 8 else f"{count}"
                colour = ON_DARK if share > 0.65 else ON_LIGHT
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)


def _confused(true: str, predicted: str, count: int, total: int) -> str:
    """Return what a cell of a confusion matrix says."""
    what = "is predicted right" if true == predicted else f"is taken for {predicted}"
    return f"{true} {what} in {count:,} of {total:,} texts ({count / max(total, 1):.1%})"


def plot_roc_curves(predictions: Predictions, path: Path) -> bool:
    """Draw the ROC curve of each class against the rest; of two classes, the second's.

    Returns:
        Whether there was anything to draw: a class needs examples of it and of others.
    """

    def draw(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float32], name: str) -> None:
        wrong, right, _ = roc_curve(truth, scores)
        label = f"{short(name)} (AUC {roc_auc_score(truth, scores):.3f})"
        (line,) = axes.plot(wrong, right, label=label, linewidth=1.8)
        tell(line, name, name)
        said = [f"{name}: {hit:.1%} of it found where {miss:.1%} of the others are taken for it"
                for hit, miss in zip(right, wrong, strict=True)]  # fmt: skip
        tell_along(axes, wrong, right, said, name)

    def finish(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", label="chance")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")

    return _plot_curves(predictions, "ROC curve", path, draw, finish)


def plot_precision_recall_curves(predictions: Predictions, path: Path) -> bool:
    """Draw precision over recall of each class against the rest; of two classes, the second's.

    Returns:
        Whether there was anything to draw: a class needs examples of it and of others.
    """

    def draw(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float32], name: str) -> None:
        precision, recall, _ = precision_recall_curve(truth, scores)
        label = f"{short(name)} (AP {average_precision_score(truth, scores):.3f})"
        (line,) = axes.step(recall, precision, where="post", label=label, linewidth=1.8)
        tell(line, name, name)
        said = [f"{name}: {found:.1%} found, {right:.1%} of what is taken for it right"
                for found, right in zip(recall, precision, strict=True)]  # fmt: skip
        tell_along(axes, recall, precision, said, name)

    def finish(axes: Axes) -> None:
        axes.set(xlabel="recall", ylabel="precision")

    return _plot_curves(predictions, "Precision over recall", path, draw, finish)


def _plot_curves(
    predictions: Predictions,
    what: str,
    path: Path,
    draw: Callable[[Axes, NDArray[np.bool_], NDArray[np.float32], str], None],
    finish: Callable[[Axes], None],
) -> bool:
    """Draw a curve for each class that has one and name the others, or say that none has."""
    classes = _drawable(predictions)
    if not classes:
        return False
    names = predictions.label_names
    left = [short(names[label]) for label in range(len(names)) if label not in classes] if len(names) > 2 else []
    whose = f"of the class {short(names[classes[0]])}" if len(names) == 2 else "of each class against the rest"
    if left:
        whose = f"of {len(classes)} of {len(names)} classes, each against the rest"
    longest = max(len(short(names[label])) for label in classes) + len(" (AUC 0.000)")
    rows = len(classes) / fitting_columns(longest, 5.6, 2)
    with figure(path, height=4.2 + 0.22 * rows + (0.6 if left else 0)) as axes:
        for label in classes:
            name = predictions.label_names[label]
            draw(axes, predictions.labels == label, predictions.probabilities[:, label], name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        finish(axes)
        axes.set_title(f"{what} {whose}")
        if left:
            said = fill(f"Without a curve: {listed(left, MOST_LEFT)}", 70)
            axes.set_xlabel(f"{axes.get_xlabel()}\n\n{said}", fontsize=9)
        legend_below(axes, 2)
    return True


def _drawable(predictions: Predictions) -> list[int]:
    """Return the classes to draw a curve for: those with examples of their own and of others."""
    if not predictions.have_probabilities:
        return []
    counts = np.bincount(predictions.labels, minlength=len(predictions.label_names))
    able = [int(k) for k in np.argsort(-counts, kind="stable") if 0 < counts[k] < counts.sum()]
    if len(predictions.label_names) == 2:
        return [1] if 1 in able else []
    return sorted(able[:MOST_CURVES])


def plot_reliability(analysis: Analysis, path: Path) -> None:
    """Draw the accuracy over the top probability, before and after the temperature, and how many examples are where.

    Nothing is drawn where there are no probabilities.
    """
    effect = analysis.temperature
    if effect is None or analysis.calibration is None:
        return
    condition = "" if effect.is_applied else ", if applied"
    with stacked_figure(path, (4.0, 1.3)) as (shares, counts):
        shares.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
        colour = RED if effect.before.is_shown_wrong else GREY
        trained = f"as trained (ECE {effect.before.ece:.3f})"
        tempered = f"temperature {effect.temperature:.2f}{condition} (ECE {effect.after.ece:.3f})"
        _reliability(shares, effect.before, colour, "s", trained)
        if effect.temperature != 1.0:
            _reliability(shares, effect.after, BLUE, "o", tempered)
        seen = "not shown to be off"
        if analysis.calibration.is_shown_wrong:
            seen = f"too {'sure' if analysis.calibration.overconfident else 'cautious'}"
        shares.set(title=f"Probabilities are {seen}", ylabel="share that is right", ylim=(-0.02, 1.02))
        legend_below(shares, 2)
        width = 1 / len(effect.before.bins)
        middles = [(one.low + one.high) / 2 for one in effect.before.bins]
        bars = counts.bar(
            middles, [one.count for one in effect.before.bins], width=width * 0.9, color=colour, alpha=0.45
        )
        for bar, one in zip(bars, effect.before.bins, strict=True):
            tell(bar, f"as trained: {one.count:,} texts between {one.low:.0%} and {one.high:.0%}", trained)
        if effect.temperature != 1.0:
            heights = [one.count for one in effect.after.bins]
            bars = counts.bar(middles, heights, width=width * 0.9, facecolor="none", edgecolor=BLUE, linewidth=1.2)
            for bar, one in zip(bars, effect.after.bins, strict=True):
                words = f"with the temperature: {one.count:,} texts between {one.low:.0%} and {one.high:.0%}"
                tell(bar, words, tempered)
        lowest = min(one.low for one in (*effect.before.bins, *effect.after.bins) if one.count)
        counts.set(xlabel="top probability", ylabel="examples", xlim=(lowest - 0.01, 1.01))
        counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def _reliability(axes: Axes, calibration: Calibration, colour: str, marker: str, label: str) -> None:
    """Draw the bins that hold examples, each with its 95 % interval."""
    held = [one for one in calibration.bins if one.count and one.accuracy is not None]
    x, y = np.array([one.confidence for one in held]), np.array([one.accuracy for one in held], dtype=np.float64)
    counts = np.array([one.count for one in held])
    low, high = proportion_confint(np.round(y * counts), counts, method="wilson")
    gaps = np.maximum(np.array([y - low, high - y]), 0)
    drawn = axes.errorbar(
        x, y, yerr=gaps, color=colour, marker=marker, markersize=4.5, linewidth=1.2, elinewidth=0.8, label=label
    )
    said = [
        f"{label.partition(' (')[0]}: {right:.1%} right where the top probability is {sure:.1%} on average\n"
        f"95 % interval {ends[0]:.1%} to {ends[1]:.1%}, {count:,} texts"
        for right, sure, count, *ends in zip(y, x, counts, low, high, strict=True)
    ]
    line, _, intervals = drawn.lines
    assert line is not None
    tell(line, said, label)
    for one in intervals:
        tell(one, [], label)


def plot_coverage(analysis: Analysis, path: Path) -> None:
    """Draw the accuracy of the surest examples over the share answered, and where the chosen thresholds lie.

    Nothing is drawn where there are no probabilities.
    """
    if analysis.curve is None:
        return
    coverage, accuracy = np.array(analysis.curve.coverage), np.array(analysis.curve.accuracy)
    counts = np.maximum(np.round(coverage * analysis.accuracy.total), 1)
    low, high = proportion_confint(np.round(accuracy * counts), counts, method="wilson")
    with figure(path, 5.8, 4.0) as axes:
        axes.fill_between(coverage, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
        axes.plot(coverage, accuracy, color=BLUE, linewidth=1.8, label="accuracy of the answers", drawstyle="steps-pre")
        said = [
            f"{right:.1%} right of the {share:.0%} surest texts ({count:,.0f})\n95 % interval {bottom:.1%} to {top:.1%}"
            for share, right, count, bottom, top in zip(coverage, accuracy, counts, low, high, strict=True)
        ]
        tell_along(axes, coverage, accuracy, said)
        for one in analysis.answers:
            marker, colour = MARKS[one.wanted]
            if one.test is None or one.test.right.value is None:
                continue
            label = f"threshold for {one.share:.0%} {one.wanted.value}"
            answered, right = one.test.answered.value or 0.0, one.test.right.value
            (point,) = axes.plot(answered, right, marker, color=colour, markersize=8, label=label)
            tell(point, f"{label}: {answered:.1%} answered, {right:.1%} of these right")
            if one.wanted is Wanted.precision:
                axes.axhline(one.share, color=colour, linewidth=0.8, linestyle="--")
            elif one.wanted is Wanted.coverage:
                axes.axvline(one.share, color=colour, linewidth=0.8, linestyle="--")
        bottom = min(0.95, float(low[counts >= min(20, counts.max())].min()))
        axes.set(
            title="Accuracy when only the surest texts are answered", xlabel="share of texts answered",
            ylabel="share right", xlim=(0, 1.02), ylim=(bottom, 1.01),
        )  # fmt: skip
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        legend_below(axes, 2)


def plot_slices(analysis: Analysis | SetAnalysis, path: Path) -> bool:
    """Draw the accuracy of each slice with its interval; those worse than the rest beyond chance stand out.

    Returns:
        Whether there was anything to draw.
    """
    shown = analysis.shown_slices
    if not shown:
        return False
    with figure(path, 6.4, 1.3 + 0.27 * len(shown)) as axes:
        for place, one in enumerate(shown):
            low, high = one.right.interval
            colour, marker = (RED, "D") if one.is_worse else (BLUE, "o")
            axes.plot([low, high], [place, place], color=colour, linewidth=1.4)
            (point,) = axes.plot(one.right.value or 0.0, place, marker, color=colour, markersize=5.5)
            words = f"{one.by} {one.value}: {one.right.value or 0.0:.1%} of {one.right.total:,} texts right"
            tell(point, f"{words}\n95 % interval {low:.1%} to {high:.1%}")
        axes.axvline(analysis.accuracy.value or 0, color=GREY, linestyle=":", label="all examples")
        if any(one.is_worse for one in shown):
            axes.plot([], [], "D", color=RED, markersize=5.5, label="worse than the rest beyond chance")
        axes.set_yticks(range(len(shown)), [f"{one.by}: {short(one.value)} (n {one.right.total:,})" for one in shown])
        tell_names(axes.get_yticklabels(), [f"{one.by}: {one.value}" for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        score = "exactly right" if isinstance(analysis, SetAnalysis) else "accuracy"
        axes.set_xlabel(f"{score}, 95 % interval")
        worse = [f"{one.by} {short(one.value)}" for one in shown if one.is_worse]
        seen = "No part is worse than the rest beyond chance"
        if worse:
            seen = f"Worse than the rest beyond chance: {listed(worse, 2)}"
        axes.set_title(fill(seen, 62))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        legend_below(axes, 2)
    return True


def plot_class_scores(predictions: Predictions | SetPredictions, path: Path) -> bool:
    """Draw precision, recall and F1 of each class, the best F1 first; of very many classes, the worst.

    Returns:
        Whether there was anything to draw: two classes need no more than their table.
    """
    names = predictions.label_names
    if len(names) <= 2:
        return False
    if isinstance(predictions, SetPredictions):
        kind, kinds, scores = "label", "labels", label_figures(predictions)
    else:
        kind, kinds = "class", "classes"
        scores = class_figures(predictions.predicted, predictions.labels, len(names))
    order = np.argsort(-np.nan_to_num(scores["f1"], nan=-1.0), kind="stable")[-MOST_CLASSES:]
    height = 1.3 + 0.26 * len(order)
    with figure(path, 6.4, height) as axes:
        places = np.arange(len(order))
        axes.hlines(
            places,
            np.fmin(scores["precision"][order], scores["recall"][order]),
            np.fmax(scores["precision"][order], scores["recall"][order]),
            color="#cccccc",
            linewidth=2,
        )
        for key, marker, colour in [("precision", "<", GREEN), ("recall", ">", RED), ("f1", "o", BLUE)]:
            label = "F1" if key == "f1" else key
            (line,) = axes.plot(scores[key][order], places, marker, color=colour, markersize=5.5, label=label)
            tell(
                line,
                [f"{names[k]}: {label} {scores[key][k]:.3f}, {int(scores['support'][k]):,} texts" for k in order],
                label,
            )
        ticks = [f"{short(names[k])} (n {int(scores['support'][k]):,})" for k in order]
        axes.set_yticks(places, ticks)
        tell_names(axes.get_yticklabels(), [names[k] for k in order])
        axes.set_ylim(len(order) - 0.4, -0.6)
        whose = f"each {kind}" if len(order) == len(names) else f"the {len(order)} weakest of {len(names)} {kinds}"
        axes.set(title=f"Precision, recall and F1 of {whose}", xlabel="score on the test split", xlim=(None, 1.01))
        legend_below(axes, 3)
    return True
