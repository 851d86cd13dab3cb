"""One row per setup: its scores with their spread, and its costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textclf.compare.scores import Level, TestScores
from textclf.evaluation.metric_names import direction
from textclf.tracking.record import currency_of

PRICE = "price_per_1000_texts"
"""The cost in money that setups are compared by."""


@dataclass(frozen=True)
class SetupRow:
    """A setup's scores and costs."""

    name: str
    seeds: tuple[int, ...]
    train_examples: int
    levels: dict[str, Level]
    """Score by test metric; a metric that a seed has not is absent."""
    costs: dict[str, float]
    """Median over seeds of each cost that was measured."""

    draws_seed: bool = True
    """Whether its classifiers depend on the seed; if not, one run stands for every seed."""
    collapsed: tuple[int, ...] = ()
    """Seeds with which it gives one answer to every text."""

    @property
    def num_seeds(self) -> int:
        """Number of seeds."""
        return len(self.seeds)


def setup_rows(scores: TestScores) -> list[SetupRow]:
    """Return a row for each setup of a test set, in the order of the setups."""
    priced = [run.record for setup in scores.test.setups for run in setup.runs if PRICE in run.record.costs]
    mixed = len({currency_of(record) for record in priced}) > 1
    levels = {metric: scores.levels(metric) for metric in scores.metrics}
    rows = []
    for setup in scores.test.setups:
        measured = dict.fromkeys(key for run in setup.runs for key in run.record.costs)
        costs = {
            key: float(np.median([run.record.costs[key] for run in setup.runs if key in run.record.costs]))
            for key in measured
        }
        if mixed:  # amounts in several currencies cannot be compared
            costs.pop(PRICE, None)
        if not costs.get("num_parameters", 1):  # a record from when 0 stood for what cannot be counted
            del costs["num_parameters"]
        own = {metric: found[setup.name] for metric, found in levels.items() if setup.name in found}
        collapsed = tuple(run.record.seed for run in setup.runs if run.collapsed)
        rows.append(SetupRow(setup.name, setup.seeds, setup.train_examples, own, costs, setup.draws_seed, collapsed))
    return rows


def pareto_front(rows: list[SetupRow], metric: str, cost: str) -> list[str]:
    """Return the setups that no other beats in the metric's mean without costing more; collapsed ones are none of them.

    Args:
        rows: The setups.
        metric: A test metric.
        cost: A cost of which less is better.
    """
    sign = direction(metric)
    able = [row for row in rows if metric in row.levels and cost in row.costs and not row.collapsed]
    able.sort(key=lambda row: (row.costs[cost], -sign * row.levels[metric].mean, row.name))
    front, best = [], -np.inf
    for row in able:
        score = sign * row.levels[metric].mean
        if score > best:
            front.append(row.name)
            best = score
    return front
