"""The evaluation page of an input that has true labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Heading,
    Paragraph,
    Picture,
    Table,
    to_html,
    to_markdown,
)
from textclf.documents.wording import decimals
from textclf.errors import ArtifactError
from textclf.evaluation.calibration import calibration_of
from textclf.evaluation.label_sets.label_blocks import label_table
from textclf.evaluation.label_sets.set_analysis import label_scores
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.metrics import class_figures, evaluate_predictions
from textclf.evaluation.mistakes import confused_pairs
from textclf.evaluation.plots import plot_class_scores, plot_confusion_matrix
from textclf.evaluation.proportions import Proportion
from textclf.evaluation.report import mistake_blocks, pair_blocks
from textclf.predict.true_labels import MOST_PAIRS, TrueLabels
from textclf.predict.true_sets import TrueSets
from textclf.system.files import filled, write_json, write_text
from textclf.tracking.find_runs import RunReference

PAGE, TEXT, METRICS = "report.html", "report.md", "metrics.json"


def check_report(folder: Path, force: bool) -> None:
    """Refuse a folder that holds a report already, or is none.

    Raises:
        ArtifactError: With what is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"--report {folder}: this is a file; name a folder for the report.")
    if (folder / PAGE).exists() and not force:
        raise ArtifactError(f"--report {folder}: there is a report already; name another folder, or add --force.")


def write_report(
    folder: Path,
    true: TrueLabels | TrueSets,
    located: RunReference,
    source: str,
    familiar: str | None,
    force: bool = False,
) -> Path:
    """Write `report.html`, `report.md`, `metrics.json` and pictures.

    Args:
        folder: Where to; made where it is not there.
        true: The labels and what was predicted.
        located: The run that predicted.
        source: What the input is called.
        familiar: How far its texts are from those of the test split, in a sentence.
        force: Replace a report that is there.

    Returns:
        The page.

    Raises:
        ArtifactError: If there is a report already, or one is being written.
    """
    with filled(folder, PAGE, partial(check_report, folder, force)) as made:
        if isinstance(true, TrueSets):
            _write_sets(made, true, located, source, familiar)
        else:
            _write(made, true, located, source, familiar)
    return folder / PAGE


def _write(folder: Path, true: TrueLabels, located: RunReference, source: str, familiar: str | None) -> None:
    """Write the files of a report into a folder."""
    predictions = true.predictions
    metrics = evaluate_predictions(predictions)
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    title = f"{located.record.name if located.record else located.said} on {Path(source).name}"
    plot_confusion_matrix(predictions, figures / "confusion_matrix.png")
    drawn = plot_class_scores(predictions, figures / "class_scores.png")
    accuracy = Proportion(true.right, true.scored)
    own = calibration_of(predictions) if predictions.have_probabilities else None
    tested = located.record.metrics.get("test/accuracy") if located.record else None
    said = [f"{len(predictions.labels):,} rows of {source} with a label in column {true.column}: accuracy {accuracy}."]
    if tested is not None:
        said.append(f"On its own test split the run had {tested:.4f}.")
    remarks = [*([f"The texts {familiar}."] if familiar else []), *(f"Note: {one}" for one in true.warnings())]
    if true.unlabelled:
        rows = "row has no label and is" if true.unlabelled == 1 else "rows have no label and are"
        remarks.append(f"{true.unlabelled:,} {rows} not scored.")
    blocks: list[Block] = [
        Heading(1, title),
        Paragraph(" ".join(said)),
        *([Bullets(tuple(remarks))] if remarks else []),
        Heading(2, "Scores"),
        Table((Column("metric"), Column("value", numeric=True)),
              tuple((name, Cell(decimals(value, 4), value)) for name, value in metrics.items())),
        _classes(true),
        *([Picture(figures / "class_scores.png", "Scores of each class", "class scores")] if drawn else []),
        Heading(2, "Calibration"),
        Paragraph(
            "Not every row has probabilities, so there is nothing to calibrate."
            if own is None
            else f"Expected calibration error {own.ece:.3f}; perfectly calibrated probabilities would show up to "
            f"{own.by_chance:.3f} by chance (19 times in 20)."
        ),
        Heading(2, "Most confident mistakes"),
        *mistake_blocks(true.mistakes, true.scored - true.right, true.scored, "rows with a label"),
        Heading(2, "Most confused pairs of classes"),
        *pair_blocks(confused_pairs(predictions)[:MOST_PAIRS], MOST_PAIRS),
        Picture(figures / "confusion_matrix.png", "True and predicted classes", "confusion matrix"),
    ]  # fmt: skip
    write_json(folder / METRICS, {"rows": true.rows, "scored": true.scored, "metrics": metrics})
    write_text(folder / TEXT, to_markdown(blocks, folder))
    write_text(folder / PAGE, to_html(title, blocks))


def _write_sets(folder: Path, true: TrueSets, located: RunReference, source: str, familiar: str | None) -> None:
    """Write the files of a report on sets of labels into a folder."""
    predictions = true.predictions
    metrics = evaluate_sets(predictions)
    title = f"{located.record.name if located.record else located.said} on {Path(source).name}"
    right = Proportion(int(predictions.right.sum()), len(predictions))
    said = f"{len(predictions):,} rows of {source} with known labels in {true.column}: exactly right on {right}."
    if located.record and (tested := located.record.metrics.get("test/micro_f1")) is not None:
        said += f" Micro F1 is {decimals(metrics.get('micro_f1'), 4)}; on its own test split the run had {tested:.4f}."
    remarks = [*([f"The texts {familiar}."] if familiar else []), *(f"Note: {one}" for one in true.warnings())]
    if true.unlabelled:
        rows = "row says nothing of its labels and is" if true.unlabelled == 1 else "rows say nothing of theirs and are"
        remarks.append(f"{true.unlabelled:,} {rows} not scored.")
    scores = tuple((name, Cell(decimals(value, 4), value)) for name, value in metrics.items())
    blocks: list[Block] = [
        Heading(1, title),
        Paragraph(said),
        *([Bullets(tuple(remarks))] if remarks else []),
        Heading(2, "Scores"),
        Table((Column("metric"), Column("value", numeric=True)), scores),
        Heading(2, "Each label"),
        label_table(label_scores(predictions), "On the rows with known labels"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / METRICS, {"rows": true.rows, "scored": true.scored, "metrics": metrics})
    write_text(folder / TEXT, to_markdown(blocks, folder))
    write_text(folder / PAGE, to_html(title, blocks))


def _classes(true: TrueLabels) -> Table:
    """Return precision, recall, F1 and the number of rows of each class."""
    predictions = true.predictions
    found = class_figures(predictions.predicted, predictions.labels, len(true.label_names))
    columns = (Column("class"), *(Column(name, numeric=True) for name in ("precision", "recall", "f1", "support")))
    rows = tuple(
        (
            name,
            *(
                decimals(None if np.isnan(value := float(found[key][label])) else value)
                for key in ("precision", "recall", "f1")
            ),
            Cell(f"{int(found['support'][label]):,}", int(found["support"][label])),
        )
        for label, name in enumerate(true.label_names)
    )
    return Table(columns, rows)
