"""Numbers as text, to the letter: nothing is called none or all that is not."""

import math

import pytest

from textclf.documents import wording


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (wording.percent, 0, "0 %"),
        (wording.percent, 0.0004, "< 0.1 %"),
        (wording.percent, 0.9234, "92.3 %"),
        (wording.percent, 0.9996, "> 99.9 %"),
        (wording.percent, 1, "100 %"),
        (wording.rounded_percent, 0, "0 %"),
        (wording.rounded_percent, 0.0004, "< 0.1 %"),
        (wording.rounded_percent, 0.005, "0.5 %"),
        (wording.rounded_percent, 0.099, "9.9 %"),
        (wording.rounded_percent, 0.346, "35 %"),
        (wording.rounded_percent, 0.995, "> 99 %"),
        (wording.rounded_percent, 1, "100 %"),
        (wording.ratio_percent, 0.00005, "under 0.01 %"),
        (wording.ratio_percent, 0.00336, "0.34 %"),
        (wording.ratio_percent, 0.25, "25 %"),
        (wording.ratio_percent, 2.5, "2.5 ×"),
        (wording.times, 1.66, "1.7 times"),
        (wording.times, 1234.5, "1,234 times"),
        (wording.points, 0.0104, "1 point"),
        (wording.points, -0.0204, "2 points"),
        (wording.points, 0.0123, "1.2 points"),
        (wording.points, 0.0001, "0 points"),
        (wording.decimals, 0.91249, "0.912"),
        (wording.decimals, None, "–"),
        (wording.thousands, 66955010.0, "66,955,010"),
        (wording.thousands, None, "–"),
        (wording.signed, 0.126, "+0.13"),
        (wording.signed, -0.126, "−0.13"),
        (wording.p_value, 0.0004, "< 0.001"),
        (wording.p_value, 0.0123, "0.012"),
        (wording.p_value, 0.123, "0.12"),
        (wording.p_value, 1.7, "1.00"),
        (wording.p_equals, 0.0004, "p < 0.001"),
        (wording.p_equals, 0.0123, "p = 0.012"),
        (wording.in_seconds, 1234.56, "1,234.6 s"),
        (wording.in_seconds, 0.0456, "45.6 ms"),
        (wording.in_seconds, None, "–"),
        (wording.in_milliseconds, 1.5, "1,500.0 ms"),
        (wording.in_milliseconds, None, "–"),
        (wording.duration, 0.04, "0.0 s"),
        (wording.duration, 9.94, "9.9 s"),
        (wording.duration, 59, "59 s"),
        (wording.duration, 61, "1 min 1 s"),
        (wording.duration, 1200, "20 min"),
        (wording.duration, 7500, "2 h 5 min"),
        (wording.megabytes, 2.44e6, "2.4 MB"),
        (wording.megabytes, 267.8e6, "268 MB"),
        (wording.megabytes, 12.3e9, "12 GB"),
        (wording.megabytes, None, "–"),
    ],
)
def test_numbers_are_written_for_a_reader(write, value, text):
    assert write(value) == text


def test_intervals_and_spreads_have_both_of_their_numbers():
    assert wording.interval(-0.0004, 0.0126) == "0.000 to 0.013"
    assert wording.interval(-1.26, 0.5, digits=1) == "−1.3 to 0.5"
    assert wording.spread(0.9123, 0.0041) == "0.912 ± 0.004"
    assert wording.spread(0.9123, math.nan) == "0.912"


def test_an_excerpt_is_one_line_that_says_where_it_was_cut():
    assert wording.excerpt(" two\n lines ", 20) == "two lines"
    assert wording.excerpt("abcdef", 4) == "abc…"
