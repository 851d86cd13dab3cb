"""What a run leaves: figures, predictions, pictures and a report in its folder, and a word on the screen."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import OmegaConf
from sklearn.metrics import classification_report

from textclf import records
from textclf.data.text_data import TextData, labels_of
from textclf.evaluation import plots
from textclf.evaluation.metrics import class_figures, undefined_metrics
from textclf.evaluation.predictions import Evaluation, prediction_table, sample_lines
from textclf.models.base import FitResult
from textclf.records import RunRecord
from textclf.report import run_report

log = logging.getLogger("textclf.experiment")


def write_results(run_dir: Path, record: RunRecord, data: TextData, fit: FitResult, test: Evaluation) -> list[str]:
    """Write all of a run's files but `run.json` and the classifier.

    Returns:
        The names of the files and folders, which belong in the tracker too.
    """
    predictions, names = test.predictions, list(data.label_names)
    figures = class_figures(predictions.predicted, predictions.labels, len(names))
    per_class = {
        name: {key: None if values[k] != values[k] else float(values[k]) for key, values in figures.items()}
        for k, name in enumerate(names)
    }
    records.write_json(run_dir / records.METRICS_FILE, {"metrics": record.metrics, "per_class": per_class})
    records.write_text(run_dir / records.CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.create(record.config)))
    report = classification_report(
        predictions.labels,
        predictions.predicted,
        labels=list(range(len(names))),
        target_names=names,
        digits=4,
        zero_division=0,
    )
    records.write_text(run_dir / "classification_report.txt", str(report))
    prediction_table(data, "test", predictions).to_parquet(run_dir / records.PREDICTIONS_FILE, index=False)

    folder = run_dir / records.FIGURES
    folder.mkdir(exist_ok=True)
    title = record.name
    plots.plot_confusion_matrix(predictions, title, folder / "confusion_matrix.png")
    plots.plot_roc_curves(predictions, title, folder / "roc_curve.png")
    plots.plot_precision_recall_curves(predictions, title, folder / "precision_recall_curve.png")
    plots.plot_training_curves(fit, record.objective, title, folder / "loss_curve.png")
    drawn = sorted(path.name for path in folder.iterdir())
    records.write_text(run_dir / records.REPORT_FILE, run_report(record, per_class, drawn))
    return [
        records.METRICS_FILE,
        records.CONFIG_FILE,
        "classification_report.txt",
        records.PREDICTIONS_FILE,
        records.FIGURES,
        records.REPORT_FILE,
    ]


def announce(record: RunRecord, data: TextData, test: Evaluation, run_dir: Path) -> None:
    """Print how it ended: a few predictions, what is undefined, the scores, and where to look."""
    log.info("test predictions, for example:\n%s", "\n".join(sample_lines(data, test.predictions)))
    missing = undefined_metrics(test.predictions, [name.removeprefix("test/") for name in test.metrics])
    if missing:
        log.info("test metrics %s", missing)
    majority = max(labels_of(data.test).tolist().count(k) for k in range(data.num_labels)) / len(data.test)
    shown = [f"{key} {record.metrics[key]:.4f}" for key in ("test/accuracy", "test/macro_f1") if key in record.metrics]
    log.info("%s: %s (the most frequent class alone: accuracy %.4f)", record.name, ", ".join(shown), majority)
    log.info("all of it in %s", run_dir)
    if url := record.tracking["url"]:
        log.info("in MLflow (make ui): %s", url)
