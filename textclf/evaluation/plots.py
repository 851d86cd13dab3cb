"""The pictures of a run: confusion matrix, ROC and precision-recall curves, training curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from textclf.documents.plotting import figure, short
from textclf.evaluation.predictions import Predictions

if TYPE_CHECKING:
    from textclf.models.base import FitResult

MOST_CURVES = 8
"""Classes that get a curve of their own; of more, those with most examples do."""
MOST_ANNOTATED = 20
"""Classes up to which the cells of a confusion matrix bear figures."""


def plot_confusion_matrix(predictions: Predictions, title: str, path: Path) -> None:
    """Draw how often each true class was taken for each other, as counts and shares of the true class."""
    names = predictions.label_names
    counts = confusion_matrix(predictions.labels, predictions.predicted, labels=list(range(len(names))))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(3.4 + 0.55 * len(names), 14)
    with figure(path, size + 1.0, size) as axes:
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
        axes.set(title=title, xlabel="predicted", ylabel="true")
        step = max(1, len(names) // 40)
        ticks = range(0, len(names), step)
        shown = [short(names[tick]) for tick in ticks]
        axes.set_xticks(ticks, shown, rotation=45 if max(map(len, shown)) > 8 or len(shown) > 6 else 0)
        axes.set_yticks(ticks, shown)
        if len(names) <= MOST_ANNOTATED:
            for (row, column), count in np.ndenumerate(counts):
                share = shares[row, column]
                text = f"{count:,}\n{share:.0%}" if len(names) <= 8 else f"{count}"
                colour = "white" if share > 0.55 else "black"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)


def plot_roc_curves(predictions: Predictions, title: str, path: Path) -> bool:
    """Draw the ROC curve of each class against the rest; of two classes, the second's.

    Returns:
        Whether there was anything to draw: a class needs examples of it and of others.
    """

    def draw(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float32], name: str) -> None:
        wrong, right, _ = roc_curve(truth, scores)
        axes.plot(wrong, right, label=f"{name} (AUC {roc_auc_score(truth, scores):.3f})", linewidth=1.8)

    def finish(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", label="chance")
        axes.set(title=title, xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(loc="lower right")

    return _plot_curves(predictions, path, draw, finish)


def plot_precision_recall_curves(predictions: Predictions, title: str, path: Path) -> bool:
    """Draw precision over recall of each class against the rest; of two classes, the second's.

    Returns:
        Whether there was anything to draw: a class needs examples of it and of others.
    """

    def draw(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float32], name: str) -> None:
        precision, recall, _ = precision_recall_curve(truth, scores)
        label = f"{name} (AP {average_precision_score(truth, scores):.3f})"
        axes.step(recall, precision, where="post", label=label, linewidth=1.8)

    def finish(axes: Axes) -> None:
        axes.set(title=title, xlabel="recall", ylabel="precision")
        axes.legend(loc="lower left")

    return _plot_curves(predictions, path, draw, finish)


def _plot_curves(
    predictions: Predictions,
    path: Path,
    draw: Callable[[Axes, NDArray[np.bool_], NDArray[np.float32], str], None],
    finish: Callable[[Axes], None],
) -> bool:
    """Draw a curve for each class that has one, or say that none has."""
    classes = _drawable(predictions)
    if not classes:
        return False
    with figure(path) as axes:
        for label in classes:
            name = short(predictions.label_names[label])
            draw(axes, predictions.labels == label, predictions.probabilities[:, label], name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        finish(axes)
    return True


def plot_training_curves(fit: FitResult, objective: str, title: str, path: Path) -> bool:
    """Draw training loss by step, and validation loss and objective by epoch.

    Returns:
        Whether there was anything to draw: models without epochs have no curve.
    """
    if not fit.epochs:
        return False
    steps = [epoch.step for epoch in fit.epochs]
    with figure(path, 6.4, 4.2) as axes:
        if fit.step_losses:
            at, losses = zip(*fit.step_losses, strict=True)
            axes.plot(at, losses, color="#0072B2", alpha=0.3, linewidth=1, label="training, single steps")
        axes.plot(steps, [e.train_loss for e in fit.epochs], "o-", color="#0072B2", label="training, mean of epoch")
        validation = [epoch.metrics.get("validation/log_loss", np.nan) for epoch in fit.epochs]
        axes.plot(steps, validation, "o-", color="#D55E00", label="validation")
        best = next(epoch for epoch in fit.epochs if epoch.epoch == fit.best_epoch)
        axes.axvline(best.step, color="#009E73", linestyle="--", linewidth=1)
        axes.annotate(
            f"kept: epoch {best.epoch}\n{objective} {best.metrics.get(objective, float('nan')):.3f}",
            (best.step, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=9,
            color="#006b4f",
        )
        axes.set(title=title, xlabel="step", ylabel="loss (nats)")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return True


def _drawable(predictions: Predictions) -> list[int]:
    """Return the classes to draw a curve for: those with examples of their own and of others."""
    counts = np.bincount(predictions.labels, minlength=len(predictions.label_names))
    able = [int(k) for k in np.argsort(-counts, kind="stable") if 0 < counts[k] < counts.sum()]
    if len(predictions.label_names) == 2:
        return [1] if 1 in able else []
    return sorted(able[:MOST_CURVES])
