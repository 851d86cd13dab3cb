"""Scores of setups on one test set, metric by metric, as the tests need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from textclf.compare.runs import FinishedRun
from textclf.compare.setups import Setup, SharedTest
from textclf.compare.statistics import (
    OF_CONFUSIONS,
    OF_SETS,
    Scores,
    bootstrap,
    confusions,
    fold_scores,
    fold_scores_of_confusions,
    levels,
    scores_of_draws,
    scores_of_means,
    set_bootstrap,
)
from textclf.evaluation.metric_names import METRICS

Floats = NDArray[np.float64]

OF_EXAMPLES: dict[str, Callable[[FinishedRun], NDArray]] = {
    "accuracy": lambda run: run.right,
    "log_loss": lambda run: run.log_losses,
}
"""Metrics of single classes that are means over the test examples, by the value of each example."""


def _of_sets(values: Callable[[NDArray, NDArray], NDArray]) -> Callable[[FinishedRun], NDArray]:
    return lambda run: values(run.labels, run.predicted)


OF_SET_EXAMPLES: dict[str, Callable[[FinishedRun], NDArray]] = {
    **{metric: _of_sets(values) for metric, values in OF_SETS.items()},
    "log_loss": lambda run: run.log_losses,
}
"""The same of sets of labels; the F1 are means of what each example contributes to them."""
TESTED_OF_CLASSES = (*OF_EXAMPLES, *(name for name in OF_CONFUSIONS if name not in OF_EXAMPLES))
TESTED = tuple(dict.fromkeys((*TESTED_OF_CLASSES, *OF_SET_EXAMPLES)))
"""Metrics whose differences can be tested, of single classes or of sets of labels."""


@dataclass(frozen=True)
class Level:
    """A setup's score."""

    mean: float
    """Mean over seeds."""
    deviation: float
    """Standard deviation over seeds, nan for one seed; of a cross-validation over folds."""
    low: float
    """Lower end of the 95 % interval; nan where there is none."""
    high: float
    over: str
    """What the interval allows for: `seeds and examples`, `examples` (one seed), `trainings and examples` (of a
    cross-validation), `seeds`, or `nothing`."""


class TestScores:
    """Scores of the setups of one test set, computed once for each metric."""

    __test__ = False  # no test of pytest's

    def __init__(self, test: SharedTest):
        self.test = test

    @property
    def tested(self) -> tuple[str, ...]:
        """Metrics whose differences can be tested here."""
        return tuple(OF_SET_EXAMPLES) if self.test.has_sets else TESTED_OF_CLASSES

    @property
    def of_examples(self) -> Mapping[str, Callable[[FinishedRun], NDArray]]:
        """Metrics that are means over the test examples, by the value of each example."""
        return OF_SET_EXAMPLES if self.test.has_sets else OF_EXAMPLES

    @cached_property
    def draws(self) -> dict[str, dict[int, Floats]]:
        """Each run's metrics in the same bootstrap draws of the test examples, by the run's identity."""
        runs = [run for setup in self.test.setups for run in setup.runs]
        predicted = np.stack([run.predicted for run in runs])
        if self.test.has_sets:
            drawn = set_bootstrap(self.test.labels, predicted)
        else:
            drawn = bootstrap(self.test.labels, predicted, len(self.test.label_names), list(OF_CONFUSIONS))
        return {metric: {id(run): row for run, row in zip(runs, rows, strict=True)} for metric, rows in drawn.items()}

    def of_setups(self, metric: str) -> Scores:
        """Return the scores of the setups, over all their seeds."""
        if self.test.partitions is not None:
            return self._fold_scores(metric)
        return self._scores(metric, [setup.sample for setup in self.test.setups])

    def of_classifiers(self, metric: str) -> Scores:
        """Return the scores of one trained classifier of each setup, the one best on validation."""
        return self._scores(metric, [(setup.chosen_run,) for setup in self.test.setups])

    def _fold_scores(self, metric: str) -> Scores:
        """Return the scores of setups that were cross-validated."""
        assert self.test.partitions is not None
        if metric not in self.of_examples:
            return self._of_folds[metric]
        value = self.of_examples[metric]
        values = [np.array([[value(run) for run in same] for same in setup.passes]) for setup in self.test.setups]
        return fold_scores(values, self.test.partitions)

    @cached_property
    def _of_folds(self) -> dict[str, Scores]:
        """The scores of cross-validated setups by metric of the confusion matrix."""
        predicted = [np.array([[run.predicted for run in same] for same in setup.passes]) for setup in self.test.setups]
        labels, names = self.test.labels, self.test.label_names
        assert self.test.partitions is not None
        return fold_scores_of_confusions(labels, predicted, len(names), list(OF_CONFUSIONS), self.test.partitions)

    def _scores(self, metric: str, runs: Sequence[Sequence[FinishedRun]]) -> Scores:
        if (value := self.of_examples.get(metric)) is not None:
            return scores_of_means([np.stack([value(run) for run in same]) for same in runs])
        by_seed = [[self._score(metric, run) for run in same] for same in runs]
        draws = [np.stack([self.draws[metric][id(run)] for run in same]) for same in runs]
        return scores_of_draws(by_seed, draws, len(self.test.labels))

    def _score(self, metric: str, run: FinishedRun) -> float:
        return float(OF_CONFUSIONS[metric](confusions(run.labels, run.predicted, len(run.label_names))))

    def levels(self, metric: str) -> dict[str, Level]:
        """Return each setup's score of a metric with its interval; setups without the metric are left out.

        Metrics that are neither means over examples nor functions of the confusion matrix (ROC AUC,
        metrics from the Hub) have an interval over seeds alone.
        """
        setups = self.test.setups
        given = {setup.name: _recorded(setup, metric) for setup in setups}
        found: dict[str, Level] = {}
        both_scores = self.of_setups(metric) if metric in self.tested else None
        both = None if both_scores is None else levels(both_scores)
        for number, setup in enumerate(setups):
            values = given[setup.name]
            if values is None or not (both is None or np.isfinite(both.value[number])):
                continue
            several = len(values) > 1 and setup.draws_seed
            deviation = float(values.std(ddof=1)) if several else float("nan")
            if both is not None and both_scores is not None and both_scores.folds is not None:
                deviation = float(both_scores.folds.by_fold[number].std(ddof=1))
                low, high = (_within(float(end[number]), metric) for end in both.interval())
                over = "trainings and examples"
            elif both is not None:
                low, high = (_within(float(end[number]), metric) for end in both.interval())
                over = "seeds and examples" if several else "examples"
            elif several:
                alone = levels(Scores((values,), np.zeros((1, 1)), 10**9))
                low, high = (float(end[0]) for end in alone.interval())
                over = "seeds"
            else:
                low, high, over = float("nan"), float("nan"), "nothing"
            found[setup.name] = Level(float(values.mean()), deviation, low, high, over)
        return found

    @property
    def metrics(self) -> list[str]:
        """Every test metric that a record holds, in the order in which metrics are shown."""
        held = dict.fromkeys(
            key.removeprefix("test/")
            for setup in self.test.setups
            for run in setup.runs
            for key in run.record.metrics
            if key.startswith("test/")
        )
        return [name for name in METRICS if name in held] + [name for name in held if name not in METRICS]


def accuracy_levels(test: SharedTest, chosen: NDArray[np.bool_]) -> dict[str, Level]:
    """Return each setup's share of right predictions on some of the test examples, bool (n,), with its interval."""
    rights = [np.stack([run.right[chosen] for run in setup.runs]) for setup in test.setups]
    scores = scores_of_means(rights)
    low, high = levels(scores).interval()
    found = {}
    for number, (setup, own) in enumerate(zip(test.setups, scores.by_seed, strict=True)):
        several = len(own) > 1 and setup.draws_seed
        deviation = float(own.std(ddof=1)) if several else float("nan")
        over = "seeds and examples" if several else "examples"
        lowest, highest = (_within(float(end[number]), "accuracy") for end in (low, high))
        found[setup.name] = Level(float(own.mean()), deviation, lowest, highest, over)
    return found


def _within(end: float, metric: str) -> float:
    """Return the end of an interval, cut to what the metric can be."""
    if metric == "log_loss":
        return max(end, 0.0)
    return min(max(end, -1.0 if metric == "mcc" else 0.0), 1.0)


def _recorded(setup: Setup, metric: str) -> Floats | None:
    """Return a metric of each seed as its record has it, or nothing where a seed has none."""
    values = [run.record.metrics.get(f"test/{metric}") for run in setup.runs]
    return None if any(value is None for value in values) else np.array(values, dtype=np.float64)
