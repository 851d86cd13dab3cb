"""The crossing of a learning curve with a fixed score: found where it is, and held by its interval as often as said."""

import math

import numpy as np
import pytest

from experiments.crossing_calibration import Cell, count
from textclf.compare.statistics import Estimates, crossing
from textclf.compare.statistics.curve_crossing import stays_above

SIZES = np.array([16.0, 64.0, 256.0, 1024.0])


def gains(values, reach=0.05):
    """Return differences whose 95 % intervals reach so far."""
    value = np.asarray(values, dtype=np.float64)
    many = np.full(len(value), 1e9)
    return Estimates(value, np.full(len(value), reach / 1.959964), many, np.zeros(len(value)))


def test_between_sizes_errors_are_linear_in_the_inverse_root():
    assert stays_above(SIZES, 0.2 - 1 / np.sqrt(SIZES)) == pytest.approx(25)
    assert stays_above(SIZES, np.array([-0.1, 0.0, 0.1, 0.1])) == pytest.approx(64)


def test_what_falls_below_again_counts_from_where_it_stays_above():
    assert 256 < stays_above(SIZES, np.array([0.1, 0.1, -0.1, 0.1])) < 1024
    assert stays_above(SIZES, np.array([0.1, 0.0, 0.1, 0.1])) == 0
    assert stays_above(SIZES, np.array([0.1, 0.1, 0.1, -0.1])) == math.inf


def test_an_interval_ends_where_the_test_at_a_size_decides():
    found = crossing(SIZES, gains([-0.2, -0.04, 0.04, 0.1]))
    assert (found.low, found.high) == (16, 1024)
    assert 64 < found.at < 256
    assert crossing(SIZES, gains([-0.2, -0.06, 0.06, 0.1])).low == 64
    assert crossing(SIZES, gains([-0.2, 0.06, 0.04, 0.1])).high == 1024  # not shown at every size from 64 on


def test_nothing_is_said_beyond_the_sizes_that_were_tried():
    assert vars(crossing(SIZES, gains([-0.02, 0.0, 0.01, 0.02]))) == {"at": 64.0, "low": 0.0, "high": math.inf}
    assert vars(crossing(SIZES, gains([-0.4, -0.3, -0.2, -0.1]))) == {"at": math.inf, "low": math.inf, "high": math.inf}
    assert vars(crossing(SIZES, gains([0.1, 0.2, 0.3, 0.4]))) == {"at": 0.0, "low": 0.0, "high": 0.0}


def test_sizes_that_do_not_ascend_are_refused():
    for sizes in ([64, 16, 256, 1024], [16, 16, 64, 256], [16, 64, 256]):
        with pytest.raises(ValueError, match="must ascend"):
            crossing(sizes, gains([0, 0, 0, 0]))


@pytest.mark.parametrize(
    "cell",
    [
        Cell("power law", "fourfold", 150.0, 3, 150, False),
        Cell("jump", "fourfold", 150.0, 3, 1000, True),
        Cell("slow", "twofold", 500.0, 5, 1000, False),
    ],
    ids=lambda cell: cell.law,
)
def test_intervals_hold_the_true_crossing_as_often_as_they_say_and_say_something(cell):
    found = count(cell, 60)
    assert found.covered >= 0.9
    assert found.closed > 0.05
    assert 0.7 < found.ratio < 1.4
