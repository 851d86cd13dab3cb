"""The end of a command: one paragraph on what went wrong, and an exit status that says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from textclf.documents.escape import terminal
from textclf.errors import DataError, ResourceError, TextclfError
from textclf.system import signals
from textclf.system.disk import AGAIN, Aftermath, describe_disk_trouble, disk_trouble
from textclf.system.memory import describe_out_of_memory, is_out_of_memory
from textclf.system.redact import redacted

FAILED = 1
INTERRUPTED = 130


def explain(error: BaseException, after: Aftermath = AGAIN) -> str:
    """Return one paragraph on an error: what, required, got, remedy; without secrets, and fit for a terminal.

    Args:
        error: The error.
        after: What is there after it, where memory or a disk ran out.
    """
    if (shortage := describe_shortage(error, after)) is not None:
        said = shortage
    elif isinstance(error, OSError) and error.filename is not None:
        said = f"{error.filename}: {error.strerror}."
    elif isinstance(error, TextclfError):
        said = str(error)
    else:
        said = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
    return terminal(redacted(said))


def describe_shortage(error: BaseException, after: Aftermath = AGAIN) -> str | None:
    """Return a paragraph on memory or a disk that ran out, and what would help; none for other errors."""
    if isinstance(error, ResourceError):
        return None
    if is_out_of_memory(error):
        return describe_out_of_memory(error)
    if disk_trouble(error) is None or isinstance(
        error, DataError
    ):  # which says what of the data has no room, and where
        return None
    return describe_disk_trouble(error, after)


@contextmanager
def cli_errors(
    describe: Callable[[BaseException, Aftermath], str] = explain, after: Aftermath = AGAIN
) -> Iterator[None]:
    """Print an error as one paragraph on stderr and exit with 1.

    SIGTERM, SIGHUP and Ctrl-C stop what is done inside, which takes its half-done work away on the way out, and end
    with 143, 129 and 130. A reader of the output that has seen enough (`| head`) is no error.

    Args:
        describe: Makes a paragraph of an error that is not the system's own.
        after: What is there after the work was stopped or a disk was full.
    """
    try:
        with signals.stoppable():
            try:
                yield
                sys.stdout.flush()
            except Exception as error:  # a library may make an error of its own of what a signal raised in it
                if signals.requested() is None:
                    raise
                raise signals.stopped() from error
    except signals.Stopped as stop:
        print(f"{stop}; {after.kept}", file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        print(f"error: {(explain if isinstance(error, OSError) else describe)(error, after)}", file=sys.stderr)
        sys.exit(FAILED)
