"""Plot of a training run: its loss by step, and validation by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from textclf.documents.drawing import tell, tell_along
from textclf.documents.plotting import figure, legend_below
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
            said = [f"step {step:,}: training loss {loss:.4f}" for step, loss in fit.step_losses]
            tell_along(axes, at, losses, said)
        means = [e.train_loss for e in fit.epochs]
        (line,) = axes.plot(steps, means, "o-", color=BLUE, label="training, mean of epoch")
        tell(line, [f"epoch {e.epoch}: training loss {e.train_loss:.4f}" for e in fit.epochs], "training")
        validation = [epoch.metrics.get("validation/log_loss", np.nan) for epoch in fit.epochs]
        (line,) = axes.plot(steps, validation, "o-", color=RED, label="validation")
        scores = [f", {objective} {e.metrics[objective]:.4f}" if objective in e.metrics else "" for e in fit.epochs]
        epochs = zip(fit.epochs, validation, scores, strict=True)
        tell(line, [f"epoch {e.epoch}: validation loss {loss:.4f}{score}" for e, loss, score in epochs], "validation")
        best = next(epoch for epoch in fit.epochs if epoch.epoch == fit.best_epoch)
        kept = f"kept: {objective} {best.metrics.get(objective, float('nan')):.3f}"
        axes.axvline(best.step, color=GREEN, linestyle="--", linewidth=1.4, label=kept)
        title = f"Loss while training: epoch {best.epoch} of {len(fit.epochs)} was kept"
        axes.set(title=title, xlabel="step", ylabel="loss (nats)")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend_below(axes, 2)
    return True
