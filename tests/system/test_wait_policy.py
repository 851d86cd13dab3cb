import subprocess
import sys

import pytest

from textclf.system.wait_policy import PASSIVE, POLICY, WaitPolicy, computed_by_all, computed_here


def measured(seconds, by_all, here, wanted=2, count=2, variables=None):
    """Return a policy that was chosen after so many seconds, in which so much was computed."""
    readings = iter([0.0, seconds]), iter([100.0, 100.0 + by_all]), iter([7.0, 7.0 + here])
    clock, others, own = ((lambda source=source: next(source)) for source in readings)
    found = WaitPolicy(wanted, count, clock, others, own, {} if variables is None else variables)
    found.choose()
    return found


@pytest.mark.parametrize(
    ("by_all", "here", "wanted", "count", "expected"),
    [
        (2.0, 2.0, 2, 2, False),  # nobody else computes
        (4.0, 2.0, 2, 2, True),  # another keeps a core busy
        (2.5, 2.0, 2, 2, False),  # a little is always going on
        (4.0, 2.0, 2, 4, False),  # there are cores for both
        (9.0, 1.0, 2, 4, True),
        (4.0, 2.0, 1, 2, False),  # one thread waits for nobody
    ],
)
def test_threads_sleep_where_others_want_their_cores(by_all, here, wanted, count, expected):
    variables = {}
    found = measured(2.0, by_all, here, wanted, count, variables)
    assert found.is_passive is expected
    assert variables == ({POLICY: PASSIVE} if expected else {})


@pytest.mark.parametrize("name", [POLICY, "GOMP_SPINCOUNT"])
def test_what_a_person_chose_stays(name):
    variables = {name: "ACTIVE"}
    assert not measured(2.0, 4.0, 2.0, variables=variables).is_passive
    assert variables == {name: "ACTIVE"}


def test_too_short_a_look_says_nothing():
    assert not measured(0.1, 0.2, 0.0).is_passive


def test_the_machine_can_be_asked():
    assert computed_by_all() > 0
    assert computed_here() > 0


def test_it_is_chosen_before_torch_is_loaded():
    """In a process of its own, whose others are made up: torch is not needed, only looked for."""
    code = """
import importlib.util, os, sys, types
from textclf.system import wait_policy
os.environ.pop("OMP_WAIT_POLICY", None)
wait_policy.watch_for_torch(2)
policy = wait_policy._watching[0]
policy._since = (policy.clock() - 1, policy.by_all() - 9.0, policy.here())
assert wait_policy.wait_policy() == {}
importlib.util.find_spec("json.decoder")
assert "OMP_WAIT_POLICY" not in os.environ
importlib.util.find_spec("torch")
assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE", os.environ
assert policy not in sys.meta_path
assert wait_policy.wait_policy()["wait_policy"].startswith("OMP_WAIT_POLICY=PASSIVE, as others kept")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
