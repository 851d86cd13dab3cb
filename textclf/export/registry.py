"""A run's classifier under a name in MLflow's registry, and the champion that it must not be worse than."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from sqlalchemy.exc import SQLAlchemyError

from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line
from textclf.export.champion import Candidate, Judgement, judge
from textclf.models.saved import read_description
from textclf.tracking.find_runs import RunReference, resolve_run
from textclf.tracking.mlflow.logged import FINGERPRINT, fingerprint, log_classifier, logged_model
from textclf.tracking.mlflow.store import find_experiment, open_store
from textclf.tracking.options import MlflowTracker

TRACKING_URI = "MLFLOW_TRACKING_URI"
ALIAS = re.compile(r"[A-Za-z0-9_-]+")
RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)


class RefusedError(TextclfError):
    """The champion keeps its place; `--force` takes it all the same."""


@dataclass(frozen=True)
class Registered:
    """What a registration came to."""

    name: str
    version: str
    alias: str
    said: str
    """What happened, in a sentence or two."""
    uri: str
    """The store."""

    @property
    def model(self) -> str:
        """The address of the model in MLflow."""
        return f"models:/{self.name}@{self.alias}"


def register(
    reference: str | Path,
    name: str,
    alias: str = "champion",
    *,
    force: bool = False,
    tracking_uri: str | None = None,
) -> Registered:
    """Register a run's classifier as a version of a model, and give it the alias.

    The model is logged first where the run has none in MLflow. Where the alias is taken, it passes on only if
    `judge` allows it. The same classifier is never registered twice.

    Args:
        reference: A run, as `resolve_run` takes it.
        name: Name of the registered model; made where it is not there.
        alias: The alias to give.
        force: Pass the alias on whatever the comparison says.
        tracking_uri: MLflow's store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        RefusedError: If the present champion keeps its place.
        ConfigError: If the name or the alias is none that MLflow takes.
        ArtifactError: If there is no such run, it has no classifier, or the store fails.
    """
    _check_names(name, alias)
    located = resolve_run(reference, tracking_uri=tracking_uri)
    try:
        client, uri, artifacts = open_store(MlflowTracker(tracking_uri=tracking_uri))
        return _registered(client, uri, artifacts, located, name, alias, force)
    except (MlflowException, SQLAlchemyError) as error:
        raise ArtifactError(f"{tracking_uri or 'The MLflow store'} failed: {first_line(error)}") from error


def _registered(
    client: MlflowClient, uri: str, artifacts: str | None, located: RunReference, name: str, alias: str, force: bool
) -> Registered:
    """Register a classifier in an open store."""
    run_dir = located.folder or located.classifier
    known_as = fingerprint(run_dir)
    model = f"{name}@{alias}"
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")}
    same = next((v for v in versions.values() if v.tags.get(FINGERPRINT) == known_as), None)
    holder = _holder(client, name, alias)
    if same is not None and holder is not None and str(same.version) == holder:
        said = f"{located.said} is version {holder} of {name} already, and {model} is it: nothing was changed."
        return Registered(name, holder, alias, said, uri)

    reason = f"{name} had no {alias} before."
    if holder is not None:
        found = _judgement(located, name, alias, holder, uri)
        if not found.allowed and not force:
            raise RefusedError(
                f"{located.said} was not registered as {model}. {found.reason} To put it there all the same, add "
                f"--force; to keep it beside the present one, name another --alias."
            )
        reason = found.reason if found.allowed else f"It was forced. {found.reason}"
    if same is None:
        version = _new_version(client, artifacts, located, name, known_as)
        done = f"{located.said} is now version {version} of {name}, and {model}."
    else:
        version = str(same.version)
        done = f"{located.said} is version {version} of {name} already, and now {model}."
    client.set_registered_model_alias(name, alias, version)
    return Registered(name, version, alias, f"{done} {reason}", uri)


def _new_version(client: MlflowClient, artifacts: str | None, located: RunReference, name: str, known_as: str) -> str:
    """Make a version of the classifier, its model logged first where it is not yet, and return its number."""
    record, run_dir = located.record, located.folder or located.classifier
    run_id = _known_run(client, record.tracking.get("run_id") if record else None)
    model_id = logged_model(client, run_id, known_as) if run_id else None
    if model_id is None:
        if run_id is not None:
            experiment_id = client.get_run(run_id).info.experiment_id
        else:
            experiment_id = find_experiment(client, record.experiment if record else "textclf", artifacts)
        model_id = log_classifier(client, experiment_id, run_id, run_dir)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with _default_store(client.tracking_uri):  # where the registry looks for the model
        made = client.create_model_version(
            name, f"models:/{model_id}", run_id, tags=_tags(located, known_as), model_id=model_id
        )
    return str(made.version)


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


def _tags(located: RunReference, known_as: str) -> dict[str, str]:
    """Return what a version is found by."""
    description = read_description(located.classifier)
    tags = {FINGERPRINT: known_as, "family": description.family, "label_names": ", ".join(description.label_names)}
    if located.record is not None:
        record = located.record
        tags |= {"dataset": record.dataset, "model": record.model, "seed": str(record.seed)}
        tags |= {key: f"{value:.4f}" for key, value in record.metrics.items() if key.startswith("test/")}
        tags["test_fingerprint"] = str(record.data.get("test_fingerprint", ""))
    tags["run_folder"] = str((located.folder or located.classifier).resolve())
    return {_tag_name(key): value[:4000] for key, value in tags.items()}


def _tag_name(key: str) -> str:
    """Return a tag's name in the characters that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)[:250]


def _judgement(located: RunReference, name: str, alias: str, version: str, uri: str) -> Judgement:
    """Compare the classifier with the one that bears the alias."""
    present = resolve_run(f"models:/{name}/{version}", tracking_uri=uri)
    challenger = Candidate(_called(located, located.said), located.classifier, located.folder)
    champion = Candidate(_called(present, f"{name}@{alias}, version {version}"), present.classifier, present.folder)
    return judge(challenger, champion)


def _called(located: RunReference, said: str) -> str:
    """Return what a classifier is called in a sentence."""
    record = located.record
    return f"{record.model} with seed {record.seed} ({said})" if record else said


def _holder(client: MlflowClient, name: str, alias: str) -> str | None:
    """Return the version that bears an alias; none where no version does."""
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _known_run(client: MlflowClient, run_id: str | None) -> str | None:
    """Return a run's id where this store knows the run."""
    if run_id is None:
        return None
    try:
        return client.get_run(run_id).info.run_id
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _check_names(name: str, alias: str) -> None:
    """Refuse names that MLflow does not take, or that an address could not be read with."""
    if not name.strip() or re.search(r"[/:@'\"]|^\.+$", name):
        raise ConfigError(
            f"--name {name!r}: the name of a model is any word without / : @ and quotes, such as reviews."
        )
    if not ALIAS.fullmatch(alias) or RESERVED.fullmatch(alias):
        raise ConfigError(
            f"--alias {alias!r}: an alias has letters, digits, - and _, such as champion; latest and v1, v2 … are "
            f"MLflow's own."
        )
