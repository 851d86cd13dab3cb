"""What it would take to tell setups apart: numbers held against more data of the same kind, and words against them."""

import shlex

import numpy as np
import pytest

from tests.compare.factory import guess, labels_of, write_run
from tests.compare.test_pairs import compared, write
from textclf.compare.compare_runs import compare
from textclf.compare.outlook import command_of, next_steps
from textclf.compare.runs import find_runs
from textclf.compare.setups import shared_tests
from textclf.compare.statistics import (
    Estimates,
    cross_validated,
    differences,
    grown,
    needed_examples,
    needed_repeats,
    needed_seeds,
    scores_of_means,
)


def noisy(seeds, n, spread, rng):
    """Return where a setup is right, whose seeds differ by a standard deviation, bool (seeds, n)."""
    return rng.random((seeds, n)) < 0.8 + spread * rng.standard_normal((seeds, 1))


@pytest.mark.parametrize(("spread", "most"), [(0.0, 2.0), (0.03, 1.3)])
def test_an_error_foretold_is_that_of_more_examples_and_seeds(spread, most):
    """In the middle of many samples, the error foretold from 3 seeds and 200 examples is that of 6 seeds and 800."""
    rng = np.random.default_rng(0)
    foretold, seen = [], []
    for _ in range(300):
        small = differences(scores_of_means([noisy(3, 200, spread, rng) for _ in range(2)]), 0, 1)
        large = differences(scores_of_means([noisy(6, 800, spread, rng) for _ in range(2)]), 0, 1)
        foretold.append(grown(small, 200, examples=4, trainings=5 / 2).standard_error[0] ** 2)
        seen.append(large.standard_error[0] ** 2)
    assert 0.8 < np.median(foretold) / np.median(seen) < most  # it is careful where few seeds happen to differ


def test_nothing_more_changes_nothing():
    rng = np.random.default_rng(1)
    found = differences(scores_of_means([noisy(4, 300, 0.02, rng) for _ in range(2)]), 0, 1)
    same = grown(found, 300)
    for name in ("value", "standard_error", "degrees_of_freedom", "seed_share"):
        assert getattr(same, name) == pytest.approx(getattr(found, name))


def estimate(examples, trainings, freedom=4.0, n=200):
    total = examples + trainings
    every = total**2 / (trainings**2 / freedom + examples**2 / (n - 1))
    return Estimates(*(np.array([value]) for value in (0.01, np.sqrt(total), every, trainings / total)))


@pytest.mark.parametrize(
    ("needed", "grow", "given"),
    [
        (needed_examples, lambda e, k: grown(e, 200, examples=k / 200), ()),
        (lambda e, n, *rest: needed_seeds(e, n, 3, *rest), lambda e, k: grown(e, 200, trainings=(k - 1) / 2), ()),
        (lambda e, n, *rest: needed_repeats(e, n, 3, *rest), lambda e, k: grown(e, 200, trainings=k / 3), ()),
    ],
    ids=["examples", "seeds", "repeats"],
)
def test_the_number_is_the_first_that_would_do(needed, grow, given):
    found = estimate(2e-4, 3e-4)
    gap = 0.065
    number = needed(found, 200, gap, 0.05)
    assert number is not None
    assert (
        grow(found, number).smallest_detectable(0.05)[0] <= gap < grow(found, number - 1).smallest_detectable(0.05)[0]
    )
    assert needed(found, 200, 0.02, 0.05) is None  # what the other part alone would hide
    assert needed(found, 200, 0.0, 0.05) is None


def test_what_shows_already_needs_no_more():
    assert needed_examples(estimate(1e-4, 0.0), 200, 0.5, 0.05) == 200
    assert needed_seeds(estimate(1e-4, 1e-5), 200, 3, 0.5, 0.05) == 3


def test_folds_of_all_examples_are_foretold_with_their_own_factor():
    found = cross_validated(estimate(4e-4, 1e-4), 200, 3, 800, 15)
    assert found.standard_error[0] ** 2 == pytest.approx(1.5 * 4e-4 * 200 / 800 + 1e-4 * 2 / 15)


def test_a_person_reads_what_would_tell_and_what_to_type(tmp_path, capsys):
    write(tmp_path / "runs", {"a": 0.70, "b": 0.66}, n=200)
    compare(tmp_path / "runs", output=tmp_path / "out")
    said = capsys.readouterr().out
    assert "To show a difference between " in said
    assert "8 times in 10 takes about " in said
    assert "There are 200." in said
    assert len(said.splitlines()) <= 25
    report = (tmp_path / "out" / "report.md").read_text()
    assert "### What it would take" in report
    (one,) = compared(tmp_path / "runs").outlooks
    assert one.largest.gap > one.seen.gap
    assert one.largest.examples < one.seen.examples
    assert one.folds_gap < one.pair.smallest_detectable
    assert one.labelled == 100 + 10 + 200


def test_what_is_decided_needs_nothing(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.6}, n=1000)
    assert compared(tmp_path).outlooks == []


def test_seeds_are_advised_where_they_are_what_is_missing(tmp_path):
    labels = labels_of(20_000)
    for model, accuracies in {"a": (0.66, 0.70, 0.74), "b": (0.71, 0.75, 0.79)}.items():
        for seed, accuracy in enumerate(accuracies, 1):
            command = f"python -m textclf.run model={model} dataset=d seed={seed}"
            folder = tmp_path / f"{model}{seed}"
            write_run(folder, model, seed, labels, guess(labels, accuracy, seed), command=command)
    (one,) = compared(tmp_path).outlooks
    assert one.step.kind == "seeds"
    first, *_, last = one.step.command.split("seed=")[1].split(",")
    assert int(first) == 4
    assert int(last) == one.seen.trainings
    assert one.step.command.startswith("python -m textclf.run -m model=b,a dataset=d seed=4")
    assert one.step.seconds == pytest.approx(2 * 2.0 * (one.seen.trainings - 3))


def test_pairs_that_want_the_same_get_one_command(tmp_path):
    labels = labels_of(200)
    for number, model in enumerate("abc"):
        for seed in (1, 2, 3):
            command = f"python -m textclf.run model={model} dataset=d seed={seed}"
            predicted = guess(labels, 0.72 - 0.005 * number, 10 * number + seed)
            write_run(tmp_path / f"{model}{seed}", model, seed, labels, predicted, command=command)
    outlooks = compared(tmp_path).outlooks
    assert len(outlooks) == 2
    (step,) = next_steps(outlooks)
    assert step.kind == "folds"
    models = step.command.partition("model=")[2].partition(" ")[0]
    assert sorted(models.split(",")) == ["a", "b", "c"]
    assert step.command.endswith("dataset.folds=5 dataset.fold_repeats=3 seed=1")
    assert step.seconds == pytest.approx(3 * 16 * 2.0)


def setups(tmp_path, *commands):
    labels = labels_of(50)
    for number, command in enumerate(commands):
        write_run(tmp_path / str(number), f"m{number}", 1, labels, guess(labels, 0.7, number), command=command)
    (test,) = shared_tests(find_runs([tmp_path]).runs)
    return sorted(test.setups, key=lambda setup: setup.name)


def test_one_command_says_both_where_they_differ_in_one_option(tmp_path):
    run = "python -m textclf.run"
    both = setups(tmp_path, f"{run} model=a dataset=d 'note=x y' seed=1", f"{run} model=b dataset=d 'note=x y' seed=1")
    command = command_of(both, ["dataset.folds=5"])
    assert command == f"{run} -m model=a,b dataset=d 'note=x y' dataset.folds=5"


def test_two_commands_say_what_one_would_cross(tmp_path):
    run = "python -m textclf.run"
    both = setups(tmp_path, f"{run} model=a seed=1 resume=true", f"{run} model=b trainer.epochs=2 seed=1")
    lines = command_of(both, ["seed=1,2"]).splitlines()
    assert [shlex.split(line)[3:] for line in lines] == [
        ["-m", "model=a", "seed=1,2"],
        ["-m", "model=b", "trainer.epochs=2", "seed=1,2"],
    ]


def test_a_study_needs_no_flag(tmp_path):
    run = "python -m textclf.run"
    both = setups(tmp_path, *(f"{run} model={m} study=quickstart hydra.mode=RUN seed=1" for m in "ab"))
    assert command_of(both, ["seed=2,3"]) == f"{run} model=a,b study=quickstart seed=2,3"
