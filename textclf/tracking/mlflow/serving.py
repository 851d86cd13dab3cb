"""A classifier as MLflow calls it: a table of texts in, a table of predictions out.

Whatever family the classifier is of, the schema is the same: text[, text_pair] in; label, score and
probabilities out, or of sets of labels labels and probabilities.

Where a request says `inputs` or `instances`, MLflow 3.17 reads null as the text 'None' and 5 as the text '5',
and answers fewer rows than were asked where some lack the column; a request without a content type, or nested
too deeply, is answered as if the server had failed. The model sees none of this, so in a process that MLflow started to
serve a model the two functions that read requests are replaced. The model itself checks the texts.

A server on loopback also answers only to the names of this machine: a page in a browser can make a name of its own
lead here (DNS rebinding), and would then read the answers.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import itertools
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import Schema
from mlflow.utils.proto_json_utils import MlflowInvalidInputException

from textclf.data.readers.table_sizes import read_few_columns
from textclf.data.text_columns import TextColumns
from textclf.errors import DataError, cut, first_line
from textclf.models.base import Classifier
from textclf.models.families import load_classifier
from textclf.models.given_texts import given_texts
from textclf.models.prediction import SetPrediction
from textclf.tracking.record import CLASSIFIER

log = logging.getLogger(__name__)

TEXT, TEXT_PAIR = "text", "text_pair"
REQUESTED = TextColumns(TEXT, TEXT_PAIR)
"""The columns that are read; all others are ignored."""
OUTPUTS = ("label", "score", "probabilities")
SET_OUTPUTS = ("labels", "probabilities")
"""The columns of a classifier of sets of labels."""
THRESHOLD = "threshold"
"""The parameter below which a prediction abstains; 0 never does."""
ALLOWED_HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
"""MLflow's own variable: further names that a server answers to, with commas; * for any."""
MOST_BYTES = 200_000_000
"""Bytes of the texts of a request in Parquet, which can be far smaller than what it holds."""
_answer = scoring_server.invocations
_parse = scoring_server.infer_and_parse_data


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
        accept_texts()
        self.classifier = load_classifier(Path(context.artifacts[CLASSIFIER]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a row of label, score and probabilities (a dict by class) for each row of texts, under its index.

        Of sets of labels a row of labels (a list, the most probable first) and probabilities (a dict by label).

        Args:
            context: Not used; the classifier is in memory.
            model_input: A table with the columns text and, for pairs, text_pair; or texts alone.
            params: `threshold`, the probability below which the label is `abstain`; of sets of labels the one from
                which on a label is given, in place of its own. 0 is none.

        Raises:
            MlflowException: As a client's error (400) where the input is not usable, else as the server's (500).
        """
        try:
            texts, pairs = given_texts(model_input, None, REQUESTED, self.classifier.has_pairs)
            threshold = (params or {}).get(THRESHOLD) or None
            with self._one_at_a_time:
                found = self.classifier.predict(texts, pairs, threshold)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        except Exception as error:
            log.exception("a request could not be answered")
            said = f"The texts could not be classified: {type(error).__name__}; the server's log says more."
            raise MlflowException(said, error_code=INTERNAL_ERROR) from error
        rows = [
            (list(one.labels), one.probabilities)
            if isinstance(one, SetPrediction)
            else (one.label, one.score, one.probabilities)
            for one in found
        ]
        columns = list(SET_OUTPUTS if self.classifier.has_sets else OUTPUTS)
        index = model_input.index if isinstance(model_input, (pd.DataFrame, pd.Series)) else None
        return pd.DataFrame(rows, index=index, columns=columns)


def accept_texts() -> None:
    """Let a packed classifier in this process take texts alone, as the server does; other models are left as they are.

    MLflow 3.17 makes a list a table with a column called 0, and refuses it since there is no column text.
    """
    if getattr(PyFuncModel.predict, "takes_texts", False):
        return
    predict = PyFuncModel.predict

    @functools.wraps(predict)
    def predict_texts(self: PyFuncModel, data: Any, *args: Any, **kwargs: Any) -> Any:
        model = getattr(getattr(self, "_model_impl", None), "python_model", None)
        if type(model).__name__ == ServedClassifier.__name__:  # each packed model brings a class of its own
            data = as_table(data)
        return predict(self, data, *args, **kwargs)

    predict_texts.takes_texts = True  # type: ignore[attr-defined]
    PyFuncModel.predict = predict_texts


def as_table(data: Any) -> Any:
    """Return a sequence of texts as a table with the column text, under its index; anything else as it is."""
    if isinstance(data, pd.Series):
        return pd.DataFrame({TEXT: data.astype(object)})
    is_sequence = isinstance(data, (list, tuple)) or getattr(data, "ndim", None) == 1
    if is_sequence and not any(isinstance(entry, (dict, list)) for entry in data):
        return _table({TEXT: list(data)})
    return data


def guard_requests() -> None:
    """Read requests without changing what they hold, in a process that serves a model."""
    if scoring_server._SERVER_MODEL_PATH in os.environ:
        scoring_server.invocations = answer
        scoring_server.infer_and_parse_data = table_of
        if _is_on_loopback(sys.argv):
            _guard_hosts()


class KnownHosts:
    """Lets requests through that name this machine, by an address or a known name, and refuses the others."""

    def __init__(self, app: Any):
        self.app = app
        further = os.environ.get(ALLOWED_HOSTS, "").lower().split(",")
        self.known = {"localhost", *(name.strip() for name in further if name.strip())}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it with 403."""
        named = [value.decode("latin-1") for key, value in scope.get("headers", ()) if key == b"host"]
        if scope["type"] != "http" or (len(named) == 1 and self.knows(named[0])):
            await self.app(scope, receive, send)
            return
        said = b"This server does not answer to that name; MLFLOW_SERVER_ALLOWED_HOSTS says which ones it knows."
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": said})

    def knows(self, host: str) -> bool:
        """Say whether a request's host, with or without a port, is an address or a known name; no page forges those."""
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.known or "*" in self.known
        return True


def _guard_hosts() -> None:
    """Let the server that MLflow is about to make ask `KnownHosts` first."""
    import fastapi
    from starlette.middleware import Middleware

    if isinstance(fastapi.FastAPI, functools.partial):
        return
    fastapi.FastAPI = functools.partial(fastapi.FastAPI, middleware=[Middleware(KnownHosts)])  # type: ignore[misc]


def _is_on_loopback(arguments: Sequence[str]) -> bool:
    """Say whether a server with these arguments listens on this machine alone, as it does where none names a host."""
    hosts = [after for before, after in itertools.pairwise(arguments) if before == "--host"]
    hosts += [word.removeprefix("--host=") for word in arguments if word.startswith("--host=")]
    return all(host in ("127.0.0.1", "localhost", "::1") for host in hosts)


def answer(data: bytes, content_type: str | None, model: Any, input_schema: Schema) -> Any:
    """Answer a request, and refuse one that does not say what it holds."""
    if content_type is None:
        said = f"Say what the request holds by a header, such as Content-Type: {scoring_server.CONTENT_TYPE_JSON}."
        return scoring_server.InvocationsResponse(response=said, status=415, mimetype="text/plain")
    try:
        return _answer(_checked(data, content_type), content_type, model, input_schema)
    except MlflowException:
        raise
    except Exception as error:  # the model's own are MLflow's by now: what is left is of reading the request
        log.info("a request could not be read", exc_info=True)
        why = "it is nested too deeply" if isinstance(error, RecursionError) else first_line(error)
        raise MlflowInvalidInputException(f"The request cannot be read: {cut(why)}") from error


def _checked(data: bytes, content_type: str) -> Any:
    """Return what a request holds in a form that can be read without harm: JSON decoded, of Parquet the texts alone.

    Raises:
        MlflowException: As a client's error (400) where it is nested too deeply, holds a number that is none to any
            reader, or is far larger once it is read.
    """
    kind = content_type.partition(";")[0].strip()
    if kind == scoring_server.CONTENT_TYPE_PARQUET:
        return texts_of_parquet(data)
    if kind != scoring_server.CONTENT_TYPE_JSON:
        return data
    try:
        found = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return data  # MLflow says what is wrong
    except RecursionError as error:
        raise MlflowInvalidInputException("The JSON is nested too deeply; texts stand in a list or a table.") from error
    except ValueError as error:
        raise MlflowInvalidInputException(
            f"The JSON holds a number of more than {sys.get_int_max_str_digits():,} digits; give texts, as strings."
        ) from error
    return found if isinstance(found, dict) else data


def texts_of_parquet(data: bytes) -> bytes:
    """Return a Parquet file with the columns of texts alone; what others hold is not read.

    Raises:
        MlflowException: As a client's error (400) where it cannot be read, or the texts take too much once they are.
    """
    try:
        table = read_few_columns(io.BytesIO(data), (TEXT, TEXT_PAIR), MOST_BYTES)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MlflowInvalidInputException(f"The Parquet file cannot be read: {cut(first_line(error))}") from error
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def table_of(data: dict[str, Any], schema: Schema) -> Any:
    """Return the rows of a JSON request as a table, every value as it was sent.

    Args:
        data: The request's one entry: `inputs`, `instances`, `dataframe_records` or `dataframe_split`.
        schema: The model's columns.
    """
    ((form, rows),) = data.items() if len(data) == 1 else (("", None),)
    names = [str(name) for name in schema.input_names()]
    wanted = [str(name) for name in schema.required_input_names()]
    if form in scoring_server.SUPPORTED_FORMATS and rows == []:
        return pd.DataFrame(columns=names, dtype=object)
    if form not in (scoring_server.INPUTS, scoring_server.INSTANCES):
        return _parse(data, schema)
    if isinstance(rows, dict):
        columns = {name: values if isinstance(values, list) else [values] for name, values in rows.items()}
        if len({len(values) for name, values in columns.items() if name in names}) > 1:
            raise MlflowInvalidInputException("the columns are of unequal length")
        return _table({name: values for name, values in columns.items() if name in names} or columns)
    if not isinstance(rows, list):
        raise MlflowInvalidInputException(f"{form} must be a list or a table, got {type(rows).__name__}")
    if all(isinstance(row, dict) for row in rows):
        found = dict.fromkeys(name for row in rows for name in row)
        return _table({name: [row.get(name) for row in rows] for name in found})
    if len(wanted) > 1:
        raise MlflowInvalidInputException(f"give each row its columns {', '.join(wanted)} by name")
    return _table({wanted[0]: rows})


def _table(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Return columns as a table of whatever they hold."""
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
