"""Predict rows in order, a batch at a time, each beside its other columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from textclf.data.readers.source import BadRow
from textclf.errors import DataError, listed
from textclf.models.base import Classifier
from textclf.models.prediction import ABSTAIN, check_threshold
from textclf.predict.inputs import refusal
from textclf.predict.options import PredictOptions
from textclf.predict.rows import Batch
from textclf.system import signals

CHUNK = 1024
"""Texts of about the same length that are predicted in one call, so that progress can be told between calls."""
PREDICTED = "predicted_"
"""Stands in front of a column of predictions where the input has a column of its name."""
KEEP_THEM = "To go on and keep such rows, without a label and with the reason beside them, add --keep-bad-rows."

UNANSWERED = BadRow("", None, "the answer of the language model names no label", "", "")
"""Why a row has no label although it was predicted."""

Tell = Callable[[int, float | None], None]
"""Takes how many more rows are done, and what share of the input, 0 to 1, is done by then; none where it is unknown."""
Watch = Callable[[Batch, NDArray[np.float32], NDArray[np.bool_]], None]
"""Takes a batch, each class's probability of each row, and which rows abstain; rows that cannot be predicted have 0."""


def refuse_threshold(classifier: Classifier, options: PredictOptions) -> None:
    """Refuse a threshold of probabilities that there are not.

    Raises:
        DataError: If the classifier names labels without probabilities.
    """
    if not classifier.gives_probabilities and (options.threshold is not None or options.label_thresholds):
        raise DataError(
            "This classifier names labels without probabilities, so a threshold would tell nothing apart; leave "
            "--threshold and --label-threshold out."
        )


def predict_batches(
    classifier: Classifier,
    batches: Iterable[Batch],
    options: PredictOptions | None = None,
    tell: Tell | None = None,
    watch: Watch | None = None,
) -> Iterator[Batch]:
    """Yield the batches with the predictions as further columns, rows in the same order.

    The columns are `label`, `score` (the probability of the most probable class, also where the label is `abstain`)
    and `probability_<class>` for each class; of sets of labels `labels` (a list, the most probable first) and
    `probability_<label>`. What is not known is null: the label where a language model named none, and scores and
    probabilities of one that gives none. One whose name the input has already is called `predicted_<name>`.

    Args:
        classifier: A fitted classifier.
        batches: What `read_batches` gives.
        options: What is written of each prediction.
        tell: Called each time that rows are done.
        watch: Called with each batch and its probabilities.

    Raises:
        DataError: If a row cannot be predicted and such rows are not kept; if the threshold is no probability; if
            the columns have the name of one in the input.
    """
    options = options or PredictOptions()
    refuse_threshold(classifier, options)
    asked = options.thresholds_for(classifier)
    thresholds = None if asked is None else np.array(asked)
    check_threshold(options.threshold, classifier.label_names if thresholds is None else ())
    names: list[str] = []
    before: float | None = 0.0
    for batch in batches:
        signals.check()
        if batch.problems and not options.keep_bad_rows:
            raise refusal(batch.problems[min(batch.problems)], KEEP_THEM)
        names = names or added_names(batch.table.column_names, classifier, options)
        own = set(batch.table.column_names)
        if clash := [name for name in names if name in own]:
            raise DataError(
                f"Rows further down have a column {clash[0]!r}, which the first rows do not have and which holds a "
                f"prediction by now. Name the predictions otherwise with --prefix."
            )
        probabilities = _probabilities(classifier, batch, before, tell)
        unanswered = np.flatnonzero(np.isnan(probabilities).any(axis=1)).tolist()
        before = batch.share
        if watch is not None:
            limit = -1.0 if options.threshold is None or thresholds is not None else options.threshold
            watch(batch, probabilities, probabilities.max(axis=1).astype(np.float64) < limit)
        if unanswered:  # after they were counted, as wrong where the true label is known
            batch = replace(batch, problems={**batch.problems, **dict.fromkeys(unanswered, UNANSWERED)})
            probabilities = np.nan_to_num(probabilities)
        if options.long:
            given = _given(probabilities, thresholds, options)
            batch, columns = _long(probabilities, given, batch, classifier.label_names, options)
        elif thresholds is None:
            columns = _columns(probabilities, batch, classifier.label_names, options)
        else:
            given = probabilities >= thresholds
            columns = _set_columns(probabilities, given, batch, classifier.label_names, options)
        if not classifier.gives_probabilities:
            columns = [pa.nulls(len(c), c.type) if pa.types.is_floating(c.type) else c for c in columns]
        table = batch.table
        for name, column in zip(names, columns, strict=True):
            table = table.append_column(pa.field(name, column.type), column)
        yield replace(batch, table=table, added=tuple(names))


def added_names(columns: Sequence[str], classifier: Classifier, options: PredictOptions) -> list[str]:
    """Return what the added columns are called beside those of an input.

    Raises:
        DataError: If the input has columns of these names too.
    """
    wanted, taken = options.column_names(classifier.label_names, classifier.has_sets), set(columns)
    names = [options.prefix + name for name in wanted]
    if not options.prefix:
        names = [PREDICTED + name if name in taken else name for name in names]
    if clash := [name for name in names if name in taken]:
        raise DataError(f"The input has columns {listed(clash)} already; name the predictions otherwise with --prefix.")
    return names


def _probabilities(
    classifier: Classifier, batch: Batch, before: float | None, tell: Tell | None
) -> NDArray[np.float32]:
    """Return each class's probability of each row, float32 (n, num_labels); 0 where a row cannot be predicted.

    Texts of about the same length are predicted together, so that little of a batch is padding.

    Args:
        classifier: A fitted classifier.
        batch: The rows.
        before: What share of the input the batches before it were.
        tell: Called each time that rows are done.
    """
    out = np.zeros((len(batch), len(classifier.label_names)), dtype=np.float32)
    sizes = np.array([len(text) for text in batch.texts], dtype=np.int64)
    if batch.text_pairs is not None:
        sizes += np.array([len(text) for text in batch.text_pairs], dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    bad = np.isin(order, list(batch.problems))
    good = order[~bad]
    for start in range(0, len(good), CHUNK):
        rows = good[start : start + CHUNK].tolist()
        pairs = None if batch.text_pairs is None else [batch.text_pairs[row] for row in rows]
        out[rows] = classifier.predict_proba([batch.texts[row] for row in rows], pairs)
        if tell is not None:
            part = (start + len(rows)) / len(good)
            tell(len(rows), None if before is None or batch.share is None else before + part * (batch.share - before))
    if tell is not None and batch.problems:
        tell(len(batch.problems), batch.share)
    return out


def _columns(
    probabilities: NDArray[np.float32], batch: Batch, label_names: Sequence[str], options: PredictOptions
) -> list[pa.Array]:
    """Return the added columns, in the order of their names."""
    none = _without_answer(batch)
    best = probabilities.argmax(axis=1)
    score = probabilities[np.arange(len(batch)), best]
    labels = pa.array(label_names, pa.string()).take(pa.array(best, mask=none))
    if options.threshold is not None:
        unsure = score.astype(np.float64) < options.threshold
        chosen = np.where(unsure, len(label_names), best)
        labels = pa.array([*label_names, ABSTAIN], pa.string()).take(pa.array(chosen, mask=none))
    return [labels, pa.array(score, mask=none), *_further(probabilities, none, batch, label_names, options)]


def _without_answer(batch: Batch) -> NDArray[np.bool_]:
    """Return which rows cannot be predicted, bool (n,)."""
    none = np.zeros(len(batch), dtype=bool)
    none[list(batch.problems)] = True
    return none


def _set_columns(
    probabilities: NDArray[np.float32],
    given: NDArray[np.bool_],
    batch: Batch,
    label_names: Sequence[str],
    options: PredictOptions,
) -> list[pa.Array]:
    """Return the added columns of sets of labels, in the order of their names."""
    none = _without_answer(batch)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(given, order, axis=1)
    names = pa.array(label_names, pa.string()).take(pa.array(order[ranked]))
    offsets = pa.array(np.append(0, np.cumsum(ranked.sum(axis=1))).astype(np.int32), mask=np.append(none, False))
    sets = pa.ListArray.from_arrays(offsets, names)
    return [sets, *_further(probabilities, none, batch, label_names, options)]


def _given(
    probabilities: NDArray[np.float32], thresholds: NDArray[np.float64] | None, options: PredictOptions
) -> NDArray[np.bool_]:
    """Return which classes or labels each row is given, bool (n, num_labels)."""
    if thresholds is not None:
        return probabilities >= thresholds
    best = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    return best if options.threshold is None else best & (probabilities.astype(np.float64) >= options.threshold)


def _long(
    probabilities: NDArray[np.float32],
    given: NDArray[np.bool_],
    batch: Batch,
    label_names: Sequence[str],
    options: PredictOptions,
) -> tuple[Batch, list[pa.Array]]:
    """Return the rows once for each label (one that cannot be predicted once), and the added columns."""
    times = np.full(len(batch), len(label_names))
    times[list(batch.problems)] = 1
    rows = np.repeat(np.arange(len(batch)), times)
    first = np.append(0, np.cumsum(times))[:-1]
    label = np.arange(len(rows)) - first[rows]
    none = np.isin(rows, list(batch.problems))
    own = rows.tolist()
    lines = None if batch.lines is None else [batch.lines[row] for row in own]
    texts, pairs = [batch.texts[row] for row in own], batch.text_pairs
    repeated = replace(
        batch,
        table=batch.table.take(pa.array(rows)),
        texts=texts,
        text_pairs=None if pairs is None else [pairs[row] for row in own],
        lines=lines,
        problems={int(first[row]): problem for row, problem in batch.problems.items()},
    )
    columns = [
        pa.array(label_names, pa.string()).take(pa.array(label, mask=none)),
        pa.array(probabilities[rows, label], mask=none),
        pa.array(given[rows, label], mask=none),
    ]
    return repeated, [*columns, *_reasons(repeated, options)]


def _further(
    probabilities: NDArray[np.float32],
    none: NDArray[np.bool_],
    batch: Batch,
    label_names: Sequence[str],
    options: PredictOptions,
) -> list[pa.Array]:
    """Return every probability, or the most probable ones with their names; and why rows cannot be predicted."""
    classes = pa.array(label_names, pa.string())
    columns: list[pa.Array] = []
    if options.top_k is None:
        columns += [pa.array(probabilities[:, label], mask=none) for label in range(len(label_names))]
    else:
        ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, : options.top_k]
        for rank in range(ranked.shape[1]):
            own = ranked[:, rank]
            columns.append(classes.take(pa.array(own, mask=none)))
            columns.append(pa.array(probabilities[np.arange(len(batch)), own], mask=none))
    return [*columns, *_reasons(batch, options)]


def _reasons(batch: Batch, options: PredictOptions) -> list[pa.Array]:
    """Return the column of why rows cannot be predicted; nothing where such rows are not kept."""
    if not options.keep_bad_rows:
        return []
    said = [_reason(batch, row) if row in batch.problems else None for row in range(len(batch))]
    return [pa.array(said, pa.string())]


def _reason(batch: Batch, row: int) -> str:
    """Return why a row cannot be predicted, with its line."""
    problem = batch.problems[row]
    line = "" if problem.at is None else f"line {problem.at}: "
    return f"{line}{problem.cause}{' ' * bool(problem.detail)}{problem.detail}"
