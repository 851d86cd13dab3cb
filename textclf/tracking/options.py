"""Options of the trackers, and the interface of a tracked run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.errors import refuse_unless

if TYPE_CHECKING:
    from textclf.data.dataset import TextData


RUN_EXPERIMENT = "textclf"
"""The experiment of runs for which none is given."""
VIEW = "textclf"
"""Name of the view in MLflow that has the columns to compare runs by."""
COSTS_TAG = "costs"
"""The tag of a run that says in words what it cost."""
NOTE_TAG = "mlflow.note.content"
"""The tag that MLflow shows as a run's description."""
FOR_TRAINING = "?workflowType=machine_learning"
"""What follows an address in MLflow that is to open among the pages for training, and not among those for agents."""
RUNS_VIEW = f"{FOR_TRAINING}&viewStateShareKey={VIEW}"
"""What follows the address of an experiment's runs, for that view."""


class TrackedRun:
    """A run that a tracker follows. This one, the base, logs nothing."""

    @property
    def run_id(self) -> str | None:
        """The tracker's own id of the run; none where it has none, or is unreachable."""
        return None

    @property
    def url(self) -> str | None:
        """Where a person finds the run."""
        return None

    @property
    def reference(self) -> str | None:
        """What the runs of a sweep name as their parent: something even where the tracker is unreachable."""
        return None

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log options, by their flat names."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0, corrects: bool = False) -> None:
        """Log metrics that belong to a step; `corrects` where they replace what the step is known to have."""

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
    return f"{run_url.rpartition('/')[0]}{RUNS_VIEW}"


@dataclass(frozen=True)
class TrackerOptions:
    """Where runs are logged. A tracker's own faults warn and never end a run."""

    log_model: bool = False
    """Log the classifier as a model too, which can be registered and served; its weights are copied to the tracker."""


@dataclass(frozen=True)
class NullTracker(TrackerOptions):
    """No tracking: the run folder alone is the record."""


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
