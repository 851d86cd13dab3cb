"""MLflow as textclf wants it: no pickle, no jobs that a request starts, no telemetry, no long waits, no bars.

`textclf.tracking.mlflow` sets it before the import of MLflow. What the person has set is left alone.
"""

from __future__ import annotations

import os

MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""The last keeps addresses with their passwords off the screen."""


def set_environment() -> None:
    """Set what MLflow reads, where the person has not."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
