"""A classifier as MLflow calls it: a table of texts in, a table of predictions out.

Whatever family the classifier is of, the schema is the same: text[, text_pair] in; label, score and
probabilities out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from textclf.errors import DataError
from textclf.models.base import Classifier
from textclf.models.families import load_classifier
from textclf.tracking.mlflow import quiet  # noqa: F401  (switches off what MLflow may unpickle or run)
from textclf.tracking.mlflow.guard import guard_requests
from textclf.tracking.record import CLASSIFIER

log = logging.getLogger(__name__)

TEXT, TEXT_PAIR = "text", "text_pair"
"""The columns that are read; all others are ignored."""
OUTPUTS = ("label", "score", "probabilities")
THRESHOLD = "threshold"
"""The parameter below which a prediction abstains; 0 never does."""


class ServedClassifier(PythonModel):
    """A classifier behind MLflow's interface.

    Texts are predicted one request at a time: a forward pass uses every core already, and a server's threads that
    each start as many again only wait for one another.
    """

    classifier: Classifier

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    def load_context(self, context: PythonModelContext) -> None:
        """Read the classifier from the model's artifacts."""
        guard_requests()
        self.classifier = load_classifier(Path(context.artifacts[CLASSIFIER]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a row of label, score and probabilities (a dict by class) for each row of texts.

        Args:
            context: Not used; the classifier is in memory.
            model_input: A table with the columns text and, for pairs, text_pair.
            params: `threshold`, the probability below which the label is `abstain`.

        Raises:
            MlflowException: As a client's error (400) where the input is not usable, else as the server's (500).
        """
        try:
            texts = texts_in(model_input, TEXT)
            pairs = texts_in(model_input, TEXT_PAIR) if TEXT_PAIR in model_input else None
            threshold = (params or {}).get(THRESHOLD) or None
            with self._one_at_a_time:
                found = self.classifier.predict(texts, pairs, threshold)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        except Exception as error:
            log.exception("a request could not be answered")
            said = f"The texts could not be classified: {type(error).__name__}; the server's log says more."
            raise MlflowException(said, error_code=INTERNAL_ERROR) from error
        rows = [(one.label, one.score, one.probabilities) for one in found]
        return pd.DataFrame(rows, columns=list(OUTPUTS))


def texts_in(table: Any, column: str) -> list[str]:
    """Return a column's texts.

    Raises:
        DataError: If a row holds no text, or one that is not Unicode.
    """
    texts: Sequence[Any] = table[column].tolist()
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            got = "null" if text is None or text != text else f"{type(text).__name__} {text!r:.40}"
            raise DataError(f"{column} of row {row} must be a string, got {got}.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"{column} of row {row} is no valid Unicode: it holds half of a surrogate pair at character "
                f"{error.start}."
            ) from error
    return [str(text) for text in texts]  # MLflow gives NumPy's strings for some
