"""One rung against the one that was kept so far, by their predictions on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from textclf.compare.comparison import Comparison
from textclf.compare.options import CompareOptions
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.runs import FinishedRun, read_run
from textclf.compare.scores import TESTED, Level, TestScores
from textclf.compare.setups import shared_tests
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.models.families import load_classifier
from textclf.tracking.record import CLASSIFIER

ALPHA = 0.05
"""Chance of a false claim that is accepted over the whole ladder."""


@dataclass(frozen=True)
class Judged:
    """A rung beside the one that was kept."""

    pair: Pair
    """The rung first, the kept one second."""

    @property
    def is_better(self) -> bool:
        """Whether the rung is shown to be better."""
        return self.pair.verdict is Verdict.BETTER


def on_validation(folder: Path, data: TextData) -> FinishedRun:
    """Return a finished run as if validation were its test split, so that it can be compared without looking at test.

    Args:
        folder: The run folder, with its classifier.
        data: The data of the run.
    """
    run = read_run(folder)
    labels = labels_of(data.validation)
    probabilities = load_classifier(folder / CLASSIFIER).probabilities(*texts_of(data.validation))
    truth = probabilities[np.arange(len(labels)), labels]
    chosen_by = {name: value for name, value in run.record.metrics.items() if name.startswith("validation/")}
    shown = {f"test/{name.removeprefix('validation/')}": value for name, value in chosen_by.items()}
    return replace(
        run,
        record=replace(run.record, metrics={**chosen_by, **shown}),
        labels=labels,
        predicted=probabilities.argmax(axis=1),
        log_losses=-np.log(np.clip(truth, np.finfo(np.float32).tiny, 1)).astype(np.float32),
        test_set="validation",
        languages=None,
    )


def tested_metric(objective: str) -> str:
    """Return the metric by which rungs are compared: the runs' objective, or accuracy where that cannot be tested."""
    metric = objective.partition("/")[2]
    return metric if metric in TESTED else "accuracy"


def judged(rung: Sequence[FinishedRun], kept: Sequence[FinishedRun], metric: str, steps: int) -> Judged:
    """Test a rung against the kept one on the same examples.

    Args:
        rung: The rung's runs, a seed each.
        kept: Those of the kept one.
        metric: A metric of `TESTED`.
        steps: Comparisons that the ladder makes at most, for which the level of the test is corrected.
    """
    name = kept[0].record.model
    options = CompareOptions(metric=metric, alpha=ALPHA / max(steps, 1), reference=name)
    (pair,) = _comparison([*rung, *kept], options).pairs
    return Judged(pair)


def level_of(runs: Sequence[FinishedRun], metric: str) -> Level:
    """Return the score of the runs of one rung, with its interval."""
    return _comparison(runs, CompareOptions(metric=metric)).rows[0].levels[metric]


def _comparison(runs: Sequence[FinishedRun], options: CompareOptions) -> Comparison:
    (test,) = shared_tests(runs)
    return Comparison(TestScores(test), options)
