"""The tests of a comparison, against hand-worked cases and against what they promise."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.multitest import multipletests

from experiments.calibration import Cell, simulate
from tests.sparing import seldom
from textclf.compare.statistics import (
    OF_CONFUSIONS,
    Estimates,
    bootstrap,
    confusions,
    differences,
    drawn_confusions,
    example_weights,
    holm,
    levels,
    mcnemar_p_value,
    scores_of_draws,
    scores_of_means,
    superiority,
)

A = np.tile([[1, 1, 0, 1], [1, 0, 0, 1]], 3)  # two seeds, twelve examples: 0.75 and 0.5
B = np.tile([[0, 1, 0, 0], [0, 0, 0, 1]], 3)  # 0.25 and 0.25

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 400)
PREDICTED = np.where(RNG.random((2, 400)) < 0.7, LABELS, RNG.integers(0, 3, (2, 400)))
OURS_AND_THEIRS = {
    "accuracy": sk.accuracy_score,
    "macro_f1": lambda a, b: sk.f1_score(a, b, average="macro"),
    "weighted_f1": lambda a, b: sk.f1_score(a, b, average="weighted"),
    "macro_precision": lambda a, b: sk.precision_score(a, b, average="macro"),
    "weighted_precision": lambda a, b: sk.precision_score(a, b, average="weighted"),
    "macro_recall": lambda a, b: sk.recall_score(a, b, average="macro"),
    "weighted_recall": lambda a, b: sk.recall_score(a, b, average="weighted"),
    "mcc": sk.matthews_corrcoef,
}


def test_a_difference_worked_by_hand():
    estimate = differences(scores_of_means([A, B]), 0, 1)
    # by example, over seeds: A 1, .5, 0, 1 and B 0, .5, 0, .5, so their difference 1, 0, 0, .5 with mean .375
    seeds, examples = 0.03125 / 1, 3 * (0.625**2 + 2 * 0.375**2 + 0.125**2) / 11 / 12
    assert estimate.value[0] == pytest.approx(0.375)
    assert estimate.standard_error[0] == pytest.approx(np.sqrt(seeds + examples))
    assert estimate.degrees_of_freedom[0] == pytest.approx((seeds + examples) ** 2 / (seeds**2 / 1 + examples**2 / 11))
    assert estimate.seed_share[0] == pytest.approx(seeds / (seeds + examples))
    t = 0.375 / np.sqrt(seeds + examples)
    assert estimate.p_values()[0] == pytest.approx(2 * stats.t.sf(t, estimate.degrees_of_freedom[0]))
    low, high = estimate.interval()
    assert (low + high)[0] == pytest.approx(0.75)
    assert (2 * stats.t.sf((0.375 - low) / estimate.standard_error, estimate.degrees_of_freedom))[0] == pytest.approx(
        0.05
    )


def test_of_one_seed_the_test_is_the_paired_t_over_examples():
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 300)), rng.random((1, 300))
    estimate = differences(scores_of_means([a, b]), 0, 1)
    assert estimate.p_values()[0] == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue)
    assert estimate.seed_share[0] == 0


def test_where_examples_hardly_matter_it_is_welch_over_seeds():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.80, 0.02, 5), rng.normal(0.78, 0.04, 4)
    draws = [np.full(10, 0.8) + 1e-9 * np.arange(10), np.full(10, 0.78)]
    estimate = differences(scores_of_draws([a, b], draws, 10**9), 0, 1)
    welch = stats.ttest_ind(a, b, equal_var=False)
    corrected = (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / 4 + b.var(ddof=1) / 3)  # for few seeds: k - 1
    assert abs(corrected) < abs(welch.statistic)
    df = estimate.degrees_of_freedom[0]
    assert estimate.p_values()[0] == pytest.approx(2 * stats.t.sf(abs(corrected), df))
    assert df == pytest.approx(welch.df, rel=0.1)


def test_order_of_a_pair_changes_the_sign_alone():
    scores = scores_of_means([A, B])
    one, other = differences(scores, [0], [1]), differences(scores, [1], [0])
    assert one.value[0] == -other.value[0]
    assert one.p_values()[0] == other.p_values()[0]


def test_what_the_seeds_count_twice_is_taken_once_where_both_vary():
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 3, 400)) < 0.8
    scores = scores_of_means([a, b])
    parts = np.array([x.mean(axis=1).var(ddof=1) / 2 for x in (a, b)])
    noise = np.array([x.var(axis=0).mean() / 400 / 2 for x in (a, b)])
    examples = (a.mean(axis=0) - b.mean(axis=0)).var(ddof=1) / 400
    balance = 4 * parts[0] * parts[1] / parts.sum() ** 2
    assert 0 < balance < 1
    taken = np.maximum(parts - balance * noise, 0)
    assert differences(scores, 0, 1).standard_error[0] == pytest.approx(np.sqrt(taken.sum() + examples))
    # nothing is taken where only one varies, nor of a setup alone
    steady = scores_of_means([a, np.repeat(b[:1], 3, axis=0)])
    examples = (a.mean(axis=0) - b[0]).var(ddof=1) / 400
    assert differences(steady, 0, 1).standard_error[0] == pytest.approx(np.sqrt(parts[0] + examples))
    assert levels(scores).standard_error[0] == pytest.approx(np.sqrt(parts[0] + a.mean(axis=0).var(ddof=1) / 400))


def test_setups_whose_seeds_share_their_chance_keep_the_error_of_their_seeds():
    a = np.random.default_rng(4).random((3, 400)) < 0.8
    same = differences(scores_of_means([a, a]), 0, 1)
    assert same.value[0] == 0
    assert same.standard_error[0] >= np.sqrt(a.mean(axis=1).var(ddof=1))  # of two setups, over k - 1 = 2


def test_all_pairs_at_once_are_the_pairs_one_by_one():
    rng = np.random.default_rng(2)
    scores = scores_of_means([rng.random((k, 50)) > 0.4 for k in (3, 5, 4)])
    together = differences(scores, [0, 0, 1], [1, 2, 2])
    for number, (a, b) in enumerate([(0, 1), (0, 2), (1, 2)]):
        alone = differences(scores, a, b)
        assert together.p_values()[number] == pytest.approx(alone.p_values()[0])


def test_agreement_on_few_examples_is_no_proof_of_equality():
    few, many = np.ones((1, 20)), np.ones((1, 20_000))
    margin = 0.01
    assert differences(scores_of_means([few, few]), 0, 1).equivalence_p_values(margin)[0] > 0.3
    assert differences(scores_of_means([many, many]), 0, 1).equivalence_p_values(margin)[0] < 1e-6
    assert differences(scores_of_means([few, few]), 0, 1).p_values()[0] == 1


def test_equivalence_is_two_one_sided_tests():
    estimate = Estimates(np.array([0.002]), np.array([0.003]), np.array([12.0]), np.zeros(1))
    _, high = estimate.interval(0.90)
    margin = high[0]  # the 90 % interval touches the margin exactly where the p-value is 5 %
    assert estimate.equivalence_p_values(margin)[0] == pytest.approx(0.05)
    assert estimate.equivalence_p_values(margin + 0.001)[0] < 0.05 < estimate.equivalence_p_values(margin - 0.001)[0]


def test_a_level_has_the_error_of_its_seeds_and_examples():
    level = levels(scores_of_means([A]))
    assert level.value[0] == pytest.approx(0.625)
    over_seeds = np.tile([1, 0.5, 0, 1], 3)
    assert level.standard_error[0] == pytest.approx(np.sqrt(0.03125 / 1 + over_seeds.var(ddof=1) / 12))


def test_mcnemar_against_its_definition():
    def p(only_first, only_second, both=30):
        first = np.array([True] * only_first + [False] * only_second + [True] * both)
        second = np.array([False] * only_first + [True] * only_second + [True] * both)
        return mcnemar_p_value(first, second)

    assert p(2, 8) == pytest.approx(stats.binomtest(2, 10).pvalue)  # exact where few disagree
    chi2 = (abs(40 - 20) - 1) ** 2 / 60
    assert p(40, 20) == pytest.approx(stats.chi2.sf(chi2, 1))
    assert p(0, 0) == 1
    assert p(2, 8, both=3000) == p(2, 8)


def test_superiority_counts_pairs_of_seeds():
    assert superiority([3, 2], [1, 2]) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert superiority([1], [2]) == 0


CELLS = [
    Cell("accuracy", 3, 200, 0.0, "different"),
    Cell("accuracy", 3, 1000, 3.0, "different"),
    Cell("accuracy", 5, 1000, 1.0, "deterministic"),
    Cell("accuracy", 3, 1000, 3.0, "deterministic"),
    Cell("accuracy", 10, 1000, 0.5, "different"),
    Cell("accuracy", 3, 1000, 3.0, "steady"),
    Cell("macro_f1", 3, 300, 3.0, "deterministic"),
]


@pytest.mark.parametrize(
    "cell", seldom(CELLS, CELLS[::3]), ids=lambda cell: f"{cell.metric}-{cell.seeds}-{cell.ratio:g}-{cell.truth}"
)
def test_false_claims_stay_within_what_is_promised(cell):
    """A small part of the grid of experiments/calibration.py; at 5 %, 1,000 repetitions give 5 ± 1.4 % (2 sd)."""
    rates = simulate(cell, 1000 if cell.metric == "accuracy" else 400)
    assert rates.two_way <= 0.072
    assert rates.covered >= 0.93


def test_the_simulation_can_fail_a_test():
    """A test blind to seeds calls identical setups different far too often, and the simulation sees it."""
    assert simulate(Cell("accuracy", 3, 1000, 3.0, "identical"), 300).one_seed > 0.4


def test_a_true_difference_is_covered_and_found():
    rates = simulate(Cell("accuracy", 10, 1000, 1.0, "better"), 600)
    assert rates.covered >= 0.93
    assert rates.two_way > 0.6


def test_the_smallest_detectable_difference_is_found_eight_times_in_ten():
    rng = np.random.default_rng(3)
    n, k, sd, truth = 2000, 5, 0.02, 0.045
    found, promised = [], []
    for _ in range(400):
        seeds = [rng.normal(0.80 + shift, sd, k) for shift in (truth, 0.0)]
        estimate = differences(scores_of_draws(seeds, [rng.normal(0, 1e-4, 50) for _ in range(2)], n), 0, 1)
        found.append(estimate.p_values()[0] < 0.05)
        promised.append(estimate.smallest_detectable()[0])
    assert np.mean(promised) == pytest.approx(truth, rel=0.1)  # the truth is about what is promised to be found
    assert 0.75 < np.mean(found) < 0.93


@pytest.mark.parametrize("metric", OF_CONFUSIONS)
def test_each_metric_is_that_of_scikit_learn(metric):
    ours = OF_CONFUSIONS[metric](confusions(LABELS, PREDICTED[0], 3))
    assert float(ours) == pytest.approx(OURS_AND_THEIRS[metric](LABELS, PREDICTED[0]))


def test_weights_are_draws_with_replacement_and_the_same_each_time():
    weights = np.concatenate(list(example_weights(400, 50)))
    assert weights.shape == (50, 400)
    assert (weights.sum(axis=1) == 400).all()
    assert weights.var() == pytest.approx(1, rel=0.05)  # nearly Poisson
    assert np.array_equal(weights, np.concatenate(list(example_weights(400, 50))))


@pytest.mark.parametrize("num_labels", [3, 9])
def test_a_draw_is_scored_as_if_its_examples_were_given(num_labels):
    """Both ways of counting: dense with few classes, sparse with many."""
    labels = RNG.integers(0, num_labels, 120)
    predicted = RNG.integers(0, num_labels, (2, 120))
    weights = next(example_weights(120, 4))
    counts = drawn_confusions(labels, predicted, num_labels, weights)
    for run in range(2):
        for draw in range(4):
            chosen = np.repeat(np.arange(120), weights[draw].astype(int))
            expected = confusions(labels[chosen], predicted[run][chosen], num_labels)
            assert np.array_equal(counts[run, draw], expected)


def test_blocks_do_not_change_the_result(monkeypatch):
    whole = bootstrap(LABELS, PREDICTED, 3, ["macro_f1"], 40)["macro_f1"]
    monkeypatch.setattr("textclf.compare.statistics.resampling.BLOCK_BYTES", 4 * 400 * 7)
    parts = bootstrap(LABELS, PREDICTED, 3, ["macro_f1"], 40)["macro_f1"]
    assert np.array_equal(whole, parts)


def test_bootstrap_has_the_error_of_the_theory():
    drawn = bootstrap(LABELS, PREDICTED, 3, ["accuracy"], 2000)["accuracy"]
    right = (PREDICTED == LABELS).mean(axis=1)
    assert drawn.std(axis=1) == pytest.approx(np.sqrt(right * (1 - right) / 400), rel=0.06)


def test_a_class_that_a_draw_leaves_out_does_not_count():
    matrix = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert OF_CONFUSIONS["macro_f1"](matrix) == 1
    assert OF_CONFUSIONS["mcc"](np.array([[5.0, 0], [5, 0]])) == 0


def test_holms_correction_is_that_of_statsmodels_to_the_digit():
    rng = np.random.default_rng(0)
    for values in (rng.random(50) ** 3, rng.random(1), np.array([0.01, 0.01, 0.5]), np.array([])):
        expected = multipletests(values, method="holm")[1] if len(values) else values
        assert holm(values).tolist() == list(expected)
