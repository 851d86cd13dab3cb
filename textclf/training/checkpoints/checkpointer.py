"""Write checkpoints of a training run while it is under way, and resume from the newest valid one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import torch

from textclf.errors import ArtifactError, ConfigError
from textclf.system import signals
from textclf.training.batches import ProcessGroup
from textclf.training.checkpoints.fingerprint import differences
from textclf.training.checkpoints.state import TrainingState, capture, restore
from textclf.training.checkpoints.storage import Saved, name_of, newest_checkpoint, remove_all_but, write_checkpoint
from textclf.training.options import TrainerOptions, parse_interval
from textclf.training.result import RunContext

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints of a run that are kept; a third is there only while it is being written."""
LONG_SECONDS = 60.0
"""Training that takes longer is kept at its end, since what follows can still fail."""
PATH_BYTES = 4096


class Checkpointer:
    """Follows a training run, and keeps its state where it is told to.

    An engine calls `resume` before the first step, `after_step` after each, `end_epoch` instead of the monitor's, and
    `finish` when the classifier has its weights.
    """

    def __init__(
        self,
        training: TrainingState,
        options: TrainerOptions,
        context: RunContext,
        identity: Callable[[], dict[str, str]],
        environment: dict[str, str],
        processes: ProcessGroup | None = None,
    ):
        """Follow a run, whose weights are still those that it starts from.

        Args:
            training: What is captured and restored.
            options: How often to keep it.
            context: Where, and whether to go on in changed surroundings.
            identity: Returns the identity of the run; called only where there is something to write or to resume from.
            environment: What its digits stand on.
            processes: The data-parallel processes; none for a single one.
        """
        self.training = training
        self.monitor = training.monitor
        self.interval = parse_interval(options.checkpoint_every)
        self.log_every = options.log_every
        self.accept_changes = context.accept_changes
        self.environment = environment
        self.processes = processes or ProcessGroup()
        self.folder = self._agreed(context.checkpoints)
        self.kept: list[Path] = []
        """The checkpoints that can be resumed from, the oldest first."""
        self._make_identity = identity
        self._begun = time.monotonic()
        self._written = self._begun
        if self.writes:
            self.identity  # noqa: B018  (of the weights before the first step)

    @property
    def writes(self) -> bool:
        """Whether anything is to be written at all."""
        return self.folder is not None and not self.interval.is_never

    @cached_property
    def identity(self) -> dict[str, str]:
        """The identity of the run."""
        return self._make_identity()

    def resume(self) -> None:
        """Go on from the newest checkpoint that holds, if there is one.

        Raises:
            ArtifactError: If it is of another run.
            ConfigError: If what its digits stand on has changed, unless that is accepted.
        """
        if self.folder is None:
            return
        found = newest_checkpoint(self.folder, tell=self.monitor.is_main)
        if found is None:
            return
        path, saved = found
        self._refuse_others(path, saved)
        changes = self._changes(path, saved)
        try:
            restore(self.training, self.processes, saved.plain, saved.tensors)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ArtifactError(
                f"{path} does not fit the model that is to be trained ({error}); remove it to train from the beginning."
            ) from error
        self.kept = [path]
        if changes:
            self.monitor.warnings.append(f"resumed after step {self.monitor.step} although {changes}")
            log.warning("resuming from %s although %s; digits may differ", path.name, changes)
        if self.monitor.has_best:
            self.monitor.context.screen.info(
                "training was finished after %d steps: the best weights are taken from %s", self.monitor.step, path
            )
        else:
            self.monitor.resumed_at.append(self.monitor.step)
            self.monitor.context.screen.info(
                "training resumes after step %d (epoch %d) from %s",
                self.monitor.step,
                len(self.monitor.epochs) + 1,
                path,
            )
        for step, metrics in self.monitor.points:
            self.monitor.context.log_metrics(metrics, step)

    def after_step(self) -> None:
        """Keep the state if it is time to, or if the process is asked to stop.

        Raises:
            Stopped: If it is asked to stop, once the state is kept.
        """
        step, every = self.monitor.step, self.interval
        wanted = signals.requested() is not None
        if every.steps is not None:
            wanted = wanted or step % every.steps == 0
        elif every.seconds is not None:
            wanted = wanted or time.monotonic() - self._written >= every.seconds
        if self.processes.size > 1:  # a question to all of them, asked where they wait for each other anyway
            wanted = step % self.log_every == 0 and self._any(wanted)
        if wanted:
            self._keep(name_of(step))

    def between_parts(self, drop_step: Callable[[], None]) -> None:
        """Stop between two parts of a step, if the process is asked to, in the state of before the step.

        Several processes go on to its end, where they can agree.

        Args:
            drop_step: Forgets the parts of the step that are done.

        Raises:
            Stopped: If the process is asked to stop, once the state is kept.
        """
        if self.processes.size > 1 or signals.requested() is None:
            return
        drop_step()
        validated = len(self.monitor.epochs) if self.monitor.steps_done == 0 else None
        self._keep(name_of(self.monitor.step, validated) if self.monitor.step else None)

    def end_epoch(self) -> None:
        """Validate, and do as after a step.

        Raises:
            Stopped: If the process is asked to stop, once the state is kept.
        """
        try:
            self.monitor.end_epoch()
        except signals.Stopped:
            self._keep(name_of(self.monitor.step))
            raise
        seconds = self.interval.seconds
        wanted = seconds is not None and time.monotonic() - self._written >= seconds
        if self._any(wanted or signals.requested() is not None):
            self._keep(name_of(self.monitor.step, len(self.monitor.epochs)))

    def finish(self) -> None:
        """Keep the weights of training that took long."""
        was_finished = bool(self.kept) and self.kept[-1].name == name_of(self.monitor.step, finished=True)
        long = bool(self.kept) or time.monotonic() - self._begun > LONG_SECONDS
        if self.writes and not was_finished and self._any(long):
            self._write(name_of(self.monitor.step, finished=True))

    def _keep(self, name: str | None) -> None:
        """Write the state where that is wanted and there is any, and stop where that is asked."""
        if self.writes and name is not None:
            with self.monitor.not_counted():
                self._write(name)
        asked = signals.requested()
        if self._any(asked is not None):
            kept = f"; its state is kept in {self.kept[-1]}" if self.kept else ""
            raise signals.Stopped(f"training was stopped by {asked or 'a signal'} after step {self.monitor.step}{kept}")

    def _write(self, name: str) -> None:
        """Write a checkpoint, and remove those that it makes superfluous."""
        assert self.folder is not None
        start, path = time.monotonic(), self.folder / name
        if self._any(bool(self.kept) and self.kept[-1] == path):  # of this very moment: written, or resumed from
            return
        self.monitor.warn(self.monitor.stability.look(weights=True))  # what is broken must not replace what is not
        plain, tensors = capture(self.training, self.processes)
        saved = Saved(self.identity, self.environment, plain, tensors)
        with self.monitor.context.fenced() if self.processes.rank == 0 else nullcontext():
            if self.processes.rank == 0 and write_checkpoint(path, saved):
                self.kept = [*self.kept, path][-KEPT:]
                remove_all_but(self.folder, self.kept)
                log.info("state after step %d kept in %.1f s: %s", self.monitor.step, time.monotonic() - start, path)
        self._written = time.monotonic()

    def _refuse_others(self, path: Path, saved: Saved) -> None:
        """Raise if a checkpoint is of another run."""
        other = differences(saved.identity, self.identity)
        if other:
            raise ArtifactError(
                f"{path} is of another training run ({'; '.join(other)}), so it is not resumed from. Name "
                f"another run folder, or remove {path.parent} to train from the beginning."
            )

    def _changes(self, path: Path, saved: Saved) -> str:
        """Return in words what the digits stood on and no longer do; refuse it unless it is accepted."""
        changes = "; ".join(differences(saved.environment, self.environment))
        if changes and not self.accept_changes:
            raise ConfigError(
                f"{path} cannot be resumed from to the same digits: {changes}. Put that back as it was, or set "
                "resume_changed=true to accept digits that may differ, which the record will say."
            )
        return changes

    def _any(self, mine: bool) -> bool:
        """Return whether it holds for any of the processes."""
        if self.processes.size == 1:
            return mine
        return bool(self.processes.gather(self._tensor([mine])).any())

    def _agreed(self, folder: Path | None) -> Path | None:
        """Return the folder of the first process, which the others share."""
        if self.processes.size == 1:
            return folder
        encoded = list(str(folder.resolve()).encode() if folder is not None else b"")
        said = self.processes.gather(self._tensor(encoded + [0] * (PATH_BYTES - len(encoded))))[0]
        path = bytes(said.tolist()).rstrip(b"\0").decode()
        return Path(path) if path else None

    def _tensor(self, values: list[int] | list[bool]) -> torch.Tensor:
        """Return values that the processes can exchange, uint8."""
        return torch.tensor(values, dtype=torch.uint8, device=self.monitor.classifier.device)
