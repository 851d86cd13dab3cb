"""A busy machine is told of, once, and one that merely waits is not; the clocks are given."""

import pytest

from textclf.system.busy import LOOK_SECONDS, BusyWatch


class Machine:
    def __init__(self):
        self.now = self.computed = 0.0
        self.load = 9.0

    def watch(self, wanted=4):
        return BusyWatch(wanted, lambda: self.now, lambda: self.computed, lambda: self.load, cores=4)

    def passes(self, seconds, share):
        self.now += seconds
        self.computed += seconds * share


def test_a_process_that_gets_a_quarter_of_its_cores_says_so_once():
    machine = Machine()
    watch = machine.watch()
    machine.passes(LOOK_SECONDS - 1, 1.0)
    assert watch.look() is None
    machine.passes(1, 1.0)
    assert watch.look() == (
        "the machine is busy: in the last 15 s this process computed on 1.0 of the 4 cores that it would use, while 9 "
        "threads wanted the 4 of the machine, so this takes longer than on a machine of its own"
    )
    machine.passes(LOOK_SECONDS, 1.0)
    assert watch.look() is None


@pytest.mark.parametrize(("share", "load", "wanted"), [(2.5, 9, 4), (0.3, 3, 4), (0.8, 9, 1), (2.5, 9, 64)])
def test_one_that_computes_or_waits_for_something_else_says_nothing(share, load, wanted):
    machine = Machine()
    machine.load = load
    watch = machine.watch(wanted)
    machine.passes(20, share)
    assert watch.look() is None


def test_it_becomes_busy_later():
    machine = Machine()
    watch = machine.watch()
    machine.passes(100, 4.0)
    assert watch.look() is None
    machine.passes(16, 0.5)
    assert "in the last 16 s this process computed on 0.5" in watch.look()
