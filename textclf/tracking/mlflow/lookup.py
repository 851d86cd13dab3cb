"""The folders behind MLflow's names: of a run, and of a registered model."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow.artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from textclf.errors import ArtifactError, did_you_mean, first_line, listed
from textclf.models.saved import DESCRIPTION
from textclf.tracking.mlflow import quiet  # noqa: F401  (switches off what MLflow may unpickle or run)
from textclf.tracking.mlflow.artifacts import local_store
from textclf.tracking.record import CLASSIFIER, RUN_FILE

RUN_FOLDER_TAG = "run_folder"
"""The tag of an MLflow run that says where its run folder was written."""


def run_folder(run_id: str, tracking_uri: str | None = None) -> Path:
    """Return the folder of a run by its id in MLflow: the run folder where it still is, else its artifacts.

    Raises:
        ArtifactError: If there is no such run, or neither folder holds a classifier.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local_store()
    try:
        run = MlflowClient(uri).get_run(run_id)
    except MlflowException as error:
        raise ArtifactError(f"{uri} has no run {run_id}: {first_line(error)}") from error
    written = Path(run.data.tags.get(RUN_FOLDER_TAG, ""))
    if written.is_absolute() and (written / CLASSIFIER / DESCRIPTION).is_file() and (written / RUN_FILE).is_file():
        return written
    for logged in reversed(run.outputs.model_outputs if run.outputs else []):
        return model_folder(f"models:/{logged.model_id}", uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id, tracking_uri=uri))
    except (MlflowException, OSError) as error:
        raise ArtifactError(f"The artifacts of run {run_id} cannot be had from {uri}: {first_line(error)}") from error
    if not (folder / CLASSIFIER / DESCRIPTION).is_file():
        raise ArtifactError(
            f"Run {run_id} has no classifier in {uri}, and its run folder ({written}) is not here. Runs with "
            f"tracker.log_model=true keep it there too."
        )
    return folder


def model_folder(name: str, tracking_uri: str | None = None) -> Path:
    """Return the folder of a registered model's classifier and record.

    Args:
        name: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or `models:/ID` of a model that a run has logged.
        tracking_uri: The store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ArtifactError: If there is no such model, alias or version, or it is none of textclf's.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local_store()
    client = MlflowClient(uri, uri)
    try:
        found = Path(mlflow.artifacts.download_artifacts(_source(client, name), tracking_uri=uri))
    except (MlflowException, OSError) as error:
        try:
            models = [
                f"models:/{model.name}@{alias}"
                for model in client.search_registered_models()
                for alias in model.aliases
            ]
        except MlflowException:
            models = []
        raise ArtifactError(
            f"{uri} has no {name}: {first_line(error)} It has {listed(models) or 'no registered model with an alias'}."
            f"{did_you_mean(name, models)}"
        ) from error
    described = sorted(found.rglob(DESCRIPTION))
    if not described:
        raise ArtifactError(f"{name} is no model of textclf's: there is no {DESCRIPTION} in it.")
    folder = described[0].parent
    return folder.parent if folder.name == CLASSIFIER else folder


def _source(client: MlflowClient, name: str) -> str:
    """Return where a store keeps the files of a model: the store itself is asked, not MLflow's default one."""
    model, _, alias = name.removeprefix("models:/").partition("@")
    if alias:
        version = str(client.get_model_version_by_alias(model, alias).version)
    else:
        model, _, version = model.partition("/")
    if version:
        return client.get_model_version_download_uri(model, version)
    return client.get_logged_model(model).artifact_location
