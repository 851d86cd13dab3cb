"""Lines on the screen: those that a person needs, each said once, wrapped to the width of a terminal.

All of a run's lines are in its `run.log`; `verbose=true` shows all of them here too. Hydra makes the filter and the
formatter anew for each job (`conf/hydra/job_logging/textclf.yaml`), so what was said is kept by the process.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import textwrap
from typing import IO, Any, ClassVar

from textclf.documents.escape import terminal
from textclf.system.redact import redacted

LOADING = "loading textclf ..."
"""The first line of all, before anything slow is imported; on a terminal the next line takes its place."""
SAID = "textclf.said"
"""The logger of lines that are written for the screen of a single run."""
OF_DATA = ("textclf.said.data", "textclf.data", "textclf.audit")
"""Loggers of what concerns the data: said in a sweep too, once."""
LOG_ONLY = (
    "textclf.data.options",
    "textclf.data.readers.arrow",
    "textclf.experiment",
    "textclf.models",
    "textclf.sweep",
    "textclf.system",
    "textclf.training",
)
"""Loggers of details; their warnings are shown all the same."""
TOLD_OTHERWISE = "textclf.run"
"""The logger of a job's failure, which a sweep tells of in the job's line."""
LEAST_WIDTH = 40


class _Spoken:
    """What this process has said so far."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.tells_of_sweep = False

    def is_new(self, line: str) -> bool:
        """Say whether a line was not said before, and note it."""
        is_new = line not in self.lines
        self.lines.add(line)
        return is_new


_spoken = _Spoken()


def tell_of_sweep() -> None:
    """Note that this process tells a person of a sweep; one that only runs jobs for it leaves all but warnings."""
    _spoken.tells_of_sweep = True


class ScreenFilter(logging.Filter):
    """Passes what a person needs of a single run; of a sweep's jobs what concerns the data, and warnings, each once."""

    def __init__(self, verbose: bool = False, mode: str = "RUN"):
        """Make a filter.

        Args:
            verbose: Pass everything.
            mode: Hydra's mode: `RunMode.MULTIRUN` for a job of a sweep.
        """
        super().__init__()
        self.verbose = bool(verbose)
        self.of_sweep = str(mode).endswith("MULTIRUN")

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is shown."""
        if self.verbose:
            return True
        if record.levelno >= logging.ERROR:
            return not (self.of_sweep and record.name == TOLD_OTHERWISE)
        said = record.getMessage()
        exactly = _is_below(record.name, OF_DATA) or not self.of_sweep
        kind = said if exactly else re.sub(r"\d+", "#", said)  # of folds, seeds and epochs one stands for all
        if record.levelno >= logging.WARNING:
            return _spoken.is_new(kind)
        if self.of_sweep:
            return _spoken.tells_of_sweep and self._is_of_data(record.name) and _spoken.is_new(kind)
        return not _is_below(record.name, LOG_ONLY)

    @staticmethod
    def _is_of_data(name: str) -> bool:
        return _is_below(name, OF_DATA) and not _is_below(name, LOG_ONLY)


def _is_below(name: str, loggers: tuple[str, ...]) -> bool:
    return any(name == logger or name.startswith(f"{logger}.") for logger in loggers)


class ConsoleFormatter(logging.Formatter):
    """One plain line an event: tracebacks are for the log file."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, with its level in front where that says something."""
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return terminal(redacted(prefix + record.getMessage()))


def wrapped(text: str, width: int) -> str:
    """Return a text whose prose fits a width; tables, and commands to copy, stay as they are.

    Args:
        text: Lines.
        width: Characters that a line may have.
    """
    return "\n".join(_wrapped_line(line, max(width, LEAST_WIDTH)) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    said = line.lstrip(" ")
    if len(line) <= width or "python -m " in said or "  " in said:
        return line
    indent = line[: len(line) - len(said)]
    parts = textwrap.wrap(
        said, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(parts)


class Terminal:
    """A terminal in place of `sys.stdout` or `sys.stderr`: what is written as whole lines is wrapped to its width."""

    passing: ClassVar[IO[str] | None] = None
    """Where a line stands whose place the next one takes, on whichever stream that comes."""

    def __init__(self, stream: IO[str]):
        self.stream = stream
        self.at_start = True

    def __getattr__(self, name: str) -> Any:
        """Be the stream in everything else."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; a line that is to be replaced is taken away first."""
        if not text:
            return 0
        if Terminal.passing is not None:
            Terminal.passing.write("\r\033[K")
            Terminal.passing.flush()
            Terminal.passing = None
        is_whole = self.at_start and "\r" not in text  # and no progress bar
        shown = wrapped(text, shutil.get_terminal_size().columns) if is_whole else text
        self.at_start = text.endswith("\n")
        self.stream.write(shown)
        return len(text)

    def write_passing(self, text: str) -> None:
        """Write a line whose place the next one takes."""
        self.stream.write(text)
        self.stream.flush()
        Terminal.passing = self.stream


def begin() -> None:
    """Say at once that something happens; from here on, lines are wrapped where a person watches."""
    if sys.stderr.isatty() and not isinstance(sys.stderr, Terminal):
        sys.stderr = Terminal(sys.stderr)  # type: ignore[assignment]
    if not sys.stdout.isatty():
        print(LOADING, flush=True)
        return
    if not isinstance(sys.stdout, Terminal):
        sys.stdout = Terminal(sys.stdout)  # type: ignore[assignment]
    sys.stdout.write_passing(LOADING)  # type: ignore[attr-defined]
