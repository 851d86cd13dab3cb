"""The cost of a rung of the ladder, measured on a small slice before it is begun."""

from __future__ import annotations

import time
from contextvars import Context
from dataclasses import dataclass, replace

import numpy as np

from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.experiment.experiment import fit_model
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel, ModelOptions, SetfitModel, TransformerModel
from textclf.recommending.judge import FOLDS, folds_for
from textclf.training.result import RunContext

BATCHES = 4
"""Batches of training that are tried."""
READ = 32
"""Texts that are predicted in a trial."""
LOADING = 12.0
"""Seconds that a trial takes at least: the libraries and the checkpoint are loaded for it."""
DEARER = 6.0
"""A classical model of several n-grams costs at most so many times the counts of single words."""
FORWARD_AND_BACK = 3.0
"""Training on a text costs at least so many times encoding it."""
SINGLES = 100
"""Predictions of single texts that a run makes for latency and attributions, at most so many times a text."""


@dataclass(frozen=True)
class Trial:
    """What a slice cost."""

    fit_seconds: float
    """Training on the whole data, extrapolated."""
    text_seconds: float
    """Predicting a text."""
    own_seconds: float
    """Duration of the trial itself."""

    load_seconds: float
    """Loading the model, which each fit does."""
    fits: tuple[int, int]
    """How many fits there are without folds and with them."""

    def total(self, data: TextData, overhead: float, folds: bool) -> float:
        """Return the seconds of a whole run, with what a run costs beside its model, and of the folds if there are."""
        fits = self.fit_seconds * self.fits[folds] + self.load_seconds * (self.fits[folds] + folds)
        return overhead + fits + self.text_seconds * (_evaluated(data, folds) + SINGLES)


def _evaluated(data: TextData, folds: bool) -> int:
    return 2 * len(data.validation) + len(data.test) + (len(data.train) if folds else 0)


def _fits(model: ModelOptions, folds: bool) -> int:
    """Return how many times the data are trained on: once, and in folds as many times as there are, less one."""
    return folds_for(model) if folds else 1


def classical_seconds(fit_seconds: float, overhead: float, folds: bool) -> float:
    """Return the seconds of a bag-of-words run, from those that a simpler one took to fit."""
    return overhead + DEARER * fit_seconds * (FOLDS if folds else 1)


def least_seconds(experiment: Experiment, data: TextData, text_seconds: float | None, folds: bool) -> float:
    """Return what a run with a transformer costs at least, before anything of it was measured.

    Args:
        experiment: The run.
        data: Its data.
        text_seconds: What encoding a text took an encoder of its size; none where nothing is known.
        folds: Whether the folds of the data are trained on too.
    """
    if text_seconds is None:
        return LOADING
    return text_seconds * (
        _trained(experiment, data) * _fits(experiment.model, folds) * FORWARD_AND_BACK + _evaluated(data, folds)
    )


def _trained(experiment: Experiment, data: TextData) -> float:
    """Return how many texts training reads with their gradients; none of a frozen encoder."""
    size, model, trainer = len(data.train), experiment.model, experiment.trainer
    if isinstance(model, SetfitModel):
        return 2.0 * min(size * model.pairs_per_example, model.max_pairs)
    if isinstance(model, TransformerModel):
        steps = -(-size // trainer.batch_size)
        if trainer.max_steps is not None:
            return float(trainer.max_steps * trainer.batch_size)
        return float(size * trainer.planned_epochs(steps))
    return 0.0


def tried(experiment: Experiment, data: TextData) -> Trial:
    """Fit the model to a slice of the data, and extrapolate what the whole will take.

    It is done in a context of its own, in which no embeddings or tokens are remembered that would not be there later.
    """
    begun = time.perf_counter()
    model, trainer = experiment.model, experiment.trainer
    slice_ = _slice(data, BATCHES * trainer.batch_size)
    if isinstance(model, SetfitModel):
        model = replace(model, max_pairs=BATCHES * model.batch_size)
    if isinstance(model, TransformerModel):
        trainer = replace(trainer, epochs=2, max_steps=None, min_steps=0)
    context = RunContext(experiment.seed, experiment.objective)
    classifier, fit = Context().run(fit_model, model, slice_, trainer, context)
    texts, pairs = texts_of(data.train.select(np.linspace(0, len(data.train) - 1, READ).astype(int)))
    start = time.perf_counter()
    Context().run(classifier.probabilities, list(texts), None if pairs is None else list(pairs))
    text_seconds = (time.perf_counter() - start) / len(texts)
    encoded = text_seconds * (len(data.train) + len(data.validation))
    seconds = encoded
    if isinstance(model, SetfitModel):
        seconds += fit.train_seconds / (2 * model.max_pairs) * _trained(experiment, data)
    elif isinstance(model, TransformerModel):
        passes = _trained(experiment, data) / len(data.train)
        last = fit.epochs[-1].seconds  # the first steps are slower
        seconds = last / len(slice_.train) * _trained(experiment, data)
        seconds += passes * text_seconds * len(data.validation)
    own = time.perf_counter() - begun
    load = max(own - fit.train_seconds - text_seconds * (len(texts) + len(slice_.validation)), 0.0)
    return Trial(seconds, text_seconds, own, load, (1, _fits(model, True)))


def _slice(data: TextData, size: int) -> TextData:
    """Return data whose train split has about so many rows, two of each class among them, and few to validate."""
    labels = labels_of(data.train)
    firsts = [np.flatnonzero(labels == label)[:2] for label in range(data.num_labels)]
    spread = np.linspace(0, len(labels) - 1, size).astype(int)
    rows = np.unique(np.concatenate([*firsts, spread]))
    few = np.unique(np.linspace(0, len(data.validation) - 1, READ).astype(int))
    return replace(data, train=data.train.select(rows), validation=data.validation.select(few))


def needs_a_trial(experiment: Experiment) -> bool:
    """Whether a model costs more than seconds on any data."""
    return not isinstance(experiment.model, ClassicalModel)
