"""Several runs beside each other: the tables, verdicts and caveats of textclf.compare, and the data of a chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import costs_table, scores_table
from textclf.compare.options import CompareOptions
from textclf.compare.runs import FinishedRun, find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import GROUPS, shared_tests
from textclf.documents.document import Table
from textclf.evaluation.metric_names import metric_label

MOST_VERDICTS = 12
COSTS = {
    "latency_median_ms": "time to predict one text",
    "train_seconds": "training time",
    "size_bytes": "size on disk",
}
"""The costs that scores can be drawn against."""
UNITS = {"latency_median_ms": "milliseconds", "train_seconds": "seconds", "size_bytes": "bytes"}


@dataclass(frozen=True)
class Compared:
    """The setups of one test set."""

    dataset: str
    metric: str
    """The metric of the verdicts, in words."""
    examples: int
    """Number of test examples."""
    scores: Table
    costs: Table
    verdicts: tuple[str, ...]
    caveats: tuple[str, ...]
    points: dict[str, list[dict[str, Any]]]
    """For each cost of `COSTS`, a point for each setup: `setup`, `cost`, `score`, `low`, `high`, `front`."""


@dataclass(frozen=True)
class Comparisons:
    """The outcome of comparing some runs."""

    tests: tuple[Compared, ...]
    """One for each test set; scores on different ones cannot be compared."""
    problems: tuple[str, ...]
    """Runs that could not be used, a sentence each."""


def compare_runs(folders: Iterable[Path], options: CompareOptions | None = None) -> Comparisons:
    """Compare finished runs; those that differ in nothing but the seed are one setup, of each seed the newest.

    Raises:
        ArtifactError: If none of them can be read.
    """
    found = find_runs(folders)
    runs = newest_of_each_seed(found.runs)
    tests = [Comparison(TestScores(test), options or CompareOptions()) for test in shared_tests(runs)]
    older = len(found.runs) - len(runs)
    said = f"{older:,} earlier run{'s' * (older > 1)} of the same setup and seed: the newest is compared."
    return Comparisons(tuple(map(_compared, tests)), (*found.problems, *([said] if older else [])))


def newest_of_each_seed(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs without those that were run again later: of one setup, test set and seed the newest stays."""
    kept: dict[str, FinishedRun] = {}
    for run in sorted(runs, key=lambda run: (run.record.started, str(run.folder))):
        groups = [group for group in GROUPS if group != "trainer" or run.record.trainer != "none"]
        setup = {group: run.record.config.get(group) for group in groups}
        kept[json.dumps([run.test_set, run.record.seed, setup], sort_keys=True, default=str)] = run
    newest = {run.folder for run in kept.values()}
    return [run for run in runs if run.folder in newest]


def _compared(comparison: Comparison) -> Compared:
    from textclf.compare.plots import cost_data

    points = {}
    for cost in COSTS:
        frame = cost_data(comparison.rows, comparison.metric, cost).rename(columns={cost: "cost", "mean": "score"})
        kept: Sequence[Any] = frame.astype(object).where(frame.notna(), None).to_dict("records")
        points[cost] = [{str(name): value for name, value in row.items()} for row in kept]
    return Compared(
        dataset=comparison.test.dataset,
        metric=metric_label(comparison.metric),
        examples=len(comparison.test.labels),
        scores=scores_table(comparison),
        costs=costs_table(comparison),
        verdicts=tuple(comparison.sentences((comparison.leading_pairs or comparison.pairs)[:MOST_VERDICTS])),
        caveats=tuple(comparison.caveats),
        points=points,
    )
