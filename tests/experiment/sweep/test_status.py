"""What a sweep's folder says, and the lines and tables made of it."""

from dataclasses import replace

import pytest

from tests.tracking.test_record import RECORD
from textclf.experiment.sweep.status import (
    JobStatus,
    Sweep,
    SweepWatch,
    data_lines,
    progress_line,
    read_statuses,
    read_sweep,
    seconds_left,
    sweep_table,
    write_status,
    write_sweep,
)
from textclf.tracking.record import write_record

COSTS = {"train_seconds": 1.25, "num_parameters": 1000.0, "test_examples_per_second": 50.0}
DONE = replace(RECORD, metrics={"test/accuracy": 0.75, "validation/accuracy": 0.5}, costs=COSTS)


def status(job, *overrides, failed=False, seconds=10.0):
    return JobStatus(job, failed, list(overrides), seconds, 1000.0 + job, "no" if failed else None)


def test_table_shows_what_was_varied_and_what_failed():
    jobs = [
        status(0, "model=bert", "trainer=torch", "trainer.epochs=1"),
        status(1, "model=bert", "trainer=hf", "trainer.epochs=1", failed=True),
    ]
    header, _, done, failed = sweep_table(jobs, {0: DONE}).splitlines()
    assert "trainer " in header
    assert "trainer.epochs" not in header
    assert done.split() == ["d/m/seed1", "torch", "0.750", "–", "1.2", "1,000", "50"]
    assert failed.split() == ["model=bert", "hf", "FAILED"]


def test_a_search_shows_its_objective_and_no_test_score():
    table = sweep_table([status(0)], {0: DONE}, search=True)
    assert "test" not in table
    assert "0.500" in table


def test_jobs_whose_texts_have_sets_of_labels_show_micro_f1():
    scores = {"test/micro_f1": 0.8, "test/macro_f1": 0.6, "test/subset_accuracy": 0.4}
    data = {"sets": True, "examples": {"test": 80}, "label_names": ["a", "b", "c"]}
    of_sets = replace(DONE, metrics=scores, data=data)
    header, _, done = sweep_table([status(0)], {0: of_sets}).splitlines()
    assert "test micro F1    test macro F1" in header
    assert "accuracy" not in header
    assert done.split()[1:3] == ["0.800", "0.600"]
    both = sweep_table([status(0), status(1)], {0: of_sets, 1: DONE}).splitlines()
    assert "test micro F1    test accuracy    test macro F1" in both[0]
    assert both[3].split()[1:4] == ["–", "0.750", "–"]
    line = progress_line(of_sets, status(0), Sweep("s", 1), [status(0)], 1.0)
    assert line.startswith("[1/1] d/m/seed1: test micro F1 0.800, macro F1 0.600 after")
    assert data_lines(of_sets) == ["d: 80 test texts; 3 labels"]


def test_a_sweep_and_its_jobs_are_written_and_read(tmp_path):
    sweep = Sweep("name", 2, [["model=a"], ["model=b"]], "parent", "url", "command", True)
    write_sweep(tmp_path / "s", sweep)
    assert read_sweep(tmp_path / "s") == sweep
    assert read_sweep(tmp_path) is None
    for number in (10, 2):
        (tmp_path / "s" / f"job{number}").mkdir()
        write_status(tmp_path / "s" / f"job{number}", status(number, "+model=a"))
    (tmp_path / "s" / "half").mkdir()
    (tmp_path / "s" / "half" / "status.json").write_text('{"job": 1')
    statuses = read_statuses(tmp_path / "s")
    assert [found.job for found in statuses.values()] == [2, 10]
    assert next(iter(statuses.values())).options == {"model": "a"}


def test_time_left_follows_the_models_that_are_still_to_come():
    jobs = [["model=fast", "seed=1"], ["model=fast", "seed=2"], ["model=slow", "seed=1"], ["model=slow", "seed=2"]]
    sweep = Sweep("s", 4, jobs)
    one = [status(0, "model=fast", "seed=1", seconds=2)]
    assert seconds_left(sweep, one, 2) == (pytest.approx(6), True)  # of the slow model nothing is known yet
    three = [*one, status(1, "model=fast", seconds=2), status(2, "model=slow", seconds=60)]
    assert seconds_left(sweep, three, 64) == (pytest.approx(60), False)
    assert seconds_left(sweep, three, 32) == (pytest.approx(30), False)  # two at a time
    assert seconds_left(Sweep("s"), three, 64) is None
    assert seconds_left(Sweep("s", 6), three, 64) == (pytest.approx(64), False)


def test_each_job_that_ends_is_told_once(tmp_path, capsys):
    """The reason of a failure is told once too, whichever jobs it stops."""
    sweep = Sweep("s", 3, [["model=a"], ["model=b"], ["model=c"]])
    watch = SweepWatch(tmp_path, sweep)
    watch.is_here = True
    for number in (2, 1, 0):
        (tmp_path / f"job{number}").mkdir()
    write_record(tmp_path / "job0", DONE)
    write_status(tmp_path / "job0", status(0, "model=a", seconds=75))
    watch.look()
    watch.look()
    write_status(tmp_path / "job1", status(1, "model=b", failed=True))
    watch.look()
    write_status(tmp_path / "job2", status(2, "model=c", failed=True))
    watch.look()
    first, second, why, third = capsys.readouterr().out.splitlines()
    assert first.startswith("[1/3] d/m/seed1: test accuracy 0.750 after 1 min 15 s; more than ")
    assert second.startswith("[2/3] model=b: FAILED after 10 s; ")
    assert (why, third) == ("    no", "[3/3] model=c: FAILED after 10 s, for the reason above")


def test_data_of_jobs_that_ran_elsewhere_are_told_once(tmp_path, capsys):
    watch = SweepWatch(tmp_path, Sweep("s", 2, [["model=a"], ["model=b"]]))
    audit = {"lines": ["3 texts of test are in train too"]}
    record = replace(DONE, data={"examples": {"train": 1200, "test": 80}, "label_names": ["a", "b"], "audit": audit})
    for number in (0, 1):
        (tmp_path / f"job{number}").mkdir()
        write_record(tmp_path / f"job{number}", record)
        write_status(tmp_path / f"job{number}", status(number))
    watch.look()
    data, warning, first, second = capsys.readouterr().out.splitlines()
    assert data == "d: 1,200 train, 80 test texts; 2 classes"
    assert warning == "warning: 3 texts of test are in train too"
    assert (first[:5], second[:5]) == ("[1/2]", "[2/2]")


def test_a_line_without_a_total_or_record():
    line = progress_line(None, status(4), Sweep("s"), [status(4)], 1.0)
    assert line == "[1] job 4: finished after 10 s"
