"""Verdicts, and the sentences that say them."""

import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import costs_table
from textclf.compare.options import Claim, CompareOptions
from textclf.compare.pairs import Verdict
from textclf.compare.runs import find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.compare.verdicts import format_difference, format_interval
from textclf.documents.wording import p_equals
from textclf.errors import ConfigError


def compared(tmp_path, **options):
    (test,) = shared_tests(find_runs([tmp_path]).runs)
    return Comparison(TestScores(test), CompareOptions(**options))


def write(tmp_path, accuracies, n=2000, seeds=(1, 2, 3), num_labels=2, **changes):
    labels = labels_of(n, num_labels)
    names = tuple(f"class{c}" for c in range(num_labels))
    for number, (model, accuracy) in enumerate(accuracies.items()):
        for seed in seeds:
            predicted = guess(labels, accuracy, 100 * number + seed, num_labels)
            write_run(tmp_path / f"{model}{seed}", model, seed, labels, predicted, names=names, **changes)


def test_a_clear_difference_is_better_and_names_its_ground(tmp_path):
    write(tmp_path, {"big": 0.9, "small": 0.8})
    comparison = compared(tmp_path)
    (pair,) = comparison.pairs
    assert (pair.first, pair.second, pair.verdict, pair.claim) == ("big", "small", Verdict.BETTER, Claim.setup)
    assert pair.low < 0.1 < pair.high
    assert pair.superiority == 1
    (said,) = comparison.sentences([pair])
    assert said.startswith("big beats small by ")
    for words in ("points of accuracy (95 % ", "p < 0.001", "3 seeds each", "2,000 test examples"):
        assert words in said


def test_the_reference_stands_second_and_may_be_better(tmp_path):
    write(tmp_path, {"big": 0.9, "small": 0.8})
    comparison = compared(tmp_path, reference="big")
    (pair,) = comparison.pairs
    assert (pair.first, pair.second, pair.verdict) == ("small", "big", Verdict.WORSE)
    assert pair.difference < 0
    assert comparison.sentences([pair])[0].startswith("big beats small by ")


def test_two_names_for_one_thing_show_no_difference(tmp_path):
    write(tmp_path, {"a": 0.8}, n=200)
    labels = labels_of(200)
    for seed in (1, 2, 3):
        names = ("class0", "class1")
        write_run(tmp_path / f"twin{seed}", "twin", seed, labels, guess(labels, 0.8, seed), names=names)
    comparison = compared(tmp_path)
    (pair,) = comparison.pairs
    assert pair.difference == 0
    assert pair.verdict is Verdict.CANNOT_TELL  # 200 examples are too few to prove them equal
    assert pair.superiority == 0.5
    (said,) = comparison.sentences([pair])
    assert said.startswith("200 test examples and 3 seeds each do not show that a and twin differ in accuracy")
    assert said.endswith("a is the cheaper one, with 25 % of the parameters at 1.0 times the speed.")


def test_equivalence_needs_enough_examples(tmp_path):
    labels = labels_of(20_000)
    base = guess(labels, 0.9, 0)
    for model in ("a", "b"):
        for seed in (1, 2, 3):
            rng = np.random.default_rng([seed, ord(model)])
            predicted = np.where(rng.random(len(labels)) < 0.01, 1 - base, base)
            write_run(tmp_path / f"{model}{seed}", model, seed, labels, predicted)
    comparison = compared(tmp_path)
    assert comparison.pairs[0].verdict is Verdict.EQUIVALENT
    assert "are equivalent within 1 point of accuracy" in comparison.sentences(comparison.pairs)[0]
    assert compared(tmp_path, margin=0.0001).pairs[0].verdict is Verdict.CANNOT_TELL


def test_a_small_test_set_is_said_to_be_small(tmp_path):
    write(tmp_path, {"a": 0.66, "b": 0.65}, n=277)
    comparison = compared(tmp_path)
    (said,) = comparison.sentences(comparison.pairs)
    assert said.startswith("277 test examples and 3 seeds each do not show that ")
    assert "would usually go unnoticed" in said
    assert comparison.pairs[0].verdict is Verdict.CANNOT_TELL


def test_seeds_that_differ_much_are_said_to_be_too_few(tmp_path):
    labels = labels_of(5000)
    for model, accuracies in {"a": (0.6, 0.7, 0.8), "b": (0.65, 0.75, 0.85)}.items():
        for seed, accuracy in enumerate(accuracies):
            write_run(tmp_path / f"{model}{seed}", model, seed, labels, guess(labels, accuracy, seed))
    comparison = compared(tmp_path)
    (said,) = comparison.sentences(comparison.pairs)
    assert "% of the uncertainty comes from the seeds" in said
    assert comparison.pairs[0].seed_share > 0.9


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_with_fewer_than_three_seeds_only_the_classifiers_are_compared(tmp_path, seeds):
    write(tmp_path, {"a": 0.9, "b": 0.8}, seeds=seeds)
    comparison = compared(tmp_path)
    (pair,) = comparison.pairs
    assert (pair.claim, pair.seeds) == (Claim.classifier, (1, 1))
    test = comparison.test
    first, second = (setup.chosen_run.right for setup in test.setups)
    only = (int((first & ~second).sum()), int((~first & second).sum()))
    assert pair.p_value == pytest.approx(stats.chi2.sf((abs(only[0] - only[1]) - 1) ** 2 / sum(only), 1))
    assert comparison.sentences([pair])[0].startswith("This classifier of a beats b")
    assert "fewer than three seeds" in " ".join(comparison.caveats)


def test_a_claim_about_classifiers_can_be_asked_for(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.8})
    assert compared(tmp_path, claim=Claim.classifier).pairs[0].claim is Claim.classifier


def test_pairs_are_corrected_together_by_holm(tmp_path):
    write(tmp_path, {"a": 0.83, "b": 0.80, "c": 0.78, "d": 0.79}, n=1000)
    pairs = compared(tmp_path).pairs
    assert len(pairs) == 6
    expected = multipletests([pair.p_value for pair in pairs], method="holm")[1]
    assert [pair.p_corrected for pair in pairs] == pytest.approx(expected)
    # the rule itself: smallest times 6, next times 5, …, never falling
    ordered = sorted(pair.p_value for pair in pairs)
    by_hand = np.minimum(1, np.maximum.accumulate([p * (6 - i) for i, p in enumerate(ordered)]))
    assert sorted(pair.p_corrected for pair in pairs) == pytest.approx(by_hand)


def test_macro_f1_and_log_loss_are_compared_too(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.8}, num_labels=3)
    pair = compared(tmp_path, metric="macro_f1").pairs[0]
    assert pair.verdict is Verdict.BETTER
    loss = compared(tmp_path, metric="log_loss")
    (pair,) = loss.pairs
    assert (pair.first, pair.verdict) == ("a", Verdict.BETTER)
    assert pair.difference < 0 < pair.superiority
    said = loss.sentences([pair])[0]
    assert said.startswith("a beats b by ")
    low, high = said.split("(95 % ")[1].split(",")[0].split(" to ")
    assert 0 < float(low) < float(high)


def test_a_setup_for_which_the_metric_is_undefined_makes_no_pair(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.8}, n=100)
    labels = labels_of(100)
    metrics = {"test/accuracy": float((labels == 0).mean()), "validation/accuracy": 0.5}
    names = ("class0", "class1")
    write_run(tmp_path / "constant", "constant", 1, labels, 0 * labels, names=names, metrics=metrics)
    comparison = compared(tmp_path, metric="macro_f1")
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [("a", "b")]
    assert comparison.sentences(comparison.pairs)
    assert any("constant had no macro F1" in caveat for caveat in comparison.caveats)


def test_an_objective_that_cannot_be_tested_gives_way_to_accuracy(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.8}, n=100, objective="validation/roc_auc")
    comparison = compared(tmp_path)
    assert comparison.metric == "accuracy"
    assert any("were selected by ROC AUC" in caveat for caveat in comparison.caveats)


def test_a_metric_that_cannot_be_tested_is_refused(tmp_path):
    write(tmp_path, {"a": 0.9, "b": 0.8}, n=100)
    with pytest.raises(ConfigError, match=r"compare.metric=acuracy.*Did you mean 'accuracy'"):
        _ = compared(tmp_path, metric="acuracy").metric


def test_sizes_of_training_make_a_curve_and_no_pairs(tmp_path):
    labels = labels_of(300)
    for train in (50, 100):
        for model in ("a", "b"):
            write_run(tmp_path / f"{model}{train}", model, 1, labels, guess(labels, 0.8, train), train=train)
    pairs = compared(tmp_path).pairs
    assert {(pair.first, pair.second) for pair in pairs} in (
        {("a train=50", "b train=50"), ("a train=all", "b train=all")},
        {("b train=50", "a train=50"), ("b train=all", "a train=all")},
        {("a train=50", "b train=50"), ("b train=all", "a train=all")},
        {("b train=50", "a train=50"), ("a train=all", "b train=all")},
    )


def test_what_the_cheaper_one_keeps_is_told(tmp_path):
    write(tmp_path, {"large-model": 0.90, "small": 0.86})
    comparison = compared(tmp_path)
    (said,) = comparison.sentences(comparison.pairs)
    assert "small keeps 9" in said
    assert "of its accuracy with 45 % of the parameters at 1.0 times the speed" in said


def test_options_that_make_no_comparison_are_refused():
    with pytest.raises(ConfigError, match=r"alpha must lie between 0 and 0.5, got 1.0.\nmargin must be greater"):
        CompareOptions(alpha=1.0, margin=0.0)


def test_numbers_are_worded_alike():
    assert (
        format_difference(0.01, "accuracy"),
        format_difference(0.0071, "accuracy"),
        format_difference(0.1, "log_loss"),
    ) == (
        "1 point",
        "0.7 points",
        "0.100",
    )
    assert format_difference(-0.1, "macro_f1") == "10 points"
    assert format_interval(-0.0351, 0.01, "accuracy") == "−3.5 to 1.0"
    assert [p_equals(p) for p in (0.0001, 0.012, 0.5, 1.0)] == ["p < 0.001", "p = 0.012", "p = 0.50", "p = 1.00"]


def test_trained_parameters_stand_beside_all_where_a_setup_trains_a_part_alone(tmp_path):
    write(tmp_path, {"a": 0.7, "bb": 0.7}, n=100, seeds=(1,))
    assert "trained" not in [column.title for column in costs_table(compared(tmp_path)).columns]
    for path in tmp_path.rglob("run.json"):
        record = json.loads(path.read_text())
        if record["model"] == "bb":
            record["costs"]["num_trainable_parameters"] = 20.0
            path.write_text(json.dumps(record))
    table = costs_table(compared(tmp_path))
    at = [column.title for column in table.columns].index("trained")
    assert [str(getattr(row[at], "text", row[at])) for row in table.rows if str(row[0]) == "bb"] == ["20"]
