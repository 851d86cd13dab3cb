"""Names, labels and directions of the metrics, without the import of scikit-learn that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from textclf.errors import ConfigError, did_you_mean, listed


@dataclass(frozen=True)
class MetricName:
    """What is known of a metric by its name alone."""

    higher_is_better: bool = True


METRICS: dict[str, MetricName] = {
    "accuracy": MetricName(),
    **{f"{mean}_{name}": MetricName() for name in ("f1", "precision", "recall") for mean in ("macro", "weighted")},
    "mcc": MetricName(),
    "roc_auc": MetricName(),
    "log_loss": MetricName(higher_is_better=False),
    "ece": MetricName(higher_is_better=False),
}
"""Every metric of `evaluation.metrics`, in the order in which they are shown."""


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


def higher_is_better(objective: str) -> bool:
    """Whether more of an objective, such as `validation/log_loss`, is better."""
    return METRICS[objective.partition("/")[2]].higher_is_better
