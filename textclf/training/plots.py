"""Plot of a training run: its loss by step, and validation by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from textclf.documents.plotting import figure
from textclf.evaluation.plots import BLUE, GREEN, RED
from textclf.training.result import FitResult


def plot_training_curves(fit: FitResult, objective: str, path: Path) -> bool:
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
            axes.plot(at, losses, color=BLUE, alpha=0.3, linewidth=1, label="training, single steps")
        axes.plot(steps, [e.train_loss for e in fit.epochs], "o-", color=BLUE, label="training, mean of epoch")
        validation = [epoch.metrics.get("validation/log_loss", np.nan) for epoch in fit.epochs]
        axes.plot(steps, validation, "o-", color=RED, label="validation")
        best = next(epoch for epoch in fit.epochs if epoch.epoch == fit.best_epoch)
        axes.axvline(best.step, color=GREEN, linestyle="--", linewidth=1)
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
        title = f"Loss while training: epoch {best.epoch} of {len(fit.epochs)} was kept"
        axes.set(title=title, xlabel="step", ylabel="loss (nats)")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return True
