"""Collapsed classifiers of sets of labels: whatever the text, they give the same set."""

from __future__ import annotations

from textclf.evaluation.collapse import ENOUGH
from textclf.evaluation.label_sets.set_predictions import SetPredictions, names_of


def collapsed_set(predictions: SetPredictions) -> list[str] | None:
    """Return the names of the labels that every example is given, where they should not be; else none."""
    given = predictions.predicted
    if len(given) == 0 or (given != given[0]).any() or int((~predictions.right).sum()) < ENOUGH:
        return None
    return names_of(given[:1], predictions.label_names)[0]


def set_collapse_words(validated: SetPredictions) -> str | None:
    """Return a sentence on a collapse on validation; none where there is none."""
    answer = collapsed_set(validated)
    if answer is None:
        return None
    said = f"the labels {', '.join(answer)}" if answer else "no label"
    return (
        f"collapse: all {len(validated):,} validation texts are given {said}, "
        f"which is right of {int(validated.right.sum()):,}."
    )
