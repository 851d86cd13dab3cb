"""Runs in MLflow: one store made once, and faults that warn and never end a run."""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient

from textclf.data.text_data import SPLITS, TextData
from textclf.tracking.options import VIEW, MlflowTracker, TrackedRun

log = logging.getLogger(__name__)

MOST_PARAMS = 100
"""Params that MLflow takes in one call."""
MOST_METRICS = 1000
MOST_CHARACTERS = 6000
"""Characters of a param that MLflow keeps."""
FAULTS_BEFORE_SILENCE = 3
"""Faults in a row after which a run no longer tries, so that a dead server does not slow training."""
SYSTEM_METRICS_SECONDS = 2
LOCAL_UI = "http://127.0.0.1:5000"
"""Where `make ui` shows the local store."""
COLUMNS = [
    "attributes.`Created`",
    "attributes.`Duration`",
    *(f"tags.`{tag}`" for tag in ("dataset", "model", "trainer", "seed")),
    *(f"metrics.`test/{metric}`" for metric in ("accuracy", "macro_f1", "log_loss")),
    *(f"metrics.`cost/{cost}`" for cost in ("train_seconds", "test_examples_per_second", "num_parameters")),
]
"""Columns of the shared view that an experiment is made with: what tells runs apart, how good, at what cost."""

Method = TypeVar("Method", bound=Callable[..., None])


def _faults_only_warn(method: Method) -> Method:
    """Make a method of `MlflowRun` warn where it would raise."""

    @functools.wraps(method)
    def guarded(self: MlflowRun, *args: Any, **kwargs: Any) -> None:
        if self.faults >= FAULTS_BEFORE_SILENCE:
            return
        try:
            method(self, *args, **kwargs)
            self.faults = 0
        except Exception as error:  # whatever a store or a server throws, the run goes on
            self.faults += 1
            last = self.faults >= FAULTS_BEFORE_SILENCE
            log.warning(
                "MLflow: %s failed: %s%s",
                method.__name__,
                str(error).split("\n")[0],
                "; giving up on tracking, the run folder keeps everything" if last else "",
            )

    return guarded  # type: ignore[return-value]


class MlflowRun(TrackedRun):
    """A run in an MLflow store."""

    run_id: str

    def __init__(self, client: MlflowClient, run_id: str, url: str):
        self.client = client
        self.run_id = run_id
        self.url = url
        self.faults = 0

    @_faults_only_warn
    def log_params(self, params: Mapping[str, object]) -> None:
        """Log options, by their flat names; long values are cut to what MLflow keeps."""
        entities = [Param(key, str(value)[:MOST_CHARACTERS]) for key, value in params.items()]
        for start in range(0, len(entities), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=entities[start : start + MOST_PARAMS])

    @_faults_only_warn
    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics that belong to a step."""
        now = int(time.time() * 1000)
        entities = [Metric(_metric_name(key), value, now, step) for key, value in metrics.items()]
        for start in range(0, len(entities), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=entities[start : start + MOST_METRICS])

    @_faults_only_warn
    def log_dataset(self, data: TextData) -> None:
        """Log the data as the run's input, with its fingerprint as the digest."""
        columns = [name for name in data.train.column_names if name != "example"]
        kinds = [{"name": name, "type": "long" if name == "label" else "string"} for name in columns]
        profile = {f"{split}_rows": len(data.split(split)) for split in SPLITS} | {"num_labels": data.num_labels}
        entity = DatasetEntity(
            name=data.name,
            digest=data.fingerprint,
            source_type="textclf",
            source=json.dumps({"source": data.source}),
            schema=json.dumps({"mlflow_colspec": kinds}),
            profile=json.dumps(profile),
        )
        context = InputTag("mlflow.data.context", "train, validation, test")
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [context])])

    @_faults_only_warn
    def log_artifacts(self, directory: Path, names: list[str]) -> None:
        """Copy files and folders of `directory` to the store."""
        for name in names:
            path = directory / name
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), name)
            elif path.exists():
                self.client.log_artifact(self.run_id, str(path))

    @_faults_only_warn
    def log_model(self, directory: Path) -> None:
        """Log the classifier of the run folder `directory` as a model that can be registered and served."""
        from textclf.serving.logged import log_classifier

        experiment_id = self.client.get_run(self.run_id).info.experiment_id
        log_classifier(self.client, experiment_id, self.run_id, directory)

    @_faults_only_warn
    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the run."""
        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)[:5000]) for key, value in tags.items()])

    @_faults_only_warn
    def end(self, status: str) -> None:
        """Close the run as `FINISHED`, `FAILED` or `KILLED`."""
        self.client.set_terminated(self.run_id, status)


def _metric_name(name: str) -> str:
    """Return a metric's name in the characters that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ :" else "_" for c in name)


@contextmanager
def start_mlflow_run(
    options: MlflowTracker, experiment: str, run_name: str, tags: Mapping[str, str]
) -> Iterator[TrackedRun]:
    """Open a run; leaving the context closes it, as failed where an exception passes.

    Where the store or the server is not to be had, a warning says so and the run goes on untracked.
    """
    try:
        run = _open(options, experiment, run_name, tags)
    except Exception as error:  # whatever a store or a server throws, the run goes on
        log.warning("MLflow is not to be had, so this run is not tracked: %s", str(error).split("\n")[0])
        yield TrackedRun()
        return
    monitor = _watch_system(options, run)
    try:
        yield run
    except BaseException as error:
        run.faults = 0
        run.set_tags({"error": f"{type(error).__name__}: {error}"})
        run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    else:
        run.faults = 0
        run.end("FINISHED")
    finally:
        if monitor is not None:
            monitor.finish()


def _watch_system(options: MlflowTracker, run: MlflowRun) -> SystemMetricsMonitor | None:
    """Start sampling the machine, where that is asked for and possible."""
    if not options.system_metrics:
        return None
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    try:
        monitor = SystemMetricsMonitor(
            run.run_id, sampling_interval=SYSTEM_METRICS_SECONDS, tracking_uri=run.client.tracking_uri
        )
        monitor.start()
    except Exception as error:
        log.warning("MLflow: system metrics are not to be had: %s", error)
        return None
    return monitor


def _open(options: MlflowTracker, experiment: str, run_name: str, tags: Mapping[str, str]) -> MlflowRun:
    """Make or find the store and the experiment, and start a run."""
    client, uri, artifacts = open_store(options)
    experiment_id = find_experiment(client, experiment, artifacts)
    run = client.create_run(experiment_id, run_name=run_name, tags=dict(tags) | {"mlflow.source.name": "textclf"})
    run_id = run.info.run_id
    url = f"{LOCAL_UI if artifacts else uri}/#/experiments/{experiment_id}/runs/{run_id}"
    return MlflowRun(client, run_id, url)


def open_store(options: MlflowTracker) -> tuple[MlflowClient, str, str | None]:
    """Open the store or server that the options name; the local one is made where it is not there.

    Returns:
        The client, the store's address, and where the local store keeps its artifacts; none for any other, which
        decides that itself.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None:
        return MlflowClient(uri, uri), uri, None
    root = Path(options.directory).absolute()
    root.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    with FileLock(root / ".mlflow.db.lock", timeout=120):  # parallel first uses would race its migrations
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    return client, uri, (root / "artifacts").as_uri()


def find_experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Return the id of an experiment, made where it is not there yet."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id
    try:
        experiment_id = client.create_experiment(name, artifact_location=artifacts)
        client.set_experiment_tag(experiment_id, "mlflow.experimentKind", "custom_model_development")
        client.set_experiment_tag(
            experiment_id, f"mlflow.sharedViewState.{VIEW}", json.dumps({"selectedColumns": COLUMNS})
        )
        return experiment_id
    except MlflowException:
        found = client.get_experiment_by_name(name)  # another process was quicker
        if found is None:
            raise
        return found.experiment_id
