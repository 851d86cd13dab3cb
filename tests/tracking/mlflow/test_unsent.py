"""`python -m textclf.sync`: what the store was not told at the time."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.listening import listening
from tests.tracking.mlflow.conftest import history
from textclf import sync
from textclf.system.files import write_manifest
from textclf.tracking.run_folder import NOT_VOUCHED_FOR
from textclf.tracking.start import start_run, start_sweep

DOWN = "http://127.0.0.1:9"
POINTS = [("loss", step, 1 / (step + 1)) for step in range(20)]


@pytest.fixture
def untold(tracker, tmp_path, quick, tiny_data, monkeypatch):
    """A run folder whose store was down from the start."""
    folder = tmp_path / "outputs" / "run"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "a.png").write_text("x")
    (folder / "report.md").write_text("# r")
    with start_run(tracker(tracking_uri=DOWN, patience_seconds=0), "mine", "r", {"model": "m"}, folder=folder) as run:
        run.log_params({"a": 1})
        run.log_dataset(tiny_data)
        for _, step, value in POINTS:
            run.log_metrics({"loss": value}, step)
        run.log_metrics({"undefined": float("nan")}, 0)
        run.log_artifacts(folder, ["figures", "report.md"])
    run.thread.join(30)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs the command, and returns its exit status and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sync", *map(str, arguments)])
        status = 0
        try:
            sync.main()
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def runs(client, name="mine"):
    found = client.get_experiment_by_name(name)
    return client.search_runs([found.experiment_id]) if found else []


def test_what_was_not_told_is_sent_once(untold, command, client, store, tiny_data):
    status, said = command("--tracking-uri", store)
    (run,) = runs(client)
    assert status == 0, said
    assert said == (
        f"outputs/run: sent 1 param, 21 points of metrics, the dataset, 2 files and folders, how it ended to run "
        f"{run.info.run_id}\n"
    )
    assert [point for point in history(client, run.info.run_id) if point[0] == "loss"] == POINTS
    assert run.info.status == "FINISHED"
    assert run.data.params == {"a": "1"}
    assert run.data.tags["model"] == "m"
    assert run.inputs.dataset_inputs[0].dataset.digest == tiny_data.fingerprint
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"figures", "report.md"}
    assert run.info.end_time - run.info.start_time < 60_000  # as it was, and not as it was sent
    before = (untold / "tracking.jsonl").read_bytes()
    for arguments in [(), ("--tracking-uri", store), ("outputs/run",)]:
        assert command(*arguments) == (0, "nothing to send: 1 run is in its store\n")
    assert (untold / "tracking.jsonl").read_bytes() == before
    assert len(runs(client)) == 1


def test_what_was_changed_after_the_run_is_not_sent(untold, command, client, store):
    (untold / "run.json").write_text("{}")
    write_manifest(untold, NOT_VOUCHED_FOR)
    (untold / "figures" / "a.png").write_text("another picture")
    status, said = command("--tracking-uri", store)
    assert status == 1
    assert "outputs/run is not as it was left: figures/a.png is not what was written" in said
    (run,) = runs(client)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"report.md"}
    assert run.info.status == "FINISHED"


def test_a_store_that_is_still_down_is_told_and_nothing_lost(untold, command, client, store):
    shutil.copytree(untold, untold.parent / "other")
    status, said = command(".", "--trust", DOWN)
    assert status == 1
    assert said.count(f"not sent: the rest, since {DOWN} is unreachable") == 2
    assert "Traceback" not in said
    assert command("--tracking-uri", store)[0] == 0
    assert len(runs(client)) == 1  # a copy is the same run


def test_a_server_that_only_the_folder_names_is_not_spoken_to(untold, command, monkeypatch, caplog, tmp_path):
    """Whoever wrote the folder would get the person's credentials."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse-battery")
    with listening(500) as server:
        journal = untold / "tracking.jsonl"
        journal.write_text(journal.read_text().replace(DOWN, server.url))
        before = journal.read_bytes()
        status, said = command(".")
        assert (status, server.requests) == (1, [])
        assert f"--trust {server.url}" in said
        assert journal.read_bytes() == before
        assert command(".", "--trust", "http://127.0.0.1")[0] == 1
        assert server.requests == []
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        assert "is unreachable" in command(".", "--trust", server.url)[1]
        assert server.requests
        server.requests.clear()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)  # the person's own word
        assert "is unreachable" in command(".")[1]
        assert server.requests


def test_a_server_that_is_none_of_mlflow_is_told_apart_and_not_asked_for_ever(untold, command):
    with listening(200) as server:
        status, said = command(".", "--tracking-uri", server.url)
        assert status == 1
        assert "no MLflow server" in said
        assert len(server.requests) < 20


def test_a_store_elsewhere_is_not_made_because_a_folder_names_it(untold, command, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    journal = untold / "tracking.jsonl"
    head, _, rest = journal.read_text().partition("\n")
    said = json.loads(head) | {"address": f"sqlite:///{outside}/mlflow.db", "directory": str(outside)}
    journal.write_text(f"{json.dumps(said)}\n{rest}")
    status, answer = command(".")
    assert (status, outside.exists()) == (1, False)
    assert f"--trust {outside}" in answer
    assert command(".", "--trust", outside)[0] == 0
    assert (outside / "mlflow.db").exists()


@pytest.fixture
def rewritten(untold):
    """Changes the first line of the journal, as a stranger may."""

    def change(**said):
        journal = untold / "tracking.jsonl"
        head, _, rest = journal.read_text().partition("\n")
        journal.write_text(f"{json.dumps(json.loads(head) | said)}\n{rest}")
        return journal

    return change


@pytest.mark.parametrize("where", ["http", "file", "trigger"])
def test_a_store_that_came_with_the_folder_leads_nowhere(where, untold, rewritten, made_store, command, monkeypatch):
    """A SQLite store below the working folder is somebody's file: where it keeps artifacts is their word too."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    outside = untold.parents[1].with_name(f"{untold.parents[1].name}-out")
    with listening(500) as server:
        artifacts = f"{server.url}/api/2.0/mlflow-artifacts/artifacts" if where == "http" else outside.as_uri()
        store = untold / "s.db"
        shutil.copy(made_store, store)
        with contextlib.closing(sqlite3.connect(store)) as opened:
            opened.execute("UPDATE experiments SET artifact_location = 'here'")
            if where == "trigger":
                opened.execute(
                    f"CREATE TRIGGER t AFTER INSERT ON runs BEGIN UPDATE runs SET artifact_uri = '{artifacts}'; END"
                )
            opened.commit()
        if where != "trigger":
            MlflowClient(f"sqlite:///{store}").create_experiment("mine", artifact_location=artifacts)
        rewritten(address="sqlite:///outputs/run/s.db", directory="/nowhere")
        before = store.read_bytes()
        status, said = command(".")
        assert (status, server.requests, outside.exists(), store.read_bytes() == before) == (1, [], False, True)
        assert "--trust sqlite:///outputs/run/s.db" in said
        assert "a store that keeps files elsewhere" in said
        command(".", "--trust", "sqlite:///outputs/run/s.db")
        assert "correct-horse-battery" not in "".join(server.requests)  # the address that was named is another


def test_a_store_below_the_working_folder_needs_no_word(untold, rewritten, made_store, command, tmp_path):
    shutil.copy(made_store, tmp_path / "s.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as opened:
        opened.execute("UPDATE experiments SET artifact_location = 'mlruns/0'")
        opened.commit()
    rewritten(address="sqlite:///s.db", directory="/nowhere")
    assert command(".")[0] == 0
    assert len(runs(MlflowClient(f"sqlite:///{tmp_path}/s.db"))) == 1


@pytest.mark.parametrize("address", ["databricks", "file:/tmp/nowhere", "uc"])
def test_an_address_of_one_word_is_not_followed(address, untold, rewritten, command, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = rewritten(address=address, directory="/nowhere").read_bytes()
    status, said = command(".")
    assert (status, f"--trust {address}" in said) == (1, True)
    assert (untold / "tracking.jsonl").read_bytes() == before


def test_no_name_of_a_folder_lets_its_journal_take_files_from_elsewhere(untold, command, client, store, tmp_path):
    """Only the journal of a run without a folder names files elsewhere, and it is known by its folder's name."""
    outside = tmp_path.parent / f"{tmp_path.name}-private"
    outside.mkdir()
    (outside / "id").write_text("private")
    folder = untold.rename(untold.parent / "textclf-tracking-mine")
    line = json.dumps({"kind": "artifacts", "folder": str(outside), "names": ["id"]}) + "\n"
    with (folder / "tracking.jsonl").open("a") as journal:
        journal.write(line)
    status, said = command("--tracking-uri", store)
    assert (status, f"not in the run folder: {outside / 'id'}" in said) == (1, True)
    (run,) = runs(client)
    assert "id" not in {file.path for file in client.list_artifacts(run.info.run_id)}
    with (folder / "tracking.jsonl").open("a") as journal:
        journal.write(line)
    assert command("--tracking-uri", store, "--trust", outside)[0] == 0
    assert "id" in {file.path for file in client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("name", ["tracking.jsonl", ".tracking.lock"])
def test_no_file_elsewhere_is_written_through_a_link(name, untold, command, store, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-{name}"
    outside.write_bytes((untold / "tracking.jsonl").read_bytes())
    before = outside.read_bytes()
    (untold / name).unlink(missing_ok=True)
    (untold / name).symlink_to(outside)
    assert command("--tracking-uri", store)[0] == 1
    assert outside.read_bytes() == before


def test_a_journal_of_odd_values_is_told_without_orders_for_the_terminal(untold, rewritten, command, client, store):
    rewritten(address="http://h\x1b]0;title\x07")
    status, said = command(".")
    assert (status, "\x1b" in said, "\x07" in said) == (1, False, False)
    shutil.copytree(untold, untold.parent / "other")
    rewritten(address=5, directory=None)
    status, said = command("--tracking-uri", store)
    assert (status, "lacks a text that belongs there" in said, "Traceback" in said) == (1, True, False)
    assert len(runs(client)) == 1


def test_the_command_that_sends_the_rest_is_complete(untold, caplog):
    said = [record.getMessage() for record in caplog.get_records("setup")]
    assert any(f"{untold} --trust {DOWN}" in line for line in said)


def test_a_journal_cut_off_anywhere_is_sent_without_gap_or_double(untold, command, client, store):
    assert command("--tracking-uri", store)[0] == 0
    (run,) = runs(client)
    whole = history(client, run.info.run_id)
    path = untold / "tracking.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    marks = [number for number, line in enumerate(lines) if json.loads(line)["kind"] in ("sent", "opened")]
    for kept in (0, 1, len(marks) // 2, len(marks) - 1):  # what was noted as sent is lost from there on
        path.write_bytes(b"".join(line for number, line in enumerate(lines) if number not in marks[kept:]))
        assert command("--tracking-uri", store)[0] == 0
        assert history(client, run.info.run_id) == whole
    assert len(runs(client)) == 1


@pytest.mark.slow
def test_two_at_once_send_it_once(untold, client, store, tmp_path):
    words = [sys.executable, "-m", "textclf.sync", "--tracking-uri", store]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    both = [subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].decode() for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("how it ended to run" in words for words in said) == 1, said
    (run,) = runs(client)
    assert [point for point in history(client, run.info.run_id) if point[0] == "loss"] == POINTS


def test_a_run_under_way_is_left_alone_and_a_killed_one_marked(tracker, client, command, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    with start_run(tracker(), "mine", "r", {}, folder=tmp_path / "outputs" / "run") as run:
        run.log_metrics({"loss": 1.0}, 1)
        assert run.run_id
        status, said = command()
        assert (status, "left alone, since its run is under way" in said) == (0, True)
    path = tmp_path / "outputs" / "run" / "tracking.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if json.loads(line)["kind"] == "end")
    path.write_bytes(b"".join(lines[:end]))  # as kill -9 leaves it
    client.update_run(run.run_id, "RUNNING")
    status, said = command()
    assert (status, said.endswith(f"how it ended to run {run.run_id}\n")) == (0, True)
    assert client.get_run(run.run_id).info.status == "KILLED"
    assert client.get_metric_history(run.run_id, "loss")[0].value == 1.0
    assert command()[1].startswith("nothing to send")


def test_the_jobs_of_a_sweep_come_under_it(tracker, client, command, store, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "sweep"
    down = tracker(tracking_uri=DOWN, patience_seconds=0)
    with start_sweep(down, "mine", "s", {"sweep": "s"}, folder=folder) as parent:
        reference = parent.reference
        for number in range(2):
            with start_run(down, "mine", f"job{number}", {}, reference, folder / f"job{number}") as job:
                job.log_metrics({"loss": 1.0})
            job.thread.join(30)
    parent.thread.join(30)
    assert reference.startswith("local:")
    status, said = command("--tracking-uri", store, "outputs/sweep/job0")
    assert (status, "its place under its sweep, which is not in the store" in said) == (1, True)
    status, said = command("--tracking-uri", store)
    assert status == 0, said
    assert f"{Path('outputs/sweep/job0')}: sent its place under its sweep" in said
    (sweep,) = client.search_runs([runs(client)[0].info.experiment_id], "tags.sweep = 's'")
    nested = client.search_runs([sweep.info.experiment_id], f"tags.mlflow.parentRunId = '{sweep.info.run_id}'")
    assert {run.info.run_name for run in nested} == {"job0", "job1"}
    assert command("--tracking-uri", store)[1].startswith("nothing to send")


def test_a_sweep_is_nested_in_another_store_too(tracker, command, tmp_path, monkeypatch, quick, made_store):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "sweep"
    with (
        start_sweep(tracker(), "mine", "s", {"sweep": "s"}, folder=folder) as parent,
        start_run(tracker(), "mine", "job", {}, parent.reference, folder / "job0"),
    ):
        assert not parent.reference.startswith("local:")
    shutil.copy(made_store, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path}/other.db"
    assert command("--tracking-uri", other)[0] == 0
    client = MlflowClient(other)
    names = {run.info.run_name: run for run in runs(client)}
    assert names["job"].data.tags["mlflow.parentRunId"] == names["s"].info.run_id != parent.run_id


def test_files_that_are_gone_are_named_and_the_rest_sent(untold, command, client, store):
    (untold / "report.md").unlink()
    status, said = command("--tracking-uri", store)
    assert status == 1
    assert f"not sent: no longer in {untold.relative_to(Path.cwd())}: report.md" in said
    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"figures"}
    assert command("--tracking-uri", store) == (0, "nothing to send: 1 run is in its store\n")


def test_journals_that_cannot_be_read_hide_no_others(untold, command, client, store):
    for name, content in [("later", '{"kind": "run", "format": 2}\n'), ("torn", '{"kind": "ru'), ("empty", "")]:
        (untold.parent / name).mkdir()
        (untold.parent / name / "tracking.jsonl").write_text(content)
    status, said = command("--tracking-uri", store)
    assert status == 1
    assert "is of format 2; this textclf reads 1" in said
    assert len(runs(client)) == 1
    assert "Traceback" not in said


def test_what_cannot_be_meant_is_told_in_a_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("nowhere") == (
        1,
        "error: There is no folder nowhere. Name run folders, or folders that hold some.\n",
    )
    (tmp_path / "outputs").mkdir()
    assert command() == (0, "no run was tracked here\n")
    assert "name a store as sqlite:///" in command("--tracking-uri", "mlruns/mlflow.db")[1]
