"""What a killed process left is taken away; what one still writes is left alone, and nobody else writes it."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from textclf.errors import ArtifactError
from textclf.system import unfinished
from textclf.system.files import filled, new_file, new_folder
from textclf.system.unfinished import begin, claimed, new_temporary_folder, temporary_folder


@pytest.fixture
def dead():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@contextmanager
def as_process(number, monkeypatch):
    """Begin what is begun inside as another process."""
    writer = f"{number}-1000000-{unfinished._machine()}-0a1b"
    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "_writer", lambda: writer)
        yield


def left_by(number, target, monkeypatch):
    """Return what another process began for a target."""
    with as_process(number, monkeypatch):
        return begin(target)


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_dead_process_left_for_a_target_goes_when_the_target_is_written_again(
    folder, dead, monkeypatch, tmp_path
):
    target = tmp_path / "out.parquet"
    left = left_by(dead, target, monkeypatch)
    other = left_by(dead, tmp_path / "other.parquet", monkeypatch)
    for path in (left, other):
        path.mkdir() if folder else path.write_text("half")
    assert begin(target).suffix == ".parquet"
    assert not left.exists()
    assert other.exists()


def test_names_of_earlier_versions_are_known(dead, tmp_path):
    part, export = tmp_path / f".out.csv.{dead}.part", tmp_path / ".out.csv.unfinished"
    part.write_text("half")
    export.mkdir()
    mine = tmp_path / f".out.csv.{os.getpid()}.part"
    mine.write_text("under way")
    begin(tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]


def test_a_number_that_another_process_has_by_now_says_nothing(monkeypatch, tmp_path):
    target = tmp_path / "out.csv"
    left = left_by(os.getpid(), target, monkeypatch)
    former = tmp_path / f".out.csv.{os.getpid()}.part"
    for path in (left, former):
        path.write_text("half")
        os.utime(path, (1_000_000, 1_000_000))
    begin(target)
    assert not list(tmp_path.iterdir())


def test_what_another_machine_writes_is_left_alone_while_its_time_is_new(monkeypatch, tmp_path):
    target = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "_machine", lambda: "abcdef")
        left = begin(target)
    left.write_text("half")
    begin(target)
    assert left.exists()
    with pytest.raises(ArtifactError, match="another machine"), claimed(target):
        pass
    os.utime(left, (time.time() - unfinished.ABANDONED_SECONDS - 60,) * 2)
    begin(target)
    assert not left.exists()


@pytest.mark.parametrize("folder", [False, True])
def test_a_new_time_is_given_to_what_is_being_written_and_no_longer(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unfinished, "BEAT_SECONDS", 0.0)
    with claimed(Path("out"), folder) as written:
        os.utime(written, (1_000_000, 1_000_000))
        monkeypatch.chdir("/")  # a relative name means what it meant
        unfinished._heart.beat()
        written = tmp_path / written
        assert abs(written.stat().st_mtime - time.time()) < 60
        assert written in unfinished._heart._kept
        monkeypatch.chdir(tmp_path)
    unfinished._heart.beat()
    assert written not in unfinished._heart._kept


HOLDING = """\
import sys, time
from pathlib import Path
from textclf.system import unfinished
unfinished.BEAT_SECONDS = 0.2
with unfinished.claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_slow_writer_on_another_machine_keeps_its_target_and_a_dead_one_loses_it(monkeypatch, tmp_path):
    target = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(target)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            (left,) = tmp_path.iterdir()
            long_ago = time.time() - unfinished.ABANDONED_SECONDS - 60
            os.utime(left, (long_ago, long_ago))
            deadline = time.monotonic() + 60
            while left.stat().st_mtime < long_ago + 60 and time.monotonic() < deadline:
                time.sleep(0.1)  # nothing is written meanwhile
            monkeypatch.setattr(unfinished, "_machine", lambda: "abcdef")  # this one, as seen from there
            with pytest.raises(ArtifactError, match="another machine"), claimed(target):
                pass
        finally:
            other.kill()
    os.utime(left, (long_ago, long_ago))
    with claimed(target):
        assert not left.exists()


@pytest.mark.parametrize("folder", [False, True])
def test_two_do_not_write_one_target_at_once(folder, tmp_path):
    target = tmp_path / "out"
    with claimed(target, folder) as written:
        assert written.is_dir() == folder
        with pytest.raises(ArtifactError, match=r"out is being written by .* \(number \d+\)"), claimed(target, folder):
            pass
        assert written.exists()
    assert not list(tmp_path.iterdir())


def test_of_many_that_begin_at_the_same_moment_one_goes_on(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from textclf.system.unfinished import claimed\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "with claimed(Path(sys.argv[1])):\n"
        "    time.sleep(1.5)\n"
    )
    moment = str(time.time() + 1)
    all_of_them = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out"), moment], stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert sorted(process.wait() for process in all_of_them) == [0, 1, 1, 1]
    assert not list(tmp_path.iterdir())


def test_long_names_stay_short_enough(tmp_path):
    target = tmp_path / ("n" * 240 + ".csv")
    with new_file(target) as path:
        path.write_text("whole")
        assert path.suffix == ".csv"
    assert target.read_text() == "whole"


def test_new_folders_take_away_what_was_left_of_them(dead, monkeypatch, tmp_path):
    left = left_by(dead, tmp_path / "step-1", monkeypatch)
    left.mkdir()
    with new_folder(tmp_path / "step-1"):
        assert not left.exists()


def test_temporary_folders_of_dead_processes_go_and_others_stay(dead, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with as_process(dead, monkeypatch):
        left = new_temporary_folder("textclf-features-")
    (left / "0.npz").write_text("much")
    (tmp_path / "textclf-features-abc").mkdir()
    with temporary_folder("textclf-features-") as mine:
        assert not left.exists()
        with temporary_folder("textclf-features-") as another:
            assert mine != another
        assert mine.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["textclf-features-abc"]


def test_a_temporary_folder_goes_with_its_process(tmp_path):
    code = "from textclf.system.unfinished import new_temporary_folder; print(new_temporary_folder('textclf-run-'))"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_a_folder_is_filled_with_all_of_it_or_nothing(tmp_path):
    def refuse():
        if (folder / "report.md").exists():
            raise ArtifactError("it is there")

    folder = tmp_path / "out" / "comparison"
    with pytest.raises(ValueError, match="odd"), filled(folder, "report.md", refuse) as made:
        (made / "a.csv").write_text("half")
        raise ValueError("odd")
    assert not folder.exists()
    with filled(folder, "report.md", refuse) as made:
        (made / "figures").mkdir()
        (made / "figures" / "a.png").write_text("drawn")
        (made / "report.md").write_text("whole")
    assert sorted(path.name for path in folder.iterdir()) == ["figures", "report.md"]
    with pytest.raises(ArtifactError), filled(folder, "report.md", refuse):
        pass
    assert sorted(path.name for path in folder.iterdir()) == ["figures", "report.md"]


def test_a_folder_that_was_filled_meanwhile_is_not_filled_again(tmp_path):
    def refuse():
        if (tmp_path / "report.md").exists():
            raise ArtifactError("it is there")

    with pytest.raises(ArtifactError), filled(tmp_path, "report.md", refuse) as made:
        (made / "report.md").write_text("second")
        (tmp_path / "report.md").write_text("first")
    assert (tmp_path / "report.md").read_text() == "first"
