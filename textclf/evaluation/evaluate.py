"""Predict a split with a fitted classifier, score the predictions, and measure what predicting costs.

Costs are measured in the same way for every model. Latency: single examples of the validation split, spread over it,
each predicted on its own after a few that are not counted. Throughput: the whole test split at once, after that
warm-up; what takes an instant is repeated until it has taken long enough to be timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.data.options import LANGUAGE_COLUMN
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.label_sets.set_predictions import SetPredictions, set_predictions
from textclf.evaluation.metrics import evaluate_predictions
from textclf.evaluation.predictions import Predictions
from textclf.models.embeddings.vector_cache import VECTORS

if TYPE_CHECKING:
    from textclf.models.base import Classifier

T = TypeVar("T")

BY_LANGUAGE = ("subset_accuracy", "micro_f1")
"""Metrics of sets of labels that each language has of its own."""

WARM_UP = 5
"""Single predictions that are not counted."""
SINGLES = 100
"""Single predictions that are timed, unless they take too long."""
FEWEST_SINGLES = 10
SINGLES_SECONDS = 2.0
"""After this time no further single example is predicted, once there are the fewest."""
REPEAT_SECONDS = 0.2
"""Work that takes less is repeated, and its median time reported."""
MOST_REPEATS = 7


@dataclass(frozen=True)
class Evaluation:
    """A split's predictions, their metrics, and what predicting took."""

    split: str
    predictions: Predictions | SetPredictions
    metrics: dict[str, float]
    """Metrics by name, as `test/accuracy`; an undefined one is absent."""
    seconds: float
    """Duration of predicting alone."""
    costs: dict[str, float] = field(default_factory=dict)
    """What the answers of a service took, by the names that a record has for it."""

    @property
    def examples_per_second(self) -> float:
        """Prediction throughput, over the whole split."""
        return len(self.predictions) / self.seconds


def evaluate_split(
    classifier: Classifier, data: TextData, split: str, further_metrics: tuple[str, ...] = ()
) -> Evaluation:
    """Predict a split and measure how well.

    Args:
        classifier: A fitted classifier of the same classes.
        data: The data.
        split: `train`, `validation` or `test`.
        further_metrics: Names of metrics in `evaluate` to compute as well.
    """
    rows = data.split(split)
    texts, pairs = texts_of(rows)
    costs: dict[str, float] = {}
    if (account := classifier.billed) is None:
        probabilities, seconds = timed(lambda: classifier.probabilities(texts, pairs))
    else:
        account.clear()
        probabilities = classifier.probabilities(texts, pairs)
        costs, seconds = account.costs(), account.whole_seconds
    given = classifier.gives_probabilities
    predictions: Predictions | SetPredictions
    if classifier.thresholds is None:
        predictions = Predictions(labels_of(rows), probabilities, data.label_names, given)
    else:
        found = set_predictions(data, split, probabilities, given)
        predictions = found.at(classifier.thresholds)
    metrics = measure_predictions(data, split, predictions, further_metrics)
    return Evaluation(split, predictions, metrics, seconds, costs)


def measure_predictions(
    data: TextData, split: str, predictions: Predictions | SetPredictions, further_metrics: tuple[str, ...] = ()
) -> dict[str, float]:
    """Return the metrics of what was predicted on a split, by name, as `test/accuracy`.

    Where languages are known, each has an accuracy and a macro F1 of its own (`test/accuracy/de`), and
    `test/accuracy/average_of_languages` counts each language the same. Where some languages do not
    occur in train, `test/zero_shot_gap` is the mean accuracy over those that do, less that over the others.

    Args:
        data: The data.
        split: `train`, `validation` or `test`.
        predictions: What was predicted on it.
        further_metrics: Names of metrics in `evaluate` to compute as well.
    """
    rows = data.split(split)
    languages = np.array(rows[LANGUAGE_COLUMN][:]) if LANGUAGE_COLUMN in rows.column_names else None
    if isinstance(predictions, SetPredictions):
        metrics = evaluate_sets(predictions)
        if languages is not None:
            metrics |= _sets_by_language(predictions, languages)
    else:
        metrics = evaluate_predictions(predictions, further_metrics)
        if languages is not None:
            found = _by_language(predictions, languages)
            metrics |= found | _over_languages(found, set(data.train.unique(LANGUAGE_COLUMN)))
    return {f"{split}/{name}": value for name, value in metrics.items()}


def _over_languages(metrics: dict[str, float], trained: set[str]) -> dict[str, float]:
    """Return the mean accuracy over languages, and how far it lies below in those that were not trained on."""
    by_language = {name.partition("/")[2]: value for name, value in metrics.items() if name.startswith("accuracy/")}
    if len(by_language) < 2:
        return {}
    found = {"accuracy/average_of_languages": float(np.mean(list(by_language.values())))}
    seen = [value for language, value in by_language.items() if language in trained]
    unseen = [value for language, value in by_language.items() if language not in trained]
    if seen and unseen:
        found["zero_shot_gap"] = float(np.mean(seen) - np.mean(unseen))
    return found


def _by_language(predictions: Predictions, languages: NDArray[np.str_]) -> dict[str, float]:
    """Return accuracy and macro F1 on the examples of each language, as `accuracy/de`."""
    metrics = {}
    for language in np.unique(languages).tolist():
        own = languages == language
        part = replace(predictions, labels=predictions.labels[own], probabilities=predictions.probabilities[own])
        found = evaluate_predictions(part)
        metrics |= {f"{name}/{language}": found[name] for name in ("accuracy", "macro_f1") if name in found}
    return metrics


def _sets_by_language(predictions: SetPredictions, languages: NDArray[np.str_]) -> dict[str, float]:
    """Return subset accuracy and micro F1 on the examples of each language, as `micro_f1/de`."""
    metrics = {}
    for language in np.unique(languages).tolist():
        found = evaluate_sets(predictions.rows(languages == language))
        metrics |= {f"{name}/{language}": found[name] for name in BY_LANGUAGE if name in found}
    return metrics


def latency(classifier: Classifier, data: TextData) -> dict[str, float]:
    """Return the latency of single examples: `latency_median_seconds` and `latency_p95_seconds`.

    Nothing is returned for a classifier that is billed: its answers to the test split have a duration each.
    """
    if classifier.billed is not None:
        return {}
    split = data.validation if len(data.validation) else data.test
    rows = np.linspace(0, len(split) - 1, WARM_UP + SINGLES).astype(int)
    texts, pairs = texts_of(split.select(rows))
    taken: list[float] = []
    begun = time.perf_counter()
    for number, text in enumerate(texts):
        pair = None if pairs is None else [pairs[number]]
        start = time.perf_counter()
        classifier.probabilities([text], pair)
        end = time.perf_counter()
        if number >= WARM_UP:
            taken.append(end - start)
        if len(taken) >= FEWEST_SINGLES and end - begun > SINGLES_SECONDS:
            break
    median, high = np.percentile(taken, [50, 95])
    return {"latency_median_seconds": float(median), "latency_p95_seconds": float(high)}


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work gives, and its duration in seconds; the median of several where it is short.

    Embeddings that an earlier run made count as long as it took to make them.
    """
    taken: list[float] = []
    while True:
        start, saved = time.perf_counter(), VECTORS.seconds_saved
        result = work()
        taken.append(time.perf_counter() - start + VECTORS.seconds_saved - saved)
        if sum(taken) >= REPEAT_SECONDS or len(taken) >= MOST_REPEATS:
            return result, float(np.median(taken))
