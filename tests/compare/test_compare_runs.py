"""The whole comparison: what it writes, and that nothing but the runs decides it."""

import json
import shutil
import time

import pandas as pd
import psutil
import pytest

from tests.commands import call
from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.__main__ import main
from textclf.compare.compare_runs import compare
from textclf.compare.options import CompareOptions
from textclf.documents.document import Heading, to_html
from textclf.errors import ArtifactError
from textclf.system.files import manifest_problem, write_manifest

LABELS = labels_of(120, 3)
NAMES = ("blue", "green", "red <b>| *x*")


def write_runs(folder, order=(0, 1, 2, 3, 4, 5)):
    jobs = [(model, seed) for model in ("a", "b") for seed in (1, 2, 3)]
    for number in order:
        model, seed = jobs[number]
        accuracy = 0.9 if model == "a" else 0.6
        predicted = guess(LABELS, accuracy, 10 * seed + ord(model), 3)
        write_run(folder / f"job{order.index(number)}", model, seed, LABELS, predicted, names=NAMES)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    write_runs(folder / "runs")
    options = CompareOptions(reference="b", note="What was to be expected.")
    result = compare([folder / "runs"], options, folder / "out", "Title", "python -m textclf.run study=x", latex=True)
    return folder / "out", result


def test_the_report_has_all_its_parts(written):
    out, result = written
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.json", "figures", "pairs.csv", "report.html", "report.md", "runs.csv", "setups.csv", "setups.tex",
    ]  # fmt: skip
    assert {path.name for path in (out / "figures").glob("*.png")} >= {
        "scores.png", "score_by_training_time.png", "score_by_prediction_time.png", "agreement.png",
        "class_differences.png", "confusion_difference.png",
    }  # fmt: skip
    assert {path.stem for path in (out / "figures").glob("*.png")} == {p.stem for p in (out / "figures/data").iterdir()}
    report = (out / "report.md").read_text()
    for words in ("# Title", "What was to be expected.", "python -m textclf.run study=x", "a beats b by", "Left out"):
        assert (words in report) == (words != "Left out"), words
    assert "a beats b by" in result.verdicts
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 6
    assert "<b>|" not in page
    assert "booktabs" not in (out / "setups.tex").read_text()
    assert r"\toprule" in (out / "setups.tex").read_text()


def test_the_figures_are_there_as_csv_and_json(written):
    out, _ = written
    content = json.loads((out / "comparison.json").read_text())
    assert {row["setup"]: row["seeds"] for row in content["setups"]} == {"a": "1 2 3", "b": "1 2 3"}
    (pair,) = [row for row in content["pairs"] if row["metric"] == "accuracy"]
    assert pair["verdict"] == "better"
    table = pd.read_csv(out / "setups.csv").set_index("setup")
    runs = pd.read_csv(out / "runs.csv")
    assert table.loc["a", "accuracy_mean"] == pytest.approx(runs[runs.setup == "a"]["test/accuracy"].mean())
    assert table.loc["a", "accuracy_deviation"] == pytest.approx(runs[runs.setup == "a"]["test/accuracy"].std())
    assert len(runs) == 6


def test_the_order_of_the_runs_changes_nothing(written, tmp_path):
    out, _ = written
    write_runs(tmp_path / "runs", order=(4, 1, 5, 0, 3, 2))
    options = CompareOptions(reference="b", note="What was to be expected.")
    compare([tmp_path / "runs"], options, tmp_path / "out", "Title", "python -m textclf.run study=x")
    for name in ("report.md", "setups.csv", "pairs.csv", "runs.csv", "comparison.json", "report.html"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes(), name


def test_a_comparison_is_never_overwritten(written):
    out, _ = written
    with pytest.raises(ArtifactError, match="never overwritten"):
        compare([out.parent / "runs"], CompareOptions(), out)


def test_one_setup_alone_has_a_report(tmp_path):
    write_run(tmp_path / "runs" / "a", "a", 1, LABELS, guess(LABELS, 0.9, 1, 3), names=NAMES)
    compare([tmp_path / "runs"], CompareOptions(), tmp_path / "out")
    assert "There is one setup only" in (tmp_path / "out" / "report.md").read_text()


def test_several_test_sets_stand_apart(tmp_path):
    for dataset in ("one", "two/x"):
        for model in ("a", "b"):
            predicted = guess(LABELS, 0.8, ord(model), 3)
            write_run(tmp_path / "runs" / dataset / model, model, 1, LABELS, predicted, names=NAMES, dataset=dataset)
    compare([tmp_path / "runs"], CompareOptions(), tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "4 runs of 4 setups on 2 test sets" in report
    assert (tmp_path / "out" / "figures" / "two_x_scores.png").exists()


def test_the_command_by_hand(tmp_path, monkeypatch, capsys):
    write_runs(tmp_path / "runs")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    options = ("--metric", "accuracy", "--reference", "nobody", "--output", "out")
    code, said, err = call(main, "textclf.compare", ("runs", *options), monkeypatch, capsys)
    assert code == 0, err
    assert "a beats b by" in said
    assert "left out:" in said
    assert "broken/run.json is damaged" in said
    assert "compare.reference=nobody is none of these setups" in said
    assert "Traceback" not in err
    code, _, said = call(main, "textclf.compare", ("nowhere",), monkeypatch, capsys)
    assert code == 1
    assert "there is no such folder" in said
    assert "Traceback" not in said
    assert call(main, "textclf.compare", (), monkeypatch, capsys)[0] == 2


def test_many_runs_are_compared_in_little_memory(tmp_path):
    """A fifth of the scale that is promised; the whole of it is `make benchmark`'s."""
    labels = labels_of(25_000)
    first = write_run(tmp_path / "runs" / "m0s1", "m0", 1, labels, guess(labels, 0.8, 0))
    for number in range(1, 40):
        model, seed = f"m{number // 5}", number % 5 + 1
        if (number // 5, seed) == (0, 1):
            continue
        target = tmp_path / "runs" / f"{model}s{seed}"
        shutil.copytree(first, target)
        record = json.loads((target / "run.json").read_text())
        record |= {"model": model, "seed": seed, "name": f"d/{model}/seed{seed}"}
        record["config"]["model"]["name"] = model
        (target / "run.json").write_text(json.dumps(record))
    before, start = psutil.Process().memory_info().rss, time.monotonic()
    compare([tmp_path / "runs"], CompareOptions(), tmp_path / "out")
    assert psutil.Process().memory_info().rss - before < 1e9
    assert time.monotonic() - start < 120  # no measurement, a guard against work that grows with the square


def test_languages_have_a_table_of_their_own(tmp_path):
    for model, accuracy in (("a", 1.0), ("b", 0.7)):
        folder = write_run(tmp_path / "runs" / model, model, 1, LABELS, guess(LABELS, accuracy, 1, 3), names=NAMES)
        table = pd.read_parquet(folder / "predictions.parquet")
        table["language"] = ["en", "de"] * (len(table) // 2)
        table.to_parquet(folder / "predictions.parquet")
    compare([tmp_path / "runs"], CompareOptions(), tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    row = next(line for line in report.splitlines() if line.startswith("| a ") and "1.000 (" in line)
    assert row.count("to 1.000)") == 2  # no interval passes what a score can be
    assert "de (60)" in report


def test_failures_come_first_by_error_with_a_way_to_a_log(tmp_path):
    labels = labels_of(200)
    for model in "ab":
        write_run(tmp_path / "sweep" / f"{model}1", model, 1, labels, guess(labels, 0.7, ord(model)))
    for number in range(7):
        job = tmp_path / "sweep" / f"job{number}"
        job.mkdir()
        (job / "run.log").write_text("began")
        error = "no memory <b>" if number else "no such file"
        status = {"failed": True, "error": error, "overrides": [f"model=big{number}", "seed=1"]}
        (job / "status.json").write_text(json.dumps(status))
    compare(tmp_path / "sweep", output=tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text().replace("\\", "")
    first, _, rest = report.partition("## d")
    assert "## 7 of 9 runs failed" in first
    assert first.index("no memory") < first.index("no such file")  # what befell most comes first
    assert "job1 (model=big1 seed=1), " in first
    assert "and 1 more: no memory <b>" in first
    assert "(../sweep/job1/run.log)" in first
    assert "no memory" not in rest
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no memory &lt;b&gt;" in page


def test_setups_lead_to_the_reports_of_their_runs(tmp_path):
    labels = labels_of(200)
    for model in "ab":
        write_run(tmp_path / "sweep" / f"{model}1", model, 1, labels, guess(labels, 0.7, ord(model)))
    (tmp_path / "sweep" / "a1" / "report.html").write_text("report")
    compare(tmp_path / "sweep", output=tmp_path / "sweep" / "comparison")
    page = (tmp_path / "sweep" / "comparison" / "report.html").read_text()
    assert 'href="../a1/report.html"' in page
    assert "b1/report.html" not in page


def test_one_setup_with_many_seeds_says_how_far_they_lie_apart(tmp_path, capsys):
    labels = labels_of(500)
    for seed in range(1, 13):
        accuracy = 0.4 if seed == 7 else 0.8
        write_run(tmp_path / "runs" / f"m{seed}", "m", seed, labels, guess(labels, accuracy, seed))
    compare(tmp_path / "runs", output=tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "There is one setup only" in report
    assert "over 12 seeds, from 0." in report
    assert "Far from the others: seed 7 (0." in report
    drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert drawn == {"scores"}  # a cost with one dot says nothing


def finished_runs(folder):
    """Write runs whose folders have a report and a manifest, as a run leaves them."""
    write_runs(folder)
    for run in folder.iterdir():
        (run / "report.html").write_text(to_html(run.name, [Heading(1, run.name)]), encoding="utf-8")
        write_manifest(run)
    return folder


def test_reports_of_runs_lead_to_the_comparisons_beside_them(tmp_path):
    sweep = finished_runs(tmp_path / "sweep")
    edited = sweep / "job1" / "report.html"
    edited.write_text(edited.read_text(encoding="utf-8") + "<!-- a note -->", encoding="utf-8")
    before = edited.read_bytes()
    compare([sweep], output=sweep / "comparison", title="A <b>title</b>")
    compare([sweep], output=sweep / "second", title="Another")
    compare([sweep], output=tmp_path / "elsewhere" / "out", title="Not beside them")
    page = (sweep / "job0" / "report.html").read_text(encoding="utf-8")
    assert page.count("Compared with others in") == 2
    assert '<a href="../comparison/report.html">A &lt;b&gt;title&lt;/b&gt;</a>' in page
    assert '<a href="../second/report.html">Another</a>' in page
    assert (sweep / "job0" / "../comparison/report.html").is_file()
    assert "elsewhere" not in page
    assert [manifest_problem(sweep / f"job{k}") for k in (0, 2, 3)] == [None] * 3
    assert edited.read_bytes() == before  # what a person changed is theirs


def test_a_report_that_cannot_be_written_costs_no_comparison(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr("textclf.compare.compare_runs.replace_vouched", full)
    sweep = finished_runs(tmp_path / "sweep")
    compare([sweep], output=sweep / "comparison")
    assert (sweep / "comparison" / "report.html").is_file()
    assert manifest_problem(sweep / "job0") is None
