"""Send a run's journal to a store: in order, in batches, each noted as sent, nothing twice; in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from itertools import takewhile
from pathlib import Path

from textclf.errors import ArtifactError
from textclf.system.places import AtHand
from textclf.system.redact import redacted
from textclf.tracking.mlflow.journal import Entry, Journal, read_state
from textclf.tracking.mlflow.store import address_of, fault, open_store
from textclf.tracking.mlflow.upload import GoneError, RefusedError, RunUpload, open_upload
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

MOST_ENTRIES = 200
"""Lines of a journal that are read at a time."""
LEVELS_ABOVE = 4
"""Folders above a run's own in which that of its sweep may be."""
GATHER_SECONDS = 1.0
"""How long lines are gathered before they are sent, while the run goes on."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
LAST_PAUSE_SECONDS = 2.0
"""The longest pause between attempts when the run is over and waits."""
NESTING_SECONDS = 10.0
"""How often a parent is looked for that the store does not have yet."""
LONG_CALLS = ("artifacts", "model")
"""What may take long to send without anything being wrong."""
_outages: dict[str, float] = {}
"""Since when stores are unreachable, by address: the next run of this process need not find that out as slowly."""


class JournalSender:
    """Sends one journal to one store."""

    def __init__(self, journal: Journal, options: MlflowTracker, at_hand: AtHand | None = None):
        """Take a journal.

        Args:
            journal: The journal.
            options: The store.
            at_hand: Where files of a run may be that has no folder of its own; none for what this process logs itself.
        """
        self.journal = journal
        self.options = options
        self.at_hand = at_hand
        self.address = address_of(options)
        self.upload: RunUpload | None = None
        self.sent: Counter[str] = Counter()
        """How much of each kind was sent: points, files, or lines."""
        self.refused: list[str] = []
        """What the store would not take, for a person."""
        self.sending: str | None = None
        """The kind of the lines that are being sent."""
        self._through = 0
        self._sure = False
        self._alone = 0

    @property
    def is_done(self) -> bool:
        """Whether the store has all that the journal holds so far, but perhaps for its place under a parent."""
        return self.upload is not None and self._through >= self.journal.state.end

    @property
    def is_orphan(self) -> bool:
        """Whether the run belongs under a parent that the store does not have yet."""
        state = self.journal.state
        return state.parent is not None and (self.upload is None or self.upload.run_id not in state.nested)

    def step(self) -> None:
        """Open the store and the run in it, or send the next batch; raise what the store throws."""
        if self.upload is None:
            self._open()
            return
        batch = self._next_batch(self.upload)
        if not batch:
            return
        self.journal.bring_to_disk()  # what a store has is in the journal, whatever happens to this machine
        kind = self.sending = str(batch[0][1]["kind"])
        try:
            self.sent[kind] += self.upload.send([entry for _, entry in batch], self._sure)
        except GoneError:
            log.warning("MLflow: run %s was deleted while it was under way; it is created again", self.upload.run_id)
            self.upload = None
            return
        except RefusedError as error:
            if len(batch) > 1:  # find out which it is
                self._alone = len(batch)
                self._sure = False
                return
            self._refuse(self.upload, str(error))
        except BaseException:
            self._sure = False
            raise
        finally:
            self.sending = None
        self._sure = True
        self._through = batch[-1][0]
        self.journal.append("sent", run_id=self.upload.run_id, through=self._through)

    def nest(self) -> None:
        """Put the run under its parent, where it has one and that is in the store by now."""
        parent = self.journal.state.parent
        if self.upload is None or parent is None or not self.is_orphan:
            return
        if self.upload.nest(parent, _ids_above(self.journal.folder)):
            self.journal.append("nested", run_id=self.upload.run_id)

    def _open(self) -> None:
        client, uri, artifacts = open_store(self.options)
        state = self.journal.state
        upload = open_upload(client, uri, artifacts, state, self.address, self.journal.folder, self.at_hand)
        if state.run_ids.get(self.address) != upload.run_id:
            self.journal.append("opened", address=self.address, run_id=upload.run_id, url=upload.url)
        self._through = state.through.get(upload.run_id, 0)
        self._sure = upload.is_new
        self.upload = upload
        self.nest()

    def _next_batch(self, upload: RunUpload) -> list[tuple[int, Entry]]:
        """Return the next lines that are sent in one call: several only of metrics."""
        entries = self.journal.entries(self._through, 1 if self._alone else MOST_ENTRIES)
        self._alone = max(0, self._alone - 1)
        if entries and entries[0][1]["kind"] == "metrics":
            return list(takewhile(lambda item: item[1]["kind"] == "metrics", entries))
        return entries[:1]

    def _refuse(self, upload: RunUpload, why: str) -> None:
        log.warning("MLflow: %s", why)
        self.refused.append(why)
        self.journal.append("refused", run_id=upload.run_id, why=why)


def _ids_above(folder: Path) -> list[str]:
    found = []
    for above in list(folder.absolute().parents)[:LEVELS_ABOVE]:
        if (above / TRACKING_FILE).is_file():
            try:
                state = read_state(above)
            except (ArtifactError, OSError):
                continue
            if state.run is not None:
                found.append(state.run["id"])
    return found


class SenderThread(threading.Thread):
    """Sends a journal in the background, and meets every fault there."""

    def __init__(self, journal: Journal, options: MlflowTracker, is_temporary: bool = False):
        super().__init__(name="tracker", daemon=True)
        self.journal = journal
        self.sender = JournalSender(journal, options, None if is_temporary else AtHand(()))
        self._change = threading.Condition()
        self._has_more = True
        self._tried = False
        """Whether the store was asked once, whatever came of it."""
        self._closing: float | None = None
        """When the end was asked for."""
        self._patience = 0.0
        self._abandoned = False
        self._over = False
        self._progress = time.monotonic()
        """When something last went well."""
        self._pause = FIRST_PAUSE_SECONDS

    def wake(self) -> None:
        """Say that there is more to send."""
        with self._change:
            self._has_more = True
            self._change.notify_all()

    def wait_opened(self, seconds: float) -> None:
        """Wait until the run is in the store, the first attempt has failed, or the time is over."""
        with self._change:
            self._change.wait_for(lambda: self._tried or self._over, seconds)

    def finish(self, patience: float) -> bool:
        """Wait for the rest to be sent. The journal is let go of when the last call has come back.

        Args:
            patience: How long the store may go without taking anything, in seconds. Files under way are waited for;
                a store that has been away for as long is tried only once more.

        Returns:
            Whether all of it was sent.
        """
        with self._change:
            self._closing, self._patience = time.monotonic(), patience
            self._change.notify_all()
            try:
                while not self._over:
                    self._change.wait(0.1)
                    quiet = time.monotonic() - max(self._closing, self._progress)
                    if quiet > patience and self.sender.sending not in LONG_CALLS:
                        break
            finally:
                self._abandoned = True
                self._change.notify_all()
        return self.sender.is_done and not self.sender.is_orphan

    def run(self) -> None:
        """Send what there is, until the end."""
        try:
            nested = time.monotonic()
            while not self._abandoned and not self.journal.superseded:
                closing = self._closing is not None  # what was logged before this is in the journal
                try:
                    if not self.sender.is_done:
                        self.sender.step()
                    elif self.sender.is_orphan and (closing or time.monotonic() - nested > NESTING_SECONDS):
                        nested = time.monotonic()
                        self.sender.nest()
                    self._went_well()
                except Exception as error:  # whatever a store or a server throws, the run goes on
                    if self._failed(error, closing):
                        break
                    continue
                if closing and self.sender.is_done:
                    break
                if self.sender.is_done:
                    self._wait_for_more()
            with self._change:
                self._change.wait_for(lambda: self._closing is not None)
        finally:
            self.journal.close()
            with self._change:
                self._over = True
                self._change.notify_all()

    def _went_well(self) -> None:
        if _outages.pop(self.sender.address, None) is not None:
            log.info("MLflow is reachable again")
        with self._change:
            self._progress = time.monotonic()
            self._pause = FIRST_PAUSE_SECONDS
            self._tried = self._tried or self.sender.upload is not None
            self._change.notify_all()

    def _failed(self, error: Exception, closing: bool) -> bool:
        """Pause after a fault, and return whether to give up."""
        address, now = self.sender.address, time.monotonic()
        log.debug("MLflow: %s", redacted(str(error)))
        if address not in _outages:
            _outages[address] = now
            log.warning(
                "MLflow is unreachable (%s); what is logged is kept in %s and sent once it is reachable",
                fault(error),
                self.journal.path,
            )
        with self._change:
            self._tried = True
            self._change.notify_all()
            if closing and now - _outages[address] >= self._patience:
                return True
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            if self._closing is None:
                self._change.wait_for(lambda: self._closing is not None, self._pause)
            else:
                self._change.wait_for(lambda: self._abandoned, min(self._pause, LAST_PAUSE_SECONDS))
        return False

    def _wait_for_more(self) -> None:
        """Wait until there is more to send, and gather a little of it."""
        with self._change:
            again = NESTING_SECONDS if self.sender.is_orphan else None
            self._change.wait_for(lambda: self._has_more or self._closing is not None, again)
            if self._closing is None:
                self._change.wait_for(lambda: self._closing is not None, GATHER_SECONDS)
            self._has_more = False
