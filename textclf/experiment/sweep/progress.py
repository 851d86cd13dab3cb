"""A live line for each job of a sweep that ends, whichever process it ran in."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from textclf.documents.escape import terminal
from textclf.documents.wording import duration
from textclf.errors import ArtifactError
from textclf.experiment.sweep.status import JobStatus, Sweep, read_statuses, seconds_left
from textclf.tracking.record import read_record

POLL_SECONDS = 0.5


class SweepWatch:
    """Watches the folder of a sweep and tells of each job that ends in it."""

    def __init__(self, folder: Path, sweep: Sweep, finished: set[int] | None = None):
        """Watch a sweep.

        Args:
            folder: Its folder.
            sweep: What it set out to do.
            finished: Numbers of the jobs that ended before, which need no telling; none where there are none.
        """
        self.folder = folder
        self.sweep = sweep
        self.told: set[int] = set(finished or ())
        self.began = time.time()
        self._looking = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sweep-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch, beside the work."""
        self._thread.start()

    def stop(self) -> None:
        """Tell of what has ended since, and watch no longer."""
        self._over.set()
        self._thread.join(timeout=10)
        self.look()

    def look(self) -> None:
        """Tell of the jobs that have ended since the last look."""
        with self._looking:
            statuses = read_statuses(self.folder)
            new = [(path, status) for path, status in statuses.items() if status.job not in self.told]
            for path, status in sorted(new, key=lambda item: item[1].ended):
                self.told.add(status.job)
                done = [other for other in statuses.values() if other.job in self.told]
                print(terminal(progress_line(path, status, self.sweep, done, time.time() - self.began)), flush=True)

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self.look()


def progress_line(folder: Path, status: JobStatus, sweep: Sweep, done: list[JobStatus], elapsed: float) -> str:
    """Return the line on a job that has ended: k of n, name, score, time taken and time left.

    Args:
        folder: The job's folder.
        status: How it ended.
        sweep: The sweep that it is part of.
        done: All jobs that have ended, this one among them.
        elapsed: Seconds since the sweep began.
    """
    count = f"[{len(done)}/{sweep.total}]" if sweep.total is not None else f"[{len(done)}]"
    said = f"{count} {status.name}: FAILED"
    if not status.failed:
        try:
            record = read_record(folder)
            scores = {"test accuracy": "test/accuracy", "macro F1": "test/macro_f1"}
            if sweep.search:
                scores = {record.objective: record.objective}
            told = [f"{name} {record.metrics[key]:.3f}" for name, key in scores.items() if key in record.metrics]
            said = f"{count} {record.name}: {', '.join(told)}"
        except ArtifactError:
            said = f"{count} {status.name}: finished"
    said += f" after {duration(status.seconds)}"
    left = seconds_left(sweep, done, elapsed)
    if left is None or len(done) == sweep.total:
        return said
    return f"{said}; {'more than' if left[1] else 'about'} {duration(left[0])} left"
