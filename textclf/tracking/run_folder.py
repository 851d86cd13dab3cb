"""The folder of a run: found empty, unfinished or finished; worked on by one; finished all at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from textclf.errors import DataError
from textclf.system import signals
from textclf.system.files import write_manifest
from textclf.tracking.found import (
    NOT_VOUCHED_FOR,
    STAGED,
    check_before,
    finished_record,
    make_writable,
    refuse_what_is_there,
    remove,
    remove_left_over,
    set_aside,
)
from textclf.tracking.lease import Lease, LeaseLostError, take_lease
from textclf.tracking.record import CHECKPOINTS, RunRecord, write_record
from textclf.tracking.run_start import RunStart, read_started, write_started

log = logging.getLogger(__name__)

LATE = ".late-"


class RunFolder:
    """The folder of a run that this process works on."""

    def __init__(self, path: Path, lease: Lease, started: RunStart, record: RunRecord | None = None):
        self.path = path
        self.lease = lease
        self.started = started
        self.record = record
        """The record, where the run was finished before."""
        self.changed: list[str] = []
        """What differs from the process that began the run, where it is gone on with all the same."""
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
            DataError: If they are not.
        """
        before = self.started.data_fingerprint
        if before is None:
            self.started = replace(self.started, data_fingerprint=fingerprint)
            write_started(self.path, self.started)
        elif before != fingerprint:
            raise DataError(
                f"The data have changed since the run in {self.path} was begun (fingerprint {before}, now "
                f"{fingerprint}), so it cannot be gone on with. Put them back, or run anew without resume=true."
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

    def said_of_changes(self) -> dict[str, str]:
        """Return what the record's environment says of changes under way; empty where there were none."""
        return {"changed_under_way": "; ".join(self.changed)} if self.changed else {}


@contextmanager
def open_run(path: Path, started: RunStart, resume: bool = False, accept_changes: bool = False) -> Iterator[RunFolder]:
    """Open a run folder and work on it inside the context.

    Args:
        path: The folder; made where it is not there.
        started: What this process begins the run with.
        resume: Go on with the run that the folder holds; without it, a folder that holds one is refused.
        accept_changes: Go on although code, versions or machine have changed since.

    Yields:
        The folder; its `record` is set where the run was finished before.

    Raises:
        ArtifactError: If it cannot be written, holds another run, or one that is not to be gone on with.
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
        yield folder
    except signals.Stopped as stop:
        if lost:
            raise LeaseLostError(
                f"{path} was taken over by another worker, since nothing was heard of this one for some time."
            ) from stop
        raise
    finally:
        lease.give_back()
