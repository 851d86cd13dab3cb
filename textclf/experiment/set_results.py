"""Results of a run with sets of labels: predictions, figures and a report in its folder, and what the screen says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from textclf.data.dataset import SPLITS, TextData, counts_of
from textclf.documents.document import to_html, to_markdown
from textclf.evaluation import plots
from textclf.evaluation.label_sets.set_analysis import SetAnalysis, plain_set_analysis
from textclf.evaluation.label_sets.set_metrics import label_figures
from textclf.evaluation.label_sets.set_predictions import SetPredictions, set_prediction_table, set_sample_lines
from textclf.experiment.fitting import Outcome
from textclf.experiment.set_report import ReportedSets, set_report_blocks
from textclf.system.files import write_json, write_text
from textclf.tracking import record as records
from textclf.tracking.record import RunRecord
from textclf.training.plots import plot_training_curves

log = logging.getLogger("textclf.experiment")
screen = logging.getLogger("textclf.said")


def write_set_results(run_dir: Path, record: RunRecord, found: Outcome, analysis: SetAnalysis) -> list[str]:
    """Write the files of a run that depend on its labels being sets.

    Returns:
        The names of the files and folders, which belong in the tracker too.
    """
    predictions = found.test.predictions
    assert isinstance(predictions, SetPredictions)
    names = list(found.data.label_names)
    figures = label_figures(predictions)
    per_label = {
        name: {key: None if values[k] != values[k] else float(values[k]) for key, values in figures.items()}
        for k, name in enumerate(names)
    }
    write_json(run_dir / records.METRICS_FILE, {"metrics": record.metrics, "per_class": per_label})
    tested_table(found, partial(set_prediction_table, found.data, "test")).to_parquet(
        run_dir / records.PREDICTIONS_FILE, index=False
    )
    write_json(run_dir / records.ANALYSIS_FILE, plain_set_analysis(analysis))
    folder = run_dir / records.FIGURES
    folder.mkdir(exist_ok=True)
    plots.plot_class_scores(predictions, folder / "label_scores.png")
    plots.plot_slices(analysis, folder / "slices.png")
    plot_training_curves(found.fit, record.objective, folder / "loss_curve.png")
    counts = {split: counts_of(rows, len(names)) for split, rows in found.splits.items()}
    label_counts = {name: {split: int(counts[split][k]) for split in SPLITS} for k, name in enumerate(names)}
    blocks = set_report_blocks(ReportedSets(record, label_counts, analysis, folder))
    write_text(run_dir / records.REPORT_FILE, to_markdown(blocks, run_dir))
    write_text(run_dir / records.REPORT_PAGE, to_html(record.name, blocks))
    return [
        records.METRICS_FILE,
        records.PREDICTIONS_FILE,
        records.ANALYSIS_FILE,
        records.FIGURES,
        records.REPORT_FILE,
        records.REPORT_PAGE,
    ]


def tested_table(found: Outcome, make: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
    """Return the test predictions; of a cross-validation those of each repeat below one another, with their folds.

    Args:
        found: What was fitted and tested.
        make: Returns the table of predictions of the whole test split.
    """
    if found.fold_numbers is None:
        return make(found.test.predictions)
    tables = []
    for repeat, (predictions, numbers) in enumerate(zip(found.passes, found.fold_numbers, strict=True), 1):
        table = make(predictions)
        table.insert(1, "repeat", repeat)
        table.insert(2, "fold", numbers + 1)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def announce_sets(data: TextData, test: SetPredictions, analysis: SetAnalysis) -> None:
    """Say what is particular to sets of labels: how often they are exactly right, and which labels are hard."""
    log.info("test predictions, for example:\n%s", "\n".join(set_sample_lines(data, test)))
    usual = " + ".join(analysis.usual_set) or "no label"
    screen.info(
        "exactly right on %s of %s test texts (always giving %s: %s)",
        f"{analysis.exact.count:,}", f"{analysis.exact.total:,}", usual, f"{analysis.usual.count:,}",
    )  # fmt: skip
    scored = [one for one in analysis.labels if one.f1 is not None]
    if len(scored) > 1:
        worst, best = (choose(scored, key=lambda one: one.f1 or 0.0) for choose in (min, max))
        screen.info("F1 by label: %.3f (%s) to %.3f (%s)", worst.f1, worst.label, best.f1, best.label)
