"""What can be said about tracking in a config, and what a tracked run can be told."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.errors import refuse_unless
from textclf.system.imports import importing

if TYPE_CHECKING:
    from textclf.data.dataset import TextData


VIEW = "textclf"
"""Name of the view in MLflow that has the columns to compare runs by."""


class TrackedRun:
    """A run that a tracker follows. This one, the base, forgets all that it is told."""

    @property
    def run_id(self) -> str | None:
        """The tracker's own id of the run; none where it has none, or is not to be had."""
        return None

    @property
    def url(self) -> str | None:
        """Where a person finds the run."""
        return None

    @property
    def reference(self) -> str | None:
        """What the runs of a sweep name as their parent: something even where the tracker is not to be had."""
        return None

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log options, by their flat names."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics that belong to a step."""

    def log_dataset(self, data: TextData) -> None:
        """Log the data as the run's input."""

    def log_artifacts(self, directory: Path, names: list[str]) -> None:
        """Copy files and folders of `directory` to the tracker."""

    def log_model(self, directory: Path) -> None:
        """Log the classifier of the run folder `directory`, so that it can be registered and served."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the run."""


def comparison_url(run_url: str) -> str:
    """Return where a person compares a tracked run with the others of its experiment."""
    return f"{run_url.rpartition('/')[0]}?viewStateShareKey={VIEW}"


@dataclass(frozen=True)
class TrackerOptions(ABC):
    """Where runs are logged. A tracker's own faults warn and never end a run."""

    log_model: bool = False
    """Log the classifier as a model too, which can be registered and served; its weights are copied to the tracker."""

    @abstractmethod
    def start(
        self,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        parent_run_id: str | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run; leaving the context closes it, as failed where an exception passes.

        Args:
            experiment: What the run belongs to.
            run_name: Name of the run.
            tags: What it is found by.
            parent_run_id: The `reference` of the run that holds the sweep that this run is part of.
            folder: The run folder, or that of the sweep; what was tracked from there before is gone on with.
        """

    def start_sweep(
        self, experiment: str, name: str, tags: Mapping[str, str], folder: Path | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run that holds the runs of a sweep."""
        return self.start(experiment, name, tags, folder=folder)


@dataclass(frozen=True)
class NullTracker(TrackerOptions):
    """No tracking: the run folder alone is the record."""

    def start(
        self,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        parent_run_id: str | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Return a run that forgets all that it is told."""
        return nullcontext(TrackedRun())


MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set before MLflow is imported, where the person has not set them: no telemetry, no long waits, no pickle, no bars, no
addresses with their passwords on the screen."""


@dataclass(frozen=True)
class MlflowTracker(TrackerOptions):
    """MLflow, in a local SQLite store unless a server is named."""

    directory: str = "mlruns"
    """Folder of the local store: `mlflow.db` and the artifacts."""
    tracking_uri: str | None = None
    """A tracking server or store; none takes MLFLOW_TRACKING_URI where it is set, else `directory`."""
    system_metrics: bool = True
    """Sample the machine's CPU, memory and GPU during the run."""
    patience_seconds: float = 30.0
    """How long a run waits at its end for a store that takes nothing; the rest is sent by `python -m textclf.sync`."""

    def __post_init__(self) -> None:
        refuse_unless((self.patience_seconds >= 0, f"tracker.patience_seconds: {self.patience_seconds} is below 0"))

    def start(
        self,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        parent_run_id: str | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run in MLflow, nested under its parent where it has one."""
        return self._start(experiment, run_name, tags, parent_run_id, folder)

    def start_sweep(
        self, experiment: str, name: str, tags: Mapping[str, str], folder: Path | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run in MLflow that holds the runs of a sweep; the machine is watched by those."""
        return replace(self, system_metrics=False)._start(experiment, name, tags, None, folder, holds_sweep=True)

    def _start(
        self,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        parent: str | None,
        folder: Path | None,
        holds_sweep: bool = False,
    ) -> AbstractContextManager[TrackedRun]:
        set_environment()
        with importing():
            from textclf.tracking.mlflow.tracked_run import start_mlflow_run

        nested = {"mlflow.parentRunId": parent} if parent else {}
        return start_mlflow_run(self, experiment, run_name, {**tags, **nested}, folder, holds_sweep)


def set_environment() -> None:
    """Set what MLflow reads at its import, where the person has not."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
