"""A digest is remembered for one state of one file, by nobody but the person who reads it."""

import os

import pytest

from textclf.system import digests
from textclf.system.digests import SMALLEST_BYTES, known_digest
from textclf.system.files import digest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where the digests are, and a process that remembers nothing yet."""
    monkeypatch.setattr(digests, "folder", lambda: tmp_path / "home")
    monkeypatch.setattr(digests, "RECENT_SECONDS", -1.0)  # files of tests are young
    another_process()
    yield tmp_path / "home" / "digests"
    another_process()


@pytest.fixture
def reads(monkeypatch):
    """The files that were read."""
    read = []
    monkeypatch.setattr(digests, "digest", lambda path: read.append(path.name) or digest(path))
    return read


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * SMALLEST_BYTES)
    return path


def another_process():
    digests._remembered.cache_clear()


def test_a_file_is_read_once_by_all_processes_until_it_changes(home, reads, large):
    assert [known_digest(large) for _ in range(2)] == [digest(large)] * 2
    another_process()
    assert known_digest(large) == digest(large)
    assert reads == ["large"]
    times = large.stat()
    large.write_bytes(b"y" * SMALLEST_BYTES)
    os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had been
    assert known_digest(large) == digest(large)
    large.write_bytes(b"x" * SMALLEST_BYTES)
    large.replace(large.with_name("moved"))
    assert known_digest(large.with_name("moved")) == digest(large.with_name("moved"))
    assert reads == ["large", "large", "moved"]


def test_small_and_young_files_are_not_remembered(home, reads, large, tmp_path, monkeypatch):
    (tmp_path / "small").write_bytes(b"x")
    monkeypatch.setattr(digests, "RECENT_SECONDS", 60.0)
    for _ in range(2):
        known_digest(large)
        known_digest(tmp_path / "small")
    assert reads == ["large", "small"] * 2
    assert not home.exists()


@pytest.mark.skipif(os.name == "nt", reason="the owner of a file")
@pytest.mark.parametrize("how", ["writable by others", "a link", "another person's"])
def test_what_others_could_write_is_not_believed(how, home, reads, large, monkeypatch):
    home.parent.mkdir()
    forged = home if how != "a link" else home.with_name("other")
    forged.write_text(f"{digests.key_of(large, large.stat())} {'0' * 64}\n")
    forged.chmod(0o600)
    if how != "a link":
        assert known_digest(large) == "0" * 64  # so it would be believed
    another_process()
    if how == "writable by others":
        home.chmod(0o622)
    elif how == "a link":
        home.symlink_to(forged)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: forged.stat().st_uid + 1)
    before = forged.read_bytes()
    reads.clear()
    assert known_digest(large) == digest(large)
    assert reads == ["large"]
    assert how == "a link" or forged.read_bytes() == before


def test_torn_lines_are_passed_over_and_the_file_stays_small(home, reads, large, monkeypatch):
    home.parent.mkdir()
    home.write_bytes(b"torn 12\n" + b"\xff" * 10 + f"\n{digests.key_of(large, large.stat())} 12".encode())
    home.chmod(0o600)
    assert known_digest(large) == digest(large)
    monkeypatch.setattr(digests, "MOST_BYTES", 500)
    for number in range(20):
        path = large.with_name(str(number))
        path.write_bytes(b"%d" % number * SMALLEST_BYTES)
        known_digest(path)
    assert home.stat().st_size <= 600
    another_process()
    reads.clear()
    known_digest(path)
    assert reads == []


def test_where_nothing_can_be_kept_files_are_read_each_time(home, reads, large):
    home.parent.write_text("a file in its place")
    another_process()
    assert known_digest(large) == digest(large)
    another_process()
    assert known_digest(large) == digest(large)
    assert reads == ["large"] * 2
