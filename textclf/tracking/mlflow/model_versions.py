"""Versions of registered models in an MLflow store: found, made, and given an alias."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from sqlalchemy.exc import SQLAlchemyError

from textclf.errors import ArtifactError, first_line
from textclf.tracking.mlflow.model import FINGERPRINT, log_classifier, logged_model
from textclf.tracking.mlflow.store import find_experiment, open_store
from textclf.tracking.options import MlflowTracker

TRACKING_URI = "MLFLOW_TRACKING_URI"
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes of what a store does not have."""


@contextmanager
def open_registry(tracking_uri: str | None) -> Iterator[ModelVersions]:
    """Open the registry of a store.

    Args:
        tracking_uri: MLflow's store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ArtifactError: If the store fails, also later inside the context.
    """
    try:
        yield ModelVersions(*open_store(MlflowTracker(tracking_uri=tracking_uri)))
    except (MlflowException, SQLAlchemyError) as error:
        raise ArtifactError(f"{tracking_uri or 'The MLflow store'} failed: {first_line(error)}") from error


class ModelVersions:
    """The versions of the registered models of an open store."""

    def __init__(self, client: MlflowClient, uri: str, artifacts: str | None):
        self.client = client
        self.uri = uri
        self.artifacts = artifacts

    def find(self, name: str, fingerprint: str) -> str | None:
        """Return the version of a model that holds a classifier; none where no version does."""
        versions = self.client.search_model_versions(f"name = '{name}'")
        return next((str(v.version) for v in versions if v.tags.get(FINGERPRINT) == fingerprint), None)

    def holder(self, name: str, alias: str) -> str | None:
        """Return the version that bears an alias; none where no version does."""
        try:
            return str(self.client.get_model_version_by_alias(name, alias).version)
        except MlflowException as error:
            if error.error_code in NOT_THERE:
                return None
            raise

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Give an alias to a version, whoever bears it."""
        self.client.set_registered_model_alias(name, alias, version)

    def add(
        self, name: str, run_dir: Path, run_id: str | None, experiment: str, fingerprint: str, tags: Mapping[str, str]
    ) -> str:
        """Make a version of a classifier, its model logged first where it is not yet, and return its number.

        Args:
            name: Name of the registered model; made where it is not there.
            run_dir: The run folder, or the folder of a classifier alone.
            run_id: The tracker's id of the run, which this store may not know.
            experiment: What the model is logged under where the store does not know the run.
            fingerprint: The classifier's.
            tags: What the version is found by.
        """
        run_id = self._known_run(run_id)
        model_id = logged_model(self.client, run_id, fingerprint) if run_id else None
        if model_id is None:
            if run_id is not None:
                experiment_id = self.client.get_run(run_id).info.experiment_id
            else:
                experiment_id = find_experiment(self.client, experiment, self.artifacts)
            model_id = log_classifier(self.client, experiment_id, run_id, run_dir)
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"models:/{model_id}"
        with _default_store(self.client.tracking_uri):  # where the registry looks for the model
            made = self.client.create_model_version(name, source, run_id, tags=dict(tags), model_id=model_id)
        return str(made.version)

    def _known_run(self, run_id: str | None) -> str | None:
        """Return a run's id where this store knows the run."""
        if run_id is None:
            return None
        try:
            return self.client.get_run(run_id).info.run_id
        except MlflowException as error:
            if error.error_code in NOT_THERE:
                return None
            raise


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default one inside the context."""
    before = os.environ.get(TRACKING_URI)
    try:
        with _use_tracking_uri(uri):
            yield
    finally:
        if before is not None:  # MLflow forgets it
            os.environ[TRACKING_URI] = before
