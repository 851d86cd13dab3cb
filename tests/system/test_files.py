"""Files are there whole or not at all, and a manifest knows its folder."""

import contextlib
import json
import os

import pytest

from textclf.system import files
from textclf.system.files import (
    files_below,
    folders_with,
    manifest_problem,
    new_file,
    new_folder,
    plain,
    write_json,
    write_manifest,
    write_text,
)
from textclf.training.options import Precision


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), new_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_values_that_json_cannot_hold_leave_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "f") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "f").exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "f") as temporary:
        (temporary / "a").write_text("a")
    assert manifest_problem(tmp_path / "f") is None


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "a").write_text("A"), "a is not what was written"),
        (lambda f: (f / "a").write_text("aa"), "a is not what was written"),
        (lambda f: (f / "sub" / "b").unlink(), "sub/b is missing"),
        (lambda f: (f / "manifest.json").unlink(), "never finished"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"files": {"../x": {}}}'), "lies outside"),
    ],
)
def test_a_manifest_notices(harm, said, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub" / "b").write_text("b")
    write_manifest(tmp_path)
    assert manifest_problem(tmp_path) is None
    harm(tmp_path)
    assert said in str(manifest_problem(tmp_path))


@pytest.mark.parametrize(
    ("harm", "names", "said"),
    [
        (lambda f: (f / "sub" / "b").write_text("c"), ["a", "none"], "none is missing"),
        (lambda f: (f / "sub" / "b").write_text("c"), ["a", "sub"], "sub/b is not what was written"),
        (lambda f: (f / "sub" / "b").unlink(), ["sub"], "sub/b is missing"),
        (lambda f: (f / "sub" / "c").write_text("c"), ["sub"], "sub/c was added"),
        (lambda f: (f / "c").write_text("c"), ["c"], "c was added"),
        (lambda f: (f / "manifest.json").write_text('{"files": {"sub/../../x": {}}}'), ["sub"], "lies outside"),
        (lambda f: (f / "manifest.json").write_text("[" * 100_000), ["a"], "cannot be read"),
    ],
)
def test_a_manifest_is_asked_for_the_files_that_are_read(harm, names, said, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub" / "b").write_text("b")
    write_manifest(tmp_path)
    assert manifest_problem(tmp_path, ["a", "sub"]) is None
    harm(tmp_path)
    assert said in str(manifest_problem(tmp_path, names))
    if "a" in names and "[" not in (tmp_path / "manifest.json").read_text()[:1]:
        assert manifest_problem(tmp_path, ["a"]) is None


def test_an_empty_folder_of_which_nothing_was_written_is_not_missing(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "figures").mkdir()
    write_manifest(tmp_path)
    assert manifest_problem(tmp_path, ["a", "figures"]) is None
    (tmp_path / "figures" / "b").write_text("b")
    assert "figures/b was added" in str(manifest_problem(tmp_path, ["a", "figures"]))


def test_a_file_that_was_moved_and_linked_is_what_was_written(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_text("a")
    write_manifest(tmp_path / "run")
    (tmp_path / "run" / "a").rename(tmp_path / "a")
    (tmp_path / "run" / "a").symlink_to(tmp_path / "a")
    assert manifest_problem(tmp_path / "run", ["a"]) is None
    (tmp_path / "a").write_text("b")
    assert "not what was written" in str(manifest_problem(tmp_path / "run", ["a"]))


def test_hidden_and_left_out_names_are_not_vouched_for(tmp_path):
    for name in ("a", ".hidden", "log", "sub/log", "sub/.x/y", "out/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert files_below(tmp_path, ["log", "out"]) == ["a", "sub/log"]


def test_folders_are_found_while_others_come_and_go(tmp_path, monkeypatch):
    for name in ("b", "a/deep", ".hidden", "a/.staged"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text("")
    scandir = os.scandir

    def gone(path):
        if str(path).endswith("deep"):
            raise FileNotFoundError(path)
        return scandir(path)

    assert folders_with("x", tmp_path) == [tmp_path / "a" / "deep", tmp_path / "b"]
    monkeypatch.setattr(os, "scandir", gone)
    assert folders_with("x", tmp_path) == [tmp_path / "b"]
    assert folders_with("x", tmp_path / "missing") == []


def test_enums_become_their_names():
    assert plain({"p": Precision.bf16, "l": (1, 2)}) == {"p": "bf16", "l": [1, 2]}


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_file_that_a_manifest_vouches_for_is_replaced_and_nothing_lost_wherever_it_ends(
    tmp_path, monkeypatch, writes
):
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "b.txt").write_text("other")
    files.write_manifest(tmp_path)
    write, done = files.write_text, []

    def dying(path, text):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        write(path, text)

    monkeypatch.setattr(files, "write_text", dying)
    with contextlib.suppress(KeyboardInterrupt):
        files.replace_vouched(tmp_path, "a.txt", "after")
    assert files.manifest_problem(tmp_path) is None  # the folder is whole by it
    assert (tmp_path / "a.txt").read_text() == ("before" if writes < 2 else "after")
    if writes == 3:
        assert files.manifest_problem(tmp_path, ["a.txt", "b.txt"]) is None
