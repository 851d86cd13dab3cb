"""The command on tables of others: what it writes and prints, and the committed report of a public table."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.commands import call
from tests.compare.factory import guess, labels_of
from textclf.compare.__main__ import main
from textclf.compare.compare_table import compare_table
from textclf.compare.options import CompareOptions, TableOptions
from textclf.errors import ArtifactError, ConfigError, DataError

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT / "experiments" / "tables" / "mteb_few_shot.csv"
REPORT = ROOT / "experiments" / "results" / "mteb_few_shot"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Does the command in the test's folder, and returns the exit status and what it said on stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: call(main, "textclf.compare", words, monkeypatch, capsys)


def test_the_committed_report_is_what_its_command_writes(tmp_path, run):
    (tmp_path / "experiments" / "tables").mkdir(parents=True)
    shutil.copy(PUBLIC, tmp_path / "experiments" / "tables")
    command = next(line for line in (REPORT / "report.md").read_text().splitlines() if line.startswith("python -m"))
    status, out, err = run(*shlex.split(command)[3:])
    assert status == 0, err
    made = tmp_path / "experiments" / "results" / "mteb_few_shot"
    for name in ("report.md", "pairs.csv", "setups.csv", "scores.csv", "figures/data/Emotion_shots_16_scores.csv"):
        assert (made / name).read_text() == (REPORT / name).read_text(), name
    pictures = {path.name for path in (REPORT / "figures").glob("*.png")}
    assert pictures == {path.name for path in (made / "figures").glob("*.png")}
    assert len(pictures) == 3
    assert "multilingual-e5-base beats LaBSE by" in out
    assert "note: " in out


def test_the_public_table_says_what_was_published():
    rows = pd.read_csv(PUBLIC)
    assert rows.groupby(["dataset", "model"]).size().eq(10).all()
    right = rows["accuracy"] * rows["test_examples"]
    assert np.abs(right - right.round()).max() < 0.01
    # the pairs of the report, over again with scipy
    pairs = pd.read_csv(REPORT / "pairs.csv")
    emotion = rows[rows["dataset"] == "Emotion"].pivot(index="draw", columns="model", values="accuracy")
    for pair in pairs[pairs["dataset"] == "Emotion shots=16"].itertuples():
        assert pair.difference == pytest.approx((emotion[pair.first] - emotion[pair.second]).mean())
    alone = [
        stats.ttest_rel(emotion[pair.first], emotion[pair.second]).pvalue
        for pair in pairs[pairs["dataset"] == "Emotion shots=16"].itertuples()
    ]
    assert min(pairs[pairs["dataset"] == "Emotion shots=16"]["p_here"]) == pytest.approx(21 * min(alone), rel=1e-6)


def write_predictions(path, draws=(1, 2, 3), models=(("good", 0.9), ("bad", 0.6)), drop=()):
    labels = labels_of(200, 3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "seed", "id", "label", "prediction"])
        for model, accuracy in models:
            for draw in draws:
                predicted = guess(labels, accuracy, 10 * draw + ord(model[0]), 3)
                for example, (label, answer) in enumerate(zip(labels, predicted, strict=True)):
                    if (model, draw, example) not in drop:
                        writer.writerow([model, draw, f"e{example}", f"c{label}", f"c{answer}"])
    return path


def test_predictions_are_compared_as_runs_are(tmp_path):
    path = write_predictions(tmp_path / "predictions.csv")
    written = compare_table(path, options=CompareOptions(), output=tmp_path / "out", command="typed")
    assert "good beats bad by" in written.verdicts
    assert "200 test examples and 3 seeds each" in written.verdicts
    report = (tmp_path / "out" / "report.md").read_text()
    for words in ("## predictions", "### Every pair", "### Where they differ", "typed", "McNemar"):
        assert words in report, words
    assert "### Costs" not in report
    assert "## Versions" not in report
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["pairs"][0]["verdict"] == "better"
    assert (tmp_path / "out" / "figures" / "confusion_difference.png").exists()
    macro = compare_table(path, TableOptions(metric="f1_macro"), output=tmp_path / "macro")
    assert "points of macro F1" in macro.verdicts


def test_one_draw_of_predictions_is_about_the_classifiers(tmp_path):
    path = write_predictions(tmp_path / "predictions.csv", draws=(1,))
    written = compare_table(path, output=tmp_path / "out")
    assert "This classifier of good beats bad" in written.verdicts


def test_predictions_that_lack_examples_or_the_metric_are_refused(tmp_path):
    path = write_predictions(tmp_path / "p.csv", drop={("bad", 2, 7), ("bad", 2, 9)})
    with pytest.raises(
        DataError, match="setup bad, draw 2, has no prediction of 2 of the 200 examples of p, such as e7"
    ):
        compare_table(path, output=tmp_path / "out")
    with pytest.raises(ConfigError, match="--metric log_loss: of predictions without probabilities"):
        compare_table(path, TableOptions(metric="log_loss"), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_one_setup_is_refused_and_one_of_several_left_out(tmp_path, run):
    path = tmp_path / "t.csv"
    path.write_text("system,seed,accuracy\na,1,0.8\na,2,0.9\n")
    status, _, err = run("--table", path)
    assert status == 1
    assert err.count("\n") == 1
    assert "there is one setup only (a)" in err
    path.write_text("dataset,system,seed,accuracy\nx,a,1,0.8\ny,a,1,0.9\ny,b,1,0.7\n")
    written = compare_table(path, output=tmp_path / "out", title="T", latex=True)
    assert written.problems == ("x: there is one setup only (a).",)
    assert (tmp_path / "out" / "setups.tex").exists()
    report = (tmp_path / "out" / "report.md").read_text()
    assert report.startswith("# T\n")
    assert "x: there is one setup only" in report


def test_a_report_is_never_overwritten_and_its_texts_are_no_markup(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{name},{seed},0.{value}{seed}" for name, value in (("=<b>|", 8), ("b", 7)) for seed in (1, 2, 3)]
    path.write_text("\n".join(["system,seed,accuracy", *rows]) + "\n")
    compare_table(path, output=tmp_path / "out")
    assert "<b>|" not in (tmp_path / "out" / "report.html").read_text()
    assert "'=<b>|" in (tmp_path / "out" / "setups.csv").read_text()
    with pytest.raises(ArtifactError, match="never overwritten"):
        compare_table(path, output=tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--table", "t.csv", "runs"], 2, "name folders, or an experiment with --mlflow, or a table with --table"),
        (["runs", "--column", "setup=x"], 2, "--column, --test-examples and --lower-is-better are for a --table"),
        (["--table", "t.csv", "--column", "acc"], 1, "--column acc: write ROLE=NAME"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, words, status, said):
    ended, _, err = run(*words)
    assert ended == status
    assert said in err
