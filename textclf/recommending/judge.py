"""One rung against the one that was kept so far, by their predictions on texts that neither was fitted to.

Those are the validation split where it is large. A small one tells little: then train and validation are cut into
folds, and each fold is predicted by a classifier that was fitted to the others, so that each of their texts counts.
The test split has no part in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from textclf.compare.comparison import Comparison
from textclf.compare.options import CompareOptions
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.runs import FinishedRun, read_run
from textclf.compare.scores import TESTED, Level, TestScores
from textclf.compare.setups import shared_tests
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.evaluation.metric_names import direction
from textclf.evaluation.metrics import evaluate_predictions
from textclf.evaluation.predictions import Predictions
from textclf.experiment.experiment import fit_model
from textclf.experiment.options import Experiment
from textclf.models.families import load_classifier
from textclf.models.options import ClassicalModel, ModelOptions
from textclf.tracking.record import CLASSIFIER
from textclf.training.result import RunContext

ALPHA = 0.05
"""Chance of a false claim that is accepted over the whole ladder."""
OF_NOTE = 0.03
"""A gain that is worth climbing on for."""
ENOUGH = 500
"""Validation texts from which rungs are compared on these alone."""
FOLDS = 5
FEWER_FOLDS = 3
"""Of models with an encoder: each fold costs them much. Fitted to less, they are rather underrated than overrated."""
ONE_IN = 8
"""One in so many of the texts that a fold's classifier may see is for choosing its epoch or strength."""


@dataclass(frozen=True)
class Judged:
    """A rung beside the one that was kept."""

    pair: Pair
    """The rung first, the kept one second."""

    @property
    def is_better(self) -> bool:
        """Whether the rung is shown to be better."""
        return self.pair.verdict is Verdict.BETTER

    @property
    def may_gain(self) -> bool:
        """Whether a gain of note is still possible: too few texts to show one are no sign that there is none."""
        most = self.pair.high if direction(self.pair.metric) > 0 else -self.pair.low
        return most > OF_NOTE


def uses_folds(experiment: Experiment, data: TextData) -> bool:
    """Whether rungs are compared by cross-validation, since validation is small; groups would be torn apart by it."""
    return len(data.validation) < ENOUGH and experiment.dataset.group_column is None


def folds_for(model: ModelOptions) -> int:
    """Return into how many folds the data are cut for a model; to fit all of them takes as long as one fit less."""
    return FOLDS if isinstance(model, ClassicalModel) else FEWER_FOLDS


def held_out(experiment: Experiment, folder: Path, data: TextData) -> FinishedRun:
    """Return a finished run as if what it was not fitted to were its test split, for a comparison without that split.

    Args:
        experiment: The run's options.
        folder: The run folder, with its classifier.
        data: The data of the run.
    """
    run = read_run(folder)
    if uses_folds(experiment, data):
        predictions = by_folds(experiment, data)
    else:
        probabilities = load_classifier(folder / CLASSIFIER).probabilities(*texts_of(data.validation))
        predictions = Predictions(labels_of(data.validation), probabilities, data.label_names)
    labels = predictions.labels
    truth = predictions.probabilities[np.arange(len(labels)), labels]
    shown = {f"test/{name}": value for name, value in evaluate_predictions(predictions).items()}
    chosen_by = {name: value for name, value in run.record.metrics.items() if name.startswith("validation/")}
    return replace(
        run,
        record=replace(run.record, metrics={**chosen_by, **shown}),
        labels=labels,
        predicted=predictions.predicted,
        log_losses=-np.log(np.clip(truth, np.finfo(np.float32).tiny, 1)).astype(np.float32),
        test_set="held out",
        languages=None,
    )


def by_folds(experiment: Experiment, data: TextData, one_in: int = 1) -> Predictions:
    """Return predictions on train and validation, each fold's by a classifier that was fitted to the other folds.

    Args:
        experiment: What to fit.
        data: The data; its test split is left alone.
        one_in: Fit to one in so many texts of each class only.
    """
    rows = concatenate_datasets([data.train, data.validation])
    labels = labels_of(rows)
    folds = min(folds_for(experiment.model), int(np.bincount(labels).min()))
    found = np.zeros((len(labels), data.num_labels), dtype=np.float32)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=0)
    for number, (others, own) in enumerate(splitter.split(np.zeros(len(labels)), labels)):
        fitted, choosing = _parted(labels, others, one_in)
        part = replace(data, train=rows.select(fitted), validation=rows.select(choosing))
        context = RunContext(experiment.seed + number, experiment.objective)
        classifier, _ = fit_model(experiment.model, part, experiment.trainer, context)
        found[own] = classifier.probabilities(*texts_of(rows.select(own)))
    return Predictions(labels, found, data.label_names)


def _parted(
    labels: NDArray[np.int64], rows: NDArray[np.int64], one_in: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to fit to and those to choose an epoch or a strength by; the same where they are very few."""
    fitted, choosing = [], []
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        few = own[::ONE_IN] if len(own) >= ONE_IN else own[:0]
        choosing.append(few)
        fitted.append(np.setdiff1d(own, few)[::one_in])
    fit_to, choose_by = (np.sort(np.concatenate(parts)) for parts in (fitted, choosing))
    missing = len(np.unique(labels[choose_by])) < len(fitted)
    return fit_to, fit_to if missing else choose_by


def half_score(experiment: Experiment, data: TextData, metric: str) -> float | None:
    """Return the score on the same texts of a model that was fitted to half of the examples."""
    if uses_folds(experiment, data):
        return evaluate_predictions(by_folds(experiment, data, one_in=2)).get(metric)
    labels = labels_of(data.train)
    rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[::2] for label in np.unique(labels)]))
    part = replace(data, train=data.train.select(rows))
    classifier, _ = fit_model(
        experiment.model, part, experiment.trainer, RunContext(experiment.seed, experiment.objective)
    )
    probabilities = classifier.probabilities(*texts_of(data.validation))
    return evaluate_predictions(Predictions(labels_of(data.validation), probabilities, data.label_names)).get(metric)


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
