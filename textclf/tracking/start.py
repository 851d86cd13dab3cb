"""Start to track a run or a sweep: the one door to every tracker."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from textclf.system.imports import importing
from textclf.system.quiet import set_environment
from textclf.tracking.options import MlflowTracker, NullTracker, TrackedRun, TrackerOptions


def start_run(
    options: TrackerOptions,
    experiment: str,
    run_name: str,
    tags: Mapping[str, str],
    parent_run_id: str | None = None,
    folder: Path | None = None,
    *,
    holds_sweep: bool = False,
) -> AbstractContextManager[TrackedRun]:
    """Open a run in a tracker; leaving the context closes it, as failed where an exception passes.

    Args:
        options: The tracker.
        experiment: What the run belongs to.
        run_name: Name of the run.
        tags: What it is found by.
        parent_run_id: The `reference` of the run that holds the sweep that this run is part of.
        folder: The run folder, or that of the sweep; what was tracked from there before is resumed.
        holds_sweep: Whether it holds the runs of a sweep, whose counts change when the sweep is resumed.
    """
    match options:
        case MlflowTracker():
            set_environment()
            with importing():  # MLflow takes seconds
                from textclf.tracking.mlflow.tracked_run import start_mlflow_run

            return start_mlflow_run(options, experiment, run_name, tags, parent_run_id, folder, holds_sweep)
        case NullTracker():
            return nullcontext(TrackedRun())
        case _:
            raise TypeError(f"{type(options).__name__} is no tracker that textclf knows")


def start_sweep(
    options: TrackerOptions,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    parent_run_id: str | None = None,
    folder: Path | None = None,
) -> AbstractContextManager[TrackedRun]:
    """Open a run that holds the runs of a sweep; the machine is watched by those."""
    if isinstance(options, MlflowTracker):
        options = replace(options, system_metrics=False)
    return start_run(options, experiment, name, tags, parent_run_id, folder, holds_sweep=True)
