"""Upload a run to an MLflow store: the run itself, and what its journal holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from textclf.errors import ArtifactError, ConfigError, TextclfError
from textclf.system.paths import is_plain_name, link_out_of
from textclf.system.places import AtHand
from textclf.tracking.mlflow.journal import Entry, State
from textclf.tracking.mlflow.store import LOCAL_UI, PARENT_TAG, fault, find_experiment, passes, person, without_secrets
from textclf.tracking.options import FOR_TRAINING
from textclf.tracking.record import CLASSIFIER, PREDICTIONS_FILE, RUN_FILE, has_manifest, refuse_changed
from textclf.tracking.run_folder import NOT_VOUCHED_FOR

log = logging.getLogger(__name__)

ID_TAG = "textclf.id"
"""The tag of an MLflow run that has its own id, by which a run is known of which the store's id was lost."""
USER_TAG = "mlflow.user"
LOCAL = "local:"
"""What the name of a parent begins with that has no id in the store yet."""
TEMPORARY = "textclf-tracking-"
"""What the name of a journal's folder begins with where it is no run folder: its run is somewhere else."""
MOST_METRICS = 1000
"""Points that MLflow takes in one call."""


class RefusedError(Exception):
    """The store or the files refuse something for good, which is then passed over."""


class GoneError(Exception):
    """The store no longer has the run."""


class RunUpload:
    """A run that is in a store."""

    at_hand: AtHand | None = None
    """Where files of a run may be that has no folder of its own; none for what this process logs itself."""

    def __init__(self, client: MlflowClient, experiment_id: str, run_id: str, url: str, folder: Path, is_new: bool):
        self.client = client
        self.experiment_id = experiment_id
        self.run_id = run_id
        self.url = url
        self.folder = folder
        self.is_new = is_new
        """Whether it was made just now, so that it holds nothing yet."""

    def send(self, entries: Sequence[Entry], sure: bool) -> int:
        """Send the store some lines, all of a kind, and return how much of it was new: points, params, files, or lines.

        Where something is there already, it is not doubled.

        Args:
            entries: Lines of a journal; more than one only of metrics.
            sure: Whether nothing of this was ever sent. Otherwise the store is asked first.

        Raises:
            RefusedError: If it will not take it however often it is asked.
            GoneError: If the run was deleted.
            Exception: Whatever else a store throws, after which it may be tried again.
        """
        try:
            return getattr(self, f"_send_{entries[0]['kind']}")(entries, sure)
        except (RefusedError, GoneError):
            raise
        except Exception as error:
            if passes(error):
                raise
            if isinstance(error, MlflowException) and not is_there(self.client, self.run_id):
                raise GoneError(self.run_id) from error
            raise RefusedError(f"log_{entries[0]['kind']} failed: {fault(error)}") from error

    def nest(self, parent: str, folder_ids: Sequence[str] = ()) -> bool:
        """Put the run under its parent, and say whether the parent is in the store.

        Args:
            parent: The parent's id in the store, or `local:` and its own id.
            folder_ids: Own ids of the runs whose folders this one's lies in, by which a parent is found in a store
                that has it under another id.
        """
        found = None
        if not parent.startswith(LOCAL) and is_there(self.client, parent):
            found = parent
        for own in [parent.removeprefix(LOCAL)] if parent.startswith(LOCAL) else folder_ids:
            found = found or find_run(self.client, self.experiment_id, own)
        if found is not None:
            self.client.set_tag(self.run_id, PARENT_TAG, found)
        return found is not None

    def _send_run(self, entries: Sequence[Entry], sure: bool) -> int:
        return 0  # the run was made with what this line says

    def _send_parent(self, entries: Sequence[Entry], sure: bool) -> int:
        return 0  # `nest` sees to it, when the parent is there

    def _send_params(self, entries: Sequence[Entry], sure: bool) -> int:
        params = entries[0]["params"]
        if not self.is_new:
            before = self.client.get_run(self.run_id).data.params
            params = {key: value for key, value in params.items() if before.get(key) != value}
            if changed := sorted(params.keys() & before.keys()):
                said = ", ".join(f"{key} {before[key]}, now {params[key]}" for key in changed)
                params = {key: value for key, value in params.items() if key not in before}
                if params:
                    self.client.log_batch(self.run_id, params=[Param(*item) for item in params.items()])
                raise RefusedError(f"params keep the values that the run was started with ({said})")
        if params:
            self.client.log_batch(self.run_id, params=[Param(*item) for item in params.items()])
        return len(params)

    def _send_metrics(self, entries: Sequence[Entry], sure: bool) -> int:
        points = [
            Metric(name, float(value), entry["time"], entry["step"])
            for entry in entries
            for name, value in entry["metrics"].items()
        ]
        if not sure:
            there = {
                (name, point.step, point.timestamp)
                for name in {point.key for point in points}
                for point in self.client.get_metric_history(self.run_id, name)
            }
            points = [point for point in points if (point.key, point.step, point.timestamp) not in there]
        for start in range(0, len(points), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=points[start : start + MOST_METRICS])
        return len(points)

    def _send_tags(self, entries: Sequence[Entry], sure: bool) -> int:
        self.client.log_batch(self.run_id, tags=[RunTag(*item) for item in entries[0]["tags"].items()])
        return 1

    def _send_dataset(self, entries: Sequence[Entry], sure: bool) -> int:
        said = {key: entries[0][key] for key in ("name", "digest", "source_type", "source", "schema", "profile")}
        context = InputTag("mlflow.data.context", "train, validation, test")
        self.client.log_inputs(self.run_id, [DatasetInput(DatasetEntity(**said), [context])])
        return 1

    def _send_artifacts(self, entries: Sequence[Entry], sure: bool) -> int:
        missing, changed = [], []
        for name in entries[0]["names"]:
            path = self._own(entries[0]["folder"], name)
            if name not in NOT_VOUCHED_FOR and (problem := _changed(path.parent, name)):
                changed.append(problem)
            elif path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), name)
            elif path.exists():
                self.client.log_artifact(self.run_id, str(path))
            else:
                missing.append(name)
        if missing:
            changed.append(f"no longer in {self.folder / entries[0]['folder']}: {', '.join(missing)}")
        if changed:
            raise RefusedError("; ".join(changed))
        return len(entries[0]["names"])

    def _send_model(self, entries: Sequence[Entry], sure: bool) -> int:
        from textclf.tracking.mlflow.model import fingerprint, log_classifier, logged_model

        folder = self._own(entries[0]["folder"])
        if problem := _changed(folder, CLASSIFIER, RUN_FILE, PREDICTIONS_FILE):
            raise RefusedError(problem)
        try:
            if not sure and logged_model(self.client, self.run_id, fingerprint(folder)) is not None:
                return 0
            log_classifier(self.client, self.experiment_id, self.run_id, folder)
            return 1
        except (TextclfError, FileNotFoundError) as error:
            raise RefusedError(f"log_model failed: {fault(error)}") from error

    def _own(self, folder: str, name: str = "") -> Path:
        """Return a file or folder of the run; a journal may come from anybody, and nothing else is sent for it.

        Raises:
            RefusedError: If it lies, or leads, somewhere else.
        """
        root = self.folder / folder
        path = root / name
        is_elsewhere = Path(folder).is_absolute() and not self._may_be_at(folder)
        inside = root if Path(folder).is_absolute() else self.folder
        if is_elsewhere or (name and not is_plain_name(name)) or link_out_of(path, inside) is not None:
            raise RefusedError(f"not in the run folder: {path}")
        return path

    def _may_be_at(self, folder: str) -> bool:
        """Return whether files may come from another folder: of a run without one, as far as they are at hand."""
        return self.folder.name.startswith(TEMPORARY) and (self.at_hand is None or self.at_hand.holds(folder))

    def _send_resumed(self, entries: Sequence[Entry], sure: bool) -> int:
        self.client.update_run(self.run_id, "RUNNING")
        if "error" in self.client.get_run(self.run_id).data.tags:
            self.client.delete_tag(self.run_id, "error")
        return 0

    def _send_end(self, entries: Sequence[Entry], sure: bool) -> int:
        self.client.set_terminated(self.run_id, entries[0]["status"], entries[0]["time"])
        return 1


def _changed(folder: Path, *names: str) -> str | None:
    """Return what is not as a finished run left it, by its manifest; nothing of a run under way, or of a sweep."""
    try:
        if has_manifest(folder):
            refuse_changed(folder, *names)
    except ArtifactError as error:
        return str(error)
    return None


def open_upload(
    client: MlflowClient,
    uri: str,
    artifacts: str | None,
    state: State,
    address: str,
    folder: Path,
    at_hand: AtHand | None = None,
) -> RunUpload:
    """Open the run of a journal in a store: the one that it was sent to before where that is there, else a new one."""
    assert state.run is not None
    run = state.run
    known_id = run.get("experiment_id") if address == run.get("address") else None  # another store has other ids
    experiment_id = find_experiment(client, run["experiment"], artifacts, known_id)
    before = state.run_ids.get(address)
    if before is not None and is_there(client, before):
        run_id, is_new = before, False
    else:
        # A run may have been made without the answer having come back, or by a journal of which this is a copy.
        found = find_run(client, experiment_id, run["id"])
        is_new = found is None
        if found is None:
            # A server takes the user from this tag; of a journal from before, the person who sends it.
            tags = run["tags"] | {USER_TAG: run.get("user") or person(), "mlflow.source.name": "textclf"}
            tags |= {ID_TAG: run["id"]}
            found = client.create_run(experiment_id, run["time"], tags, run["name"]).info.run_id
            if not found:
                raise ConfigError(
                    f"{address} answers, but gives a new run no id, so it is no MLflow server, or a proxy "
                    f"answers for one. Name the address that the pages of MLflow are at."
                )
        run_id = found
    root = LOCAL_UI if artifacts else without_secrets(uri)
    url = f"{root}/#/experiments/{experiment_id}/runs/{run_id}{FOR_TRAINING}"
    upload = RunUpload(client, experiment_id, run_id, url, folder, is_new)
    upload.at_hand = at_hand
    return upload


def find_run(client: MlflowClient, experiment_id: str, own_id: str) -> str | None:
    """Return the store's id of the run that has an id of its own; none where there is none."""
    found = client.search_runs([experiment_id], f"tags.`{ID_TAG}` = '{own_id}'", max_results=1)
    return found[0].info.run_id if found else None


def is_there(client: MlflowClient, run_id: str) -> bool:
    """Whether a store has a run that is not deleted."""
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if passes(error):
            raise
        return False
