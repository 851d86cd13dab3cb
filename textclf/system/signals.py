"""Stop on SIGTERM, SIGHUP or Ctrl-C: at once, or, where work would be lost, at the next safe point.

Ctrl-C also stops a command that a shell has put into the background with SIGINT ignored; what nohup began goes on
when its terminal is closed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has."""

    def __init__(self, said: str = "stopped"):
        """Take what is said of it; `status` is the exit status of a process that was asked so."""
        super().__init__(said)
        self.status = 128 + signal.Signals.__members__.get(_state.asked or "", signal.SIGINT)


class _State:
    """What this process was asked, and whether it may be interrupted anywhere."""

    asked: str | None = None
    deferring: int = 0


_state = _State()


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and Ctrl-C raise `Stopped` inside the context, in the main thread; in others do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hangup = getattr(signal, "SIGHUP", None)
    taken = [number for number in SIGNALS if number != hangup or signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _on_signal) for number in taken}
    _state.asked = None
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # none: set by what is not Python
        _state.asked = None


@contextmanager
def deferred() -> Iterator[None]:
    """Only note a signal inside the context; the work asks `requested` where it can stop. A second one raises."""
    _state.deferring += 1
    try:
        yield
    finally:
        _state.deferring -= 1


@contextmanager
def at_once() -> Iterator[None]:
    """Let a signal raise inside the context, although it lies inside `deferred`: nothing there would be lost."""
    before, _state.deferring = _state.deferring, 0
    try:
        yield
    finally:
        _state.deferring = before


def requested() -> str | None:
    """Return what asks this process to stop, such as the name of a signal; none where it may go on."""
    return _state.asked


def check() -> None:
    """Stop here where that was asked, and what was raised then was lost in a library that catches everything.

    Raises:
        Stopped: In the main thread, outside `deferred`.
    """
    if _state.asked and not _state.deferring and threading.current_thread() is threading.main_thread():
        raise stopped()


def stopped() -> Stopped:
    """Return what is raised where this process was asked to stop."""
    return Stopped(f"stopped by {_state.asked}")


def ask(why: str) -> None:
    """Ask this process to stop at the next safe point."""
    _state.asked = _state.asked or why


def _on_signal(number: int, frame: FrameType | None) -> None:
    again, _state.asked = _state.asked is not None, signal.Signals(number).name
    if again or not _state.deferring:
        raise stopped()
