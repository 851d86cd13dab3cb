"""Which runs are one setup, which share a test set, and what is said of those that do not fit."""

import numpy as np
import pytest

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.comparison import Comparison
from textclf.compare.options import CompareOptions
from textclf.compare.runs import find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import draws_examples, shared_tests
from textclf.system.files import write_manifest

LABELS = labels_of(40)


def gather(tmp_path):
    return shared_tests(find_runs([tmp_path]).runs)


def test_runs_that_differ_in_the_seed_alone_are_one_setup(tmp_path):
    for seed in (3, 1, 2):
        for model in ("b", "a"):
            write_run(tmp_path / f"{model}{seed}", model, seed, LABELS, guess(LABELS, 0.7, seed))
    (test,) = gather(tmp_path)
    assert [(setup.name, setup.seeds) for setup in test.setups] == [("a", (1, 2, 3)), ("b", (1, 2, 3))]
    assert test.problems == ()
    assert np.array_equal(test.setups[0].predicted[1], guess(LABELS, 0.7, 2))


def test_options_that_vary_make_setups_and_name_them(tmp_path):
    for number, rate in enumerate((1e-5, 2e-5)):
        write_run(tmp_path / str(number), "a", 1, LABELS, LABELS, options={"rate": rate, "same": 1})
    write_run(tmp_path / "c", "c", 1, LABELS, LABELS, options={"rate": 1e-5})
    (test,) = gather(tmp_path)
    assert [setup.name for setup in test.setups] == ["a rate=1e-05", "a rate=2e-05", "c"]


def test_runs_whose_examples_follow_the_seed_are_one_setup_and_the_comparison_says_so(tmp_path):
    def config(seed, each, follows=True):
        data = {"name": "d", "draw_seed": seed if follows else 7, "examples_per_class": each}
        return {"dataset": data, "model": {"name": "a"}, "trainer": {}, "objective": "validation/accuracy"}

    for number, (seed, each, follows) in enumerate(
        [(1, 8, True), (2, 8, True), (3, 8, True), (1, 16, True), (2, 16, True), (1, 8, False), (2, 8, False)]
    ):
        own = config(seed, each, follows)
        write_run(tmp_path / str(number), "a", seed, LABELS, guess(LABELS, 0.7, number), config=own)
    (test,) = gather(tmp_path)
    assert [setup.seeds for setup in test.setups] == [(1, 2), (1, 2), (1, 2, 3)]
    assert [setup.size for setup in test.setups] == [(None, 8), (None, 16), (None, 8)]
    assert sorted(test.setups[1].name.split()) == ["a", "draw_seed=seed", "train=16-per-class"]
    assert any(draws_examples(run) for run in test.setups[1].runs)
    caveats = Comparison(TestScores(test), CompareOptions()).caveats
    assert any("its own draw of the examples" in caveat for caveat in caveats)


def test_a_classical_model_is_the_same_under_any_trainer(tmp_path):
    for number, epochs in enumerate((1, 2)):
        config = {"dataset": {"name": "d"}, "model": {"name": "a"}, "trainer": {"epochs": epochs}, "objective": "validation/accuracy"}  # fmt: skip
        write_run(tmp_path / str(number), "a", number, LABELS, LABELS, trainer="none", config=config)
    (test,) = gather(tmp_path)
    assert [setup.seeds for setup in test.setups] == [(0, 1)]


def test_a_seed_counts_once_and_the_first_run_is_kept(tmp_path):
    times = ("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
    for number, started in enumerate(times):
        write_run(tmp_path / str(number), "a", 1, LABELS, guess(LABELS, 0.7, number), started=started)
    (test,) = gather(tmp_path)
    assert [run.folder.name for run in test.setups[0].runs] == ["1"]
    (problem,) = test.problems
    assert f"{tmp_path}/0 repeats seed 1 of {tmp_path}/1 and differs" in problem


def seeds_of(tmp_path, varies, weights=("a", "b", "b")):
    """Write a run with seed 1, one with seed 2, and a copy of it that says seed 3; its manifest fits."""
    for seed, kept in zip((1, 2, 3), weights, strict=True):
        fit = {"device": "cpu"} | ({} if varies is None else {"draws_seed": varies})
        folder = write_run(tmp_path / str(seed), "a", seed, LABELS, guess(LABELS, 0.7, min(seed, 2)), fit=fit)
        (folder / "classifier").mkdir()
        (folder / "classifier" / "model.safetensors").write_text(kept)
        write_manifest(folder)
    (test,) = gather(tmp_path)
    return test.setups[0].seeds, test.problems


def test_equal_predictions_under_two_seeds_count_once_and_are_asked_about(tmp_path):
    seeds, (problem,) = seeds_of(tmp_path, varies=True)
    assert seeds == (1, 2)
    assert f"{tmp_path}/3 with seed 3 made the predictions of {tmp_path}/2 with seed 2" in problem
    assert "is one a copy of the other?" in problem


@pytest.mark.parametrize(("varies", "weights"), [(False, "aaa"), (None, "abb"), (True, "abc")])
def test_honest_runs_with_equal_predictions_are_not_accused(tmp_path, varies, weights):
    """A model without a seed, a record that does not say, and other weights that predict the same."""
    assert seeds_of(tmp_path, varies, weights) == ((1, 2, 3), ())


def test_other_test_examples_labels_or_classes_are_never_compared(tmp_path):
    write_run(tmp_path / "a", "a", 1, LABELS, LABELS)
    write_run(tmp_path / "b", "b", 1, LABELS[:30], LABELS[:30])
    write_run(tmp_path / "c", "c", 1, LABELS, LABELS, names=("bad", "good"), test_set="classes")
    write_run(tmp_path / "d", "d", 1, 1 - LABELS, LABELS, test_set="labels")
    write_run(tmp_path / "e", "e", 1, LABELS, LABELS, dataset="other")
    tests = gather(tmp_path)
    assert [len(test.setups) for test in tests] == [1] * 5
    said = " ".join(next(test for test in tests if test.setups[0].name == "a").problems)
    for words in ("it has 30 test examples, not 40", "its classes are bad, good", "its test texts or labels differ"):
        assert words in said
    assert "/e" not in said  # another dataset is no mistake


def test_a_difference_of_software_or_machine_is_told(tmp_path):
    write_run(tmp_path / "a", "a", 1, LABELS, LABELS, environment={"torch": "2.12", "platform": "x"})
    write_run(tmp_path / "b", "b", 1, LABELS, LABELS, environment={"torch": "2.13", "platform": "x"}, fit={"device": "cuda"})  # fmt: skip
    (test,) = gather(tmp_path)
    assert any("torch 2.12, 2.13" in problem for problem in test.problems)
    assert any("cpu, cuda" in problem for problem in test.problems)


@pytest.mark.parametrize(("metric", "chosen"), [("accuracy", 2), ("log_loss", 1)])
def test_the_chosen_run_is_the_best_on_validation(tmp_path, metric, chosen):
    objective = f"validation/{metric}"
    for seed, score in ((1, 0.5), (2, 0.9), (3, 0.9)):
        metrics = {"test/accuracy": 1.0, objective: score}
        write_run(tmp_path / str(seed), "a", seed, LABELS, LABELS, metrics=metrics, objective=objective)
    (test,) = gather(tmp_path)
    assert test.setups[0].chosen_run.record.seed == chosen
