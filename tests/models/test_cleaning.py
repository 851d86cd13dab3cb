import pytest

from textclf.models.cleaning import clean
from textclf.models.options import Cleaning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great.<br /><br />Really", "Great.    Really"),
        ("a < b and c > d", "a < b and c > d"),
        ("Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
        ("<p>One</p><p>two</p>", " One  two "),
        ("b<i>ol</i>d", "bold"),
        ("x<script>alert('y')</script>z<!-- no -->", "xz"),
        ("no markup at all", "no markup at all"),
    ],
)
def test_markup(text, expected):
    assert clean([text], [Cleaning.strip_markup]) == [expected]


def test_unicode():
    assert clean(["cafe\u0301", "schÃ¶n", "a\x07b", "\ufeffx"], [Cleaning.normalize_unicode]) == [
        "café",
        "schön",
        "ab",
        "x",
    ]
    assert clean(["&amp;"], [Cleaning.normalize_unicode]) == ["&amp;"]  # that is what strip_markup is for


def test_joiners_that_other_scripts_need_stay():
    persian = "می\u200cخواهم"
    assert clean([persian], [Cleaning.normalize_unicode, Cleaning.normalize_whitespace]) == [persian]


def test_steps_are_done_in_their_own_order():
    steps = [Cleaning.lowercase, Cleaning.normalize_whitespace, Cleaning.strip_markup]
    assert clean(["  A&nbsp;<br>\n&LT;B "], steps) == ["a <b"]


def test_nothing_asked_nothing_done():
    assert clean([" <b> "], []) == [" <b> "]
