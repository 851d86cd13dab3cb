"""Runs with sets of labels are read, checked, compared by their own metrics, and reported."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from tests.compare.factory import guess, labels_of, write_run, write_set_run
from textclf.compare.compare_runs import compare
from textclf.compare.comparison import Comparison
from textclf.compare.examples import disagreements
from textclf.compare.label_differences import label_difference_blocks, label_difference_data
from textclf.compare.options import CompareOptions
from textclf.compare.pairs import Verdict
from textclf.compare.prediction_plots import agreement_data
from textclf.compare.runs import find_runs, read_run
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.documents.document import Details
from textclf.errors import ArtifactError, ConfigError

NAMES = ("bug", "refund", "praise")
SHARES = (0.5, 0.3, 0.15)
TRUTH = np.random.default_rng(0).random((150, 3)) < SHARES


def given(wrong, seed, truth=TRUTH):
    return truth ^ (np.random.default_rng(seed).random(truth.shape) < wrong)


def write_sweep(folder, setups=(("good", 0.05), ("poor", 0.25)), seeds=3, **changes):
    for number, (model, wrong) in enumerate(setups):
        for seed in range(1, seeds + 1):
            of = given(wrong, 10 * number + seed)
            write_set_run(folder / f"{model}{seed}", model, seed, TRUTH, of, names=NAMES, **changes)
    return folder


def comparison_of(folder, **options):
    (test,) = shared_tests(find_runs([folder]).runs)
    return Comparison(TestScores(test), CompareOptions(**options))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sets") / "sweep")


@pytest.fixture(scope="module")
def compared(sweep):
    return comparison_of(sweep)


def test_a_run_is_read_with_its_sets(sweep):
    run = read_run(sweep / "good1")
    assert run.has_sets
    assert run.labels.dtype == run.predicted.dtype == np.bool_
    assert np.array_equal(run.labels, TRUTH)
    assert np.array_equal(run.predicted, given(0.05, 1))
    assert np.array_equal(run.right, (run.labels == run.predicted).all(axis=1))
    assert run.log_losses.mean() == pytest.approx(run.record.metrics["test/log_loss"], rel=1e-5)


@pytest.mark.parametrize("what", ["changed", "unknown label", "no list"])
def test_a_run_whose_sets_do_not_fit_its_record_is_refused(tmp_path, what):
    run = write_set_run(tmp_path / "run", "a", 1, TRUTH, given(0.1, 1), names=NAMES)
    path = run / "predictions.parquet"
    table = pd.read_parquet(path)
    if what == "changed":
        table["prediction"] = table["labels"]
    else:
        table.at[3, "prediction"] = ["spam"] if what == "unknown label" else None
    table.to_parquet(path)
    said = {"changed": r"subset accuracy of 1\.0000 where the record says"}.get(what, "no list of labels, or one with")
    with pytest.raises(ArtifactError, match=said):
        read_run(run)


def test_one_set_for_every_text_is_a_collapse(tmp_path):
    usual = np.tile([True, False, False], (len(TRUTH), 1))
    assert read_run(write_set_run(tmp_path / "a", "a", 1, TRUTH, usual, names=NAMES)).collapsed
    assert not read_run(write_set_run(tmp_path / "b", "b", 1, TRUTH, given(0.1, 1), names=NAMES)).collapsed


def test_verdicts_are_about_the_objective_and_the_other_metrics_of_sets(compared):
    assert compared.metric == "macro_f1"
    (pair,) = compared.pairs
    assert (pair.first, pair.verdict, pair.seeds) == ("good", Verdict.BETTER, (3, 3))
    assert list(compared.other_pairs) == ["micro_f1", "subset_accuracy", "hamming_loss"]
    for (other,) in compared.other_pairs.values():
        assert other.verdict is Verdict.BETTER
    assert compared.other_pairs["hamming_loss"][0].difference < 0


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "subset_accuracy", "hamming_loss", "log_loss"])
def test_the_scores_that_are_tested_are_those_of_the_records(compared, metric):
    scores, levels = compared.scores.of_setups(metric), compared.scores.levels(metric)
    for setup, own in zip(compared.test.setups, scores.by_seed, strict=True):
        recorded = [run.record.metrics[f"test/{metric}"] for run in setup.runs]
        assert own == pytest.approx(recorded, rel=1e-5)
        assert levels[setup.name].low < levels[setup.name].mean < levels[setup.name].high


def test_a_metric_of_single_classes_is_refused_with_those_there_are(sweep):
    with pytest.raises(ConfigError, match=r"differences of sets of labels can be tested in .*subset_accuracy"):
        _ = comparison_of(sweep, metric="accuracy").metric


def test_single_classifiers_are_compared_by_mcnemar_and_bootstrap(tmp_path):
    found = comparison_of(write_sweep(tmp_path / "one", seeds=1))
    (pair,) = found.pairs
    assert pair.claim.value == "classifier"
    assert pair.superiority == 1
    assert pair.low < pair.difference < pair.high
    assert found.other_pairs["subset_accuracy"][0].p_value < 1e-6


def test_labels_are_compared_and_corrected_for_their_number(compared):
    first, second = (compared.setup(name) for name in ("good", "poor"))
    frame = label_difference_data(compared.test, first, second)
    assert list(frame["label"]) == list(NAMES)
    assert list(frame["test_examples"]) == TRUTH.sum(axis=0).tolist()
    expected = np.mean([f1_score(TRUTH, given(0.05, seed), average=None) for seed in (1, 2, 3)], axis=0)
    assert frame["first_f1"].to_numpy() == pytest.approx(expected)
    assert (frame["low"] < frame["difference"]).all()
    assert (frame["difference"] < frame["high"]).all()
    assert (frame["p_corrected"] >= frame["p_value"]).all()
    itself = label_difference_data(compared.test, first, first)
    assert (itself["p_corrected"] == 1).all()
    (table,) = label_difference_blocks(frame, compared.pairs[0])
    assert table.rows[0][0].text == frame.loc[frame["difference"].abs().idxmax(), "label"]
    many = pd.concat([frame] * 5)
    assert isinstance(label_difference_blocks(many, compared.pairs[0])[0], Details)


def test_a_label_that_both_give_to_the_same_examples_has_no_interval(tmp_path):
    for model, wrong in (("a", 0.1), ("b", 0.2)):
        of = given(wrong, 1)
        of[:, 2] = False
        write_set_run(tmp_path / model, model, 1, TRUTH, of, names=NAMES)
    found = comparison_of(tmp_path)
    frame = label_difference_data(found.test, *found.test.setups).set_index("label")
    assert np.isnan(frame.loc["praise", "low"])
    assert frame.loc["praise", ["difference", "p_value"]].tolist() == [0, 1]


def test_a_label_that_is_neither_there_nor_given_leaves_micro_f1(tmp_path):
    truth = TRUTH & [True, True, False]
    for model, wrong in (("a", 0.1), ("b", 0.3)):
        of = given(wrong, 1, truth) & [True, True, False]
        write_set_run(tmp_path / model, model, 1, truth, of, names=NAMES)
    found = comparison_of(tmp_path)
    assert found.metric == "micro_f1"
    assert any("macro F1, which is undefined in some run" in caveat for caveat in found.caveats)
    assert len(found.pairs) == 1
    assert comparison_of(tmp_path, metric="macro_f1").pairs == []


def test_folds_are_tested_as_folds(tmp_path):
    numbers = np.stack([np.random.default_rng(seed).permutation(150) % 5 for seed in (1, 2)])
    for number, (model, wrong) in enumerate((("good", 0.05), ("poor", 0.25))):
        of = np.stack([given(wrong, 10 * number + repeat) for repeat in (1, 2)])
        write_set_run(tmp_path / model, model, 1, TRUTH, of, names=NAMES, numbers=numbers)
    found = comparison_of(tmp_path)
    (pair,) = found.pairs
    assert pair.folds == "5 folds drawn 2 times"
    assert pair.verdict is Verdict.BETTER
    scores = found.scores.of_setups("macro_f1")
    assert scores.folds is not None
    run = found.test.setups[0].runs[0]
    outside = numbers[0] != 2  # the fold's score is what it does to the score of all, to first order
    left_out = 5 * f1_score(TRUTH, run.predicted, average="macro") - 4 * f1_score(
        TRUTH[outside], run.predicted[outside], average="macro"
    )
    again = f1_score(TRUTH[numbers[1] != 2], run.again[0].predicted[numbers[1] != 2], average="macro")
    left_out = (left_out + 5 * f1_score(TRUTH, run.again[0].predicted, average="macro") - 4 * again) / 2
    assert scores.folds.by_fold[0].mean(axis=0)[2] == pytest.approx(left_out, abs=0.01)
    frame = label_difference_data(found.test, *found.test.setups)
    assert (frame["difference"] > 0).all()


def test_sets_and_single_classes_are_never_compared(tmp_path):
    write_set_run(tmp_path / "sets", "a", 1, TRUTH, given(0.1, 1), names=NAMES, dataset="d")
    labels = labels_of(150, 3)
    write_run(tmp_path / "classes", "b", 1, labels, guess(labels, 0.8, 1, 3), names=NAMES, test_set="d-150")
    tests = shared_tests(find_runs([tmp_path]).runs)
    assert len(tests) == 2
    assert any("a set of labels each, not one class each" in said for test in tests for said in test.problems)


def test_disagreements_are_about_whole_sets(compared):
    found = disagreements(compared.setup("good"), compared.setup("poor"))
    assert {"bug + refund", "none"} <= {one.label for one in found}
    assert all(one.label != one.prediction for one in found)


def test_setups_agree_where_they_give_the_same_set(compared):
    frame = agreement_data(compared.test.setups).set_index(["first", "second"])["agreement"]
    good, poor = (compared.setup(name).predicted for name in ("good", "poor"))
    expected = np.mean([(a == b).all(axis=1).mean() for a in good for b in poor])
    assert frame["good", "poor"] == pytest.approx(expected)
    within = np.mean([(good[a] == good[b]).all(axis=1).mean() for a, b in ((0, 1), (0, 2), (1, 2))])
    assert frame["good", "good"] == pytest.approx(within)


def test_the_report_speaks_of_labels_and_fits_the_screen(sweep, tmp_path, capsys):
    compare(sweep, output=tmp_path / "report")
    printed = capsys.readouterr().out
    assert "good beats poor by" in printed
    assert len(printed.splitlines()) <= 25
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "F1 by label of good and poor" in text
    assert "micro F1" in text
    assert "subset accuracy" in text
    assert "Of sets of labels" in text
    assert "gives exactly the labels and that of the other does not" in text
    assert "same class" not in text
    assert "confusion_difference" not in text
    data = json.loads((tmp_path / "report" / "comparison.json").read_text("utf-8"))
    assert {pair["metric"] for pair in data["pairs"]} == {"macro_f1", "micro_f1", "subset_accuracy", "hamming_loss"}
    assert "test/hamming_loss" in pd.read_csv(tmp_path / "report" / "runs.csv")
    labels = pd.read_csv(tmp_path / "report" / "figures" / "data" / "label_differences.csv")
    assert "p_corrected" in labels


def test_a_loss_is_not_kept(sweep, tmp_path):
    compare(sweep, CompareOptions(metric="hamming_loss"), tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "kept" not in text
    assert "keeps" not in text
