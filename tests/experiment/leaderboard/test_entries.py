"""What is read of the runs below a folder, and how often."""

import json
import os
from dataclasses import replace

import pytest

from tests.experiment.leaderboard.folders import failed, finished, sweep
from textclf.experiment.leaderboard import entries
from textclf.experiment.leaderboard.entries import CACHE_FILE, read_entries
from textclf.tracking.lease import take_lease
from textclf.tracking.run_start import RunStart, write_started


@pytest.fixture
def reads(monkeypatch):
    """The folders whose records were read."""
    seen = []

    def counting(path):
        seen.append(path.name)
        return read(path)

    read = entries.read_record
    monkeypatch.setattr(entries, "read_record", counting)
    return seen


def test_a_record_is_read_once_and_again_only_where_it_changed(tmp_path, reads):
    for number in range(5):
        finished(tmp_path / "runs" / f"run{number}", seed=number)
    first = read_entries(tmp_path)
    assert len(reads) == len(first.finished) == 5
    assert read_entries(tmp_path).finished == first.finished
    assert len(reads) == 5
    finished(tmp_path / "runs" / "run9", seed=9)
    os.utime(tmp_path / "runs" / "run3" / "run.json")
    assert len(read_entries(tmp_path).finished) == 6
    assert reads[5:] == ["run3", "run9"]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 1, "read": 3}', '{"format": 9, "read": {}}', '{"format": 1}']
)
def test_a_damaged_cache_is_made_anew(tmp_path, content):
    finished(tmp_path / "run")
    (tmp_path / CACHE_FILE).write_text(content)
    assert len(read_entries(tmp_path).finished) == 1
    known = json.loads((tmp_path / CACHE_FILE).read_text())
    known["read"]["run"]["strange"] = known["read"]["run"].pop("model")
    (tmp_path / CACHE_FILE).write_text(json.dumps(known))
    assert read_entries(tmp_path).finished[0].model == "bayes"


def test_what_failed_says_why_and_what_was_cut_off_is_named(tmp_path):
    failed(tmp_path / "a")
    finished(tmp_path / "b")
    cut = tmp_path / "c"
    cut.mkdir()
    write_started(cut, RunStart("imdb/bert/seed1", "f", {}, {}, "", "2026-01-01T00:00:00+00:00"))
    found = read_entries(tmp_path).open
    assert [(entry.folder, entry.state, entry.why, entry.log) for entry in found] == [
        ("a", "failed", "DataError: no such file", True),
        ("c", "interrupted", "", False),
    ]
    assert [entry.name for entry in found] == ["model=bert", "imdb/bert/seed1"]
    lease = take_lease(cut)
    try:
        assert read_entries(tmp_path).open[1].state == "running"
    finally:
        lease.give_back()


def damaged(folder):
    """Fill a folder in ways that no run does."""
    for name, content in {
        "half": "{", "list": "[]", "deep": "[" * 100_000, "foreign": '{"scripts": {}}', "later": '{"format": 9}',
    }.items():  # fmt: skip
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(content)
    for name, changes in {"words": {"metrics": "many"}, "none": {"objective": None}, "seedless": {"seed": "x"}}.items():
        finished(folder / name, **changes)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "run.json")
    (folder / "piped").mkdir()
    os.mkfifo(folder / "piped" / "status.json")
    (folder / "loop").symlink_to(folder)
    for content in ("{", "[]", '{"name": [1], "total": "x"}'):
        (folder / f"sweep {len(content)}").mkdir()
        (folder / f"sweep {len(content)}" / "sweep.json").write_text(content)
    (folder / "failed").mkdir()
    (folder / "failed" / "status.json").write_text(
        '{"job": [], "failed": true, "overrides": 3, "seconds": "", "ended": {}}'
    )


def test_damaged_and_foreign_folders_are_named_and_hinder_nothing(tmp_path):
    damaged(tmp_path)
    finished(tmp_path / "whole")
    found = read_entries(tmp_path)
    assert [entry.folder for entry in found.finished] == ["whole"]
    states = {entry.folder: entry.state for entry in found.open}
    assert {name for name, state in states.items() if state == "unreadable"} == {
        "half", "list", "deep", "foreign", "later", "words", "none", "seedless", "pipe", "piped", "failed",
    }  # fmt: skip
    assert all(entry.why for entry in found.open if entry.state == "unreadable")
    assert replace(read_entries(tmp_path), written=found.written) == found


def test_a_sweep_has_its_jobs_its_time_left_and_its_comparison(tmp_path):
    folder = sweep(tmp_path / "s", total=4)
    failed(folder / "job0")
    (folder / "comparison").mkdir()
    (folder / "comparison" / "report.html").write_text("")
    (folder / "comparison" / "run.json").write_text("{")  # not a run, whatever it is called
    (found,) = read_entries(tmp_path).sweeps
    assert (found.name, found.total, found.live, found.left, found.comparison) == ("a sweep", 4, False, None, True)
    lease = take_lease(folder)
    try:
        (found,) = read_entries(tmp_path).sweeps
        assert found.live
        assert found.left is not None
    finally:
        lease.give_back()
