"""The short form of the torture: a few faults and kills of each sort, and for each check a defect that it must find."""

import shutil
import sqlite3

import pytest

from tests.reliability import crowd
from tests.reliability.comparing import contents, differences
from tests.reliability.faults import Fault, build_library
from tests.reliability.kills import Killer
from tests.reliability.soak import BYTES_PER_JOB, slopes, soak
from tests.reliability.trials import Case, Trials, evenly
from tests.reliability.world import make_world
from tests.reliability.zygote import Zygote


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("reliability")


@pytest.fixture(scope="module")
def trials(scratch):
    with Zygote(scratch / "scratch", build_library(scratch)) as zygote:
        yield Trials(zygote, make_world(scratch / "world"), scratch / "trials")


def case(trials, name):
    return Case.of(trials.world, name)


@pytest.mark.parametrize(
    ("kind", "share", "lasting"),
    [
        ("kill", 0.93, False),
        pytest.param("full", 0.7, True, marks=pytest.mark.slow),
        pytest.param("broken", 0.5, False, marks=pytest.mark.slow),
    ],
)
def test_a_run_survives_a_fault_at_one_of_its_writes(trials, kind, share, lasting):
    classical = case(trials, "classical")
    fault = Fault(kind, round(share * trials.prepare(classical)), lasting)
    assert trials.survive(classical, fault).problems == []


@pytest.mark.parametrize(("kind", "share"), [pytest.param("torn", 0.4, marks=pytest.mark.slow), ("power", 0.9)])
def test_a_run_survives_torn_writes_and_a_loss_of_power(trials, kind, share):
    if trials.zygote.library is None:
        pytest.skip("no C compiler")
    classical = case(trials, "classical")
    fault = Fault(kind, round(share * trials.prepare(classical, "c")), level="c")
    outcome = trials.survive(classical, fault)
    assert (outcome.problems, outcome.kills) == ([], 1)


@pytest.mark.slow
def test_training_that_is_killed_after_a_checkpoint_ends_with_the_same_bytes(trials):
    torch = case(trials, "torch")
    number = trials.number_of(torch, "/checkpoints/", 1, "rename") + 2
    outcome = trials.survive(torch, Fault("kill", number))
    assert (outcome.problems, outcome.kills) == ([], 1)
    assert trials.survive(torch, Fault("kill", number), "random_numbers_not_restored").problems


@pytest.mark.slow
def test_training_that_is_killed_at_a_random_moment_ends_with_the_same_bytes(trials):
    assert Killer(trials, seed=5).kill_run(case(trials, "hf"), kills=1).problems == []


def test_what_is_written_in_place_would_be_found(trials):
    """started.json is touched first then, and is empty where the process is killed before it writes."""
    classical = case(trials, "classical")
    number = trials.number_of(classical, "started.json") + 1
    assert trials.survive(classical, Fault("kill", number), "in_place").problems


def test_a_record_without_a_manifest_would_be_found(trials):
    classical = case(trials, "classical")
    assert trials.survive(
        classical, Fault("kill", trials.number_of(classical, "manifest.json")), "manifest_not_checked"
    ).problems


@pytest.mark.slow
def test_a_late_worker_leaves_the_run_alone_and_without_a_lease_would_not(trials):
    classical = case(trials, "classical")
    assert crowd.stopped_worker(trials, classical).problems == []
    assert crowd.stopped_worker(trials, classical, "lease_always_granted").problems


@pytest.mark.slow
def test_several_train_into_one_store_and_one_is_killed(trials):
    assert crowd.many_runs(trials, processes=2, killed=1, seed=1).problems == []


def test_a_store_with_a_run_or_a_point_too_many_would_be_found(tmp_path):
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as store:
        store.execute("CREATE TABLE runs (run_uuid, name, status)")
        store.execute("CREATE TABLE metrics (run_uuid, key, step)")
        store.executemany("INSERT INTO runs VALUES (?, ?, 'FINISHED')", [("a", "one"), ("b", "two")])
        store.execute("INSERT INTO metrics VALUES ('a', 'loss', 1)")
    store.close()
    assert crowd.check_store(database, 2) == []
    with sqlite3.connect(database) as store:
        store.execute("INSERT INTO metrics VALUES ('a', 'loss', 1)")
        store.execute("INSERT INTO runs VALUES ('c', 'one', 'RUNNING')")
    store.close()
    assert len(crowd.check_store(database, 2)) == 3


def test_the_comparison_finds_every_changed_byte_and_file(trials):
    classical = case(trials, "classical")
    trials.prepare(classical)
    cwd = trials.folder()
    assert trials.attempt(classical, cwd).status == 0
    run, expected = cwd / "run", trials.expected[classical.name]
    assert differences(expected, run) == []
    assert {"run.json", "report.md", "predictions.parquet", "classifier/pipeline.skops"} <= contents(run).keys()
    for name in ("classifier/pipeline.skops", "predictions.parquet", "run.json", "report.html"):
        path = run / name
        before = path.read_bytes()
        path.write_bytes(before.replace(b"0", b"1", 1) if name.endswith("json") else before[:-9] + b"?" + before[-8:])
        assert any(name in said for said in differences(expected, run)), name
        path.write_bytes(before)
    (run / ".12345678.run.json").touch()
    (run / "checkpoints").mkdir()
    assert len(differences(expected, run)) >= 2
    shutil.rmtree(cwd)


@pytest.mark.slow
def test_an_address_in_memory_would_be_found(trials):
    """All children of one process have the same addresses, so that only a fresh process can tell."""
    classical = case(trials, "classical")
    cwd = trials.folder()
    assert trials.attempt(classical, cwd, mutation="addresses_kept").status == 0
    same = trials.fresh(classical, "addresses_kept")
    assert any("pipeline.skops" in said for said in differences(same, cwd / "run"))
    shutil.rmtree(cwd)


def test_memory_that_grows_would_be_found():
    flat = [(200_000_000 + 50_000 * (job % 3), 40, 5) for job in range(40)]
    assert slopes(flat)[0] < BYTES_PER_JOB
    leaking = [(200_000_000 + 500_000 * job, 40 + job, 5) for job in range(40)]
    memory, files, threads = slopes(leaking)
    assert memory > BYTES_PER_JOB
    assert (files > 1, threads) == (True, 0)


@pytest.mark.slow
def test_a_long_sweep_keeps_its_memory_and_a_leak_would_be_found(trials):
    assert soak(trials, 30).problems == []
    assert soak(trials, 30, "leaking").problems


def test_fault_points_are_sampled_evenly():
    assert list(evenly(5, 9)) == [1, 2, 3, 4, 5]
    assert evenly(100, 3) == [1, 51, 100]
    assert Fault.parse(str(Fault("full", 7, True, "c"))) == Fault("full", 7, True, "c")
