"""The end of a command: one paragraph on what went wrong, and an exit status that says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from textclf.documents.escape import terminal
from textclf.errors import ResourceError, TextclfError
from textclf.system.disk import describe_disk_trouble, disk_trouble
from textclf.system.memory import describe_out_of_memory, is_out_of_memory
from textclf.system.redact import redacted

FAILED = 1
INTERRUPTED = 130


def explain(error: BaseException) -> str:
    """Return one paragraph on an error: what, required, got, remedy; without secrets, and fit for a terminal."""
    if isinstance(error, OSError) and error.filename is not None:
        said = f"{error.filename}: {error.strerror}."
    elif (shortage := describe_shortage(error)) is not None:
        said = shortage
    elif isinstance(error, TextclfError):
        said = str(error)
    else:
        said = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
    return terminal(redacted(said))


def describe_shortage(error: BaseException) -> str | None:
    """Return a paragraph on memory or a disk that ran out, and what would help; none for other errors."""
    if isinstance(error, ResourceError):
        return None
    if is_out_of_memory(error):
        return describe_out_of_memory(error)
    return describe_disk_trouble(error) if disk_trouble(error) is not None else None


@contextmanager
def cli_errors(describe: Callable[[Exception], str] = explain) -> Iterator[None]:
    """Print an error as one paragraph on stderr and exit with 1; with 130 where Ctrl-C was pressed.

    A reader of the output that has seen enough (`| head`) is no error.

    Args:
        describe: Makes a paragraph of an error that is not the system's own.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        print(f"error: {(explain if isinstance(error, OSError) else describe)(error)}", file=sys.stderr)
        sys.exit(FAILED)
