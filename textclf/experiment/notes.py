"""Descriptions of runs and sweeps in the tracker: what each is, its score, a verdict, its costs, and its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.documents.wording import decimals, duration, in_milliseconds, in_seconds, megabytes, money
from textclf.evaluation.metric_names import direction, metric_label
from textclf.tracking.record import RunRecord, currency_of

if TYPE_CHECKING:
    from textclf.evaluation.label_sets.set_predictions import SetPredictions
    from textclf.evaluation.predictions import Predictions  # with numpy

DIGITS = 4
MOST_CHARACTERS = 4500
"""The longest text of a sweep's description: a tag holds 5,000 characters."""


def is_collapsed(record: RunRecord) -> bool:
    """Whether a run warned that its classifier gives every text the same class; of folds, that all of them do."""
    others = int(record.folds.get("folds", 1)) * int(record.folds.get("repeats", 1)) - 1
    everywhere = f" and {others} more: collapse:"
    warnings = [str(warning) for warning in record.fit.get("warnings", ())]
    return any(warning.startswith("collapse:") or everywhere in warning for warning in warnings)


def rounded_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures with four digits, as a table of many runs can show them; whole numbers stay as they are."""
    return {name: _rounded(value) for name, value in figures.items()}


def _rounded(value: float) -> float:
    if value != value or abs(value) >= 10**DIGITS:
        return float(round(value)) if value == value and abs(value) != float("inf") else value
    return round(value, DIGITS) if 0.1 <= abs(value) < 1 else float(f"{value:.{DIGITS}g}")


def run_note(record: RunRecord, tested: Predictions | SetPredictions, folder: Path) -> str:
    """Return what a finished run is and came to, in a few sentences.

    Args:
        record: The run.
        tested: Its test predictions.
        folder: The run folder.
    """
    where = f"{record.folds['folds']} folds of " if record.folds else ""
    scores = ", ".join(_scores(record)) or "no test score"
    said = f"{record.model} on {record.dataset}, seed {record.seed}: {scores}"
    return f"{said} on {where}{len(tested):,} test examples. {_verdict(record, tested)} Folder: {folder.resolve()}"


def _scores(record: RunRecord) -> list[str]:
    names = dict.fromkeys((record.objective.partition("/")[2], "accuracy", "micro_f1", "subset_accuracy"))
    values = {name: record.metrics.get(f"test/{name}") for name in names}
    return [f"test {metric_label(name)} {value:.4f}" for name, value in values.items() if value is not None]


def _verdict(record: RunRecord, tested: Predictions | SetPredictions) -> str:
    """Return whether the run has learned more than which class, or set of labels, is the most frequent one."""
    import numpy as np

    from textclf.evaluation.label_sets.set_predictions import SetPredictions
    from textclf.evaluation.proportions import Proportion

    if is_collapsed(record):
        return "It has collapsed: whatever the text, it gives the same answer."
    if isinstance(tested, SetPredictions):
        _, counts = np.unique(tested.truth, axis=0, return_counts=True)
        low, high = Proportion(int(tested.right.sum()), len(tested)).interval
        share, than = counts.max() / len(tested), "than always giving the most frequent set of labels"
        return f"More often exactly right {than}." if low > share else f"Not shown to be more often right {than}."
    share = np.bincount(tested.labels).max() / len(tested.labels)
    low, high = Proportion(int((tested.predicted == tested.labels).sum()), len(tested.labels)).interval
    than = f"than always giving the most frequent class (accuracy {share:.4f})"
    if low > share:
        return f"Better {than}."
    return f"Less often right {than}." if high < share else f"Not shown to be more often right {than}."


def costs_words(record: RunRecord) -> str:
    """Return what a run cost, as `12.3 s training, 4.2 ms a text, 268 MB`."""
    costs = record.costs
    words = [
        (costs.get("folds_seconds", costs.get("train_seconds")), lambda value: f"{_time(value)} training"),
        (costs.get("latency_median_seconds"), lambda value: f"{in_milliseconds(value)} a text"),
        (costs.get("size_bytes"), megabytes),
        (costs.get("price_per_1000_texts"), lambda value: f"{money(value, currency_of(record))} for 1,000 texts"),
    ]
    return ", ".join(say(value) for value, say in words if value is not None)


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 10 else in_seconds(seconds)


def best_run(records: Iterable[RunRecord]) -> RunRecord | None:
    """Return the run of a sweep that does best on validation; none where there is no such thing.

    Test scores have no say: chosen by them, the winner's own would be too good to be true. Runs that have collapsed
    are passed over. Runs on different test sets, or of different objectives, have no best.
    """
    fit = [record for record in records if not is_collapsed(record) and record.objective in record.metrics]
    if len({(record.objective, tests_on(record)) for record in fit}) != 1:
        return None
    return max(fit, key=lambda record: direction(record.objective) * record.metrics[record.objective])


def tests_on(record: RunRecord) -> str:
    """Return what tells test sets apart: the fingerprint of the test examples, with that of their folds."""
    own = str(record.data.get("test_fingerprint") or record.data.get("fingerprint") or record.dataset)
    return f"{own} {record.folds.get('fingerprint', '')}".strip()


def best_figures(best: RunRecord) -> dict[str, float]:
    """Return the figures of its best run that a sweep's own row shows: test scores and the objective."""
    shown = {name: value for name, value in best.metrics.items() if name.startswith("test/") or name == best.objective}
    return rounded_figures(shown)


def sweep_note(best: RunRecord | None, finished: int, verdicts: str, folder: Path) -> str:
    """Return what a sweep came to.

    Args:
        best: Its best run; none where there is none.
        finished: Number of runs that finished.
        verdicts: The verdicts of its comparison; empty without one.
        folder: The folder of the sweep.
    """
    said = [f"A sweep of which {finished:,} {'run' if finished == 1 else 'runs'} finished. Folder: {folder.resolve()}"]
    if best is not None:
        chosen = f"{best.objective} {decimals(best.metrics[best.objective], DIGITS)}"
        said.append(
            f"The scores of this row are those of {best.name}, the best on validation ({chosen}) of those that have "
            f"not collapsed: {', '.join(_scores(best))}."
        )
    elif finished:
        said.append("This row has no scores: its runs differ in test set or objective, or all have collapsed.")
    return "\n\n".join([*said, *([verdicts] if verdicts else [])])[:MOST_CHARACTERS]
