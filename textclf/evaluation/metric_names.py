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
    "micro_f1": MetricName("micro F1"),
    "micro_precision": MetricName("micro precision"),
    "micro_recall": MetricName("micro recall"),
    "samples_f1": MetricName("samples F1"),
    "subset_accuracy": MetricName("subset accuracy"),
    "hamming_loss": MetricName("Hamming loss", higher_is_better=False),
    "ranking_precision": MetricName("label ranking average precision"),
    "mcc": MetricName("Matthews correlation", is_in_points=False),
    "roc_auc": MetricName("ROC AUC"),
    "micro_roc_auc": MetricName("micro ROC AUC"),
    "average_precision": MetricName("macro average precision"),
    "micro_average_precision": MetricName("micro average precision"),
    "log_loss": MetricName("log loss", higher_is_better=False, is_in_points=False),
    "ece": MetricName(higher_is_better=False, is_in_points=False),
}
"""Every metric of `evaluation.metrics` and `evaluation.label_sets`, in the order in which they are shown."""
OF_SETS = frozenset(
    ("micro_f1", "micro_precision", "micro_recall", "samples_f1", "subset_accuracy", "hamming_loss",
     "ranking_precision", "micro_roc_auc", "average_precision", "micro_average_precision")
)  # fmt: skip
"""Metrics that only sets of labels have."""
OF_CLASSES = frozenset(("accuracy", "mcc", "ece"))
"""Metrics that only single classes have."""


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


def check_objective_of(objective: str, has_sets: bool) -> None:
    """Refuse an objective that the data has no such metric for.

    Raises:
        ConfigError: If it is a metric of sets of labels and each text has one class, or the reverse.
    """
    name = objective.rpartition("/")[2]
    if name in (OF_CLASSES if has_sets else OF_SETS):
        has, instead = (
            ("a set of labels", "macro_f1, micro_f1 or subset_accuracy") if has_sets else ("one class", "macro_f1")
        )
        raise ConfigError(
            f"objective={objective}: each text of these data has {has}, for which there is no such metric. Use "
            f"objective=validation/{instead}."
        )


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better; of one from the Hub, whose direction is not known, it is taken to be.

    Args:
        metric: Its name, with or without its split: `log_loss`, `validation/log_loss`.
    """
    return METRICS.get(metric.rpartition("/")[2], MetricName()).higher_is_better


def direction(metric: str) -> int:
    """Return the factor that makes more of a metric better: 1, or -1 where less is."""
    return 1 if higher_is_better(metric) else -1
