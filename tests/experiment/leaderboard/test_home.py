"""The page of all runs: rows, links, escaping, and several processes at once."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from filelock import FileLock

from tests.experiment.leaderboard.folders import failed, finished, sweep
from tests.experiment.leaderboard.test_entries import damaged
from textclf.experiment.leaderboard import home
from textclf.experiment.leaderboard.entries import read_entries
from textclf.experiment.leaderboard.home import LOCK, MARK, MOST_OPEN, MOST_ROWS, PAGE, update_home, write_home
from textclf.experiment.leaderboard.ranking import rankings
from textclf.experiment.leaderboard.trend import trend_drawing
from textclf.tracking.lease import take_lease
from textclf.tracking.mlflow.journal import Journal
from textclf.tracking.run_start import RunStart, write_started

EVIL = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """The links and the elements of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.elements = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.links += [value for name, value in attrs if name == "href"]


def shown(folder):
    """Return the page, and its text without markup."""
    page = write_home(folder).read_text(encoding="utf-8")
    return page, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("</style>")[2].partition("<script>")[0]))


def test_the_page_has_a_row_for_a_setup_and_links_that_move_with_the_folder(tmp_path):
    outputs = tmp_path / "outputs"
    folder = sweep(outputs / "sweeps" / "day 1" / "10#1")
    for seed in (1, 2):
        finished(folder / f"job{seed}", "bert", seed, 0.7 + seed / 10, fit={"draws_seed": True})
    (folder / "comparison").mkdir()
    (folder / "comparison" / "report.html").write_text("")
    failed(outputs / "runs" / "x")
    page, text = shown(outputs)
    assert "2 finished runs of 1 setup on 1 test set, 1 failed, as of 2" in text
    assert "bert 0.850 ± 0.071" in text
    assert "seed 1 seed 2 comparison 2 2.0 s 4.0 ms 3.0 MB 2026-01-01" in text
    assert "DataError: no such file" in text
    assert "and more" not in text
    moved = outputs.rename(tmp_path / "moved")
    links = [link for link in Page(page).links if not link.startswith("#")]
    assert all((moved / unquote(link)).is_file() for link in links)
    assert sum(link.endswith("/report.html") for link in links) == 4
    assert "runs/x/run.log" in links


def test_sets_of_labels_are_shown_by_their_own_metrics(tmp_path):
    scores = {"test/macro_f1": 0.6, "test/micro_f1": 0.8125, "test/subset_accuracy": 0.4375}
    finished(tmp_path / "a", metrics=scores | {"validation/macro_f1": 0.5}, objective="validation/macro_f1")
    page, text = shown(tmp_path)
    heads = text.partition("By test macro F1")[2].partition("bayes")[0]
    assert re.search(r"Test macro F1.*Micro F1.*Subset accuracy.*95 % interval", heads)
    assert " Accuracy" not in heads
    assert "bayes 0.6000 0.8125 0.4375 0.344 to 0.535" in text
    assert "of the subset accuracy" in page


def test_texts_of_runs_are_never_markup(tmp_path):
    finished(tmp_path / "javascript:alert(1)", EVIL, dataset=EVIL, given=("model.x=<b>",))
    failed(tmp_path / "<img src=x>", EVIL)
    sweep(tmp_path / "s", EVIL)
    page, text = shown(tmp_path)
    parsed = Page(page)
    assert parsed.elements.count("script") == 1
    assert not {"img", "b"} & set(parsed.elements)
    assert not any(link.startswith("javascript:") for link in parsed.links)
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;script&gt;alert(1)" in text


def test_a_cross_validation_is_marked_and_test_sets_can_be_chosen(tmp_path):
    finished(tmp_path / "a", folds={"folds": 5, "fingerprint": "f"})
    finished(tmp_path / "b", dataset="imdb", started="2026-01-02T00:00:00+00:00")
    page, text = shown(tmp_path)
    assert "reviews: cross-validated, 5 folds of 100 examples" in text
    assert re.findall(r'<option value="(\w*)">', page) == ["", "imdb", "reviews"]
    assert re.findall(r'<section data-name="(\w+)">', page) == ["imdb", "reviews"]


def test_notes_say_what_a_score_is_not_worth(tmp_path):
    finished(tmp_path / "a", fit={"warnings": ["collapse: all"]})
    finished(tmp_path / "b")
    text = shown(tmp_path)[1]
    assert "1 collapsed; 1 repeat of a seed not counted" in text


def test_a_sweep_under_way_says_how_far_it_is(tmp_path):
    folder = sweep(tmp_path / "s", "a study", 4)
    finished(folder / "job0")
    failed(folder / "job1")
    lease = take_lease(folder)
    try:
        text = shown(tmp_path)[1]
    finally:
        lease.give_back()
    assert re.search(r"Under way .* a study under way – 1 1 0 2 about ", text)
    assert "a study stopped – 1 1 0 2 –" in shown(tmp_path)[1]


def test_a_sweep_under_way_names_what_runs_and_draws_its_validation_so_far(tmp_path):
    folder = sweep(tmp_path / "s", "a <b>study</b>", 4)
    start = RunStart("bert/seed1", "f", {"objective": "validation/macro_f1"}, {}, "c", "2026-01-01T10:00:00")
    for number, name in enumerate(("bert/seed1", EVIL)):
        (folder / f"job{number}").mkdir()
        write_started(folder / f"job{number}", replace(start, name=name))
    journal = Journal(folder / "job0")
    journal.begin(name="bert")
    for step, score in ((10, 0.5), (20, 0.625)):
        journal.append("metrics", time=1, step=step, metrics={"validation/macro_f1": score, "validation/loss": 9.0})
    leases = [take_lease(place) for place in (folder, folder / "job0", folder / "job1")]
    try:
        (running, _) = (one for one in read_entries(tmp_path, keep=False).open)
        page, text = shown(tmp_path)
    finally:
        for lease in leases:
            lease.give_back()
        journal.close()
    assert (running.metric, running.points) == ("macro_f1", ((10, 0.5), (20, 0.625)))
    assert "running now: bert/seed1 (job0), &lt;script&gt;" in text
    assert 'aria-label="Validation macro F1 by step of the runs under way."' in page
    assert "<script>alert" not in page
    assert "running now" not in shown(tmp_path)[1]  # nobody is at work any more


def trend(tmp_path):
    for day, score in ((1, 0.5), (2, 0.7), (3, 0.6), (5, 0.8)):
        started = f"2026-01-0{day}T10:00:00+00:00"
        finished(tmp_path / f"run{day}", given=(f"model.alpha={day}",), score=score, started=started)
    return rankings(read_entries(tmp_path, keep=False).finished, [])[0]


@pytest.mark.drawn
def test_the_best_score_so_far_is_drawn_by_date(tmp_path):
    drawn = trend_drawing(trend(tmp_path))
    told = re.findall("<title>([^<]*)</title>", drawn.svg)
    assert [re.findall(r"alpha=(\d).*, (.*)\n2026-01-0(\d)", one)[0] for one in told] == [
        ("3", "a run", "3"), ("1", "the best so far", "1"), ("2", "the best so far", "2"), ("5", "the best so far", "5"),
    ]  # fmt: skip
    assert "bayes alpha=5, seed 1: 0.8000" in told[-1]


def test_two_runs_or_one_moment_are_no_trend(tmp_path):
    ranking = trend(tmp_path)
    assert trend_drawing(ranking) is not None
    assert trend_drawing(replace(ranking, rows=ranking.rows[:2])) is None
    same = [replace(row, runs=tuple(replace(run, started="2026-01-01") for run in row.runs)) for row in ranking.rows]
    assert trend_drawing(replace(ranking, rows=tuple(same))) is None


def test_the_page_is_bounded(tmp_path):
    for number in range(MOST_ROWS + 2):
        finished(tmp_path / f"run{number}", given=(f"model.alpha={number}",))
    for number in range(MOST_OPEN + 3):
        failed(tmp_path / f"failed{number}", "x" * 10_000)
    page, text = shown(tmp_path)
    assert "2 setups with lower ranks are not shown." in text
    assert "3 older runs are not shown." in text
    assert len(page) < 400_000


def test_damaged_and_foreign_folders_do_not_break_it(tmp_path):
    damaged(tmp_path)
    assert "1 finished" not in shown(tmp_path)[1]
    assert "foreign" in shown(tmp_path)[1]


def test_only_runs_below_the_folder_are_its_own(tmp_path):
    outputs = tmp_path / "outputs"
    update_home(tmp_path / "elsewhere", outputs)
    assert not outputs.exists()
    run = finished(outputs / "run")
    update_home(tmp_path / "elsewhere", outputs)
    assert not (outputs / PAGE).exists()
    update_home(run, outputs)
    assert "1 finished run" in (outputs / PAGE).read_text()
    assert not (outputs / MARK).exists()


def test_a_fault_of_the_page_costs_no_run_anything(tmp_path, monkeypatch, caplog):
    run = finished(tmp_path / "run")
    (tmp_path / PAGE).mkdir()
    update_home(run, tmp_path)
    assert "index.html could not be written" in caplog.text

    def fail(outputs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(home, "write_home", fail)
    update_home(run, tmp_path)
    assert "a fault" in caplog.text


def test_who_holds_the_lock_writes_for_those_that_came_meanwhile(tmp_path, monkeypatch):
    first = finished(tmp_path / "first")
    written = []
    write = home.write_home

    def slow(outputs):
        write(outputs)
        written.append(outputs)
        if len(written) == 1:  # another ends while this one writes: it leaves a mark and goes
            code = (
                "import sys; from pathlib import Path\n"
                "from tests.experiment.leaderboard.folders import finished\n"
                "from textclf.experiment.leaderboard.home import update_home\n"
                "outputs = Path(sys.argv[1]); update_home(finished(outputs / 'second', 'svm'), outputs)"
            )
            subprocess.run([sys.executable, "-c", code, str(outputs)], check=True, timeout=60)
            assert (outputs / MARK).exists()

    monkeypatch.setattr(home, "write_home", slow)
    update_home(first, tmp_path)
    assert len(written) == 2
    assert "2 finished runs" in (tmp_path / PAGE).read_text()


def test_a_lock_that_is_held_is_not_waited_for(tmp_path):
    run = finished(tmp_path / "run")
    with FileLock(tmp_path / LOCK):
        update_home(run, tmp_path)
    assert (tmp_path / MARK).exists()
    assert not (tmp_path / PAGE).exists()
    update_home(run, tmp_path)
    assert (tmp_path / PAGE).exists()


def test_nothing_to_show(tmp_path):
    (tmp_path / "o").mkdir()
    assert "0 finished runs" in shown(tmp_path / "o")[1]
