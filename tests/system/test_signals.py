"""A signal stops at once, or at the next safe point."""

import os
import signal

import pytest

from textclf.system import signals


def test_a_signal_raises_where_nothing_would_be_lost():
    with pytest.raises(signals.Stopped, match="SIGTERM"), signals.stoppable():
        os.kill(os.getpid(), signal.SIGTERM)


def test_inside_deferred_the_first_signal_is_noted_and_the_second_raises():
    with signals.stoppable(), pytest.raises(signals.Stopped, match="SIGINT"), signals.deferred():
        assert signals.requested() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.requested() == "SIGTERM"
        os.kill(os.getpid(), signal.SIGINT)


def test_what_handled_signals_before_does_so_after():
    before = signal.getsignal(signal.SIGTERM)
    with signals.stoppable():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signals.requested() is None
