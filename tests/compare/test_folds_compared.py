"""Cross-validated runs are compared on every example, by the test for folds, and on the same folds only."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.experiment.test_cross_validation import BAYES, folded
from textclf.compare.comparison import Comparison
from textclf.compare.options import Claim, CompareOptions
from textclf.compare.runs import find_runs, read_run
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.compare.statistics import compare_systems
from textclf.errors import ArtifactError
from textclf.experiment.experiment import run_experiment

OTHER = replace(BAYES, name="one_word", vectorizer={**BAYES.vectorizer, "max_features": 1})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two setups in the same folds, and one of them in other folds and in one split."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model, dataset in (
        ("a", BAYES, {"fold_repeats": 2}),
        ("b", OTHER, {"fold_repeats": 2}),
        ("other", BAYES, {"fold_repeats": 2, "split_seed": 1}),
        ("once", BAYES, {}),
        ("split", BAYES, {"folds": None}),
    ):
        run_experiment(folded(model, dataset=dataset), folder / name)
    return folder


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_pair_is_tested_over_its_folds(runs, metric):
    (test,) = shared_tests(find_runs([runs / "a", runs / "b"]).runs)
    assert test.folds == "3 folds drawn 2 times"
    comparison = Comparison(TestScores(test), CompareOptions(metric=metric))
    (pair,) = comparison.pairs
    tables = {name: pd.read_parquet(runs / name / "predictions.parquet") for name in "ab"}
    classes = np.array(["negative", "positive"])
    rows = {name: np.searchsorted(classes, table["prediction"]).reshape(1, 2, 60) for name, table in tables.items()}
    labels = np.searchsorted(classes, tables["a"]["label"][:60])
    partitions = tables["a"]["fold"].to_numpy().reshape(2, 60)
    order = [{"naive_bayes": "a", "one_word": "b"}[name] for name in (pair.first, pair.second)]
    (expected,) = compare_systems(labels, {name: rows[name] for name in order}, partitions, metric=metric)
    for found, wanted in ((pair.difference, expected.difference), (pair.low, expected.low), (pair.high, expected.high)):
        assert found == pytest.approx(wanted)
    assert pair.p_corrected == pytest.approx(expected.p_value)
    assert pair.claim is Claim.setup
    (said,) = comparison.sentences(comparison.pairs)
    assert "60 examples in 3 folds drawn 2 times" in said
    assert not any("fewer than three seeds" in caveat for caveat in comparison.caveats)


def test_a_score_is_that_of_all_folds(runs):
    (test,) = shared_tests([read_run(runs / "a"), read_run(runs / "b")])
    scores = TestScores(test)
    for setup in test.setups:
        level = scores.levels("accuracy")[setup.name]
        assert level.mean == pytest.approx(setup.runs[0].record.metrics["test/accuracy"])
        assert level.low < level.mean < level.high
        assert level.deviation > 0


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("other", "the same examples in other folds; give the runs the same dataset.split_seed"),
        ("once", "3 folds, not 3 folds drawn 2 times"),
    ],
)
def test_other_folds_are_not_compared(runs, other, why):
    tests = shared_tests(find_runs([runs / "a", runs / other]).runs)
    assert len(tests) == 2
    assert any(why in problem for test in tests for problem in test.problems)


def test_one_split_stands_apart(runs):
    assert len(shared_tests(find_runs([runs / "once", runs / "split"]).runs)) == 2


@pytest.mark.parametrize("change", [lambda table: table[:-1], lambda table: table.iloc[::-1], lambda table: table[::2]])
def test_repeats_that_are_not_whole_are_refused(runs, tmp_path, change):

    run = tmp_path / "run"
    shutil.copytree(runs / "a", run)
    for name in ("manifest.json", "started.json"):  # as a run from before there were such
        (run / name).unlink()
    path = run / "predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(ArtifactError, match="does not fit its record|repeats are not whole"):
        read_run(run)


def test_a_record_from_before_there_were_folds_is_read(runs, tmp_path):

    run = tmp_path / "run"
    shutil.copytree(runs / "split", run)
    for name in ("manifest.json", "started.json"):  # as a run from before there were such
        (run / name).unlink()
    record = json.loads((run / "run.json").read_text())
    del record["folds"]
    (run / "run.json").write_text(json.dumps(record))
    assert read_run(run).record.folds == {}
