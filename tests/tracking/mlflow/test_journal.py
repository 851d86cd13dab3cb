import errno
import json
import logging
import os
import random

import pytest

from textclf.errors import ArtifactError
from textclf.system import appending
from textclf.tracking.mlflow.journal import REMEMBERED, BusyJournalError, Journal, Points, read_state


def begun(folder, *steps):
    journal = Journal(folder)
    journal.begin(experiment="mine", name="r", tags={}, address="a", directory="d")
    for step in steps:
        journal.append("metrics", time=step, step=step, metrics={"loss": 0.1 * step})
    return journal


def test_what_is_written_is_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(appending, "BLOCK", 7)
    journal = begun(tmp_path, *range(50))
    journal.append("sent", run_id="x", through=9)
    journal.append("end", status="FINISHED", time=99)
    first = journal.entries(0, 10)
    rest = journal.entries(first[-1][0], 100)
    journal.close()
    kinds = [entry["kind"] for _, entry in [*first, *rest]]
    assert kinds == ["run", *["metrics"] * 50, "end"]
    assert rest[-1][0] == read_state(tmp_path).end
    assert (read_state(tmp_path).ended, read_state(tmp_path).through) == ("FINISHED", {"x": 9})


def test_a_torn_last_line_is_cut_off_and_another_begun(tmp_path):
    begun(tmp_path, 1, 2).close()
    path = tmp_path / "tracking.jsonl"
    whole = path.read_bytes()
    for cut in range(whole.rindex(b"\n", 0, -1) + 2, len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(tmp_path)
        journal.append("metrics", time=2, step=2, metrics={"loss": 0.2})
        journal.close()
        assert path.read_bytes() == whole


def test_a_damaged_line_is_passed_over_and_told(tmp_path, caplog):
    begun(tmp_path, 1, 2, 3).close()
    path = tmp_path / "tracking.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], b"\0" * 20, b"[1]", b'{"kind": "metrics"}', *lines[3:]]))
    journal = Journal(tmp_path)
    assert [entry["step"] for _, entry in journal.entries(0, 9) if "step" in entry] == [1, 3]
    assert "3 damaged lines" in caplog.text
    journal.close()


def test_another_format_is_refused(tmp_path):
    (tmp_path / "tracking.jsonl").write_text('{"kind": "run", "format": 2}\n')
    with pytest.raises(ArtifactError, match=r"tracking.jsonl is of format 2; this textclf reads 1"):
        Journal(tmp_path)
    with pytest.raises(ArtifactError, match="is of format 2"):
        read_state(tmp_path)
    with pytest.raises(ArtifactError, match="is of format 2"):
        Journal(tmp_path)  # and not locked for good


def test_one_process_has_it_open_and_who_owns_the_run_takes_it_over(tmp_path, caplog):
    late = begun(tmp_path, 1)
    with pytest.raises(BusyJournalError, match="open in another process"):
        Journal(tmp_path)
    owner = Journal(tmp_path, take_over=True, wait=0.05)
    assert (late.superseded, owner.superseded) == (True, False)
    late.append("end", status="FAILED", time=5)
    owner.append("end", status="FINISHED", time=6)
    late.close()
    with pytest.raises(BusyJournalError):
        Journal(tmp_path)
    owner.close()
    assert read_state(tmp_path).ended == "FINISHED"
    assert "no longer owns the run" in caplog.text


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = begun(tmp_path, 1)
    before = (tmp_path / "tracking.jsonl").read_bytes()
    write, calls = os.write, []

    def fail_in_the_middle(file, content):
        calls.append(file)
        if len(calls) == 1:
            return write(file, bytes(content[:10]))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail_in_the_middle)
        with pytest.raises(OSError, match="No space left"):
            journal.append("metrics", time=2, step=2, metrics={"loss": 1.0})
    assert (tmp_path / "tracking.jsonl").read_bytes() == before
    journal.append("metrics", time=3, step=3, metrics={"loss": 2.0})
    journal.close()
    last = (tmp_path / "tracking.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] == 3


@pytest.mark.slow
def test_reading_a_long_journal_takes_little_memory(tmp_path, caplog):
    import tracemalloc

    caplog.set_level(logging.INFO)
    journal = begun(tmp_path)
    journal.close()
    line = json.dumps({"kind": "metrics", "time": 1, "step": 1, "metrics": {"loss": 1.0}, "pad": "x" * 900}) + "\n"
    with (tmp_path / "tracking.jsonl").open("a") as file:
        file.write(line * 20_000)
    tracemalloc.start()
    journal = Journal(tmp_path)
    journal.entries(0, 200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    journal.close()
    assert peak < 4_000_000 < (tmp_path / "tracking.jsonl").stat().st_size


def told(points, *calls, corrects=False):
    """Return what of some calls a run takes."""
    taken = []
    for metrics, step in calls:
        new = points.new(metrics, step, corrects)
        points.add(new, step)
        taken += [(name, step, value) for name, value in new.items()]
    return taken


def training(steps, every=1):
    return [({"train/loss": 1 / (step + 1)}, step) for step in steps if step % every == 0]


def test_steps_gone_through_again_add_nothing():
    points = Points()
    told(points, *training(range(50)))
    points.begin_session()
    assert told(points, *training(range(30, 60))) == told(Points(), *training(range(50, 60)))


def test_wherever_it_is_cut_off_the_points_are_those_of_a_run_that_was_not():
    calls = [
        *training(range(1, 11)),
        ({"validation/f1": 0.5, "train/epoch_loss": 0.6}, 10),
        *training(range(11, 21)),
        ({"validation/f1": 0.4, "train/epoch_loss": 0.3}, 20),
        ({"validation/f1": 0.5, "validation/loss": 0.7, "test/f1": 0.6, "cost/seconds": 3.0}, 10),
    ]
    whole = sorted(told(Points(), *calls))
    assert len(whole) == len({point[:2] for point in whole}) == 27
    draw = random.Random(1)
    for _ in range(200):
        points, taken = Points(), []
        for _ in range(draw.randint(1, 4)):
            start = draw.choice([0, 5, 10, 11, 22])  # the checkpoint that is gone on from
            if start and (len(taken) < start):
                start = 0
            taken += told(points, *calls[start : draw.randint(start, len(calls))])
            points.begin_session()
        taken += told(points, *calls[0 if len(taken) < 5 else 5 :])
        assert sorted(taken) == whole


def test_another_value_corrects_a_point_only_where_the_run_has_not_just_been_taken_up():
    points = Points()
    told(points, ({"validation/loss": 0.5}, 10), ({"validation/loss": 0.6}, 20))
    assert told(points, ({"validation/loss": 0.5}, 10)) == []
    assert told(points, ({"validation/loss": 0.4}, 10)) == [("validation/loss", 10, 0.4)]
    points.begin_session()
    assert told(points, ({"validation/loss": 0.55}, 10)) == []  # such as a duration, which differs each time
    assert told(points, ({"validation/loss": 0.3, "test/loss": 0.2}, 20)) == [
        ("validation/loss", 20, 0.3),
        ("test/loss", 20, 0.2),
    ]


def test_the_counts_of_a_sweep_are_corrected_when_it_is_gone_on_with():
    points = Points()
    told(points, ({"jobs": 3.0}, 0), corrects=True)
    points.begin_session()
    assert told(points, ({"jobs": 3.0}, 0), corrects=True) == []
    assert told(points, ({"jobs": 4.0}, 0), corrects=True) == [("jobs", 0, 4.0)]


def test_memory_is_bounded_and_nan_is_equal_to_itself():
    points = Points()
    told(points, *training(range(10 * REMEMBERED)))
    assert len(points._values["train/loss"]) == REMEMBERED
    assert told(points, ({"train/loss": 1.0}, 0)) == []
    told(points, ({"a": float("nan")}, 0))
    assert told(points, ({"a": float("nan")}, 0)) == []
