"""How a command ends: one paragraph on what went wrong, and an exit status that says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
INTERRUPTED = 130


@contextmanager
def told() -> Iterator[None]:
    """Tell an error as one paragraph on stderr and exit with 1; with 130 where Ctrl-C was pressed.

    A reader of the output that has seen enough (`| head`) is no error.
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
        print(f"error: {_paragraph(error)}", file=sys.stderr)
        sys.exit(FAILED)


def _paragraph(error: Exception) -> str:
    """Return what to say of an error."""
    if isinstance(error, OSError) and error.filename is not None:
        from textclf.documents.escape import terminal

        return terminal(f"{error.filename}: {error.strerror}.")
    from textclf.experiment.cli import explain  # it brings Hydra along, which a command that goes well may not need

    return explain(error)
