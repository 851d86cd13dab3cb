import gc
import subprocess
import sys

import pytest

from textclf.system.imports import importing, left_out, without_working_folder


def test_nothing_is_collected_inside_and_all_is_as_before_afterwards():
    def fail():
        assert not gc.isenabled()
        with importing():
            assert not gc.isenabled()
        assert not gc.isenabled()  # the outer one goes on
        raise ImportError("not there")

    assert gc.isenabled()
    with pytest.raises(ImportError, match="not there"), importing():
        fail()
    assert gc.isenabled()


def test_somebody_who_collects_nothing_is_left_alone():
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_only_a_large_import_leaves_later_collections():
    code = (
        "import gc\n"
        "from textclf.system.imports import importing\n"
        "with importing():\n"
        "    import textwrap\n"
        "assert gc.get_freeze_count() == 0\n"
        "with importing():\n"
        "    import pandas\n"
        "assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_garbage_of_an_import_is_not_kept_for_good():
    code = (
        "import weakref\n"
        "from textclf.system.imports import importing\n"
        "class Thing: pass\n"
        "def work():\n"
        "    held = Thing()\n"
        "    def load():\n"
        "        try:\n"
        "            import a_module_that_is_not_there\n"
        "        except ImportError as error:\n"
        "            caught = error  # a cycle: the traceback holds this frame, and its callers\n"
        "            return\n"
        "    with importing():\n"
        "        load()\n"
        "        import pandas\n"
        "    return weakref.ref(held)\n"
        "seen = work()\n"
        "import gc; gc.collect()\n"
        "assert seen() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_left_out_looks_absent_and_can_be_had_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with left_out("colorsys", "json"):
        with pytest.raises(ImportError):
            import colorsys
        import json  # imported before, so it stays
    import colorsys

    assert colorsys.rgb_to_hls
    assert json.loads("1") == 1


def test_the_working_folder_is_left_out_and_put_back_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "a_module_of_the_working_folder.py").write_text("raise AssertionError('it ran')")
    monkeypatch.chdir(tmp_path)
    before = [str(tmp_path), *sys.path, ""]
    monkeypatch.setattr(sys, "path", list(before))
    with without_working_folder():
        with pytest.raises(ModuleNotFoundError):
            import a_module_of_the_working_folder  # noqa: F401  # pyright: ignore[reportMissingImports]
        sys.path.append("added")
    assert sys.path == [*before, "added"]
