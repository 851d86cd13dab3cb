import time

import pytest

from textclf.system.timing import Phases, format_phases


def test_phases_add_up_to_the_whole_and_the_start_reaches_back_to_the_command():
    phases = Phases(time.time() - 10)
    with phases.phase("load"):
        time.sleep(0.02)
    for _ in range(2):
        with phases.phase("fit"):
            time.sleep(0.02)
    time.sleep(0.03)
    found = phases.plain("record", None)
    assert list(found) == ["start", "load", "fit", "record"]
    assert found["start"] == pytest.approx(10, abs=1)
    assert found["load"] >= 0.02
    assert found["fit"] >= 0.04
    assert found["record"] >= 0.03
    assert sum(found.values()) == pytest.approx(time.time() - phases.begun, abs=0.5)


def test_a_phase_that_fails_is_counted_too():
    phases = Phases()

    def fail():
        time.sleep(0.02)
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"), phases.phase("load"):
        fail()
    assert phases.plain("record", None)["load"] >= 0.02


def test_the_first_step_is_told_from_the_command_on():
    phases = Phases(1000.0)
    with phases.phase("load"):
        pass
    assert phases.plain("record", 1007.25)["before_first_step"] == 7.25
    assert "before_first_step" not in phases.plain("record", None)


def test_what_is_said_has_the_order_of_the_run():
    assert format_phases({"record": 0.94, "fit": 3.0, "load": 0.4, "before_first_step": 5.0}) == (
        "data 0.4 s, fit 3.0 s, figures and records 0.9 s"
    )
