import json

import pytest

from tests.app.conftest import edited_copy
from textclf.app.comparing import COSTS, compare_runs, newest_of_each_seed
from textclf.compare.comparison import Comparison
from textclf.compare.options import CompareOptions
from textclf.compare.runs import find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.errors import ArtifactError


def test_the_verdicts_are_those_of_the_comparison(outputs):
    folders = [outputs / "runs" / "first", outputs / "runs" / "second"]
    found = compare_runs(folders)
    (test,) = found.tests
    (shared,) = shared_tests(find_runs(folders).runs)
    own = Comparison(TestScores(shared), CompareOptions())
    assert list(test.verdicts) == own.sentences(own.leading_pairs)
    assert len(test.verdicts) == 1
    assert test.examples == 40
    assert len(test.scores.rows) == len(test.costs.rows) == 2
    for cost in COSTS:
        assert {point["setup"] for point in test.points[cost]} == {row.name for row in own.rows}
        assert all(point["cost"] > 0 for point in test.points[cost])


def test_of_two_runs_of_one_seed_the_newest_is_compared(outputs, tmp_path):
    first = outputs / "runs" / "first"
    again = edited_copy(first, tmp_path / "again", started="2030-01-01T00:00:00+00:00")
    costs = json.loads((first / "run.json").read_text())["costs"]
    old = edited_copy(first, tmp_path / "old", started="2019-01-01T00:00:00+00:00", costs=costs | {"size_bytes": 1})
    kept = newest_of_each_seed(find_runs([first, again, old]).runs)
    assert [run.folder for run in kept] == [again.resolve()]
    found = compare_runs([old, first, again])
    (test,) = found.tests
    assert [point["cost"] for point in test.points["size_bytes"]] == [costs["size_bytes"]]
    assert found.problems == ("2 earlier runs of the same setup and seed: the newest is compared.",)
    other = edited_copy(first, tmp_path / "other", started="2019-01-01T00:00:00+00:00", seed=2)
    assert len(newest_of_each_seed(find_runs([first, other]).runs)) == 2


def test_one_run_alone_has_no_verdict(outputs):
    (test,) = compare_runs([outputs / "runs" / "first"]).tests
    assert test.verdicts == ()


def test_a_run_that_cannot_be_read_is_named(outputs, tmp_path):
    lost = edited_copy(outputs / "runs" / "first", tmp_path / "lost", seed=5)
    (lost / "predictions.parquet").unlink()
    found = compare_runs([outputs / "runs" / "first", lost])
    assert "lost" in found.problems[0]
    with pytest.raises(ArtifactError):
        compare_runs([lost])
