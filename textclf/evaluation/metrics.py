"""Metrics of predictions: each a function over scikit-learn's, and further ones by their name in `evaluate`.

An undefined metric (a ratio without cases) is left out and the log says why; no value is made up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from textclf.errors import first_line, listed
from textclf.evaluation.calibration import expected_calibration_error
from textclf.evaluation.metric_names import METRICS, OF_SETS
from textclf.system.hub import hub_or_cache
from textclf.system.imports import without_working_folder

if TYPE_CHECKING:
    from evaluate import EvaluationModule

    from textclf.evaluation.predictions import Predictions

log = logging.getLogger(__name__)


class UndefinedMetric(Exception):  # noqa: N818  (an answer, not a fault)
    """A metric has no value for these predictions; the message says why."""


def accuracy(predictions: Predictions) -> dict[str, float]:
    """Return the share of examples whose most probable class is the true one."""
    return {"accuracy": float(accuracy_score(predictions.labels, predictions.predicted))}


def precision_recall_f1(predictions: Predictions) -> dict[str, float]:
    """Return precision, recall and F1, as the mean over classes (macro) or weighted by their true counts.

    A class that is never predicted has no precision, and one that never occurs has no recall: the
    means over classes are then undefined. F1 is 0 for the first, and undefined only for a class
    that neither occurs nor is predicted.
    """
    figures = class_figures(predictions.predicted, predictions.labels, len(predictions.label_names))
    weights = figures["support"] / figures["support"].sum()
    means: dict[str, float] = {}
    for name in ("f1", "precision", "recall"):
        means[f"macro_{name}"] = float(np.mean(figures[name]))  # nan where a class has none
        counted = weights > 0
        means[f"weighted_{name}"] = float(np.sum((figures[name] * weights)[counted]))
    return means


def matthews_correlation(predictions: Predictions) -> dict[str, float]:
    """Return the Matthews correlation coefficient, -1 to 1, for any number of classes (Gorodkin 2004)."""
    for values, what in [(predictions.predicted, "all predictions are"), (predictions.labels, "all labels are")]:
        if len(np.unique(values)) == 1:
            raise UndefinedMetric(f"{what} of one class")
    return {"mcc": float(matthews_corrcoef(predictions.labels, predictions.predicted))}


def roc_auc(predictions: Predictions) -> dict[str, float]:
    """Return the area under the ROC curve; for more than two classes, the mean of each against the rest."""
    _refuse_without_probabilities(predictions)
    probabilities = predictions.probabilities.astype(np.float64)
    truth = np.eye(probabilities.shape[1])[predictions.labels]
    if not (truth.any(axis=0) & ~truth.all(axis=0)).all():
        raise UndefinedMetric("a class has no examples, or all of them")
    if probabilities.shape[1] == 2:
        return {"roc_auc": float(roc_auc_score(predictions.labels, probabilities[:, 1]))}
    return {"roc_auc": float(roc_auc_score(truth, probabilities, average="macro"))}


def negative_log_likelihood(predictions: Predictions) -> dict[str, float]:
    """Return the mean negative log-probability of the true class, in nats."""
    _refuse_without_probabilities(predictions)
    probabilities = predictions.probabilities.astype(np.float64)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return {"log_loss": float(log_loss(predictions.labels, probabilities, labels=range(probabilities.shape[1])))}


def calibration_error(predictions: Predictions) -> dict[str, float]:
    """Return the expected calibration error of the most probable class, in 15 bins of equal width (Guo et al. 2017)."""
    _refuse_without_probabilities(predictions)
    return {"ece": expected_calibration_error(predictions.probabilities, predictions.labels)}


def _refuse_without_probabilities(predictions: Predictions) -> None:
    if not predictions.have_probabilities:
        raise UndefinedMetric("not every example has probabilities")


COMPUTED = (
    accuracy,
    precision_recall_f1,
    matthews_correlation,
    roc_auc,
    negative_log_likelihood,
    calibration_error,
)
"""Functions that compute the metrics of single classes."""


def evaluate_predictions(predictions: Predictions, further_metrics: Iterable[str] = ()) -> dict[str, float]:
    """Return every metric that is defined for these predictions, by name.

    Args:
        predictions: Labels and probabilities of at least one example.
        further_metrics: Names of metrics in `evaluate`; each is loaded from the Hub, as code.
    """
    results: dict[str, float] = {}
    for metric in COMPUTED:
        try:
            results.update(metric(predictions))
        except UndefinedMetric as reason:
            log.debug("%s is undefined: %s", metric.__name__, reason)
    for name in further_metrics:
        results.update(_further(name, predictions.predicted.tolist(), predictions.labels.tolist()))
    ordered = {name: results.pop(name) for name in METRICS if name in results} | results
    return {name: value for name, value in ordered.items() if np.isfinite(value)}


def undefined_metrics(predictions: Predictions, metrics: Iterable[str]) -> str:
    """Return why metrics of single classes are missing from those computed, for a person; empty if none is."""
    missing = [name for name in METRICS if name not in OF_SETS and name not in set(metrics)]
    if not missing:
        return ""
    names = predictions.label_names
    if not predictions.have_probabilities:
        why = "it names classes without probabilities" if not predictions.are_given else "some answers name no class"
        return f"undefined and left out: {listed(missing)} ({why}, or a class is never predicted)"
    never = [names[k] for k in set(range(len(names))) - set(predictions.predicted.tolist())]
    absent = [names[k] for k in set(range(len(names))) - set(predictions.labels.tolist())]
    reasons = [f"{listed(never, 5)} never predicted"] if never else []
    reasons += [f"{listed(absent, 5)} without examples"] if absent else []
    return f"undefined and left out: {listed(missing)} ({'; '.join(reasons) or 'not finite'})"


def _further(name: str, predicted: list[int], labels: list[int]) -> dict[str, float]:
    """Compute a metric of the Hub's by name."""
    try:
        with without_working_folder(), hub_or_cache() as access:
            result = _own_metric(name, access.online).compute(predictions=predicted, references=labels)
    except Exception as error:  # code from elsewhere; its faults must not cost a finished training
        log.warning("metric %r could not be computed: %s", name, first_line(error))
        return {}
    return {key: float(value) for key, value in (result or {}).items() if isinstance(value, (int, float, np.number))}


def _own_metric(name: str, online: bool) -> EvaluationModule:
    """Load a metric of `evaluate` itself, by its full id on the Hub or from the cache of metrics that came from there.

    `evaluate.load` looks for `./NAME/NAME.py` first, and for `./evaluate-metric/NAME/NAME.py` by the full id, so the
    steps behind it are taken here.

    Raises:
        FileNotFoundError: If there is none of that name, or it is not in the cache and the Hub may not be asked.
    """
    from evaluate import loading  # takes five seconds, which other runs need not wait for

    unpacked = loading.DownloadConfig(extract_compressed_file=True, force_extract=True)
    try:
        if not online:
            raise FileNotFoundError("the Hub may not be asked")
        module = loading.HubEvaluationModuleFactory(f"evaluate-metric/{name}", download_config=unpacked).get_module()
    except (ConnectionError, FileNotFoundError):
        try:
            module = loading.CachedEvaluationModuleFactory(f"evaluate-metric--{name}").get_module()
        except FileNotFoundError:
            where = "has none of that name, or cannot be reached" if online else "may not be asked"
            raise FileNotFoundError(f"evaluate-metric/{name} is not in the cache, and the Hub {where}") from None
    metric: Any = loading.import_main_class(module.module_path)
    loaded = metric(keep_in_memory=True, hash=module.hash)
    loaded.download_and_prepare()
    return loaded


def class_figures(predictions: Any, references: Any, num_labels: int) -> dict[str, NDArray[np.float64]]:
    """Return `precision`, `recall`, `f1` and `support` of each class, float64 (num_labels,).

    A figure that is undefined for a class is nan. A prediction of no class (-1) counts against its true class alone.
    """
    precision, recall, _, support = precision_recall_fscore_support(
        references, predictions, labels=list(range(num_labels)), zero_division=np.nan
    )
    given, true = np.asarray(predictions), np.asarray(references)
    hits = np.bincount(true[given == true], minlength=num_labels)
    cases = np.bincount(given[given >= 0], minlength=num_labels) + np.bincount(true, minlength=num_labels)
    f1 = np.divide(2 * hits, cases, out=np.full(num_labels, np.nan), where=cases > 0)
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}
