"""Track a run in MLflow: into a journal in its folder, sent from there by a thread that no run waits for."""

from __future__ import annotations

import functools
import json
import logging
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import mlflow.store.db.utils
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  (here, where nothing else is being imported)

from textclf.data.dataset import SPLITS, TextData
from textclf.errors import ArtifactError
from textclf.system.redact import redacted, redacted_tree
from textclf.tracking.mlflow.journal import LOCK_SECONDS, Journal, now, numbers
from textclf.tracking.mlflow.sender import SenderThread
from textclf.tracking.mlflow.store import (
    address_of,
    check_store,
    chosen_experiment,
    far_store,
    fault,
    named_store,
    person,
    without_secrets,
)  # fmt: skip
from textclf.tracking.mlflow.system_metrics import FIRST_METRIC, watch_machine
from textclf.tracking.mlflow.upload import LOCAL, TEMPORARY
from textclf.tracking.options import NOTE_TAG, MlflowTracker, TrackedRun
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

MOST_PARAMS = 100
"""Params that MLflow takes in one call."""
MOST_CHARACTERS = 6000
"""Characters of a param that MLflow keeps."""
STOPPED_PATIENCE_SECONDS = 3.0
"""The longest wait of a run that was asked to stop."""

Method = TypeVar("Method", bound=Callable[..., None])


def _faults_only_warn(method: Method) -> Method:
    """Make a method of `MlflowRun` warn, once, where it would raise."""

    @functools.wraps(method)
    def guarded(self: MlflowRun, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # such as a full disk: the run goes on
            if method.__name__ not in self.faulty:
                self.faulty.add(method.__name__)
                log.warning("MLflow: %s failed, so the tracker lacks it: %s", method.__name__, fault(error))

    return guarded  # type: ignore[return-value]


class MlflowRun(TrackedRun):
    """A run in an MLflow store. Whatever is logged is in its journal when the call returns."""

    def __init__(self, journal: Journal, options: MlflowTracker, corrects: bool, is_temporary: bool):
        self.journal = journal
        self.is_temporary = is_temporary
        self.patience = options.patience_seconds
        self.corrects = corrects
        self.faulty: set[str] = set()
        self.thread = SenderThread(journal, options, is_temporary)
        self.thread.start()

    @property
    def run_id(self) -> str | None:
        """The store's id of the run; waits a little for the store, and is none where that is unreachable."""
        self.thread.wait_opened(self.patience)
        return self.journal.state.run_ids.get(self.thread.sender.address)

    @property
    def url(self) -> str | None:
        """Where a person finds the run; as with `run_id`."""
        self.thread.wait_opened(self.patience)
        return self.journal.state.urls.get(self.thread.sender.address)

    @property
    def reference(self) -> str:
        """What the runs below this one name as their parent: the store's id, else the run's own."""
        assert self.journal.state.run is not None
        return self.run_id or f"{LOCAL}{self.journal.state.run['id']}"

    @_faults_only_warn
    def log_params(self, params: Mapping[str, object]) -> None:
        """Log options, by their flat names; long values are cut to what MLflow keeps."""
        said = [(_name(key), str(value)[:MOST_CHARACTERS]) for key, value in redacted_tree(dict(params)).items()]
        for start in range(0, len(said), MOST_PARAMS):
            self._append("params", params=dict(said[start : start + MOST_PARAMS]))

    @_faults_only_warn
    def log_metrics(self, metrics: Mapping[str, float], step: int = 0, corrects: bool = False) -> None:
        """Log metrics that belong to a step; a point that the run has already is left as it is, or corrected."""
        named = {_name(name): float(value) for name, value in metrics.items()}
        if new := self.journal.state.points.new(named, step, corrects or self.corrects):
            self._append("metrics", time=now(), step=step, metrics=numbers(new))

    @_faults_only_warn
    def log_dataset(self, data: TextData) -> None:
        """Log the data as the run's input, with its fingerprint as the digest."""
        columns = [name for name in data.train.column_names if name != "example"]
        kinds = [{"name": name, "type": "long" if name == "label" else "string"} for name in columns]
        profile = {f"{split}_rows": len(data.split(split)) for split in SPLITS} | {"num_labels": data.num_labels}
        self._append(
            "dataset",
            name=data.name,
            digest=data.fingerprint,
            source_type="textclf",
            source=json.dumps({"source": redacted(data.source)}),
            schema=json.dumps({"mlflow_colspec": kinds}),
            profile=json.dumps(profile),
        )

    @_faults_only_warn
    def log_artifacts(self, directory: Path, names: list[str]) -> None:
        """Copy files and folders of `directory` to the store."""
        there = [name for name in names if (directory / name).exists()]
        if there:
            self._append("artifacts", folder=self._from_here(directory), names=there)

    @_faults_only_warn
    def log_model(self, directory: Path) -> None:
        """Log the classifier of the run folder `directory` as a model that can be registered and served."""
        import textclf.tracking.mlflow.model  # noqa: F401  (here, and not beside what this thread imports)

        self._append("model", folder=self._from_here(directory))

    @_faults_only_warn
    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the run."""
        self._append("tags", tags=_plain_tags(tags))

    @_faults_only_warn
    def end(self, status: str) -> None:
        """Say that the run has ended as `FINISHED`, `FAILED` or `KILLED`."""
        self._append("end", status=status, time=now())

    def close(self, patience: float) -> None:
        """Wait for the rest to be sent, and say what to do where it is not."""
        if self.thread.finish(patience):
            if self.is_temporary:
                self.thread.join(1)
                shutil.rmtree(self.journal.folder, ignore_errors=True)
        else:
            place = far_store(self.thread.sender.options)
            trust = ["--trust", without_secrets(place)] if place else []
            command = shlex.join(["python", "-m", "textclf.sync", str(self.journal.folder), *trust])
            log.warning("MLflow does not have all of this run yet; send the rest later: %s", command)

    def _append(self, kind: str, **content: Any) -> None:
        self.journal.append(kind, **content)
        self.thread.wake()

    def _from_here(self, directory: Path) -> str:
        """Return a folder by its path from the run folder where it lies in it, so that both can be moved."""
        directory, here = Path(directory).absolute(), self.journal.folder.absolute()
        return directory.relative_to(here).as_posix() if directory.is_relative_to(here) else str(directory)


@contextmanager
def start_mlflow_run(
    options: MlflowTracker,
    experiment: str,
    run_name: str,
    tags: Mapping[str, str],
    parent: str | None = None,
    folder: Path | None = None,
    holds_sweep: bool = False,
) -> Iterator[TrackedRun]:
    """Open a run, or resume the one of a folder; leaving the context closes it.

    It is closed as failed where an exception passes, and as killed where that is a `KeyboardInterrupt`.

    Args:
        options: The store, and how long to wait for it.
        experiment: What the run belongs to.
        run_name: Name of the run.
        tags: What it is found by.
        parent: The `reference` of the run that holds the sweep that it is part of.
        folder: The run folder, which has the journal.
        holds_sweep: Whether it holds the runs of a sweep, whose counts change when the sweep is resumed.

    Raises:
        ConfigError: If MLflow never opens such a store.
    """
    check_store(named_store(options))
    with ExitStack() as stack:
        try:
            journal = _open_journal(options, experiment, run_name, tags, parent, folder, holds_sweep)
            run = MlflowRun(journal, options, holds_sweep, folder is None)
        except Exception as error:  # such as a full disk: the run goes on
            log.warning("this run is not tracked: %s", fault(error))
            run = None
        if run is None:
            yield TrackedRun()
            return
        patience = options.patience_seconds
        try:
            if options.system_metrics:
                first_step = journal.state.points.highest(FIRST_METRIC) + 1
                stack.enter_context(watch_machine(run.log_metrics, first_step))
            yield run
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            patience = min(patience, STOPPED_PATIENCE_SECONDS) if stopped else patience
            stack.close()
            why = f"{type(error).__name__}: {error}"
            run.set_tags({"error": why, NOTE_TAG: f"It was stopped: {why}" if stopped else f"It failed: {why}"})
            run.end("KILLED" if stopped else "FAILED")
            raise
        else:
            stack.close()
            run.end("FINISHED")
        finally:
            run.close(patience)


def _open_journal(
    options: MlflowTracker,
    experiment: str,
    run_name: str,
    tags: Mapping[str, str],
    parent: str | None,
    folder: Path | None,
    holds_sweep: bool,
) -> Journal:
    """Open the journal of a run, new or to be resumed."""
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY)) if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        journal = Journal(folder, take_over=True, wait=LOCK_SECONDS)
    except ArtifactError as error:
        aside = folder / f"{TRACKING_FILE}.{now()}"
        (folder / TRACKING_FILE).rename(aside)
        log.warning("%s It is kept as %s, and this run is tracked from the start.", error, aside.name)
        journal = Journal(folder)
    try:
        if journal.state.run is None:
            where = {"address": address_of(options), "directory": str(Path(options.directory).absolute())}
            name, known_id = chosen_experiment(experiment)
            where |= {} if known_id is None else {"experiment_id": known_id}
            tags = _plain_tags(tags)
            journal.begin(experiment=name, name=run_name, user=person(), tags=tags, holds_sweep=holds_sweep, **where)
        else:
            journal.append("resumed", time=now())
            journal.append("tags", tags=_plain_tags(tags))
        if parent is not None and parent != journal.state.parent:
            journal.append("parent", parent=parent)
    except BaseException:
        journal.close()
        raise
    return journal


def _plain_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: redacted(str(value))[:5000] for key, value in tags.items()}


def _name(name: str) -> str:
    """Return the name of a metric or param in the characters that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ :" else "_" for c in name)
