"""What a classifier predicted on a split, beside what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.data.options import LANGUAGE_COLUMN
from textclf.evaluation.cost import timed
from textclf.evaluation.metrics import evaluate_predictions

if TYPE_CHECKING:
    from textclf.models.base import Classifier


@dataclass(frozen=True)
class Predictions:
    """Labels and predicted probabilities of n examples."""

    labels: NDArray[np.int64]
    """The true classes, int64 (n,)."""
    probabilities: NDArray[np.float32]
    """Each class's probability, float32 (n, num_labels); rows sum to 1."""
    label_names: tuple[str, ...]
    """Names of the classes, in label order."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each example, int64 (n,); of equals, the first."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class Evaluation:
    """A split's predictions, their metrics, and what predicting took."""

    split: str
    predictions: Predictions
    metrics: dict[str, float]
    """Metrics by name, as `test/accuracy`; an undefined one is absent."""
    seconds: float
    """Duration of predicting alone."""

    @property
    def examples_per_second(self) -> float:
        """Prediction throughput, over the whole split."""
        return len(self.predictions.labels) / self.seconds


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
    probabilities, seconds = timed(lambda: classifier.predict_proba(texts, pairs))
    predictions = Predictions(labels_of(rows), probabilities, data.label_names)
    return Evaluation(split, predictions, measure_predictions(data, split, predictions, further_metrics), seconds)


def measure_predictions(
    data: TextData, split: str, predictions: Predictions, further_metrics: tuple[str, ...] = ()
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
    metrics = evaluate_predictions(predictions, further_metrics)
    rows = data.split(split)
    if LANGUAGE_COLUMN in rows.column_names:
        found = _by_language(predictions, np.array(rows[LANGUAGE_COLUMN][:]))
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
        part = Predictions(predictions.labels[own], predictions.probabilities[own], predictions.label_names)
        found = evaluate_predictions(part)
        metrics |= {f"{name}/{language}": found[name] for name in ("accuracy", "macro_f1") if name in found}
    return metrics


def prediction_table(data: TextData, split: str, predictions: Predictions) -> pd.DataFrame:
    """Return a row per example, in order.

    Columns: `example` (its row in the source's split), `text`, `text_pair` for pairs, `language` where
    it is known, `label`, `prediction`, and `probability_<class>` for each class.
    """
    rows = data.split(split)
    texts, pairs = texts_of(rows)
    names = np.array(data.label_names, dtype=object)
    columns: dict[str, object] = {"example": list(rows["example"]), "text": texts}
    if pairs is not None:
        columns["text_pair"] = pairs
    if LANGUAGE_COLUMN in rows.column_names:
        columns[LANGUAGE_COLUMN] = list(rows[LANGUAGE_COLUMN])
    columns["label"] = names[predictions.labels]
    columns["prediction"] = names[predictions.predicted]
    for label, name in enumerate(data.label_names):
        columns[f"probability_{name}"] = predictions.probabilities[:, label]
    return pd.DataFrame(columns)


def sample_lines(data: TextData, predictions: Predictions, count: int = 4, width: int = 70) -> list[str]:
    """Return a few test predictions with every class's probability, right and wrong, for a person.

    The sample is the same for every model on the same test split: rows evenly spread over it.
    """
    texts, pairs = texts_of(data.test)
    lines = []
    for row in map(int, np.unique(np.linspace(0, len(texts) - 1, count).astype(int))):
        text = " ".join((texts[row] if pairs is None else f"{texts[row]} ⇒ {pairs[row]}").split())
        text = text if len(text) <= width else text[: width - 1] + "…"
        truth, guess = predictions.labels[row], predictions.predicted[row]
        order = np.argsort(-predictions.probabilities[row], kind="stable")[:6]
        scores = ", ".join(f"{data.label_names[k]} {predictions.probabilities[row, k]:.2f}" for k in order)
        verdict = "right" if truth == guess else f"wrong: {data.label_names[truth]}"
        lines += [f"  “{text}”", f"    {scores}   ({verdict})"]
    return lines
