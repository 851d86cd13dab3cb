"""Run folders with made-up predictions, as a run would have left them."""

import numpy as np
import pandas as pd

from tests.tracking.test_record import RECORD
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.label_sets.set_predictions import SetPredictions, names_of
from textclf.tracking import record as records

NAMES = ("negative", "positive")


def probabilities(predicted, num_labels, sure=0.8):
    """Return probabilities that make these predictions."""
    table = np.full((len(predicted), num_labels), (1 - sure) / (num_labels - 1), dtype=np.float32)
    table[np.arange(len(predicted)), predicted] = sure
    return table


def write_run(
    folder,
    model,
    seed,
    labels,
    predicted,
    *,
    names=NAMES,
    dataset="d",
    options=None,
    train=100,
    test_set=None,
    **changes,
):
    """Write the folder of a finished run.

    `options` go into the model's config; `changes` replace fields of the record.
    """
    folder.mkdir(parents=True)
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    table = pd.DataFrame({"example": np.arange(len(labels)), "text": [f"text {i}" for i in range(len(labels))]})
    table["label"] = np.array(names, dtype=object)[labels]
    table["prediction"] = np.array(names, dtype=object)[predicted]
    for label, name in enumerate(names):
        table[f"probability_{name}"] = probabilities(predicted, len(names))[:, label]
    table.to_parquet(folder / records.PREDICTIONS_FILE)
    f1 = [
        2 * ((labels == c) & (predicted == c)).sum() / max(1, (labels == c).sum() + (predicted == c).sum())
        for c in range(len(names))
    ]
    accuracy = float((labels == predicted).mean())
    data = {
        "label_names": list(names), "examples": {"train": train, "validation": 10, "test": len(labels)},
        "test_fingerprint": test_set or f"{dataset}-{len(labels)}",
    }  # fmt: skip
    config = {
        "dataset": {"name": dataset, "max_train_examples": None if train == 100 else train},
        "model": {"name": model, **(options or {})}, "trainer": {"epochs": 1}, "objective": "validation/accuracy", "seed": seed,
    }  # fmt: skip
    costs = {
        "num_parameters": 1000.0 * len(model), "train_seconds": 2.0, "train_examples_per_second": 50.0,
        "test_examples_per_second": 100.0, "latency_median_seconds": 0.01, "latency_p95_seconds": 0.02,
        "peak_memory_bytes": 1e8, "size_bytes": 1e6,
    }  # fmt: skip
    fields = {
        "name": f"{dataset}/{model}/seed{seed}", "dataset": dataset, "model": model, "seed": seed, "trainer": "torch",
        "metrics": {"test/accuracy": accuracy, "test/macro_f1": float(np.mean(f1)), "validation/accuracy": accuracy,
                    "test/log_loss": float(np.where(labels == predicted, -np.log(0.8), -np.log(0.2 / (len(names) - 1))).mean())},
        "costs": costs, "data": data, "config": config, "fit": {"device": "cpu"}, "environment": {"torch": "2"},
    }  # fmt: skip
    records.write_record(folder, records.RunRecord(**{**RECORD.__dict__, **fields, **changes}))
    return folder


def labels_of(count, num_labels=2, seed=0):
    return np.random.default_rng(seed).integers(0, num_labels, count)


def guess(labels, accuracy, seed, num_labels=2):
    """Return predictions that are right with a chance, and else another class."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, num_labels, len(labels))) % num_labels
    return np.where(rng.random(len(labels)) < accuracy, labels, wrong)


def write_set_run(
    folder, model, seed, truth, given, *, names, dataset="tickets", sure=0.8, objective="macro_f1", **changes
):
    """Write the folder of a finished run whose labels are sets: truth and given are bool (n, num_labels).

    Of a cross-validation `given` is (repeats, n, num_labels) and `numbers`, int (repeats, n), has the folds.
    """
    numbers = changes.pop("numbers", None)
    folder.mkdir(parents=True)
    passes = given if numbers is not None else given[None]
    tables, scores = [], []
    for repeat, own in enumerate(passes, 1):
        found = np.where(own, sure, 1 - sure).astype(np.float32)
        predictions = SetPredictions(truth, found, tuple(names), np.full(len(names), 0.5))
        scores.append(evaluate_sets(predictions))
        table = pd.DataFrame({"example": np.arange(len(truth)), "text": [f"text {i}" for i in range(len(truth))]})
        if numbers is not None:
            table["repeat"], table["fold"] = repeat, numbers[repeat - 1] + 1
        table["labels"], table["prediction"] = (names_of(rows, tuple(names)) for rows in (truth, own))
        for label, name in enumerate(names):
            table[f"probability_{name}"] = found[:, label]
        tables.append(table)
    pd.concat(tables).to_parquet(folder / records.PREDICTIONS_FILE)
    metrics = {f"test/{name}": float(np.mean([one[name] for one in scores])) for name in scores[0]}
    examples = {"train": 100, "validation": 10, "test": len(truth)}
    data = {
        "label_names": list(names),
        "sets": True,
        "examples": examples,
        "test_fingerprint": f"{dataset}-{len(truth)}",
    }
    config = {
        "dataset": {"name": dataset},
        "model": {"name": model},
        "objective": f"validation/{objective}",
        "seed": seed,
    }
    fields = {
        "name": f"{dataset}/{model}/seed{seed}", "dataset": dataset, "model": model, "seed": seed, "trainer": "none",
        "metrics": {**metrics, **{name.replace("test", "validation"): value for name, value in metrics.items()}},
        "costs": {"train_seconds": 2.0}, "data": data, "config": config, "fit": {"draws_seed": True}, "environment": {},
        "objective": f"validation/{objective}",
        "folds": None if numbers is None else {"folds": int(numbers.max()) + 1, "repeats": len(numbers), "fingerprint": "f"},
    }  # fmt: skip
    records.write_record(folder, records.RunRecord(**{**RECORD.__dict__, **fields, **changes}))
    return folder
