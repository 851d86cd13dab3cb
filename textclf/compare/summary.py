"""A row per system: its scores with their spread, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textclf.compare.scores import Level, TestScores


@dataclass(frozen=True)
class SystemRow:
    """A system's scores and costs."""

    name: str
    seeds: tuple[int, ...]
    train_examples: int
    levels: dict[str, Level]
    """Score by test metric; a metric that a seed has not is absent."""
    costs: dict[str, float]
    """Median over seeds of each cost that was measured."""

    collapsed: tuple[int, ...] = ()
    """Seeds with which it gives one answer to every text."""

    @property
    def num_seeds(self) -> int:
        """Number of seeds."""
        return len(self.seeds)


def system_rows(scores: TestScores) -> list[SystemRow]:
    """Return a row for each system of a test set, in the order of the systems."""
    levels = {metric: scores.levels(metric) for metric in scores.metrics}
    rows = []
    for system in scores.test.systems:
        measured = dict.fromkeys(key for run in system.runs for key in run.record.costs)
        costs = {
            key: float(np.median([run.record.costs[key] for run in system.runs if key in run.record.costs]))
            for key in measured
        }
        own = {metric: found[system.name] for metric, found in levels.items() if system.name in found}
        collapsed = tuple(run.record.seed for run in system.runs if run.collapsed)
        rows.append(SystemRow(system.name, system.seeds, system.train_examples, own, costs, collapsed))
    return rows


def pareto_front(rows: list[SystemRow], metric: str, cost: str, higher_is_better: bool = True) -> list[str]:
    """Return the systems that no other beats in the metric's mean without costing more.

    Args:
        rows: The systems.
        metric: A test metric.
        cost: A cost of which less is better.
        higher_is_better: Whether more of the metric is better.
    """
    sign = 1 if higher_is_better else -1
    able = [row for row in rows if metric in row.levels and cost in row.costs]
    able.sort(key=lambda row: (row.costs[cost], -sign * row.levels[metric].mean, row.name))
    front, best = [], -np.inf
    for row in able:
        score = sign * row.levels[metric].mean
        if score > best:
            front.append(row.name)
            best = score
    return front
