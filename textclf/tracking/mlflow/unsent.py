"""Send the journals of runs that are over, which their stores could not take at the time."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textclf.errors import ArtifactError, TextclfError, listed
from textclf.system.places import SQLITE, TRUST, AtHand
from textclf.tracking.mlflow.journal import BusyJournalError, Journal, State, read_state
from textclf.tracking.mlflow.sender import JournalSender
from textclf.tracking.mlflow.store import address_of, far_store, fault, passes, without_secrets
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

WORDS = {
    "params": ("1 param", "{} params"),
    "metrics": ("1 point of metrics", "{} points of metrics"),
    "tags": ("tags", "tags"),
    "dataset": ("the dataset", "the dataset"),
    "artifacts": ("1 file or folder", "{} files and folders"),
    "model": ("the model", "the model"),
    "end": ("how it ended", "how it ended"),
}
"""How much of each kind was sent, for a person."""


@dataclass(frozen=True)
class Sent:
    """What came of a journal."""

    folder: Path
    run_id: str | None = None
    """The store's id of the run; none where it could not be reached."""
    lines: dict[str, int] = field(default_factory=dict)
    """How much of each kind was sent."""
    skipped: str | None = None
    """Why nothing was tried."""
    problems: tuple[str, ...] = ()
    """What could not be sent, and why."""

    def describe(self) -> str:
        """Return what was sent and what was not, for a person."""
        if self.skipped is not None:
            return f"{self.folder}: {self.skipped}"
        what = listed(WORDS[kind][count > 1].format(count) for kind, count in self.lines.items())
        done = f"sent {what or 'its place under its sweep'} to run {self.run_id}" if self.run_id else "nothing sent"
        return f"{self.folder}: {done}" + "".join(f"; not sent: {problem}" for problem in self.problems)


def journals_below(folders: Sequence[Path]) -> list[Path]:
    """Return the folders with journals at or below some folders, those of sweeps before those of their jobs.

    Raises:
        ArtifactError: If one of them is not there.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ArtifactError(f"There is no folder {folder}. Name run folders, or folders that hold some.")
        for root, below, files in os.walk(folder):
            below[:] = sorted(name for name in below if not name.startswith("."))
            if TRACKING_FILE in files:
                found[Path(root)] = None
    return sorted(found, key=lambda path: (len(path.parts), path))


def send_late(folders: Sequence[Path], tracking_uri: str | None = None, trusted: Sequence[str] = ()) -> Iterator[Sent]:
    """Send the journals of some folders, and yield what came of each that was not sent already.

    A journal is data of whoever wrote it: a store that it names by itself is written only where it lies below the
    working folder, is that of the environment, or is trusted. MLflow's credentials go wherever its client does.

    Args:
        folders: Run folders and folders of sweeps, sweeps first.
        tracking_uri: Another store or server than the one that each run names.
        trusted: Stores and servers that a person names.
    """
    down: dict[str, str] = {}
    for folder in folders:
        try:
            state = read_state(folder)
        except (TextclfError, OSError) as error:
            yield Sent(folder, problems=(str(error),))
            continue
        if state.run is None:
            continue  # killed before its first line was whole
        if problem := _oddity(folder, state):
            yield Sent(folder, problems=(problem,))
            continue
        options = _options_of(state, tracking_uri)
        address = address_of(options)
        if not state.unsent(address) or (tracking_uri is None and state.is_somewhere):
            continue
        if tracking_uri is None and (place := far_store(options, trusted)):
            problem = (
                f"all of it, since only its journal names {place}{_leads_on(options)}. If you know and want this "
                f"store, add {TRUST} {shlex.quote(place)}; MLflow's credentials go there if you have set some. "
                f"--tracking-uri URI sends it elsewhere"
            )
            yield Sent(folder, problems=(problem,))
            continue
        if address in down:
            yield Sent(folder, problems=(down[address],))
            continue
        sent = _send(folder, options, trusted)
        if sent.run_id is None and sent.problems:
            down[address] = sent.problems[0]
        yield sent


def _oddity(folder: Path, state: State) -> str | None:
    """Return why a journal is none that may be sent; none of those that textclf writes is such a one."""
    assert state.run is not None
    if not all(isinstance(state.run.get(name), str) for name in ("address", "directory", "experiment", "id")):
        return f"all of it, since the first line of {folder / TRACKING_FILE} lacks a text that belongs there"
    return None


def _send(folder: Path, options: MlflowTracker, trusted: Sequence[str]) -> Sent:
    """Send the journal of a folder."""
    try:
        journal = Journal(folder)
    except BusyJournalError:
        return Sent(folder, skipped="left alone, since its run is under way or another sync sends it")
    except OSError as error:
        return Sent(folder, problems=(fault(error),))
    try:
        if not journal.state.unsent(address_of(options)):
            return Sent(folder, skipped="sent meanwhile by another process")
        if journal.state.ended is None:  # its process is gone, or the journal would be locked
            journal.append("end", status="KILLED", time=journal.state.last_time)
        sender = JournalSender(journal, options, AtHand((Path.cwd(),), tuple(trusted)))
        problems: list[str] = []
        try:
            while not sender.is_done:
                sender.step()
            sender.nest()
        except Exception as error:
            if not passes(error):
                log.debug("sending failed", exc_info=True)
            problems.append(f"the rest, since {sender.address} is unreachable ({fault(error)})")
        problems += sender.refused
        if sender.is_orphan and not problems:
            problems.append("its place under its sweep, which is not in the store; name the sweep's folder too")
        run_id = sender.upload.run_id if sender.upload else None
        lines = {kind: sender.sent[kind] for kind in WORDS if sender.sent[kind]}
        return Sent(folder, run_id, lines, problems=tuple(problems))
    finally:
        journal.close()


def _leads_on(options: MlflowTracker) -> str:
    """Return a reason where a store would be at hand, but for where it keeps files."""
    is_near = AtHand((Path.cwd(),)).holds(options.tracking_uri or str(options.directory))
    return ", a store that keeps files elsewhere" if is_near and address_of(options).startswith(SQLITE) else ""


def _options_of(state: State, tracking_uri: str | None) -> MlflowTracker:
    """Return where a journal is to be sent: the store it names, with the secrets that the environment may have."""
    assert state.run is not None
    address, directory = state.run["address"], state.run["directory"]
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if tracking_uri is None and given is not None and without_secrets(given) == address:
        tracking_uri = given
    if tracking_uri is None and address == f"sqlite:///{Path(directory) / 'mlflow.db'}":
        return MlflowTracker(directory=directory)
    return MlflowTracker(tracking_uri=tracking_uri or address)
