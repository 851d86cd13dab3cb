"""Stop on SIGTERM or Ctrl-C: at once, or, where work would be lost, at the next safe point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has."""


class _State:
    """What this process was asked, and whether it may be interrupted anywhere."""

    asked: str | None = None
    deferring: int = 0


_state = _State()


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise `Stopped` inside the context, in the main thread; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _on_signal) for number in SIGNALS}
    _state.asked = None
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
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


def ask(why: str) -> None:
    """Ask this process to stop at the next safe point."""
    _state.asked = _state.asked or why


def _on_signal(number: int, frame: FrameType | None) -> None:
    again, _state.asked = _state.asked is not None, signal.Signals(number).name
    if again or not _state.deferring:
        raise Stopped(f"stopped by {_state.asked}")
