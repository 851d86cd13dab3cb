"""Open or create an MLflow store; find the folders behind its names; tell passing failures from lasting ones."""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import mlflow.artifacts
import psutil
from filelock import Timeout as LockTimeout
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import http_artifact_repo, mlflow_artifacts_repo
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import MlflowHostCreds
from mlflow.utils.uri import is_local_uri

from textclf.errors import ArtifactError, ConfigError, did_you_mean, first_line, listed
from textclf.models.saved import DESCRIPTION
from textclf.system.places import AtHand
from textclf.system.redact import redacted, without_login
from textclf.system.unfinished import new_temporary_folder
from textclf.tracking.mlflow.database import prepare_database
from textclf.tracking.options import COSTS_TAG, FOR_TRAINING, RUN_EXPERIMENT, RUNS_VIEW, VIEW, MlflowTracker
from textclf.tracking.record import CLASSIFIER, PREDICTIONS_FILE, RUN_FILE

log = logging.getLogger(__name__)

LOCAL_UI = "http://127.0.0.1:5000"
"""Where `textclf ui` shows the local store."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
VIEW_STATE = json.dumps(
    {
        "selectedColumns": [
            "attributes.`Created`",
            "attributes.`Duration`",
            *(f"metrics.`test/{metric}`" for metric in ("accuracy", "macro_f1", "micro_f1", "log_loss")),
            *(f"tags.`{tag}`" for tag in ("dataset", "model", "trainer", "seed", COSTS_TAG)),
        ],
        "searchFilter": "metrics.`test/log_loss` >= 0 AND tags.model != ''",
        "orderByKey": "metrics.`test/macro_f1`",
        "orderByAsc": False,
    }
)
"""The shared view of an experiment: its tested runs, the best first; which run it is, how good, at what cost.

A tested run has a log loss, whether each text has one class or a set of labels; accuracy is of classes alone, and micro
F1 of sets.

MLflow nests runs under their sweep unless there is a filter. The run of a sweep has its best run's scores but no model,
so that it is not ranked beside that run. Metrics are shown in the order of their names, and tags after them: costs are
in a tag, since as metrics (`cost/…`) they would stand before the scores.
"""
NETWORK_DISKS = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "fuse", "9p", "afs", "ceph")
"""File systems on which SQLite's write-ahead log, which is shared through memory, would not be safe."""
LASTING = {
    "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_DOES_NOT_EXIST", "NOT_FOUND",
    "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "INVALID_STATE", "NOT_IMPLEMENTED", "FEATURE_DISABLED",
    "MAX_BLOCK_SIZE_EXCEEDED", "RESOURCE_LIMIT_EXCEEDED",
}  # fmt: skip
"""MLflow's codes of what a store will not take however often it is asked."""
UNREACHED = re.compile(r"^(API request to \S+ failed) with exception .*Caused by (\w+).*")
LOUD = ("mlflow.store.db.utils", "mlflow.system_metrics", "urllib3.connectionpool", "mlflow.utils.rest_utils")
"""Loggers that report each fault at length, which is logged once and in a line."""
PARENT_TAG = "mlflow.parentRunId"
"""The tag of a run in a sweep that says which run holds the sweep."""
RUN_FOLDER_TAG = "run_folder"
"""The tag of an MLflow run that says where its run folder was written."""


FILE_STORE_ALLOWED = "MLFLOW_ALLOW_FILE_STORE"
"""MLflow's own variable, without which it opens no file store any more."""
EXPERIMENT_NAME, EXPERIMENT_ID = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"
"""MLflow's own variables of the experiment to log to; `mlflow.set_experiment` sets the latter."""


_named: set[tuple[str, str | None, int | None]] = set()
"""Scheme, host and port of the servers that were opened because a person named them."""


def _credentials_for(address: str) -> MlflowHostCreds:
    """Return MLflow's credentials for a server of artifacts, which any run of a store may name; none for a stranger."""
    return get_default_host_creds(address) if _origin(address) in _named else MlflowHostCreds(host=address)


for _module in (http_artifact_repo, mlflow_artifacts_repo):
    assert hasattr(_module, "get_default_host_creds")
    _module.get_default_host_creds = _credentials_for  # type: ignore[attr-defined]


def _origin(address: str | None) -> tuple[str, str | None, int | None]:
    with contextlib.suppress(ValueError):
        parts = urlsplit(address or "")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, port
    return "", None, None


def _note_server(address: str | None) -> None:
    """Let MLflow's credentials be sent to a server that is about to be opened."""
    if (origin := _origin(address))[1] is not None:
        _named.add(origin)


def check_store(uri: str | None) -> None:
    """Refuse a store that this MLflow never opens, however often it is asked.

    Raises:
        ConfigError: If it is a folder of files, and MLflow is not told to allow those.
    """
    if uri is None or uri.startswith(("databricks", "uc:")):
        return
    scheme = urlsplit(uri).scheme
    is_folder = scheme in ("", "file") or (len(scheme) == 1 and os.sep == "\\")  # the letter of a drive
    if is_folder and os.environ.get(FILE_STORE_ALLOWED, "").lower() not in ("true", "1"):
        path = Path(uri.removeprefix("file://").removeprefix("file:")).absolute()
        raise ConfigError(
            f"MLflow store {uri}: a store of plain files is no longer opened by MLflow. Name a database, such as "
            f"MLFLOW_TRACKING_URI=sqlite:///{path / 'mlflow.db'} (`mlflow migrate-filestore` moves the runs that are "
            f"there already), or leave MLFLOW_TRACKING_URI and tracker.tracking_uri out for the local store, or set "
            f"{FILE_STORE_ALLOWED}=true to use the files all the same."
        )


def person() -> str:
    """Return the name that the operating system has for who runs this."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # such as in a container without an entry for the user
        return "unknown"


def chosen_experiment(experiment: str) -> tuple[str, str | None]:
    """Return the name of the experiment to log to, and its id in the store where MLflow's environment gives that.

    MLflow's environment counts where textclf's own option was left at its default.
    """
    given = {name: os.environ[name] for name in (EXPERIMENT_ID, EXPERIMENT_NAME) if os.environ.get(name)}
    if not given:
        return experiment, None
    said = " and ".join(f"{name}={value}" for name, value in given.items())
    if experiment != RUN_EXPERIMENT:
        if given.get(EXPERIMENT_NAME) != experiment:
            log.info("experiment=%s is given, so MLflow's %s is not used", experiment, said)
        return experiment, None
    log.info("experiment is not given: MLflow's %s is used", said)
    return given.get(EXPERIMENT_NAME, experiment), given.get(EXPERIMENT_ID)


def open_store(options: MlflowTracker) -> tuple[MlflowClient, str, str | None]:
    """Open the store or server that the options name; one in SQLite is made where it is not there.

    Returns:
        The client, the store's address, and where the local store keeps its artifacts; none for any other, which
        decides that itself.

    Raises:
        ConfigError: If MLflow never opens such a store.
    """
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    uri = named_store(options)
    _note_server(uri)
    check_store(uri)
    if uri is not None:
        prepare_database(uri)
        return MlflowClient(uri, uri), uri, None
    root = Path(options.directory).absolute()
    uri = f"sqlite:///{root / 'mlflow.db'}"
    prepare_database(uri)
    client = MlflowClient(uri, uri)
    client.search_experiments(max_results=1)
    _let_readers_and_writers_be(root / "mlflow.db")
    return client, uri, (root / "artifacts").as_uri()


def newest_runs_page(uri: str) -> str:
    """Return the address, below that of the store's pages, of the runs of the experiment that was logged to last.

    It is that of all experiments where there is no run, or the store cannot be asked.
    """
    client = MlflowClient(uri, uri)
    try:
        experiments = {found.experiment_id: found for found in client.search_experiments(max_results=1000)}
        newest = client.search_runs(list(experiments), max_results=1, order_by=["attributes.start_time DESC"])
    except MlflowException:
        newest, experiments = [], {}
    if not newest:
        return f"/#/experiments{FOR_TRAINING}"
    found = experiments[newest[0].info.experiment_id]
    view = RUNS_VIEW if VIEW_TAG in found.tags else FOR_TRAINING
    return f"/#/experiments/{found.experiment_id}/runs{view}"


def named_store(options: MlflowTracker) -> str | None:
    """Return the store that the options or the environment name; none for the local one."""
    return options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")


def address_of(options: MlflowTracker) -> str:
    """Return where the store is, without the secrets that the address may have."""
    return without_secrets(named_store(options) or database_in(options.directory))


def far_store(options: MlflowTracker, trusted: Sequence[str] = ()) -> str | None:
    """Return the store of some options where a run folder alone does not lead to it; none where it does.

    It leads to stores below the working folder, and to that of the environment. `trusted` names others.
    """
    at_hand = AtHand((Path.cwd(),), tuple(trusted))
    if options.tracking_uri is None:
        place = str(options.directory)
        known = Path(place).absolute() == Path(MlflowTracker.directory).absolute()  # a link to a larger disk, perhaps
        known = known or place in trusted
    else:
        place = options.tracking_uri
        known = place == os.environ.get("MLFLOW_TRACKING_URI")
    return None if known or at_hand.holds_store(options.tracking_uri or database_in(place)) else place


def database_in(directory: str | Path) -> str:
    """Return the address of the local store that a folder has."""
    return f"sqlite:///{Path(directory).absolute() / 'mlflow.db'}"


def without_secrets(uri: str) -> str:
    """Return an address without user, password and tokens; it still names the same store."""
    return uri if uri.startswith("sqlite:") else without_login(uri)


def find_experiment(client: MlflowClient, name: str, artifacts: str | None, known_id: str | None = None) -> str:
    """Return the id of an experiment, made where it is not there yet.

    Args:
        client: The store.
        name: Its name.
        artifacts: Where a new one keeps its artifacts; none leaves that to the store.
        known_id: Its id, which goes before the name where the store has it.
    """
    found = _experiment_of(client, known_id) if known_id else None
    if known_id and found is None:
        log.warning("MLflow has no experiment with the id %s; the run goes to %r", known_id, name)
    found = found or client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
            log.warning("MLflow's experiment %r was deleted; it is restored, since this run belongs to it", found.name)
        if found.tags.get(VIEW_TAG, VIEW_STATE) != VIEW_STATE:  # an older one of textclf's
            with contextlib.suppress(MlflowException):  # such as a server that lets this person only add runs
                client.set_experiment_tag(found.experiment_id, VIEW_TAG, VIEW_STATE)
        return found.experiment_id
    try:
        experiment_id = client.create_experiment(name, artifact_location=artifacts)
        client.set_experiment_tag(experiment_id, "mlflow.experimentKind", "custom_model_development")
        client.set_experiment_tag(experiment_id, VIEW_TAG, VIEW_STATE)
        return experiment_id
    except MlflowException:
        found = client.get_experiment_by_name(name)  # another process was quicker
        if found is None:
            raise
        return found.experiment_id


def _experiment_of(client: MlflowClient, experiment_id: str) -> Experiment | None:
    try:
        return client.get_experiment(experiment_id)
    except MlflowException as error:
        if passes(error):
            raise
        return None


def passes(error: BaseException) -> bool:
    """Whether a fault is one of the moment: the store is down, locked, slow, or lets nobody in."""
    if isinstance(error, MlflowException):
        return error.error_code not in LASTING
    if isinstance(error, LockTimeout | OSError):
        return True
    return any(passes(cause) for cause in _causes(error))


def fault(error: BaseException) -> str:
    """Return a fault in a line, without secrets."""
    if isinstance(error, LockTimeout):
        return f"{error.lock_file} is held by another process"
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = UNREACHED.sub(r"\1: \2", said)  # which quotes the whole of urllib3's account of it
    return redacted(said)[:300].rstrip(".") or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    if error.__cause__ is not None:
        yield error.__cause__


def _let_readers_and_writers_be(path: Path) -> None:
    """Have a local store keep a write-ahead log, so that who reads waits for nobody who writes; set once."""
    if _is_on_network(path):
        return
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=1)) as database:
        if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            database.execute("PRAGMA journal_mode=WAL")


def _is_on_network(path: Path) -> bool:
    """Whether a file lies on a disk that other machines write to."""
    try:
        disks = {Path(disk.mountpoint): disk.fstype for disk in psutil.disk_partitions(all=True)}
    except (OSError, RuntimeError):
        return True
    kind = next((disks[folder] for folder in path.resolve().parents if folder in disks), "")
    return kind.startswith(NETWORK_DISKS)


def run_folders_of(experiment: str, tracking_uri: str | None = None) -> dict[Path, str]:
    """Return folders with the records and predictions of an experiment's finished runs, with what each run is called.

    Of a local store they are the artifacts themselves; from a server they are downloaded to a
    temporary folder.

    Args:
        experiment: Name of the experiment.
        tracking_uri: The store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ArtifactError: If there is no such store, experiment, or finished run.
    """
    uri = store_to_read(tracking_uri)
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
    folders: dict[Path, str] = {}
    without = []
    for run in runs:
        called = f"run {run.info.run_name} ({run.info.run_id})"
        folder = _folder(client, run.info.run_id, run.info.artifact_uri)
        if folder is not None:
            folders[folder] = called
        elif PARENT_TAG in run.data.tags or not run.data.tags.get("sweep"):  # the run of a sweep itself has no record
            without.append(called)
    if folders and without:
        log.warning("left out, since they have no record of textclf's: %s", listed(without))
    if not folders:
        raise ArtifactError(f"--mlflow {experiment}: none of its {len(runs)} finished runs has a record of textclf's.")
    return folders


def store_to_read(tracking_uri: str | None) -> str:
    """Return the store or server that is named, else the local store; one in SQLite is never made by who reads.

    Raises:
        ArtifactError: If there is no such store.
        ConfigError: If MLflow never opens it.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    _note_server(uri)
    check_store(uri)
    uri = uri or f"sqlite:///{Path(MlflowTracker().directory).absolute() / 'mlflow.db'}"
    prepare_database(uri, make=False)
    return uri


def _folder(client: MlflowClient, run_id: str, artifact_uri: str) -> Path | None:
    """Return the folder of a run's artifacts, or nothing where it holds no record."""
    if artifact_uri.startswith("file://"):
        folder = Path(artifact_uri.removeprefix("file://"))
        return folder if (folder / RUN_FILE).is_file() else None
    names = {file.path for file in client.list_artifacts(run_id)}
    if RUN_FILE not in names:
        return None
    folder = new_temporary_folder("textclf-run-") / run_id
    folder.mkdir()
    for name in names & {RUN_FILE, PREDICTIONS_FILE}:
        client.download_artifacts(run_id, name, str(folder))
    return folder


def run_folder(run_id: str, tracking_uri: str | None = None) -> Path:
    """Return the folder of a run by its id in MLflow: the run folder where it still is, else its artifacts.

    Raises:
        ArtifactError: If there is no such run, or neither folder holds a classifier.
    """
    uri = store_to_read(tracking_uri)
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
        folder = _fetched(run.info.artifact_uri or f"runs:/{run_id}/", uri)
    except (MlflowException, OSError) as error:
        raise ArtifactError(
            f"The artifacts of run {run_id} cannot be downloaded from {uri}: {first_line(error)}"
        ) from error
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
    uri = store_to_read(tracking_uri)
    client = MlflowClient(uri, uri)
    try:
        found = _fetched(_source(client, name), uri)
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


def _fetched(artifacts: str, uri: str) -> Path:
    """Return the folder of artifacts: where they lie, or a copy that is there until the process ends."""
    copy = None if is_local_uri(artifacts, False) else str(new_temporary_folder("textclf-model-"))
    return Path(mlflow.artifacts.download_artifacts(artifacts, dst_path=copy, tracking_uri=uri))


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
