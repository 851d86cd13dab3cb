"""Savings of one setup over another, in words: its size, its speed, its training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textclf.compare.summary import PRICE, SetupRow
from textclf.documents.wording import percent, ratio_percent, times
from textclf.evaluation.metric_names import higher_is_better, is_in_points, metric_label

SMALLER = 0.95
"""Below this share of the other's parameters a setup counts as smaller."""
NOTABLE = 1.25
"""Times and speeds that differ by a smaller factor count as equal: as much they vary from run to run."""
WORTH_KEEPING = 0.9
"""Below this share of the winner's score nobody asks what was saved."""


@dataclass(frozen=True)
class _CostRatios:
    """The costs of a setup in relation to another's; NaN where one is not known."""

    size: float
    """Of their parameters."""
    speed: float
    """Of the texts that they predict in a second."""
    training: float
    """Of their seconds of training, of which less than one counts as one."""

    @classmethod
    def of(cls, a: SetupRow, b: SetupRow) -> _CostRatios:
        """Return the costs of the first in relation to those of the second."""
        seconds = [None if (taken := row.costs.get("train_seconds")) is None else max(taken, 1.0) for row in (a, b)]
        return cls(
            _ratio(a.costs.get("num_parameters"), b.costs.get("num_parameters")),
            _ratio(a.costs.get("test_examples_per_second"), b.costs.get("test_examples_per_second")),
            _ratio(*seconds),
        )

    @property
    def is_slower(self) -> bool:
        """Whether the first is known to predict more slowly."""
        return self.speed < 1 / NOTABLE

    @property
    def trains_longer(self) -> bool:
        """Whether the first is known to train longer."""
        return self.training > NOTABLE


def describe_cheaper(first: str, second: str, rows: dict[str, SetupRow]) -> str:
    """Return which of two setups is the cheaper one, and in what; empty where neither is, or it has collapsed."""
    for small, large in ((first, second), (second, first)):
        if not rows[small].collapsed and (saved := describe_savings(small, large, rows)):
            cost = _CostRatios.of(rows[small], rows[large])
            dearer = cost.is_slower or cost.trains_longer
            has_less = "smaller" if cost.size < SMALLER else "faster"
            return f"{small} is the {has_less if dearer else 'cheaper'} one, {saved}"
    return ""


def describe_savings(small: str, large: str, rows: dict[str, SetupRow]) -> str:
    """Describe in what a setup is cheaper than another; empty where it is not.

    It is where it has fewer parameters; of as many, or of numbers that are not known, where it predicts faster; at the
    same speed, where it trains faster. It is not where its price, in money, is higher.
    """
    cost = _CostRatios.of(rows[small], rows[large])
    if _ratio(rows[small].costs.get(PRICE), rows[large].costs.get(PRICE)) > NOTABLE:
        return ""
    smaller = cost.size < SMALLER
    faster = cost.speed > NOTABLE or (not cost.is_slower and cost.training < 1 / NOTABLE)
    if not (smaller or (faster and not cost.size > 1)):
        return ""
    parts = [f"with {ratio_percent(cost.size)} of the parameters"] if smaller else []
    if not cost.is_slower and math.isfinite(cost.speed) and (smaller or cost.speed > NOTABLE):
        parts.append(f"at {times(cost.speed)} the speed")
    said = [" ".join(parts)] if parts else []
    if not smaller and cost.training < 1 / NOTABLE:
        said.append(f"trained in {ratio_percent(cost.training)} of the time")
    dearer = [f"at {times(cost.speed)} the speed"] if cost.is_slower else []
    dearer += [f"with {times(cost.training)} the time of training"] if cost.trains_longer else []
    return ", ".join([*said, *([f"but {' and '.join(dearer)}"] if dearer else [])])


def describe_tradeoff(small: str, large: str, rows: dict[str, SetupRow], metric: str) -> str:
    """Describe how much of a better setup's score a cheaper one keeps; empty where it is no cheaper.

    Nor is anything said of a collapsed one: its score is that of no answer at all.
    """
    saved = describe_savings(small, large, rows)
    if (
        not saved
        or not (is_in_points(metric) and higher_is_better(metric))
        or rows[small].collapsed
        or rows[large].collapsed
    ):
        return ""
    share = _ratio(rows[small].levels[metric].mean, rows[large].levels[metric].mean)
    return f"{small} keeps {percent(share)} of its {metric_label(metric)} {saved}" if share >= WORTH_KEEPING else ""


def _ratio(above: float | None, below: float | None) -> float:
    return above / below if above is not None and below else float("nan")
