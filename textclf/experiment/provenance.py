"""Provenance of a run, as its record holds it: options, data, costs and the course of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from textclf.data.dataset import SPLITS, TextData
from textclf.data.options import DatasetOptions
from textclf.experiment.options import GROUPS, Experiment, RunOptions
from textclf.system.files import plain

if TYPE_CHECKING:
    from textclf.evaluation.evaluate import Evaluation
    from textclf.models.base import Classifier
    from textclf.system.memory import Peak
    from textclf.training.result import FitResult


def resolved_options(experiment: Experiment) -> dict[str, Any]:
    """Return every option as plain values, by group."""
    config: dict[str, Any] = {}
    for group in GROUPS:
        node = getattr(experiment, group)
        options = node.plain_options() if isinstance(node, DatasetOptions) else asdict(node)
        config[group] = {"_target_": f"{type(node).__module__}.{type(node).__name__}", **plain(options)}
    config |= {option.name: getattr(experiment, option.name) for option in fields(RunOptions)}
    return config | {"run_name": experiment.title}


def tags_of(experiment: Experiment, fingerprint: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a run is found by in the tracker."""
    return {
        "dataset": experiment.dataset.display_name,
        "model": experiment.model.name,
        "trainer": experiment.engine,
        "seed": str(experiment.seed),
        "config_fingerprint": fingerprint,
        **{key: environment[key] for key in ("git_commit", "textclf", "torch", "transformers") if key in environment},
    }


def described(data: TextData) -> dict[str, Any]:
    """Return what a record says of the data."""
    examples = {split: len(data.split(split)) for split in SPLITS}
    if data.folds is not None:
        examples["test"] = len(data.folds.pool)
    return {
        "source": data.source,
        "fingerprint": data.fingerprint,
        "test_fingerprint": data.test_fingerprint,
        "label_names": list(data.label_names),
        **({"label_descriptions": data.label_descriptions} if data.label_descriptions else {}),
        "pairs": data.has_pairs,
        **({"sets": True} if data.has_sets else {}),
        "examples": examples,
        **({"rejected": data.rejected} if data.rejected else {}),
        **({"extra_train": data.extra_train} if data.extra_train else {}),
    }


def costs_of(fit: FitResult, test: Evaluation, peak: Peak) -> dict[str, float]:
    """Return what a fit and its predictions cost, as a record names it."""
    counts = {"num_parameters": fit.num_parameters, "num_trainable_parameters": fit.num_trainable}
    costs = {name: float(count) for name, count in counts.items() if count is not None}
    costs |= {
        "train_seconds": fit.train_seconds,
        "test_examples_per_second": test.examples_per_second,
        "peak_memory_bytes": float(peak.memory_bytes),
    }
    if fit.train_examples:  # none were seen without training
        costs["train_examples_per_second"] = fit.examples_per_second
    costs |= test.costs
    if peak.gpu_memory_bytes is not None:
        costs["peak_gpu_memory_bytes"] = float(peak.gpu_memory_bytes)
    return costs


def money_of(costs: Mapping[str, float], classifier: Classifier, price_per_hour: float | None) -> dict[str, float]:
    """Return what a run cost in money, by the names that a record has for it; empty where no price is known.

    A service's price of 1,000 texts is that of their tokens, and `paid` what this process paid for answers that were
    not kept from before. What runs here has the price of the machine's time.

    Args:
        costs: The other costs.
        classifier: What predicted.
        price_per_hour: The price of an hour of this machine.
    """
    found: dict[str, float] = {}
    if (account := classifier.billed) is not None:
        found["paid"] = account.paid
    if price_per_hour is not None and "price_per_1000_texts" not in costs:
        found["price_per_1000_texts"] = 1000 / costs["test_examples_per_second"] * price_per_hour / 3600
    if price_per_hour is not None and account is None:
        found["price_of_training"] = costs.get("folds_seconds", costs["train_seconds"]) * price_per_hour / 3600
    return found


def course_of(fit: FitResult) -> dict[str, Any]:
    """Return what a record says of a fit: all but its predictions, and when it began."""
    said = plain(asdict(replace(fit, validation_probabilities=None)))
    del said["validation_probabilities"], said["began"]
    return said
