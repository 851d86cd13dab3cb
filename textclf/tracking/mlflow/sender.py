"""The thread that sends a run's journal while the run goes on, and after it for as long as is waited."""

from __future__ import annotations

import logging
import threading
import time

from textclf.system.redact import redacted
from textclf.tracking.mlflow.courier import JournalSender
from textclf.tracking.mlflow.journal import Journal
from textclf.tracking.mlflow.store import fault
from textclf.tracking.options import MlflowTracker

log = logging.getLogger(__name__)

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
"""Since when stores are not to be had, by address: the next run of this process need not find that out as slowly."""


class SenderThread(threading.Thread):
    """Sends a journal in the background, and meets every fault there."""

    def __init__(self, journal: Journal, options: MlflowTracker):
        super().__init__(name="tracker", daemon=True)
        self.journal = journal
        self.courier = JournalSender(journal, options)
        self._change = threading.Condition()
        self._told = True
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
            self._told = True
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
                    if quiet > patience and self.courier.sending not in LONG_CALLS:
                        break
            finally:
                self._abandoned = True
                self._change.notify_all()
        return self.courier.is_done and not self.courier.is_orphan

    def run(self) -> None:
        """Send what there is, until the end."""
        try:
            nested = time.monotonic()
            while not self._abandoned and not self.journal.superseded:
                closing = self._closing is not None  # what was told before this is in the journal
                try:
                    if not self.courier.is_done:
                        self.courier.step()
                    elif self.courier.is_orphan and (closing or time.monotonic() - nested > NESTING_SECONDS):
                        nested = time.monotonic()
                        self.courier.nest()
                    self._went_well()
                except Exception as error:  # whatever a store or a server throws, the run goes on
                    if self._failed(error, closing):
                        break
                    continue
                if closing and self.courier.is_done:
                    break
                if self.courier.is_done:
                    self._wait_for_more()
            with self._change:
                self._change.wait_for(lambda: self._closing is not None)
        finally:
            self.journal.close()
            with self._change:
                self._over = True
                self._change.notify_all()

    def _went_well(self) -> None:
        if _outages.pop(self.courier.address, None) is not None:
            log.info("MLflow is to be had again")
        with self._change:
            self._progress = time.monotonic()
            self._pause = FIRST_PAUSE_SECONDS
            self._tried = self._tried or self.courier.delivery is not None
            self._change.notify_all()

    def _failed(self, error: Exception, closing: bool) -> bool:
        """Pause after a fault, and return whether to give up."""
        address, now = self.courier.address, time.monotonic()
        log.debug("MLflow: %s", redacted(str(error)))
        if address not in _outages:
            _outages[address] = now
            log.warning(
                "MLflow is not to be had (%s); what it is told is kept in %s and sent when it is",
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
            again = NESTING_SECONDS if self.courier.is_orphan else None
            self._change.wait_for(lambda: self._told or self._closing is not None, again)
            if self._closing is None:
                self._change.wait_for(lambda: self._closing is not None, GATHER_SECONDS)
            self._told = False
