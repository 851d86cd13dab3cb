"""Names, labels and directions of the metrics, without the import of scikit-learn that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from textclf.errors import ConfigError, did_you_mean, listed


@dataclass(frozen=True)
class MetricName:
    """Label, direction and unit of a metric."""

    label: str = ""
    """Its name in running text; none is the name itself."""
    higher_is_better: bool = True
    is_in_points: bool = True
    """Whether it is a share of 1, so that differences are given in points (hundredths)."""


METRICS: dict[str, MetricName] = {
    "accuracy": MetricName(),
    "macro_f1": MetricName("macro F1"),
    "weighted_f1": MetricName("weighted F1"),
    "macro_precision": MetricName("macro precision"),
    "weighted_precision": MetricName("weighted precision"),
    "macro_recall": MetricName("macro recall"),
    "weighted_recall": MetricName("weighted recall"),
    "mcc": MetricName("Matthews correlation", is_in_points=False),
    "roc_auc": MetricName("ROC AUC"),
    "log_loss": MetricName("log loss", higher_is_better=False, is_in_points=False),
    "ece": MetricName(higher_is_better=False, is_in_points=False),
}
"""Every metric of `evaluation.metrics`, in the order in which they are shown."""


def metric_label(metric: str) -> str:
    """Return a metric's name in running text."""
    return METRICS.get(metric, MetricName()).label or metric


def is_in_points(metric: str) -> bool:
    """Whether differences in a metric are given in points; not of metrics from the Hub, whose range is not known."""
    return metric in METRICS and METRICS[metric].is_in_points


def check_objective(objective: str) -> None:
    """Refuse an objective that is no validation metric.

    Raises:
        ConfigError: With the metrics there are.
    """
    split, _, name = objective.partition("/")
    if split == "test" and name in METRICS:
        raise ConfigError(
            f"objective={objective} would select on the test split, which is looked at once, at the end; "
            f"use objective=validation/{name}."
        )
    if split != "validation" or name not in METRICS:
        known = [f"validation/{metric}" for metric in METRICS]
        raise ConfigError(f"objective={objective} is not one of {listed(known)}.{did_you_mean(objective, known)}")


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better; of one from the Hub, whose direction is not known, it is taken to be.

    Args:
        metric: Its name, with or without its split: `log_loss`, `validation/log_loss`.
    """
    return METRICS.get(metric.rpartition("/")[2], MetricName()).higher_is_better


def direction(metric: str) -> int:
    """Return the factor that makes more of a metric better: 1, or -1 where less is."""
    return 1 if higher_is_better(metric) else -1
