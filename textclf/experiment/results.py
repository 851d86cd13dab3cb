"""Results of a run: predictions, figures and a report in its folder, and a summary on the screen."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from sklearn.metrics import classification_report, confusion_matrix

from textclf.data.dataset import SPLITS, TextData, labels_of
from textclf.documents.document import to_html, to_markdown
from textclf.documents.escape import csv_table
from textclf.evaluation import plots
from textclf.evaluation.analysis import Analysis, plain_analysis, plain_attributions
from textclf.evaluation.attributions import attributions_page
from textclf.evaluation.evaluate import Evaluation
from textclf.evaluation.label_sets.set_analysis import SetAnalysis
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.metrics import class_figures, undefined_metrics
from textclf.evaluation.mistakes import explored_mistakes
from textclf.evaluation.predictions import Predictions, prediction_table, sample_lines
from textclf.evaluation.report import ATTRIBUTIONS_PAGE
from textclf.experiment.fitting import Outcome
from textclf.experiment.report import ReportedRun, report_blocks
from textclf.experiment.set_results import announce_sets, tested_table, write_set_results
from textclf.system import timing
from textclf.system.files import write_json, write_text
from textclf.tracking import record as records
from textclf.tracking.record import RunRecord
from textclf.training.plots import plot_training_curves

log = logging.getLogger("textclf.experiment")
screen = logging.getLogger("textclf.said")


def write_results(run_dir: Path, record: RunRecord, found: Outcome, analysis: Analysis | SetAnalysis) -> list[str]:
    """Write all of a run's files but `run.json` and the classifier.

    Returns:
        The names of the files and folders, which belong in the tracker too.
    """
    write_text(run_dir / records.CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.create(record.config)))
    if isinstance(analysis, SetAnalysis):
        return [records.CONFIG_FILE, *write_set_results(run_dir, record, found, analysis)]
    data, predictions = found.data, found.test.predictions
    assert isinstance(predictions, Predictions)
    names = list(data.label_names)
    figures = class_figures(predictions.predicted, predictions.labels, len(names))
    per_class = {
        name: {key: None if values[k] != values[k] else float(values[k]) for key, values in figures.items()}
        for k, name in enumerate(names)
    }
    write_json(run_dir / records.METRICS_FILE, {"metrics": record.metrics, "per_class": per_class})
    report = classification_report(
        predictions.labels,
        predictions.predicted,
        labels=list(range(len(names))),
        target_names=names,
        digits=4,
        zero_division=0,
    )
    write_text(run_dir / "classification_report.txt", str(report))
    tested_table(found, partial(prediction_table, found.data, "test")).to_parquet(
        run_dir / records.PREDICTIONS_FILE, index=False
    )

    folder = run_dir / records.FIGURES
    folder.mkdir(exist_ok=True)
    plots.plot_confusion_matrix(predictions, folder / "confusion_matrix.png")
    plots.plot_roc_curves(predictions, folder / "roc_curve.png")
    plots.plot_precision_recall_curves(predictions, folder / "precision_recall_curve.png")
    plot_training_curves(found.fit, record.objective, folder / "loss_curve.png")
    plots.plot_class_scores(predictions, folder / "class_scores.png")
    more = write_analysis(run_dir, analysis, record.name)
    counts = {split: np.bincount(labels_of(rows), minlength=len(names)) for split, rows in found.splits.items()}
    class_counts = {name: {split: int(counts[split][k]) for split in SPLITS} for k, name in enumerate(names)}
    confusions = confusion_matrix(predictions.labels, predictions.predicted, labels=list(range(len(names))))
    explored = explored_mistakes(data, predictions)
    counted = tuple(map(tuple, confusions.tolist()))
    blocks = report_blocks(ReportedRun(record, per_class, class_counts, analysis, folder, counted, explored))
    write_text(run_dir / records.REPORT_FILE, to_markdown(blocks, run_dir))
    write_text(run_dir / records.REPORT_PAGE, to_html(record.name, blocks))
    return [
        records.CONFIG_FILE,
        records.METRICS_FILE,
        "classification_report.txt",
        records.PREDICTIONS_FILE,
        records.FIGURES,
        *more,
        records.REPORT_FILE,
        records.REPORT_PAGE,
    ]


def write_analysis(run_dir: Path, analysis: Analysis, title: str) -> list[str]:
    """Write the error analysis: figures as JSON and CSV, pictures, and the page of attributions under a title.

    Returns:
        The names of the files, without the pictures.
    """
    folder = run_dir / records.FIGURES
    plots.plot_reliability(analysis, folder / "reliability.png")
    plots.plot_coverage(analysis, folder / "coverage.png")
    plots.plot_slices(analysis, folder / "slices.png")
    said = plain_analysis(analysis)
    write_json(run_dir / records.ANALYSIS_FILE, said)
    files = [records.ANALYSIS_FILE]
    for name, rows in [("slices", pd.json_normalize(said["slices"], sep="_")), ("confused_pairs", said["pairs"])]:
        table = pd.DataFrame(rows)
        if len(table):
            write_text(run_dir / f"{name}.csv", csv_table(table).to_csv(index=False))
            files.append(f"{name}.csv")
    if analysis.attributions:
        write_json(run_dir / "attributions.json", plain_attributions(analysis))
        write_text(run_dir / ATTRIBUTIONS_PAGE, attributions_page(title, analysis.attributions))
        files += ["attributions.json", ATTRIBUTIONS_PAGE]
    return files


def announce(
    record: RunRecord, data: TextData, test: Evaluation, analysis: Analysis | SetAnalysis, run_dir: Path
) -> None:
    """Say how it ended: scores, the worst slice and the next commands; a few predictions and the time go to the log."""
    if isinstance(analysis, SetAnalysis):
        assert isinstance(test.predictions, SetPredictions)
        screen.info("%s", scores_said(record))
        announce_sets(data, test.predictions, analysis)
    else:
        assert isinstance(test.predictions, Predictions)
        _announce_classes(record, data, test.predictions, test.metrics, analysis)
    log.info("it took %s", timing.format_phases(record.phases))
    here = _from_here(run_dir)
    screen.info("the report: %s", f"{here}/{records.REPORT_PAGE}")
    if (run_dir / records.CLASSIFIER).is_dir():
        screen.info("predict with it:         %s", records.predict_command(here, data.has_pairs))
    screen.info("compare it with another: python -m textclf.compare %s OTHER_RUN", shlex.quote(here))
    if url := record.tracking["url"]:
        screen.info("browse it in MLflow:     python -m textclf.ui, then %s", url)


def _announce_classes(
    record: RunRecord, data: TextData, predictions: Predictions, metrics: Iterable[str], analysis: Analysis
) -> None:
    """Say what is particular to one class a text."""
    log.info("test predictions, for example:\n%s", "\n".join(sample_lines(data, predictions)))
    missing = undefined_metrics(predictions, [name.removeprefix("test/") for name in metrics])
    if missing:
        log.info("test metrics %s", missing)
    majority = max(labels_of(data.test).tolist().count(k) for k in range(data.num_labels)) / len(data.test)
    screen.info("%s (the most frequent class alone: accuracy %.4f)", scores_said(record), majority)
    worst = analysis.worst_slice
    slice_words = "no slice worse than the rest beyond chance"
    if worst is not None:
        slice_words = f"worst slice {worst.by} {worst.value}: accuracy {worst.right} of {worst.right.total:,}"
    own = analysis.calibration
    calibrated = "" if own is None else f"calibration error {own.ece:.3f} (up to {own.by_chance:.3f} by chance); "
    screen.info("%s%s", calibrated, slice_words)


def scores_said(record: RunRecord) -> str:
    """Return a run's name and its scores for a person."""
    names = ("test/accuracy", "test/micro_f1", "test/macro_f1")
    shown = [f"{key} {record.metrics[key]:.4f}" for key in names if key in record.metrics]
    return f"{record.name}: {', '.join(shown)}"


def _from_here(folder: Path) -> str:
    """Return a folder as a person types it: from the working directory where it lies below that."""
    path = os.path.relpath(folder)
    return str(folder) if path.startswith(os.pardir) else path
