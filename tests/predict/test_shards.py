"""Shards in, shards out: each row once, whatever happens meanwhile."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.predict.test_predict_file import run, single  # noqa: F401  (fixtures)
from textclf.predict.inputs import TextColumns
from textclf.predict.options import PredictOptions
from textclf.predict.predict_file import Ends
from textclf.predict.predict_shards import Engine, predict_shards
from textclf.predict.rows import Kind
from textclf.predict.shards import BegunAnewError, Ledger, begin_ledger, shards_of
from textclf.system import signals
from textclf.system.unfinished import claimed, this_writer

PATTERN = "data/*.parquet"


def write_shard(path, start, rows=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": range(start, start + rows), "text": ["a lovely film"] * rows}), path)


@pytest.fixture
def shards(tmp_path):
    for number in range(4):
        write_shard(tmp_path / "data" / f"{number}.parquet", number * 3)
    return tmp_path / "data"


def ids(folder):
    return sorted(row for path in folder.rglob("*.parquet") for row in pq.read_table(path)["id"].to_pylist())


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_each_file_is_predicted_under_its_name_and_not_again(run, single, shards, tmp_path):  # noqa: F811
    code, out, err = run(single, "--input", PATTERN, "--output", "out")
    assert (code, out) == (0, "")
    assert "12 rows in 4 shards; 12 rows now in" in err
    assert "positive 100%" in err
    assert sorted(times(tmp_path / "out")) == ["0.parquet", "1.parquet", "2.parquet", "3.parquet"]
    assert ids(tmp_path / "out") == list(range(12))
    assert pq.read_table(tmp_path / "out" / "2.parquet")["label"].to_pylist() == ["positive"] * 3
    before = times(tmp_path / "out")
    code, _, err = run(single, "--input", PATTERN, "--output", "out")
    assert code == 0
    assert "12 rows in 4 shards, 4 of them finished before; 0 rows now" in err
    assert times(tmp_path / "out") == before


def test_new_and_changed_inputs_are_predicted_and_those_that_are_gone_are_told(run, single, shards, tmp_path):  # noqa: F811
    run(single, "--input", PATTERN, "--output", "out")
    before = times(tmp_path / "out")
    write_shard(shards / "1.parquet", 3, rows=2)
    write_shard(shards / "4.parquet", 12)
    (shards / "3.parquet").unlink()
    code, _, err = run(single, "--input", PATTERN, "--output", "out")
    assert code == 0
    assert "11 rows in 4 shards, 2 of them finished before; 5 rows now" in err
    assert "also holds 3.parquet of an earlier command" in err
    assert {name for name, at in times(tmp_path / "out").items() if before.get(name) != at} == {
        "1.parquet",
        "4.parquet",
    }
    (tmp_path / "out" / "0.parquet").unlink()
    assert "3 rows now" in run(single, "--input", PATTERN, "--output", "out")[2]


def test_other_options_and_another_run_are_refused_and_force_begins_anew(run, single, shards, tmp_path):  # noqa: F811
    run(single, "--input", PATTERN, "--output", "out")
    before = times(tmp_path / "out")
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--top-k", "1")
    assert code == 1
    assert "out was begun with another command: top_k differs, nothing there and 1 now. Give the former" in err
    description = json.loads((Path(single) / "classifier.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for path in Path(single).iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    assert run(other, "--input", PATTERN, "--output", "out")[0] == 0, "the same classifier in another place"
    (other / "classifier.json").write_text(json.dumps(description | {"temperature": 2.0}))
    code, _, err = run(other, "--input", PATTERN, "--output", "out")
    assert (code, "run differs" in err) == (1, True)
    assert times(tmp_path / "out") == before
    (shards / "3.parquet").unlink()
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--top-k", "1", "--force")
    assert code == 0, err
    assert ids(tmp_path / "out") == list(range(9)), "what the former command made is gone"
    assert "label_1" in pq.read_table(tmp_path / "out" / "0.parquet").column_names


def test_files_that_nothing_vouches_for_are_not_replaced(run, single, shards, tmp_path):  # noqa: F811
    write_shard(tmp_path / "out" / "2.parquet", 100)
    code, _, err = run(single, "--input", PATTERN, "--output", "out")
    assert code == 1
    assert "2.parquet is there already, and nothing says that this command made it" in err
    assert ids(tmp_path / "out") == [100, 101, 102]
    assert run(single, "--input", PATTERN, "--output", "out", "--force")[0] == 0
    assert ids(tmp_path / "out") == list(range(12))


def test_a_bad_shard_is_named_and_the_others_are_finished(run, single, shards, tmp_path):  # noqa: F811
    whole = (shards / "1.parquet").read_bytes()
    (shards / "1.parquet").write_bytes(whole[:-9])
    pq.write_table(pa.table({"id": [9, 10], "text": ["fine", None]}), shards / "3.parquet")
    code, _, err = run(single, "--input", PATTERN, "--output", "out")
    assert code == 1
    assert "6 rows in 2 shards" in err
    assert "error: 2 shards could not be predicted; all others are finished. Mend these and give the same" in err
    assert str(shards / "1.parquet") in err
    assert str(shards / "3.parquet") in err
    assert "--keep-bad-rows" in err
    assert ids(tmp_path / "out") == [0, 1, 2, 6, 7, 8]
    (shards / "1.parquet").write_bytes(whole)
    write_shard(shards / "3.parquet", 9)
    assert run(single, "--input", PATTERN, "--output", "out")[0] == 0
    assert ids(tmp_path / "out") == list(range(12))


def test_bad_rows_are_kept_and_counted_over_all_shards(run, single, shards, tmp_path):  # noqa: F811
    for number in (1, 3):
        pq.write_table(pa.table({"id": [1, 2], "text": ["fine", None]}), shards / f"{number}.parquet")
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--keep-bad-rows")
    assert code == 0
    assert "warning: 2 rows could not be predicted; the column error says why" in err
    assert "2 rows could not" in run(single, "--input", PATTERN, "--output", "out", "--keep-bad-rows")[2]


def test_a_shard_without_rows_is_finished_too(run, single, shards, tmp_path):  # noqa: F811
    pq.write_table(pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}), shards / "0.parquet")
    assert "9 rows in 4 shards;" in run(single, "--input", PATTERN, "--output", "out")[2]
    assert ids(tmp_path / "out") == list(range(3, 12))
    assert "4 of them finished before" in run(single, "--input", PATTERN, "--output", "out")[2]


KILLED = """
import os, signal, sys
from textclf.predict.__main__ import main
from textclf.predict import shards

class Killing(shards.LineFile):
    def append(self, line, sync=False):
        if b"2.parquet" in line:
            os.write(self.fileno(), line[:30])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().append(line, sync)

shards.LineFile = Killing
main()
"""


def test_a_killed_command_given_again_leaves_each_row_once(run, single, shards, tmp_path):  # noqa: F811
    """It is killed when an output has its name and half of its line in the ledger."""
    command = [sys.executable, "-c", KILLED, single, "--input", PATTERN, "--output", "out"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == -9
    folder = tmp_path / "out"
    assert ids(folder) == list(range(9))
    dead, machine = 99_999_999, this_writer().split("-")[2]
    begun = folder / f".{dead}-1764194000-{machine}-0a1b.3.parquet"
    begun.write_bytes(b"half")
    before = times(folder)
    code, _, err = run(single, "--input", PATTERN, "--output", "out")
    assert code == 0, err
    assert "12 rows in 4 shards, 2 of them finished before; 6 rows now" in err
    assert ids(folder) == list(range(12))
    assert not begun.exists()
    assert {name for name, at in times(folder).items() if before.get(name) != at} == {"2.parquet", "3.parquet"}
    assert [
        json.loads(line)["name"] for line in (folder / ".prediction" / "shards.jsonl").read_text().splitlines()
    ] == [f"{number}.parquet" for number in range(4)]


def predict(single, folder, engine=Engine.local, force=False):  # noqa: F811
    ends = Ends("", str(folder / "out"), force=force)
    given = [str(folder / PATTERN)]
    return predict_shards(single, given, ends, TextColumns(), PredictOptions(), engine=engine)


def test_two_at_once_share_the_shards(single, shards, tmp_path):  # noqa: F811
    for number in range(4, 12):
        write_shard(shards / f"{number}.parquet", number * 3)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(predict(single, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(answer.rows, answer.shards, answer.failed) for answer in answers] == [(36, 12, {})] * 2
    assert sum(answer.own_rows for answer in answers) == 36
    assert ids(tmp_path / "out") == list(range(36))
    lines = (tmp_path / "out" / ".prediction" / "shards.jsonl").read_text().splitlines()
    assert len(lines) == 12


def test_what_another_process_writes_is_waited_for(single, shards, tmp_path, caplog, monkeypatch):  # noqa: F811
    monkeypatch.setattr("textclf.predict.predict_shards.LOOK_SECONDS", 0.05)
    (tmp_path / "out").mkdir()

    def hold():
        with claimed(tmp_path / "out" / "1.parquet"):
            held.set()
            time.sleep(0.5)

    held = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    assert predict(single, tmp_path).rows == 12
    other.join()
    assert "waiting for 1 shards that other processes write" in caplog.text
    assert ids(tmp_path / "out") == list(range(12))


def test_a_command_whose_folder_was_begun_anew_changes_nothing(single, shards, tmp_path, monkeypatch):  # noqa: F811
    add = Ledger.add

    def late(self, shard, *given):
        if shard.name == "1.parquet":
            begin_ledger(tmp_path / "out", {"run": "another"}, [], force=True)
        return add(self, shard, *given)

    monkeypatch.setattr(Ledger, "add", late)
    with pytest.raises(BegunAnewError, match="begun anew by another command"):
        predict(single, tmp_path)
    assert ids(tmp_path / "out") == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".prediction"]


def test_outputs_are_named_after_their_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.csv", "a/b/x.csv.gz", "a/y.arrow", "a/z.jsonl.bz2", "a/v.ndjson", "c/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    base, found = shards_of(["a/**/*.*"], Path("out"))
    assert base == tmp_path / "a"
    assert [shard.name for shard in found] == ["b/x.csv.gz", "v.ndjson", "x.csv", "y.parquet", "z.jsonl"]
    base, found = shards_of(["a/*.csv", "c/x.csv"], Path("out"), output_kind=Kind.parquet)
    assert (base, [shard.name for shard in found]) == (tmp_path, ["a/x.parquet", "c/x.parquet"])
    assert [shard.name for shard in shards_of(["a/x.csv", "a/y.arrow"], Path("out"))[1]] == ["x.csv", "y.parquet"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--input", PATTERN, "--output", "-"], "--output -: several inputs are written to a folder"),
        (["--input", PATTERN, "--output", "data"], "lies in this folder, and outputs would be taken for inputs"),
        (["--input", PATTERN, "--output", "plain"], "--output .*plain: several inputs are written to a folder, and"),
        (["--input", "data/*.csv", "--output", "out"], "no file fits this pattern"),
        (["--input", "*a*a", "--output", "out"], "names folders alone"),
        (["--input", "data/0.parquet", "--input", "-", "--output", "out"], "a pipe and an address are predicted alone"),
        (["--input", PATTERN, "--output", "out", "--report", "r"], "--report and --label-column score one file"),
        (["--input", PATTERN, "--output", "out", "--label-column", "l"], "--report and --label-column score one file"),
        (["--input", "data/0.parquet", "--output", "o.csv", "--engine", "ray"], "--engine ray hands out whole files"),
        (["--input", "*", "--output", "out"], "the name of .*plain says no format"),
        (["--input", "data/0*", "--output", "out", "--threshold", "7"], "threshold"),
    ],
)
def test_what_makes_no_sense_is_refused(run, single, shards, tmp_path, given, said):  # noqa: F811
    (tmp_path / "plain").touch()
    code, _, err = run(single, *given)
    assert code == 1
    assert re.search(said, err), err
    assert not (tmp_path / "out").exists()


def test_two_inputs_with_one_output_are_refused(run, single, shards):  # noqa: F811
    (shards / "0.jsonl").write_text('{"text": "fine"}\n')
    code, _, err = run(single, "--input", "data/0*", "--output", "out", "--output-format", "csv")
    assert (code, "would both be written to" in err) == (1, True)


def test_a_pattern_without_quotes_is_explained(run, single, shards):  # noqa: F811
    code, _, err = run(single, "--input", "data/0.parquet", "data/1.parquet", "--output", "out")
    assert code == 2
    assert "put it in quotes, as in --input 'data/*.parquet'" in err


class StandIn:
    """Ray's part: actors that compute when they are asked, and die when they are told to."""

    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        cause = None

    def __init__(self, deaths=(), begins=()):
        self.deaths, self.begins, self.started, self.given = list(deaths), list(begins), [], {}
        self.exceptions = SimpleNamespace(RayError=self.RayError, RayTaskError=self.RayTaskError)

    def init(self, **given):
        self.given = given

    def shutdown(self):
        self.given["ended"] = True

    def cluster_resources(self):
        return {"CPU": 2.0}

    def remote(self, **resources):
        self.given |= resources
        return lambda kind: SimpleNamespace(remote=lambda *given: self.actor(kind(*given)))

    def actor(self, it):
        self.started.append(it)
        return Actor(
            begin=SimpleNamespace(remote=lambda: Promise(self.answer(it.begin, self.begins))),
            predict=SimpleNamespace(remote=lambda shard: Promise(self.answer(lambda: it.predict(shard), self.deaths))),
        )

    def answer(self, call, deaths):
        if deaths and deaths.pop(0):
            return self.RayError("the process is gone")
        try:
            return call()
        except Exception as error:
            failed = self.RayTaskError("as it was raised there")
            failed.cause = error
            return failed

    def wait(self, promises, num_returns, timeout):
        return promises[:1], promises[1:]

    def get(self, promise):
        if isinstance(promise.value, Exception):
            raise promise.value
        return promise.value

    def kill(self, actor):
        pass


class Promise:
    def __init__(self, value):
        self.value = value


class Actor:
    """A handle, which is told from others by its identity."""

    def __init__(self, **methods):
        vars(self).update(methods)


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

    def install(**given):
        stand_in = StandIn(**given)
        monkeypatch.setitem(sys.modules, "ray", stand_in)
        return stand_in

    return install


def test_ray_hands_out_the_shards_and_a_dead_process_has_its_shard_done_again(single, shards, tmp_path, ray, caplog):  # noqa: F811
    stand_in = ray(deaths=[False, True, False])
    answer = predict(single, tmp_path, Engine.ray)
    assert (answer.rows, answer.failed) == (12, {})
    assert ids(tmp_path / "out") == list(range(12))
    assert len(stand_in.started) == 3, "one in the place of the dead"
    assert "died, so it is predicted again" in caplog.text
    assert stand_in.given["include_dashboard"] is False
    assert stand_in.given["ended"]
    assert predict(single, tmp_path, Engine.ray).before == 4


def test_a_shard_that_kills_its_processes_is_named_and_the_others_are_finished(single, shards, tmp_path, ray):  # noqa: F811
    ray(deaths=[True] * 3)
    (shards / "1.parquet").unlink()
    (shards / "2.parquet").unlink()
    (shards / "3.parquet").unlink()
    answer = predict(single, tmp_path, Engine.ray)
    assert list(answer.failed) == ["0.parquet"]
    assert "3 processes died of it (the process is gone)" in answer.failed["0.parquet"]


def test_what_is_wrong_in_a_process_of_ray_is_said_as_it_is_here(run, single, shards, ray):  # noqa: F811
    ray()
    (shards / "1.parquet").write_bytes(b"PAR1")
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--engine", "ray")
    assert code == 1
    assert "9 rows in 3 shards" in err
    assert "1 shard could not be predicted" in err
    ray(begins=[True] * 9)
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--engine", "ray")
    assert (code, "Ray's processes die before they have loaded the classifier" in err) == (1, True)


def test_ctrl_c_in_ray_leaves_what_is_finished(run, single, shards, tmp_path, ray, monkeypatch):  # noqa: F811
    stand_in = ray()

    def interrupted(promises, num_returns, timeout):
        if (tmp_path / "out" / "0.parquet").exists():
            with pytest.raises(signals.Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
            raise KeyboardInterrupt
        return promises[:1], promises[1:]

    stand_in.wait = interrupted
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--engine", "ray")
    assert code == 143
    assert "stopped by SIGTERM; the shards that were finished are kept" in err
    assert stand_in.given["ended"]
    assert 0 in ids(tmp_path / "out")


def test_without_ray_its_engine_says_what_to_install(run, single, shards, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run(single, "--input", PATTERN, "--output", "out", "--engine", "ray")
    assert code == 1
    assert "pip install -e '.[ray]'" in err


@pytest.mark.slow
def test_real_processes_of_ray_are_killed_and_the_command_is_given_again(single, shards, tmp_path):  # noqa: F811
    pytest.importorskip("ray")
    for number in range(40):
        write_shard(shards / f"{number}.parquet", number * 2000, rows=2000)
    command = [sys.executable, "-m", "textclf.predict", single, "--input", PATTERN, "--output", "out"]
    begun = subprocess.Popen([*command, "--engine", "ray"], cwd=tmp_path)
    ledger = tmp_path / "out" / ".prediction" / "shards.jsonl"
    while not ledger.exists() or len(ledger.read_bytes().splitlines()) < 5:
        assert begun.poll() is None
        time.sleep(0.05)
    begun.kill()
    begun.wait()
    subprocess.run([*command, "--engine", "ray"], cwd=tmp_path, check=True)
    assert ids(tmp_path / "out") == list(range(80_000))
