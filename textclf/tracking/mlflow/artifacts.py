"""The run folders that belong to the runs of an MLflow experiment."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from textclf.errors import ArtifactError, did_you_mean, first_line, listed
from textclf.tracking.mlflow import quiet  # noqa: F401  (switches off what MLflow may unpickle or run)
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import PREDICTIONS_FILE, RUN_FILE

log = logging.getLogger(__name__)


def run_folders_of(experiment: str, tracking_uri: str | None = None) -> list[Path]:
    """Return folders with the records and predictions of an experiment's finished runs.

    Of a local store they are the artifacts themselves; from a server they are downloaded to a
    temporary folder.

    Args:
        experiment: Name of the experiment.
        tracking_uri: The store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ArtifactError: If there is no such store, experiment, or finished run.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local_store()
    client = MlflowClient(uri)
    try:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            names = [other.name for other in client.search_experiments()]
            raise ArtifactError(
                f"--mlflow {experiment}: {uri} has no such experiment; it has {listed(names)}."
                f"{did_you_mean(experiment, names)}"
            )
        runs, token = [], None
        while True:
            page = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", page_token=token)
            runs += page
            token = page.token
            if not token:
                break
    except MlflowException as error:
        raise ArtifactError(f"{uri} cannot be read: {first_line(error)}") from error
    folders = [folder for run in runs if (folder := _folder(client, run.info.run_id, run.info.artifact_uri))]
    if not folders:
        raise ArtifactError(f"--mlflow {experiment}: none of its {len(runs)} finished runs has a record of textclf's.")
    return folders


def local_store() -> str:
    """Return the address of the local store."""
    path = Path(MlflowTracker().directory).absolute() / "mlflow.db"
    if not path.is_file():
        raise ArtifactError(
            f"There is no MLflow store at {path}. Name one with --tracking-uri sqlite:////path/to/mlflow.db, or name "
            f"run folders instead."
        )
    return f"sqlite:///{path}"


def _folder(client: MlflowClient, run_id: str, artifact_uri: str) -> Path | None:
    """Return the folder of a run's artifacts, or nothing where it holds no record."""
    if artifact_uri.startswith("file://"):
        folder = Path(artifact_uri.removeprefix("file://"))
        return folder if (folder / RUN_FILE).is_file() else None
    names = {file.path for file in client.list_artifacts(run_id)}
    if RUN_FILE not in names:
        return None
    folder = Path(tempfile.mkdtemp(prefix=f"textclf-{run_id}-"))
    for name in names & {RUN_FILE, PREDICTIONS_FILE}:
        client.download_artifacts(run_id, name, str(folder))
    return folder
