"""Learning curves: the law is found where it holds, and what is foretold comes about as often as it says."""

import numpy as np
import pytest

from tests.compare.factory import guess, labels_of, write_run
from tests.compare.test_pairs import compared
from textclf.compare.compare_runs import compare
from textclf.compare.curves import forecasts, lines_of
from textclf.compare.statistics import Forecast, forecast
from textclf.compare.statistics.learning_curve import fitted

SIZES = np.array([50, 100, 200, 400])


def law(n):
    return 0.08 + 1.4 * n**-0.45


def test_a_power_law_is_found_and_carried_on():
    found = fitted(SIZES, law(SIZES), [400, 800, 1600])
    assert found[0] == pytest.approx(law(np.array([400, 800, 1600])), abs=0.004)


def test_scores_that_get_worse_are_carried_on_level():
    found = fitted(SIZES, 0.3 + 0.0001 * SIZES, [400, 800])
    assert found[0, 0] == pytest.approx(found[0, 1])


def test_an_error_is_never_below_none():
    found = fitted(SIZES, [0.4, 0.2, 0.1, 0.05], [10_000])
    assert 0 <= found[0, 0] < 0.05


def test_each_row_is_a_curve_of_its_own():
    rows = np.stack([law(SIZES), 0.5 * law(SIZES), np.full(4, 0.2)])
    together = fitted(SIZES, rows, [800])
    assert together[:, 0] == pytest.approx([fitted(SIZES, row, [800])[0, 0] for row in rows])


def sampled(rng, seeds=3, n_test=300):
    """Return what is measured of the law with some seeds and test examples: errors, draws, errors of seeds."""
    hard = rng.random(n_test)  # the same test examples at all sizes
    errors, draws, spread = [], [], []
    weights = rng.multinomial(n_test, np.full(n_test, 1 / n_test), size=200) / n_test
    for size in SIZES:
        levels = law(size) + 0.01 * rng.standard_normal(seeds)
        wrong = np.stack([hard < level for level in levels]).astype(float)
        errors.append(wrong.mean())
        draws.append(weights @ wrong.mean(axis=0))
        spread.append(wrong.mean(axis=1).std(ddof=1) / np.sqrt(seeds))
    return errors, np.stack(draws, axis=1), spread


def test_what_is_foretold_comes_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [forecast(SIZES, *sampled(rng), [3] * 4, 800) for _ in range(150)]
    assert np.mean([one.low <= law(800) <= one.high for one in found]) >= 0.9
    gain = law(400) - law(800)
    assert np.mean([one.gain_low <= gain <= one.gain_high for one in found]) >= 0.9
    assert np.mean([one.mean for one in found]) == pytest.approx(law(800), abs=0.01)
    assert max(one.high - one.low for one in found) < 0.25  # it says something


def test_too_few_sizes_are_refused():
    with pytest.raises(ValueError, match="3 sizes or more"):
        forecast([50, 100], [0.3, 0.2], np.zeros((5, 2)), [0, 0], [1, 1], 200)
    with pytest.raises(ValueError, match="each once"):
        forecast([50, 100, 100], [0.3, 0.2, 0.2], np.zeros((5, 3)), [0, 0, 0], [1, 1, 1], 200)


def write_curve(folder, model, errors, seeds=(1, 2, 3), n=2000):
    labels = labels_of(n)
    for size, error in errors.items():
        for seed in seeds:
            predicted = guess(labels, 1 - error, 1000 * size + seed)
            write_run(folder / f"{model}{size}-{seed}", model, seed, labels, predicted, train=size)


def test_a_person_reads_what_twice_the_labels_would_give(tmp_path, capsys):
    write_curve(tmp_path / "runs", "a", {size: law(size) for size in (50, 101, 200, 400)})
    write_curve(tmp_path / "runs", "b", {50: 0.4, 400: 0.3})
    compare(tmp_path / "runs", output=tmp_path / "out")
    said = capsys.readouterr().out
    assert "a: 800 training examples, twice as many, would give about 0.8" in said
    assert "points more than now (" in said
    assert "b: 800" not in said  # two sizes make no curve
    report = (tmp_path / "out" / "report.md").read_text()
    assert "a: 800 training examples" in report
    drawn = (tmp_path / "out" / "figures" / "data" / "learning_curve.csv").read_text()
    assert "a,,800,0," in drawn
    comparison = compared(tmp_path / "runs")
    (found,) = forecasts(comparison).values()
    assert isinstance(found, Forecast)
    assert found.low < law(800) < found.high
    assert [setup.train_examples for setup in lines_of(comparison)["a"]] == [50, 101, 200, 400]
    assert forecasts(compared(tmp_path / "runs", metric="log_loss")) == {}
