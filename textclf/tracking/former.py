"""Where a run or a sweep was done before, so that `resume=true` finds it by what it is rather than by its name."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from textclf.errors import ArtifactError
from textclf.system.files import MANIFEST_FILE, files_below, manifest_problem
from textclf.tracking.found import NOT_VOUCHED_FOR
from textclf.tracking.lease import at_work
from textclf.tracking.record import RUN_FILE, STARTED_FILE
from textclf.tracking.run_start import RunStart, differences, read_started, write_started

log = logging.getLogger(__name__)


def find_previous_run(
    fingerprint: str, environment: Mapping[str, str], outputs: Path, accept_changes: bool = False
) -> Path | None:
    """Return the folder of the same run done before: a finished one, else the newest that was cut off.

    Args:
        fingerprint: The run's, as in `RunStart`.
        environment: What this process would run it with; a finished run of another is passed over.
        outputs: Where to look.
        accept_changes: Take a finished run also where code, versions or machine have changed since.

    Returns:
        The folder; none where there is no such run.
    """
    same = [(path, started) for path, started in started_runs(outputs) if started.fingerprint == fingerprint]
    same.sort(key=lambda item: item[1].started, reverse=True)
    for path, started in same:
        if not (path / RUN_FILE).is_file():
            continue
        changed = [] if accept_changes else differences(started.environment, environment)
        wrong = "; ".join(changed) or manifest_problem(path)
        if wrong is None:
            return path
        log.info("%s was finished in %s, but is not used: %s", started.name, path, wrong)
    unfinished = [path for path, _ in same if not (path / MANIFEST_FILE).exists() and at_work(path) is None]
    return unfinished[0] if unfinished else None


def started_runs(outputs: Path) -> Iterator[tuple[Path, RunStart]]:
    """Yield the folders of runs at or below a folder, with what each was begun with; unreadable ones are left out."""
    for root, folders, files in os.walk(outputs):
        if STARTED_FILE not in files:
            continue
        folders.clear()  # nothing of a run lies below another
        try:
            started = read_started(Path(root))
        except ArtifactError as error:
            log.warning("%s", error)
            continue
        if started is not None:
            yield Path(root), started


def link_finished_run(former: Path, folder: Path) -> None:
    """Let a folder of a sweep hold a run that was finished elsewhere, without taking its place on the disk twice."""
    started = read_started(former)
    assert started is not None
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*files_below(former, NOT_VOUCHED_FOR), MANIFEST_FILE]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(former / name, target)
        except OSError:  # another file system
            shutil.copy2(former / name, target)
    write_started(folder, started)
    log.info("the same run was finished in %s", former)
