"""Predict a few texts at once; nothing that reads files is imported for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textclf.errors import ConfigError, DataError
from textclf.models.prediction import ABSTAIN, Prediction, check_threshold
from textclf.models.saved import read_description
from textclf.tracking.find_runs import RunReference, resolve_run

if TYPE_CHECKING:
    from textclf.models.base import Classifier


def predict_texts(
    run: str, texts: Sequence[str], threshold: float | None = None, device: str = "auto"
) -> list[Prediction]:
    """Predict single texts; of a classifier of pairs, texts two by two.

    Raises:
        TextclfError: If there is no such run, or the texts of the last pair are not two.
    """
    located = resolve_run(run)
    check_threshold(threshold, read_description(located.classifier).label_names)
    if not has_pairs(located):
        if blank := [number for number, text in enumerate(texts, 1) if not text.strip()]:
            raise DataError(f"Text {blank[0]} is empty; give a text to predict.")
        return ready(located, device).predict(list(texts), threshold=threshold)
    if len(texts) % 2:
        raise DataError(
            f"{run} was fitted on pairs of texts: give them two by two, as in "
            f'"A man plays the guitar." "Somebody makes music."; got {len(texts)}.'
        )
    return ready(located, device).predict(list(texts[::2]), list(texts[1::2]), threshold)


def ready(located: RunReference, device: str = "auto") -> Classifier:
    """Load a classifier, and move it to where it computes fastest.

    Raises:
        ArtifactError: If it is damaged.
        ConfigError: If there is no such device.
    """
    classifier = located.load()
    move = getattr(classifier, "move_to", None)
    if move is None:
        return classifier
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not there.get(device, device == "auto"):
        found = ", ".join(name for name, available in there.items() if available)
        raise ConfigError(f"--device {device}: this machine has none that PyTorch can use, only {found}.")
    move(torch.device(next(name for name in there if there[name]) if device == "auto" else device))
    return classifier


def has_pairs(located: RunReference) -> bool | None:
    """Whether a classifier was fitted on pairs, by what its folders say; none where they do not."""
    pairs = read_description(located.classifier).has_pairs
    return located.record.data.get("pairs") if pairs is None and located.record else pairs


def shown(prediction: Prediction, top_k: int | None = None) -> str:
    """Return a prediction on one line, as `negative (0.71)`."""
    if prediction.label == ABSTAIN or top_k is not None:
        ranked = ", ".join(f"{name} ({score:.2f})" for name, score in prediction.top(top_k or 1))
        return f"{ABSTAIN}: {ranked}" if prediction.label == ABSTAIN else ranked
    return f"{prediction.label} ({prediction.score:.2f})"
