"""What a run folder holds when a run is to be done in it: nothing, another run, the same one, finished or not."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

from textclf.errors import ArtifactError
from textclf.system.files import MANIFEST_FILE, manifest_problem
from textclf.tracking.lease import LEASE_FILE
from textclf.tracking.record import (
    CHECKPOINTS,
    RUN_FILE,
    STARTED_FILE,
    STATUS_FILE,
    TRACKING_FILE,
    RunRecord,
    read_record,
)
from textclf.tracking.run_start import RunStart, differences

log = logging.getLogger(__name__)

NOT_VOUCHED_FOR = (CHECKPOINTS, STARTED_FILE, STATUS_FILE, TRACKING_FILE, LEASE_FILE, "run.log")
"""What of a run folder may change after the run, or goes with it."""
STAGED = ".staged-"
DAMAGED = ".damaged-"
LEFT_OVER = re.compile(r"\.staged-.*|\.[0-9a-f]{8}\..*|\.writable")
"""What a killed process leaves."""


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
            f"{path} holds a run that is not finished, which is never overwritten; add resume=true to go on with it, "
            f"or name another folder."
        )


def check_before(path: Path, before: RunStart, now: RunStart, accept_changes: bool) -> list[str]:
    """Return what has changed since a run was begun.

    Raises:
        ArtifactError: If it is another run, or changes are not accepted.
    """
    if before.fingerprint != now.fingerprint:
        raise ArtifactError(
            f"{path} holds another run, {before.name}, begun with other options: {before.command or 'see its config'}. "
            f"Name another folder."
        )
    changed = differences(before.environment, now.environment)
    if changed and not accept_changes:
        raise ArtifactError(
            f"The run in {path} was begun with {'; '.join(changed)}. Gone on with it would not come out the same to "
            f"the digit. Go back to what it was begun with, add resume_changed=true to go on all the same (the record "
            f"then says so), or run anew without resume=true."
        )
    if changed:
        log.warning("gone on with although it was begun with %s", "; ".join(changed))
    return changed


def finished_record(path: Path) -> RunRecord | None:
    """Return the record of a run that was finished and still holds; none where it is to be gone on with."""
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
