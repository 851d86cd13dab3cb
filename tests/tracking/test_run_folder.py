"""A run folder is worked on by one, finished all at once, and never overwritten."""

import json
from dataclasses import replace

import pytest

from tests.tracking.test_record import RECORD
from textclf.errors import ArtifactError, DataError
from textclf.system import signals
from textclf.system.files import manifest_problem
from textclf.tracking.lease import BusyError, LeaseLostError, take_lease
from textclf.tracking.run_folder import is_finished, open_run
from textclf.tracking.run_start import RunStart

STARTED = RunStart(
    "a run", "f" * 16, {}, {"torch": "1", "code": "a"}, "python -m textclf.run", "2026-01-01T00:00:00+00:00"
)


def finish(path, started=STARTED, content="scores", **options):
    with open_run(path, started, **options) as folder:
        (folder.stage / "scores.txt").write_text(content)
        (folder.stage / "figures").mkdir()
        (folder.stage / "figures" / "a.png").write_text("a picture")
        folder.finish(RECORD)
    return path


def cut_off(path, started=STARTED, **options):
    with pytest.raises(RuntimeError), open_run(path, started, **options) as folder:
        (folder.stage / "scores.txt").write_text("half")
        (folder.checkpoints / "step-1").mkdir(parents=True)
        raise RuntimeError("cut off")
    return path


def visible(path):
    return sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))


def test_a_finished_run_holds_what_was_staged_and_nothing_else(tmp_path):
    finish(tmp_path / "r")
    assert visible(tmp_path / "r") == ["figures", "manifest.json", "run.json", "scores.txt", "started.json"]
    assert is_finished(tmp_path / "r")
    assert [entry.name for entry in (tmp_path / "r").iterdir() if entry.name.startswith(".")] == [".lease.lock"]


def test_without_resume_nothing_is_touched(tmp_path):
    for made, said in [(finish, "a finished run"), (cut_off, "not finished")]:
        made(tmp_path / said)
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / said).rglob("*") if p.name != ".lease.lock"}
        with pytest.raises(ArtifactError, match=f"{said}.*resume=true"), open_run(tmp_path / said, STARTED):
            pass
        assert {p: p.stat().st_mtime_ns for p in (tmp_path / said).rglob("*") if p.name != ".lease.lock"} == before


def test_a_run_that_was_cut_off_is_gone_on_with(tmp_path):
    cut_off(tmp_path)
    with open_run(tmp_path, STARTED, resume=True) as folder:
        assert folder.record is None
        assert (folder.checkpoints / "step-1").is_dir()
        assert list(folder.stage.iterdir()) == []
        (folder.stage / "scores.txt").write_text("whole")
        folder.finish(RECORD)
    assert (tmp_path / "scores.txt").read_text() == "whole"
    assert not (tmp_path / "checkpoints").exists()


def test_a_finished_run_is_used_as_it_is(tmp_path):
    finish(tmp_path)
    with open_run(tmp_path, STARTED, resume=True) as folder:
        assert folder.record == RECORD
    assert is_finished(tmp_path)


def test_one_that_was_killed_while_it_was_finished_is_finished_again(tmp_path):
    finish(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "checkpoints").mkdir()
    with open_run(tmp_path, STARTED, resume=True) as folder:
        assert folder.record is None
        assert folder.checkpoints.is_dir()


def test_a_finished_run_that_is_damaged_is_set_aside_and_done_again(tmp_path, caplog):
    finish(tmp_path)
    (tmp_path / "scores.txt").write_text("changed by hand")
    finish(tmp_path, resume=True)
    assert "scores.txt is not what was written" in caplog.text
    (aside,) = tmp_path.glob(".damaged-*")
    assert (aside / "scores.txt").read_text() == "changed by hand"
    assert is_finished(tmp_path)
    assert (tmp_path / "scores.txt").read_text() == "scores"


def test_another_run_is_never_gone_on_with(tmp_path):
    cut_off(tmp_path)
    other = replace(STARTED, fingerprint="0" * 16)
    with pytest.raises(ArtifactError, match="holds another run, a run"), open_run(tmp_path, other, True, True):
        pass


def test_other_code_or_versions_are_refused_or_said(tmp_path):
    cut_off(tmp_path)
    later = replace(STARTED, environment={"torch": "2", "code": "a"})
    with pytest.raises(ArtifactError, match="torch 1, now 2.*resume_changed=true"), open_run(tmp_path, later, True):
        pass
    with open_run(tmp_path, later, True, True) as folder:
        assert folder.changes_under_way() == {"changed_under_way": "torch 1, now 2"}


def test_other_data_are_refused(tmp_path):
    with open_run(tmp_path, STARTED) as folder:
        folder.check_data("a")
    with open_run(tmp_path, STARTED, True) as folder:
        folder.check_data("a")
        with pytest.raises(DataError, match="fingerprint a, now b"):
            folder.check_data("b")


def test_two_never_work_in_one_folder(tmp_path):
    lease = take_lease(tmp_path)
    for resume in (False, True):
        with pytest.raises(BusyError), open_run(tmp_path, STARTED, resume):
            pass
    lease.give_back()


def take_over(folder):
    path = folder.path / "lease.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"token": "of another"}))


def test_a_late_result_is_set_aside(tmp_path):
    with pytest.raises(LeaseLostError, match=r"\.late-"), open_run(tmp_path, STARTED) as folder:
        (folder.stage / "scores.txt").write_text("late")
        take_over(folder)
        folder.finish(RECORD)
    (late,) = tmp_path.glob(".late-*")
    assert (late / "scores.txt").read_text() == "late"
    assert not (tmp_path / "scores.txt").exists()
    assert manifest_problem(tmp_path) is not None


def test_training_is_stopped_where_the_lease_is_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTCLF_LEASE_SECONDS", "0.12")
    with pytest.raises(LeaseLostError), signals.stoppable(), open_run(tmp_path, STARTED) as folder:
        take_over(folder)
        folder.lease._thread.join(timeout=10)
        assert signals.requested() is not None
        raise signals.Stopped


def test_what_was_made_before_a_failure_is_kept(tmp_path):
    with pytest.raises(RuntimeError), open_run(tmp_path, STARTED) as folder:
        (folder.stage / "classifier").mkdir()
        (folder.stage / "classifier" / "weights").write_text("learned")
        with folder.keeping("classifier"):
            raise RuntimeError
    assert (tmp_path / "classifier" / "weights").read_text() == "learned"
    finish(tmp_path, resume=True)


def test_a_started_file_that_is_damaged_is_told(tmp_path):
    cut_off(tmp_path)
    (tmp_path / "started.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"started\.json is damaged"), open_run(tmp_path, STARTED, True):
        pass
