"""The words of errors."""

import pytest

from textclf.errors import looks_like


@pytest.mark.parametrize(
    ("value", "known", "way"),
    [
        ("Negative", "negative", "upper and lower case"),
        ("negative\u00a0", "negative", "white space"),
        ("very  bad", "very bad", "white space"),
        ("cafe\u0301", "caf\u00e9", "Unicode form"),
        ("nega\u200btive", "negative", "not seen"),
        ("\uff4eegative", "negative", "look alike"),
        ("negative", "negative", None),
        ("negativ", "negative", None),
    ],
)
def test_values_that_look_alike_are_told_apart(value, known, way):
    said = looks_like(value, ["other", known])
    if way is None:
        assert said == ""
        return
    assert way in said
    shown = said.partition(": they")[0]
    assert shown.isascii()  # what differs can be seen
    one, two = (part.strip() for part in shown.removeprefix(" It looks like the class ").split(" and is "))
    assert one != two
