"""The answer of a comparison: it takes what is best or as good and much cheaper, and nothing that is not worth it."""

import numpy as np
import pytest
from scipy import stats

from tests.compare.factory import guess, labels_of, write_run
from tests.compare.test_pairs import compared
from textclf.compare.answer import answer
from textclf.compare.compare_runs import compare
from textclf.compare.pairs import Verdict
from textclf.compare.report import pairs_matrix
from textclf.compare.statistics import holm, holm_levels
from textclf.documents.document import Matrix, to_html, to_markdown

CHEAP = {"train_seconds": 0.1, "test_examples_per_second": 20_000.0, "latency_median_seconds": 0.0005}
DEAR = {"train_seconds": 60.0, "test_examples_per_second": 100.0, "latency_median_seconds": 0.02}
DUMMY = {"classifier": {"_target_": "sklearn.dummy.DummyClassifier"}}


def write(folder, accuracies, costs=None, n=400, seeds=(1, 2, 3), **changes):
    labels = labels_of(n)
    for number, (model, accuracy) in enumerate(accuracies.items()):
        for seed in seeds:
            predicted = np.zeros(n, dtype=int) if accuracy is None else guess(labels, accuracy, 10 * number + seed)
            idle = {"options": DUMMY} if model == "majority" else {}
            own = {"costs": (costs or {}).get(model, DEAR)} | idle | changes
            write_run(folder / f"{model}{seed}", model, seed, labels, predicted, **own)


def answered(folder, **options):
    found = answer(compared(folder, **options))
    assert found is not None
    return found


def test_what_beats_all_is_taken(tmp_path):
    write(tmp_path, {"big": 0.9, "small": 0.8, "majority": None}, {"small": CHEAP}, n=2000)
    found = answered(tmp_path)
    assert (found.setup, found.title) == ("big", "Take big.")
    assert found.reasons[0].startswith("It beats small: 0.")
    assert "points ahead" in found.reasons[0]


def test_of_what_cannot_be_told_apart_the_much_cheaper_one_is_taken(tmp_path):
    write(tmp_path, {"big": 0.81, "small": 0.80, "majority": None}, {"small": CHEAP})
    found = answered(tmp_path)
    assert found.setup == "small"
    (why, power) = found.reasons
    assert why.startswith("No other is shown to be better. big scored ")
    assert "small predicts 200 times as fast and trained in 0.1 s instead of 60.0 s." in why
    assert power.startswith("With 400 test examples a gap under about ")


def test_a_better_score_is_the_better_bet_where_nothing_much_is_saved(tmp_path):
    write(tmp_path, {"a": 0.81, "b": 0.80}, {"b": DEAR | {"test_examples_per_second": 400.0}})
    found = answered(tmp_path)
    assert found.setup == "a"
    assert found.reasons[1] == "b is not shown to be worse, nor is it much cheaper."


@pytest.mark.parametrize(
    "cheaper",
    [
        {"train_seconds": 0.001, "test_examples_per_second": 2e6, "latency_median_seconds": 0.0001},  # nobody notices
        {"train_seconds": 600.0, "test_examples_per_second": 1e6, "latency_median_seconds": 0.0001},  # dear to train
    ],
)
def test_cheap_is_what_a_person_notices(cheaper, tmp_path):
    write(tmp_path, {"a": 0.81, "b": 0.80}, {"a": CHEAP, "b": cheaper})
    assert answered(tmp_path).setup == "a"


def test_a_cheap_one_that_is_beaten_is_not_taken(tmp_path):
    write(tmp_path, {"big": 0.9, "small": 0.8}, {"small": CHEAP}, n=2000)
    assert answered(tmp_path).setup == "big"


def test_what_beats_no_dummy_is_not_worth_it(tmp_path):
    write(tmp_path, {"big": 0.52, "majority": None}, n=200)
    found = answered(tmp_path)
    assert found.setup is None
    assert found.title == "None of them is shown to beat majority."
    assert "big, scored" in found.reasons[0]


def test_nothing_that_collapsed_is_taken(tmp_path):
    write(tmp_path, {"good": 0.6, "gone": None}, {"gone": CHEAP}, n=200)
    assert answered(tmp_path).setup == "good"
    write(tmp_path / "all", {"gone": None, "lost": None})
    assert answered(tmp_path / "all").title == "Take none of them: all have collapsed."


def test_one_seed_each_may_change(tmp_path):
    write(tmp_path, {"a": 0.70, "b": 0.69}, seeds=(1,), n=200)
    assert any("Another seed may change this" in reason for reason in answered(tmp_path).reasons)


def test_one_setup_has_no_answer(tmp_path):
    write(tmp_path, {"a": 0.8})
    assert answer(compared(tmp_path)) is None


def test_where_less_is_better_the_least_is_taken(tmp_path):
    write(tmp_path, {"big": 0.9, "small": 0.8}, n=2000)
    assert answered(tmp_path, metric="log_loss").setup == "big"


def test_an_interval_leaves_0_out_exactly_where_its_p_value_says_so(tmp_path):
    write(tmp_path, {f"m{number}": 0.7 + 0.02 * number for number in range(6)}, n=500)
    for metric in ("accuracy", "macro_f1"):
        pairs = compared(tmp_path, metric=metric).pairs
        assert {pair.verdict for pair in pairs} == {Verdict.BETTER, Verdict.CANNOT_TELL}
        for pair in pairs:
            assert (pair.low_corrected > 0 or pair.high_corrected < 0) == (pair.p_corrected < 0.05)
            assert pair.low_corrected <= pair.low <= pair.high <= pair.high_corrected


def test_levels_are_those_of_holm():
    p = np.array([0.04, 0.001, 0.03, 0.9])
    assert holm_levels(p, 0.05) == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3])
    rng = np.random.default_rng(0)
    for _ in range(50):
        z = rng.normal(1.5, 1.5, 6)
        given = 2 * stats.norm.sf(np.abs(z))
        assert ((given < holm_levels(given, 0.05)) == (holm(given) < 0.05)).all()


@pytest.mark.slow
def test_forty_setups_fit_a_screen_and_a_matrix(tmp_path, capsys):
    write(tmp_path / "runs", {f"model_{number:02}": 0.6 + 0.005 * number for number in range(40)}, n=200, seeds=(1,))
    compare(tmp_path / "runs", output=tmp_path / "out")
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 25
    assert "… and 32 more in the report" in said
    matrix = pairs_matrix(compared(tmp_path / "runs"))
    assert len(matrix.names) == 40
    page = to_html("t", [matrix])
    assert page.count("<td class=") == 40 * 39
    assert to_markdown([matrix], tmp_path) == "\n"  # the table of pairs says it there


def test_a_matrix_shows_both_sides_of_a_pair_and_escapes_names(tmp_path):
    matrix = Matrix(("a<b", "c|d"), (("", "better"), ("worse", "")), "who beats whom")
    page = to_html("t", [matrix])
    assert "a&lt;b against c|d: better" in page
    assert 'class="worse"' in page
    lines = to_markdown([matrix], tmp_path).splitlines()
    assert lines[0] == "**who beats whom**"
    assert [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[4:]] == [
        [r"1 a\<b", "", "+"],
        [r"2 c\|d", "−", ""],
    ]
