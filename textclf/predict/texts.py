"""Predict a few texts at once; nothing that reads files is imported for it."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.documents.escape import terminal
from textclf.errors import ArtifactError, ConfigError, DataError
from textclf.models.given_texts import checked
from textclf.models.prediction import ABSTAIN, Prediction, SetPrediction, check_threshold, set_predictions_of
from textclf.models.saved import read_description
from textclf.predict.options import PredictOptions
from textclf.tracking.find_runs import RunReference, resolve_run
from textclf.tracking.record import ANALYSIS_FILE, refuse_changed

if TYPE_CHECKING:
    from textclf.models.base import Classifier

log = logging.getLogger(__name__)
FILE_NAME = re.compile(r"[^\s]+\.(csv|tsv|jsonl?|ndjson|parquet|txt|xlsx?)(\.gz|\.zip)?", re.IGNORECASE)
"""Texts that look like the name of a file of rows."""


def predict_texts(
    run: str, texts: Sequence[str], options: PredictOptions | None = None, device: str = "auto"
) -> list[Prediction] | list[SetPrediction]:
    """Predict single texts; of a classifier of pairs, texts two by two.

    Raises:
        TextclfError: If there is no such run, or the texts of the last pair are not two.
    """
    options = options or PredictOptions()
    located = found_run(run)
    description = read_description(located.classifier)
    check_threshold(options.threshold, description.label_names if description.thresholds is None else ())
    checked(texts, lambda row: f"Text {row + 1}")
    refuse_files(texts, run)
    if not has_pairs(located):
        return _predicted(ready(located, device), list(texts), None, options)
    if len(texts) % 2:
        raise DataError(
            f"{run} was fitted on pairs of texts: give them two by two, as in "
            f'"A man plays the guitar." "Somebody makes music."; got {len(texts)}.'
        )
    return _predicted(ready(located, device), list(texts[::2]), list(texts[1::2]), options)


def _predicted(
    classifier: Classifier, texts: list[str], pairs: list[str] | None, options: PredictOptions
) -> list[Prediction] | list[SetPrediction]:
    """Predict with the thresholds that are asked for."""
    if not classifier.gives_probabilities:
        from textclf.predict.stream import refuse_threshold  # with numpy and pyarrow

        refuse_threshold(classifier, options)
    thresholds = options.thresholds_for(classifier)
    if thresholds is None:
        return classifier.predict(texts, pairs, options.threshold)
    found = classifier.predict_proba(texts, pairs)
    return set_predictions_of(found, classifier.label_names, thresholds, classifier.gives_probabilities)


def trust_note(run: str) -> str | None:
    """Return in a sentence that a run's probabilities are not what they say; none where they are, or none knows.

    Raises:
        ArtifactError: If there is no such run.
    """
    folder = resolve_run(run).folder
    if folder is None:
        return None
    try:
        refuse_changed(folder, ANALYSIS_FILE)
        analysis = json.loads((folder / ANALYSIS_FILE).read_text(encoding="utf-8"))
    except (ArtifactError, OSError, ValueError):
        return None
    from textclf.evaluation.calibration import trust_of_run

    said = trust_of_run(analysis)
    return f"this classifier's {said} (measured on its own test examples)" if said else None


def found_run(run: str) -> RunReference:
    """Find a run, and say on stderr which one answers to a name such as `latest`.

    Raises:
        ArtifactError: If there is no such run.
    """
    located = resolve_run(run)
    if located.described is not None:
        print(terminal(located.described), file=sys.stderr)
    return located


def refuse_files(texts: Sequence[str], run: str) -> None:
    """Refuse a text that names a file, whose rows are meant more likely; a name of none is classified, and told of.

    Raises:
        DataError: With the command that predicts the rows, and the one that classifies the name itself.
    """
    for text in texts:
        try:
            there = Path(text).exists() and (Path(text).is_file() or os.sep in text)
        except (OSError, ValueError):  # too long for a name, or with a NUL
            continue
        command = f"python -m textclf.predict {shlex.quote(run)}"
        if there and Path(text).is_dir():
            raise DataError(
                f"{text!r} is a folder, and would be classified as a text. Name one file: {command} --input …"
            )
        if there:
            raise DataError(
                f"{text!r} is a file, and its name would be classified as a text. To predict its rows: {command} "
                f"--input {shlex.quote(text)} --output predictions.csv. To classify the name itself: echo "
                f"{shlex.quote(text)} | {command} --input - --input-format txt --output -"
            )
        if FILE_NAME.fullmatch(text):
            log.warning("there is no file %s here, so its name is classified as a text; files go with --input", text)


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


def shown(prediction: Prediction | SetPrediction, top_k: int | None = None) -> str:
    """Return a prediction on one line, as `negative (0.71)`; of a set of labels as `bug (0.91), refund (0.55)`."""
    if isinstance(prediction, Prediction) and prediction.label == ABSTAIN and prediction.score == 0:
        return f"{ABSTAIN}: the answer names no class"
    if not prediction.are_given:
        return prediction.label
    if isinstance(prediction, SetPrediction):
        given = prediction.top(len(prediction.labels) if top_k is None else top_k)
        said = ", ".join(f"{name} ({score:.2f})" for name, score in given)
        nearest = ", ".join(f"{name} ({score:.2f})" for name, score in prediction.top(1))
        return said or f"no label; nearest: {nearest}"
    if prediction.label == ABSTAIN or top_k is not None:
        ranked = ", ".join(f"{name} ({score:.2f})" for name, score in prediction.top(top_k or 1))
        return f"{ABSTAIN}: {ranked}" if prediction.label == ABSTAIN else ranked
    return f"{prediction.label} ({prediction.score:.2f})"
