"""A run is found again by what it is."""

from dataclasses import replace

import pytest

from tests.tracking.test_run_folder import STARTED, cut_off, finish
from textclf.tracking.former import find_previous_run, link_finished_run
from textclf.tracking.found import is_finished
from textclf.tracking.lease import take_lease

ENVIRONMENT = STARTED.environment


def find(outputs, fingerprint=STARTED.fingerprint, environment=ENVIRONMENT, **options):
    return find_previous_run(fingerprint, environment, outputs, **options)


def test_a_finished_run_comes_before_later_ones_that_were_cut_off(tmp_path):
    assert find(tmp_path) is None
    cut_off(tmp_path / "b", replace(STARTED, started="2026-01-02T00:00:00+00:00"))
    cut_off(tmp_path / "a")
    assert find(tmp_path) == tmp_path / "b"
    finish(tmp_path / "deep" / "c")
    assert find(tmp_path) == tmp_path / "deep" / "c"
    assert find(tmp_path, fingerprint="0" * 16) is None


def test_what_others_work_on_is_left_to_them(tmp_path):
    lease = take_lease(cut_off(tmp_path / "a"))
    assert find(tmp_path) is None
    lease.give_back()
    assert find(tmp_path) == tmp_path / "a"


@pytest.mark.parametrize("harm", [lambda p: (p / "scores.txt").write_text("x"), lambda p: None])
def test_a_finished_run_of_other_code_or_with_damage_is_passed_over(harm, tmp_path, caplog):
    caplog.set_level("INFO")
    finish(tmp_path / "a")
    harm(tmp_path / "a")
    damaged = (tmp_path / "a" / "scores.txt").read_text() == "x"
    assert find(tmp_path, environment={"torch": "2", "code": "a"}) is None
    assert "is not used: torch 1, now 2" in caplog.text
    accepted = find(tmp_path, environment={"torch": "2", "code": "a"}, accept_changes=True)
    assert accepted == (None if damaged else tmp_path / "a")


def test_an_adopted_run_is_the_same_files(tmp_path):
    finish(tmp_path / "a")
    link_finished_run(tmp_path / "a", tmp_path / "b")
    assert is_finished(tmp_path / "b")
    assert (tmp_path / "a" / "figures" / "a.png").stat().st_ino == (tmp_path / "b" / "figures" / "a.png").stat().st_ino
    assert (tmp_path / "a" / "started.json").read_bytes() == (tmp_path / "b" / "started.json").read_bytes()
