"""What a run leaves in its folder: figures, predictions, pictures and a report."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf
from sklearn.metrics import classification_report

from textclf import records
from textclf.data.text_data import TextData
from textclf.evaluation import plots
from textclf.evaluation.metrics import class_figures
from textclf.evaluation.predictions import Evaluation, prediction_table
from textclf.models.base import FitResult
from textclf.records import RunRecord
from textclf.report import run_report


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
