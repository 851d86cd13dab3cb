"""Verdicts on tables of scores: what they rest on, what they say, and how often they are wrong."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from experiments.table_calibration import Cell, simulate
from textclf.compare.options import Claim, CompareOptions
from textclf.compare.pairs import Verdict
from textclf.compare.results_file import Group, Score
from textclf.compare.score_table import ScoreTable


def made(scores, *, metric="accuracy", examples=None, draws=None, lower=False, folds=False, **options):
    """Return the table of scores by setup; draws are shared unless they are named for each setup or `None`."""
    group = Group("d", metric, examples=examples)
    for setup, own in scores.items():
        names = list(map(str, range(1, len(own) + 1))) if draws is None else draws[setup]
        group.scores += [Score(0, setup, name, value, 0.0001) for name, value in zip(names, own, strict=True)]
    return ScoreTable(group, CompareOptions(**options), lower, folds)


def around(mean, spread=0.02, count=10, seed=0):
    noise = np.random.default_rng(seed).standard_normal(count)
    return list(mean + spread * (noise - noise.mean()))


def pair_of(table):
    (pair,) = table.pairs
    return pair


def test_shared_draws_are_paired():
    common = np.array(around(0, 0.05))
    first, second = list(0.82 + common), list(0.80 + common + np.array(around(0, 0.005, seed=1)))
    paired = pair_of(made({"a": first, "b": second}))
    own = {"a": [f"a{n}" for n in range(10)], "b": [f"b{n}" for n in range(10)]}
    apart = pair_of(made({"a": first, "b": second}, draws=own))
    assert (paired.verdict, paired.shared, paired.claim) == (Verdict.BETTER, True, Claim.setup)
    assert paired.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert (apart.verdict, apart.shared) == (Verdict.CANNOT_TELL, False)
    assert pair_of(made({"a": first, "b": second}, draws={"a": [None] * 10, "b": [None] * 10})).shared is False


def test_draws_that_are_shared_in_part_are_paired_where_they_are():
    names = {"a": list("12345678"), "b": list("4567890")}
    table = made({"a": around(0.8, count=8), "b": around(0.7, count=7, seed=1)}, draws=names)
    assert pair_of(table).seeds == (5, 5)
    few = made(
        {"a": around(0.8, count=3), "b": around(0.7, count=4, seed=1)}, draws={"a": list("123"), "b": list("3456")}
    )
    assert (pair_of(few).seeds, pair_of(few).shared) == ((3, 4), False)
    assert "fewer than three draws, they are compared as if" in " ".join(few.caveats)


def test_test_examples_turn_a_claim_about_these_into_none_about_others():
    scores = {"a": around(0.82, 0.01), "b": around(0.80, 0.01, seed=1)}
    here, small, large = (made(scores, examples=n) for n in (None, 300, 1_000_000))
    assert pair_of(here).verdict is Verdict.BETTER
    assert "other test examples may" in here.caveats[0]
    assert pair_of(small).verdict is Verdict.CANNOT_TELL
    assert pair_of(small).holds_here
    (said,) = small.sentences(small.pairs)
    assert "On these very test examples a is better" in said
    assert "no number of draws would show one of the size seen" in said
    assert small.summary == "Of 1 difference 0 hold, 1 is shown for these very test examples only."
    assert pair_of(large).verdict is Verdict.BETTER
    error = np.sqrt((0.82 * 0.18 + 0.80 * 0.20) / 300)
    assert pair_of(small).high - pair_of(small).difference > 1.96 * error


def test_test_examples_count_for_accuracy_only():
    table = made({"a": around(0.82), "b": around(0.5, seed=1)}, metric="macro_f1", examples=300)
    assert table.num_examples is None
    assert "cannot be known without predictions" in table.caveats[0]
    assert "macro F1" in table.sentences(table.pairs)[0]


def test_of_one_draw_each_nothing_is_said_of_setups():
    table = made({"a": [0.9], "b": [0.5]})
    (said,) = table.sentences(table.pairs)
    assert said == (
        "Nothing can be said of a and b (0.900 and 0.500): one draw of a setup does not show how far another would be "
        "from it."
    )
    assert (pair_of(table).verdict, pair_of(table).tested, table.num_tested) == (Verdict.CANNOT_TELL, False, 0)
    assert "nothing can be said of such pairs" in table.caveats[0]
    known = made({"a": [0.9], "b": [0.5]}, examples=200)
    assert (pair_of(known).claim, pair_of(known).verdict) == (Claim.classifier, Verdict.BETTER)
    z = 0.4 / np.sqrt((0.9 * 0.1 + 0.5 * 0.5) / 200)
    assert pair_of(known).p_value == pytest.approx(2 * stats.t.sf(z, 199))
    assert known.sentences(known.pairs)[0].startswith("This classifier of a beats b by 40 points of accuracy")


def test_two_draws_are_too_few_and_those_without_a_test_are_not_corrected_for():
    table = made({"a": around(0.9), "b": around(0.8, seed=1), "c": [0.2, 0.3]})
    assert [pair.tested for pair in table.pairs] == [True, False, False]
    assert table.pairs[0].p_corrected == pytest.approx(table.pairs[0].p_value)
    assert any("c has fewer than three draws" in caveat for caveat in table.caveats)


def test_pairs_are_corrected_by_holm_and_related_to_the_reference():
    scores = {
        name: around(mean, 0.02, 5, seed) for seed, (name, mean) in enumerate({"a": 0.83, "b": 0.8, "c": 0.79}.items())
    }
    table = made(scores, reference="c")
    assert [pair.p_corrected for pair in table.pairs] == pytest.approx(
        multipletests([pair.p_value for pair in table.pairs], method="holm")[1]
    )
    assert [(pair.first, pair.second) for pair in table.leading_pairs] == [("a", "c"), ("b", "c")]
    missing = made(scores, reference="d")
    assert missing.reference == "a"
    assert any("d is none of these setups" in caveat for caveat in missing.caveats)
    assert any("picked as the best of 3" in caveat for caveat in missing.caveats)


def test_less_of_a_loss_is_better():
    scores = {"a": around(0.5), "b": around(0.3, seed=1)}
    for table in (made(scores, metric="log_loss"), made(scores, metric="regret", lower=True)):
        pair = pair_of(table)
        assert (pair.first, pair.verdict) == ("b", Verdict.BETTER)
        assert pair.difference < 0 < pair.superiority
        assert table.sentences([pair])[0].startswith("b beats a by 0.200")
    assert any("regret is no metric that textclf knows: less of it" in caveat for caveat in table.caveats)
    assert pair_of(made(scores, metric="regret")).first == "a"


def test_equal_setups_are_shown_to_be_so_where_they_are():
    table = made({"a": around(0.8, 0.001), "b": around(0.8, 0.001, seed=1)})
    assert pair_of(table).verdict is Verdict.EQUIVALENT
    assert "are equivalent within 1 point of accuracy" in table.sentences(table.pairs)[0]
    same = made({"a": [0.8] * 5, "b": [0.8] * 5})
    assert pair_of(same).difference == 0
    assert pair_of(same).verdict is Verdict.EQUIVALENT
    assert pair_of(made({"a": [0.8] * 5, "b": [0.8] * 5}, examples=50)).verdict is Verdict.CANNOT_TELL


def test_folds_of_a_cross_validation_claim_less():
    scores = {"a": around(0.82, 0.01, 5), "b": around(0.80, 0.01, 5, 1)}
    folds, draws = pair_of(made(scores, folds=True, examples=100)), pair_of(made(scores))
    assert folds.p_value > draws.p_value
    assert "folds of a cross-validation" in made(scores, folds=True).caveats[0]


def test_what_it_would_take_is_said():
    table = made({"a": around(0.81, 0.05, 5), "b": around(0.80, 0.05, 5, seed=1)})
    (said,) = table.sentences(table.pairs)
    assert said.startswith("5 shared draws do not show that a is better than b in accuracy (difference")
    needed = pair_of(table).needed
    assert needed is not None
    assert f"a difference of the size seen would take about {needed} draws" in said


def wrong(rate, repetitions):
    """Whether a rate is more than 5 % beyond what chance would make of it."""
    return stats.binom.sf(round(rate * repetitions) - 1, repetitions, 0.05) < 0.001


def test_tables_without_a_difference_are_seldom_given_one():
    rates = simulate(Cell("identical", True, 4, 10, 0.2), 60)
    assert not wrong(rates.known, 60)
    assert not wrong(rates.unknown, 60)


def test_a_large_difference_is_found():
    rates = simulate(Cell("better", True, 4, 10, 0.2), 20)
    assert rates.known == rates.unknown == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("draws", [3, 10])
@pytest.mark.parametrize("truth", ["identical", "different"])
def test_false_claims_keep_to_their_level(truth, draws, shared):
    for apart in (0.03, 0.2):
        rates = simulate(Cell(truth, shared, 5, draws, apart), 200)
        assert not wrong(rates.known, 200), apart
        assert truth == "different" or not wrong(rates.unknown, 200), apart
