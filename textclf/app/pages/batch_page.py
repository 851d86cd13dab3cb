"""The page where a file is uploaded: a table, a chart of the labels, and the file with predictions to take along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from time import perf_counter

import streamlit as st

from textclf.app import markup, uploads
from textclf.app.classifiers import Loaded
from textclf.app.feedback import file_name
from textclf.app.pages import common
from textclf.app.run_list import Choice
from textclf.documents.document import Column, Table
from textclf.documents.wording import decimals, percent
from textclf.errors import cut
from textclf.evaluation.label_sets.set_analysis import label_scores
from textclf.evaluation.label_sets.set_metrics import evaluate_sets
from textclf.evaluation.metric_names import metric_label
from textclf.evaluation.proportions import Proportion
from textclf.models.prediction import ABSTAIN
from textclf.predict.inputs import TextColumns
from textclf.predict.rows import readable_endings
from textclf.predict.true_sets import TrueSets

MOST_BARS = 12
MOST_LABELS = 50
MOST_SHOWN = 1000
MOST_CHARACTERS = 80
"""Of the names of the columns that hold the labels."""


@dataclass(frozen=True)
class Done:
    """What was predicted last."""

    key: tuple[str, str]
    """The file and the run."""
    predicted: uploads.Predicted
    csv: bytes
    jsonl: bytes
    seconds: float
    threshold: float | None = None
    """The probability below which a label is `abstain`."""


def page() -> None:
    """Show the page."""
    st.title("Batch", anchor=False)
    choice = common.pick_run(common.found().predicting)
    if choice is None:
        return
    loaded = common.classifier_of(choice)
    limits = common.settings()
    common.show(
        markup.paragraph(
            f"CSV, TSV, JSON Lines, Parquet, or plain text with a text a line, packed with gzip or not; up to "
            f"{limits.max_upload_mb} MB and {limits.max_rows:,} rows.",
            quiet=True,
        )
    )
    given = st.file_uploader("File with texts", type=[ending.removeprefix(".") for ending in readable_endings()])
    if given is None:
        st.session_state.pop("batch", None)
        return
    data = given.getvalue()
    kind = uploads.kind_of(given.name)
    names = uploads.column_names(data, kind, given.name)
    columns = _columns(names, given.name, choice, loaded)
    threshold = common.pick_threshold(choice, loaded)
    if st.button("Predict the file", type="primary"):
        st.session_state.pop("batch", None)
        if columns is None:
            common.show(markup.message("error", "Choose the columns that hold the texts first."))
            return
        with common.event_log().timed("upload", **common.session(), run=choice.name) as event:
            event["detail"] = f"{kind.value}, {len(data) / 1e6:.1f} MB"
            begun = perf_counter()
            rows = uploads.read_rows(data, kind, given.name, columns, limits.max_rows)
            event["rows"] = len(rows)
            predicted = _predict(loaded, rows, columns, choice, threshold)
            key = (str(given.file_id), choice.key)
            seconds = perf_counter() - begun
            st.session_state["batch"] = Done(
                key, predicted, predicted.as_csv(), predicted.as_jsonl(), seconds, threshold
            )
    done: Done | None = st.session_state.get("batch")
    if done is not None and done.key == (str(given.file_id), choice.key):
        _show(done)


def _columns(names: list[str], name: str, choice: Choice, loaded: Loaded) -> TextColumns | None:
    """Let a person say which columns hold the texts; nothing while they have not."""
    usual = uploads.usual_columns(names, name, loaded.has_pairs, choice.record)
    labels = (
        ["Column of the first texts", "Column of the second texts"] if loaded.has_pairs else ["Column of the texts"]
    )
    asked = [
        st.selectbox(label, names, index=names.index(own) if own in names else None, placeholder="Choose a column")
        for label, own in zip(labels, usual, strict=False)
    ]
    return None if None in asked else TextColumns(*asked)


def _predict(
    loaded: Loaded, rows: uploads.Rows, columns: TextColumns, choice: Choice, threshold: float | None
) -> uploads.Predicted:
    """Predict the rows with a progress bar."""
    total, done = len(rows), 0
    bar = st.progress(0.0, text=f"0 of {total:,} rows")

    def tell(count: int) -> None:
        nonlocal done
        done += count
        bar.progress(min(done / total, 1.0), text=f"{done:,} of {total:,} rows")

    try:
        return uploads.predict_rows(loaded, rows, tell, columns, choice.record, threshold)
    finally:
        bar.empty()


def _show_problems(predicted: uploads.Predicted) -> None:
    """Say which rows could not be predicted."""
    if not (problems := predicted.problems):
        return
    more = len(problems) - uploads.MOST_PROBLEMS
    said = [f"{len(problems):,} of {len(predicted):,} rows could not be predicted; they are in the downloads with why:"]
    said += [*problems[: uploads.MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]
    common.show(markup.message("error", "\n".join(said)))


def _show_unsure(done: Done) -> None:
    """Say how many rows are unsure, and what the file says of them."""
    if done.threshold is None:
        return
    unsure = dict(done.predicted.label_counts()).get(ABSTAIN, 0)
    said = f"{unsure:,} of {len(done.predicted):,} rows are unsure: no class has a probability of "
    said += f"{decimals(done.threshold)} or more. Their label is {ABSTAIN!r}, as python -m textclf.predict --threshold "
    common.show(markup.message("note", f"{said}writes it; the probabilities are there."))


def _show_scores(predicted: uploads.Predicted) -> None:
    """Say how many labels of the file were predicted."""
    labels = predicted.true_labels
    if labels is None:
        return
    if isinstance(labels, TrueSets):
        _show_set_scores(labels)
        return
    common.show(
        markup.message(
            "done",
            f"right in {Proportion(labels.right, labels.scored)}: {labels.right:,} of {labels.scored:,} rows have the "
            f"label in column {labels.column!r}.",
        )
    )
    if labels.abstained:
        said = f"{labels.abstained:,} of them are unsure, for which the most probable class is counted."
        common.show(markup.paragraph(said, quiet=True))
    for said in labels.warnings():
        common.show(markup.paragraph(said, quiet=True))


def _show_set_scores(labels: TrueSets) -> None:
    """Say how many sets of labels of the file were predicted, and how well each label."""
    scores = evaluate_sets(labels.predictions)
    right = int(labels.predictions.right.sum())
    said = f"exactly right in {Proportion(right, labels.scored)}: {right:,} of {labels.scored:,} rows have the labels "
    said += f"in column {cut(labels.column, MOST_CHARACTERS)!r}."
    named = [f"{metric_label(name)} {decimals(scores[name])}" for name in ("micro_f1", "macro_f1") if name in scores]
    common.show(markup.message("done", said + (f" {', '.join(named)}." if named else "")))
    common.show(markup.table(_label_table(labels)))
    for warning in labels.warnings():
        common.show(markup.paragraph(warning, quiet=True))


def _label_table(labels: TrueSets) -> Table:
    """Return how well each label of a file was given, the most frequent first."""
    columns = (
        Column("label"),
        *(Column(name, numeric=True) for name in ("F1", "precision", "recall")),
        Column("rows", numeric=True, hint="that have the label"),
        Column("given", numeric=True, hint="rows that are given it"),
    )
    scores = sorted(label_scores(labels.predictions), key=lambda one: -one.support)
    rows = tuple(
        (one.label, *(map(decimals, (one.f1, one.precision, one.recall))), f"{one.support:,}", f"{one.given:,}")
        for one in scores[:MOST_LABELS]
    )
    said = "Each label" if len(rows) == len(scores) else f"The {len(rows)} most frequent of {len(scores):,} labels"
    return Table(columns, rows, said)


def _show(done: Done) -> None:
    """Show what was predicted."""
    predicted = done.predicted
    st.header("Predictions", anchor=False)
    common.show(
        markup.message("done", f"{len(predicted):,} rows of {predicted.name} in {markup.duration(done.seconds)}.")
    )
    _show_problems(predicted)
    _show_unsure(done)
    _show_scores(predicted)
    stem = file_name(PurePath(predicted.name).stem)
    with st.container(horizontal=True):
        st.download_button("Download CSV", done.csv, f"{stem}.predicted.csv", "text/csv", on_click="ignore")
        name = f"{stem}.predicted.jsonl"
        st.download_button("Download JSONL", done.jsonl, name, "application/jsonl", on_click="ignore")
    common.show(
        markup.paragraph(
            "In the CSV, a text that a spreadsheet would take for a formula has a ' in front; JSONL keeps every text "
            "as it is.",
            quiet=True,
        )
    )
    counts = predicted.label_counts()
    most = counts[0][1] if counts else 1
    total = len(predicted) - len(predicted.problems) if predicted.has_sets else sum(count for _, count in counts)
    caption = "How often each label was predicted"
    if empty := predicted.count_empty():
        said = f"{empty:,} of {len(predicted):,} rows have no label that reaches its threshold."
        common.show(markup.paragraph(said, quiet=True))
    if len(counts) > MOST_BARS:
        caption = f"The {MOST_BARS} labels predicted most often, of {len(counts):,}"
    rows = [
        (label, count / most, f"{count:,} ({percent(count / max(total, 1))})") for label, count in counts[:MOST_BARS]
    ]
    common.show(markup.bars(rows, caption, "Label", "Rows"))
    frame = predicted.frame(MOST_SHOWN)
    st.dataframe(frame, hide_index=True, width="stretch", alt=f"The first {len(frame):,} rows with their predictions")
    if len(predicted) > MOST_SHOWN:
        said = f"The first {MOST_SHOWN:,} rows are shown; the downloads have all {len(predicted):,}."
        common.show(markup.paragraph(said, quiet=True))
