"""Register a run's classifier under a name in MLflow, unless the champion that bears its alias is better."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from textclf.documents.escape import is_plain, shown
from textclf.errors import ConfigError, TextclfError
from textclf.export.champion import Candidate, Judgement, judge
from textclf.models.saved import read_description, refuse_asked
from textclf.system.unfinished import one_at_a_time
from textclf.tracking.find_runs import RunReference, resolve_run
from textclf.tracking.mlflow.model import FINGERPRINT, fingerprint
from textclf.tracking.mlflow.model_versions import ModelVersions, open_registry
from textclf.tracking.record import PREDICTIONS_FILE, refuse_changed

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
    run = resolve_run(reference, tracking_uri=tracking_uri)
    refuse_asked(run.classifier, "Registering")
    with open_registry(tracking_uri) as versions, one_at_a_time(run.folder or run.classifier):
        return _registered(versions, run, name, alias, force)


def _registered(versions: ModelVersions, run: RunReference, name: str, alias: str, force: bool) -> Registered:
    """Register a classifier in an open store."""
    run_dir, record = run.folder or run.classifier, run.record
    if run.folder is not None:
        refuse_changed(run.folder, PREDICTIONS_FILE)
    known_as = fingerprint(run_dir)
    model = f"{name}@{alias}"
    same, holder = versions.find(name, known_as), versions.holder(name, alias)
    if holder is not None and same == holder:
        said = f"{run.said} is version {holder} of {name} already, and {model} is it: nothing was changed."
        return Registered(name, holder, alias, said, versions.uri)

    reason = f"{name} had no {alias} before."
    if holder is not None:
        found = _judgement(run, name, alias, holder, versions.uri)
        if not found.allowed and not force:
            raise RefusedError(
                f"{run.said} was not registered as {model}. {found.reason} To put it there all the same, add "
                f"--force; to keep it beside the present one, name another --alias."
            )
        reason = found.reason if found.allowed else f"It was forced. {found.reason}"
    if same is None:
        experiment = record.experiment if record else "textclf"
        run_id = record.tracking.get("run_id") if record else None
        version = versions.add(name, run_dir, run_id, experiment, known_as, _tags(run, known_as))
        done = f"{run.said} is now version {version} of {name}, and {model}."
    else:
        version = same
        done = f"{run.said} is version {version} of {name} already, and now {model}."
    versions.set_alias(name, alias, version)
    return Registered(name, version, alias, f"{done} {reason}", versions.uri)


def _tags(run: RunReference, known_as: str) -> dict[str, str]:
    """Return what a version is found by."""
    description = read_description(run.classifier)
    tags = {FINGERPRINT: known_as, "family": description.family, "label_names": ", ".join(description.label_names)}
    if run.record is not None:
        record = run.record
        tags |= {"dataset": record.dataset, "model": record.model, "seed": str(record.seed)}
        tags |= {key: f"{value:.4f}" for key, value in record.metrics.items() if key.startswith("test/")}
        tags["test_fingerprint"] = str(record.data.get("test_fingerprint", ""))
    tags["run_folder"] = str((run.folder or run.classifier).resolve())
    return {_tag_name(key): shown(value)[:4000] for key, value in tags.items()}


def _tag_name(key: str) -> str:
    """Return a tag's name in the characters that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)[:250]


def _judgement(run: RunReference, name: str, alias: str, version: str, uri: str) -> Judgement:
    """Compare the classifier with the one that bears the alias."""
    present = resolve_run(f"models:/{name}/{version}", tracking_uri=uri)
    challenger = Candidate(_called(run, run.said), run.classifier, run.folder)
    champion = Candidate(_called(present, f"{name}@{alias}, version {version}"), present.classifier, present.folder)
    return judge(challenger, champion)


def _called(run: RunReference, said: str) -> str:
    """Return what a classifier is called in a sentence."""
    record = run.record
    return f"{record.model} with seed {record.seed} ({said})" if record else said


def _check_names(name: str, alias: str) -> None:
    """Refuse names that MLflow does not take, or that an address could not be read with."""
    if not name.strip() or re.search(r"[/:@'\"]|^\.+$", name):
        raise ConfigError(
            f"--name {name!r}: the name of a model is any word without / : @ and quotes, such as reviews."
        )
    if not is_plain(name):
        raise ConfigError(f"--name {name!r}: a name is one line without control characters, such as reviews.")
    if not ALIAS.fullmatch(alias) or RESERVED.fullmatch(alias):
        raise ConfigError(
            f"--alias {alias!r}: an alias has letters, digits, - and _, such as champion; latest and v1, v2 … are "
            f"MLflow's own."
        )
