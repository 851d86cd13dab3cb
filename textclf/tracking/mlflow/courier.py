"""Carries a run's journal to a store: in order, in batches, each noted as sent, nothing twice."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import takewhile
from pathlib import Path

from textclf.errors import ArtifactError
from textclf.tracking.mlflow.journal import Journal
from textclf.tracking.mlflow.state import Entry, read_state
from textclf.tracking.mlflow.store import address_of, open_store
from textclf.tracking.mlflow.upload import GoneError, RefusedError, RunUpload, open_delivery
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import TRACKING_FILE

log = logging.getLogger(__name__)

MOST_ENTRIES = 200
"""Lines of a journal that are read at a time."""
LEVELS_ABOVE = 4
"""Folders above a run's own in which that of its sweep may be."""


class JournalSender:
    """Carries one journal to one store."""

    def __init__(self, journal: Journal, options: MlflowTracker):
        self.journal = journal
        self.options = options
        self.address = address_of(options)
        self.delivery: RunUpload | None = None
        self.sent: Counter[str] = Counter()
        """How much of each kind was sent: points, files, or lines."""
        self.refused: list[str] = []
        """What the store would not take, in words."""
        self.sending: str | None = None
        """The kind of the lines that are being sent."""
        self._through = 0
        self._sure = False
        self._alone = 0

    @property
    def is_done(self) -> bool:
        """Whether the store has all that the journal holds so far, but perhaps for its place under a parent."""
        return self.delivery is not None and self._through >= self.journal.state.end

    @property
    def is_orphan(self) -> bool:
        """Whether the run belongs under a parent that the store does not have yet."""
        state = self.journal.state
        return state.parent is not None and (self.delivery is None or self.delivery.run_id not in state.nested)

    def step(self) -> None:
        """Open the store and the run in it, or send the next batch; raise what the store throws."""
        if self.delivery is None:
            self._open()
            return
        batch = self._next_batch(self.delivery)
        if not batch:
            return
        self.journal.bring_to_disk()  # what a store has is in the journal, whatever happens to this machine
        kind = self.sending = str(batch[0][1]["kind"])
        try:
            self.sent[kind] += self.delivery.send([entry for _, entry in batch], self._sure)
        except GoneError:
            log.warning("MLflow: run %s was deleted while it was under way; it is made anew", self.delivery.run_id)
            self.delivery = None
            return
        except RefusedError as error:
            if len(batch) > 1:  # find out which it is
                self._alone = len(batch)
                self._sure = False
                return
            self._refuse(self.delivery, str(error))
        except BaseException:
            self._sure = False
            raise
        finally:
            self.sending = None
        self._sure = True
        self._through = batch[-1][0]
        self.journal.append("sent", run_id=self.delivery.run_id, through=self._through)

    def nest(self) -> None:
        """Put the run under its parent, where it has one and that is in the store by now."""
        parent = self.journal.state.parent
        if self.delivery is None or parent is None or not self.is_orphan:
            return
        if self.delivery.nest(parent, _ids_above(self.journal.folder)):
            self.journal.append("nested", run_id=self.delivery.run_id)

    def _open(self) -> None:
        client, uri, artifacts = open_store(self.options)
        state = self.journal.state
        delivery = open_delivery(client, uri, artifacts, state, self.address, self.journal.folder)
        if state.run_ids.get(self.address) != delivery.run_id:
            self.journal.append("opened", address=self.address, run_id=delivery.run_id, url=delivery.url)
        self._through = state.through.get(delivery.run_id, 0)
        self._sure = delivery.is_new
        self.delivery = delivery
        self.nest()

    def _next_batch(self, delivery: RunUpload) -> list[tuple[int, Entry]]:
        """Return the next lines that are sent in one call: several only of metrics."""
        entries = self.journal.entries(self._through, 1 if self._alone else MOST_ENTRIES)
        self._alone = max(0, self._alone - 1)
        if entries and entries[0][1]["kind"] == "metrics":
            return list(takewhile(lambda item: item[1]["kind"] == "metrics", entries))
        return entries[:1]

    def _refuse(self, delivery: RunUpload, why: str) -> None:
        log.warning("MLflow: %s", why)
        self.refused.append(why)
        self.journal.append("refused", run_id=delivery.run_id, why=why)


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
