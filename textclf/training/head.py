"""Whether the labels of the data and the head of a classifier fit."""

from __future__ import annotations

import numpy as np

from textclf.data.dataset import SPLITS, TextData, labels_of
from textclf.errors import DataError
from textclf.models.transformer.classifier import TransformerClassifier


def check_labels(classifier: TransformerClassifier, data: TextData) -> None:
    """Raise before training where the labels and the head do not fit.

    Raises:
        DataError: With the label or the size that does not.
    """
    size = classifier.model.config.num_labels
    if size != data.num_labels:
        raise DataError(
            f"The head of the classifier has {size} classes and {data.name} has {data.num_labels} "
            f"({', '.join(data.label_names[:8])}). Load the checkpoint with a head for these labels."
        )
    for split in SPLITS:
        labels = labels_of(data.split(split))
        wrong = np.flatnonzero((labels < 0) | (labels >= data.num_labels))
        if len(wrong):
            raise DataError(
                f"{data.name}: {split} has the label {labels[wrong[0]]} in row {wrong[0]} (the first is 0), and "
                f"{len(wrong) - 1} more like it, where labels must lie from 0 to {data.num_labels - 1}, one for each "
                f"of {data.num_labels} classes."
            )
