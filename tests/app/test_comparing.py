import pytest

from tests.app.conftest import edited_copy
from textclf.app.comparing import COSTS, compare_runs
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
