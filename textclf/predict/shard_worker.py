"""Prediction of one shard after another with the classifier loaded once, as each process does it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path

from textclf.errors import ConfigError
from textclf.predict.inputs import TextColumns
from textclf.predict.options import PredictOptions
from textclf.predict.predict_file import Done, Ends, OpenRun, Scoring, formula_said, predict_file
from textclf.predict.shards import BegunAnewError, Ledger, Shard
from textclf.predict.stream import Tell
from textclf.system import signals
from textclf.system.exits import describe_shortage, explain
from textclf.system.unfinished import BeingWrittenError, writer_of
from textclf.tracking.find_runs import RunReference

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often is looked whether what other processes write is finished."""
FOR_ALL = (ConfigError, BegunAnewError)
"""Errors that every shard would meet."""
UNSCORED = Scoring(is_wanted=False)


@dataclass(frozen=True)
class Job:
    """What is done with each shard, as it is sent to the processes that do it."""

    run: RunReference
    folder: Path
    token: str
    """Of the ledger."""
    ends: Ends
    """Formats; the names are those of a shard."""
    asked: TextColumns
    options: PredictOptions
    device: str


class Fate(Enum):
    """What became of a shard that a process was given."""

    finished = "finished"
    passed_over = "passed over"
    """It was finished by then."""
    busy = "busy"
    """Another process is writing it."""
    failed = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a shard, and why it failed."""

    name: str
    fate: Fate
    said: str = ""
    rows: int = 0


class ShardWorker:
    """Predicts one shard after another, with the classifier loaded once."""

    def __init__(self, job: Job):
        """Take what is done with each shard; the classifier is loaded for the first."""
        self.job = job
        self.ledger = Ledger(job.folder, job.token)
        self.formula: str | None = None
        """A text that a spreadsheet would take for a formula, the first that was met."""

    @cached_property
    def run(self) -> OpenRun:
        """The run."""
        return OpenRun(self.job.run, self.job.device)

    def predict(self, shard: Shard, tell: Tell | None = None) -> Outcome:
        """Predict a shard, unless it is finished or another process is writing it.

        Args:
            shard: The shard.
            tell: Called each time that rows are done.

        Raises:
            TextclfError: If it is nothing that lies in this shard alone.
            OSError: If the disk is full.
        """
        rows = 0

        def place(written: Path, target: Path, done: Done) -> None:
            nonlocal rows
            if not self.ledger.is_finished(shard):  # by another process, since it was looked at
                self.ledger.add(shard, state, done.rows, done.bad_rows, dict(done.labels), written)
                rows = done.rows

        try:
            if self.ledger.is_finished(shard):
                return Outcome(shard.name, Fate.passed_over)
            if (writer := writer_of(shard.output)) is not None:
                return Outcome(shard.name, Fate.busy, f"({writer})")
            state = shard.state()
            shard.output.parent.mkdir(parents=True, exist_ok=True)
            ends = replace(self.job.ends, input=str(shard.input), output=str(shard.output), force=True)
            done = predict_file(
                self.run, ends, self.job.asked, self.job.options, progress=tell or False, scoring=UNSCORED, place=place
            )
        except BeingWrittenError:
            return Outcome(shard.name, Fate.busy)
        except Exception as error:
            signals.check()
            if isinstance(error, FOR_ALL) or describe_shortage(error) is not None:
                raise
            log.debug("%s", shard.input, exc_info=True)
            said = explain(error)
            return Outcome(shard.name, Fate.failed, said if str(shard.input) in said else f"{shard.input}: {said}")
        if self.formula is None and done.formula is not None:
            self.formula = done.formula
            log.warning("%s: %s", shard.input, formula_said(done.formula))
        return Outcome(shard.name, Fate.finished, rows=rows)
