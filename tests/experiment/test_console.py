"""Lines on the screen: what is shown of a run and of a sweep, once, and wrapped on a terminal alone."""

import io
import logging

import pytest

from textclf.experiment import console
from textclf.experiment.console import ScreenFilter, Terminal, wrapped


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(console, "_spoken", console._Spoken())


def passes(screen, name, message, level=logging.INFO):
    return screen.filter(logging.LogRecord(name, level, __file__, 1, message, None, None))


def test_a_single_run_shows_what_is_written_for_the_screen_and_each_warning_once():
    screen = ScreenFilter()
    assert passes(screen, "textclf.said", "epoch 1/4")
    assert passes(screen, "textclf.data.column_names", "'msg' is taken as text_column")
    for name in ("textclf.experiment", "textclf.training.embedding_head", "textclf.data.options"):
        assert not passes(screen, name, "head with C = 1")
    assert passes(screen, "textclf.training.monitor", "loss explodes", logging.WARNING)
    assert not passes(screen, "textclf.training.monitor", "loss explodes", logging.WARNING)
    assert passes(screen, "textclf.run", "why it failed", logging.ERROR)


def test_a_sweep_shows_its_data_and_warnings_once_and_its_jobs_not_at_all():
    console.tell_of_sweep()
    for job in range(2):
        screen = ScreenFilter(mode="RunMode.MULTIRUN")
        assert not passes(screen, "textclf.said", "epoch 1/4")
        assert passes(screen, "textclf.said.data", "reviews: 520 train") is (job == 0)
        assert passes(screen, "textclf.training.fit", f"fold {job} collapsed", logging.WARNING) is (job == 0)
        assert not passes(screen, "textclf.run", "why it failed", logging.ERROR)  # told in the job's line


def test_a_process_that_only_runs_jobs_leaves_the_data_to_the_one_that_leads():
    screen = ScreenFilter(mode="RunMode.MULTIRUN")
    assert not passes(screen, "textclf.said.data", "reviews: 520 train")
    assert passes(screen, "textclf.audit.gate", "texts are in train too", logging.WARNING)


def test_verbose_shows_everything_each_time():
    screen = ScreenFilter(verbose=True, mode="RunMode.MULTIRUN")
    assert [passes(screen, "textclf.training.embedding_head", "head with C = 1") for _ in range(2)] == [True, True]


def test_prose_is_wrapped_and_tables_and_commands_are_not():
    prose = "    No difference shown between one model and the other in macro F1"
    assert wrapped(prose, 40).split("\n") == [
        "    No difference shown between one",
        "    model and the other in macro F1",
    ]
    for line in ("a table   of   numbers " * 5, "predict: python -m textclf.predict " + "x" * 50, "/path" * 20):
        assert wrapped(line, 40) == line


def test_a_terminal_replaces_the_first_line_and_wraps(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    out = io.StringIO()
    screen = Terminal(out)
    screen.write_passing(console.LOADING)
    print("word " * 15, file=screen)
    assert out.getvalue().startswith(f"{console.LOADING}\r\033[Kword ")
    assert max(map(len, out.getvalue().partition("\033[K")[2].splitlines())) <= 50
    print("word " * 15, file=screen, end="")
    assert not screen.isatty()  # and everything else is the stream's own
