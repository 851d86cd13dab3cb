"""The folder of a run: found empty, unfinished or finished; worked on by one; finished all at once."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from textclf.errors import ArtifactError, DataError
from textclf.system import signals
from textclf.system.files import MANIFEST_FILE, manifest_problem, write_manifest
from textclf.system.unfinished import PREFIX
from textclf.tracking.claims import start_is_over
from textclf.tracking.lease import LEASE_FILE, Lease, LeaseLostError, take_lease
from textclf.tracking.record import (
    CHECKPOINTS,
    RUN_FILE,
    STARTED_FILE,
    STATUS_FILE,
    TRACKING_FILE,
    RunRecord,
    read_record,
    write_record,
)
from textclf.tracking.run_start import RunStart, differences, read_started, write_started

log = logging.getLogger(__name__)

NOT_VOUCHED_FOR = (CHECKPOINTS, STARTED_FILE, STATUS_FILE, TRACKING_FILE, LEASE_FILE, "run.log")
"""What of a run folder may change after the run, or goes with it."""
STAGED = ".staged-"
DAMAGED = ".damaged-"
LEFT_OVER = re.compile(rf"\.staged-.*|{PREFIX.pattern}.*|\.writable")
"""What a killed process leaves."""
LATE = ".late-"
OVER = (
    "without resume=true; a sweep also with resume=true and a new folder, hydra.sweep.dir=/path/to/it, where it takes "
    "over those of its runs that are still the same"
)
"""How to start over what cannot be resumed."""


class ChangedError(ArtifactError):
    """A run was started with other code, versions, machine or options, so the same command never resumes it."""


class OtherDataError(DataError):
    """A run was started with other data, so the same command never resumes it."""


def make_writable(path: Path) -> None:
    """Make a folder where it is not there.

    Raises:
        ArtifactError: If it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"The run folder {path} cannot be written: {error.strerror or error}. Name another with "
            f"hydra.run.dir=/path/to/it (hydra.sweep.dir for sweeps)."
        ) from error


def is_finished(path: Path) -> bool:
    """Return whether a folder holds a finished run, every file of which is as it was written."""
    return (path / RUN_FILE).is_file() and manifest_problem(path) is None


def refuse_what_is_there(path: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        ArtifactError: With what is there.
    """
    if (path / MANIFEST_FILE).exists() or ((path / RUN_FILE).exists() and not (path / STARTED_FILE).exists()):
        raise ArtifactError(
            f"{path} holds a finished run, which is never overwritten; name another folder, or add resume=true to "
            f"use it where it is the same run."
        )
    if (path / STARTED_FILE).exists():
        raise ArtifactError(
            f"{path} holds a run that is not finished, which is never overwritten; add resume=true to resume it, "
            f"or name another folder."
        )


def check_before(path: Path, before: RunStart, now: RunStart, accept_changes: bool) -> list[str]:
    """Return what has changed since a run was started.

    Raises:
        ChangedError: If it is another run, or changes are not accepted.
    """
    if before.fingerprint != now.fingerprint:
        raise ChangedError(
            f"{path} holds another run, {before.name}, started with other options: "
            f"{before.command or 'see its config'}. Name another folder."
        )
    changed = differences(before.environment, now.environment)
    if changed and not accept_changes:
        raise ChangedError(
            f"The run in {path} was started with {'; '.join(changed)}. Resumed, it would not come out the same to the "
            f"digit. Go back to what it was started with, add resume_changed=true to resume it all the same (the "
            f"record then says so), or start over {OVER}."
        )
    if changed:
        log.warning("resumed although it was started with %s", "; ".join(changed))
    return changed


def finished_record(path: Path) -> RunRecord | None:
    """Return the record of a run that was finished and still holds; none where it is to be resumed."""
    if not (path / RUN_FILE).exists() and not (path / MANIFEST_FILE).exists():
        return None
    problem = manifest_problem(path)
    if problem is None:
        return read_record(path)
    if (path / MANIFEST_FILE).exists():
        log.warning("%s was finished, but %s: it is done again", path, problem)
    return None


def set_aside(path: Path, token: str) -> None:
    """Move the files of a finished run that is damaged out of the way; those of an unfinished one are made again."""
    if (path / MANIFEST_FILE).exists():
        aside = path / f"{DAMAGED}{token[:8]}"
        aside.mkdir()
        for made in [entry for entry in path.iterdir() if entry.name not in NOT_VOUCHED_FOR and entry.name[0] != "."]:
            made.rename(aside / made.name)
        log.warning("what was there is in %s", aside)
    remove(path / RUN_FILE)


def remove_left_over(path: Path) -> None:
    """Remove what killed processes left in a folder."""
    for entry in path.iterdir():
        if LEFT_OVER.fullmatch(entry.name):
            remove(entry)


def remove(path: Path) -> None:
    """Remove a file or a folder, where it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class RunFolder:
    """The folder of a run that this process works on."""

    def __init__(self, path: Path, lease: Lease, started: RunStart, record: RunRecord | None = None):
        self.path = path
        self.lease = lease
        self.started = started
        self.record = record
        """The record, where the run was finished before."""
        self.changed: list[str] = []
        """What differs from the process that started the run, where it is resumed all the same."""
        self.accept_changes = False
        self.stage = path / f"{STAGED}{lease.worker.token[:8]}"
        """Where results are put until they are all there."""

    @property
    def checkpoints(self) -> Path:
        """Where training keeps its state."""
        return self.path / CHECKPOINTS

    def check_data(self, fingerprint: str) -> None:
        """Note which data the run reads, or check that they are the same as before.

        Raises:
            OtherDataError: If they are not.
        """
        before = self.started.data_fingerprint
        if before is None:
            self.started = replace(self.started, data_fingerprint=fingerprint)
            write_started(self.path, self.started)
        elif before != fingerprint:
            raise OtherDataError(
                f"The data have changed since the run in {self.path} was started (fingerprint {before}, now "
                f"{fingerprint}), so it cannot be resumed. Put them back, or start over {OVER}."
            )

    def finish(self, record: RunRecord) -> None:
        """Put the results in their place, write the record, and last the manifest that says that all of it is there.

        Raises:
            LeaseLostError: If another worker has taken over; the results are set aside.
        """
        try:
            with self.lease.fenced():
                for made in sorted(self.stage.iterdir()):
                    place = self.path / made.name
                    remove(place)
                    made.rename(place)
                write_record(self.path, record)
                write_manifest(self.path, NOT_VOUCHED_FOR)
        except LeaseLostError as error:
            late = self.path / f"{LATE}{self.lease.worker.token[:8]}"
            self.stage.rename(late)
            raise LeaseLostError(f"{error} They are in {late}.") from None
        self.clean()

    def clean(self) -> None:
        """Remove what is of use only while a run is under way, and what killed processes left."""
        remove(self.checkpoints)
        remove_left_over(self.path)

    @contextmanager
    def keeping(self, name: str) -> Iterator[None]:
        """Put what was made under this name in its place also where the work inside the context fails."""
        try:
            yield
        except Exception:
            if (self.stage / name).exists():
                with self.lease.fenced():
                    remove(self.path / name)
                    (self.stage / name).rename(self.path / name)
                log.warning("the run failed after %s was made, which is kept in %s", name, self.path / name)
            raise

    def changes_under_way(self) -> dict[str, str]:
        """Return what the record's environment says of changes under way; empty where there were none."""
        return {"changed_under_way": "; ".join(self.changed)} if self.changed else {}


@contextmanager
def open_run(path: Path, started: RunStart, resume: bool = False, accept_changes: bool = False) -> Iterator[RunFolder]:
    """Open a run folder and work on it inside the context.

    Args:
        path: The folder; made where it is not there.
        started: What this process starts the run with.
        resume: Resume the run that the folder holds; without it, a folder that holds one is refused.
        accept_changes: Resume it although code, versions or machine have changed since.

    Yields:
        The folder; its `record` is set where the run was finished before.

    Raises:
        ArtifactError: If it cannot be written, holds another run, or one that cannot be resumed.
        BusyError: If another worker is at work there.
        LeaseLostError: If another worker has taken over meanwhile.
    """
    make_writable(path)
    lost: list[bool] = []

    def on_loss() -> None:
        lost.append(True)
        signals.ask("the loss of its lease")

    lease = take_lease(path, on_loss)
    try:
        if not resume:
            refuse_what_is_there(path)
        before = read_started(path)
        changed = [] if before is None else check_before(path, before, started, accept_changes)
        record = finished_record(path) if before is not None else None
        folder = RunFolder(path, lease, before or started, record)
        folder.changed, folder.accept_changes = changed, accept_changes
        if record is None:
            remove_left_over(path)
            set_aside(path, lease.worker.token)
            write_started(path, folder.started)
            folder.stage.mkdir()
        else:
            folder.clean()
        start_is_over(path)
        yield folder
    except signals.Stopped as stop:
        if lost:
            raise LeaseLostError(
                f"{path} was taken over by another worker, since nothing was heard of this one for some time."
            ) from stop
        raise
    finally:
        lease.give_back()
