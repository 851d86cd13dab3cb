import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from textclf.system.appending import append_line, replace_line


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_writers_in_threads_and_processes_leave_whole_lines(tmp_path):
    path = tmp_path / "deep" / "feedback.jsonl"
    code = (
        "import sys; from pathlib import Path; from textclf.system.appending import append_line\n"
        "for i in range(15): append_line(Path(sys.argv[1]), {'who': sys.argv[2], 'i': i, 'text': 'ü' * 5000})"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(path), f"process {n}"]) for n in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append_line(path, {"who": "thread", "i": i, "text": "é" * 5000}), range(30)))
    assert [process.wait(60) for process in others] == [0, 0]
    found = rows(path)
    assert len(found) == 60
    assert sorted(row["i"] for row in found if row["who"] == "thread") == list(range(30))
    assert [row["i"] for row in found if row["who"] == "process 0"] == list(range(15))


def test_what_a_killed_writer_left_is_moved_aside(tmp_path):
    path = tmp_path / "feedback.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "ha' + b"l" * 100_000)
    append_line(path, {"a": 2})
    assert rows(path) == [{"a": 1}, {"a": 2}]
    assert (tmp_path / "feedback.jsonl.torn").read_bytes().startswith(b'{"a": "hal')


def test_a_last_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "feedback.jsonl"
    path.write_bytes(b'{"a": 1}')
    append_line(path, {"a": 2})
    assert rows(path) == [{"a": 1}, {"a": 2}]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "feedback.jsonl"
    append_line(path, {"a": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_line(path, {"a": 2})
    monkeypatch.undo()
    append_line(path, {"a": 3})
    assert rows(path) == [{"a": 1}, {"a": 3}]


def test_any_text_is_one_line(tmp_path):
    path = tmp_path / "feedback.jsonl"
    text = 'one\ntwo\r\u2028three \ud800 \x00 "quoted" 你好'
    append_line(path, {"text": text})
    assert path.read_bytes().count(b"\n") == 1
    assert json.loads(path.read_bytes())["text"] == text.replace("\ud800", "?")


def test_a_file_that_grew_too_large_is_begun_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    for i in range(10):
        append_line(path, {"i": i, "text": "x" * 100}, most_bytes=400)
    kept = rows(tmp_path / "events.jsonl.1") + rows(path)
    assert path.stat().st_size <= 400
    assert [row["i"] for row in kept] == list(range(10))[-len(kept) :]
    assert kept[-1]["i"] == 9


def test_an_entry_takes_the_place_of_those_that_it_replaces(tmp_path):
    path = tmp_path / "deep" / "labels.jsonl"
    for text, label in [("a", 1), ("b", 1), ("a", 2)]:
        replace_line(path, {"text": text, "label": label}, lambda row, text=text: row.get("text") == text)
    assert rows(path) == [{"text": "b", "label": 1}, {"text": "a", "label": 2}]
    assert sorted(found.name for found in path.parent.iterdir()) in (
        ["labels.jsonl"],
        ["labels.jsonl", "labels.jsonl.lock"],
    )


def test_a_disk_that_is_full_while_one_is_replaced_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "labels.jsonl"
    append_line(path, {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": 2')  # as a killed writer leaves it

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_line(path, {"a": 3}, lambda row: True)
    monkeypatch.undo()
    assert rows(path) == [{"a": 1}]
    replace_line(path, {"a": 4}, lambda row: row["a"] == 5)
    assert rows(path) == [{"a": 1}, {"a": 4}]


def test_many_that_replace_at_once_lose_nothing(tmp_path):
    path = tmp_path / "labels.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: replace_line(path, {"a": i % 5, "i": i}, lambda row: row["a"] == i % 5), range(40)))
    assert sorted(row["a"] for row in rows(path)) == [0, 1, 2, 3, 4]
