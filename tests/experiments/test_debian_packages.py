"""Debian's index as texts with sets of labels."""

from experiments.debian_packages import rows

INDEX = """Package: one
Description: A game
 of war
Tag: game::strategy, role::program,
 use::gameplaying

Package: two
Description: A game of war
Tag: role::program

Package: none
Description: Nobody tagged it

Package: three
Description: Ein Spiel für zwei
Tag: role::program
"""


def test_folded_fields_are_read_and_shared_descriptions_merged():
    assert rows(INDEX, least=1) == [
        {"text": "A game of war", "label": ["game::strategy", "role::program", "use::gameplaying"]},
        {"text": "Ein Spiel für zwei", "label": ["role::program"]},
    ]


def test_rare_tags_are_left_out():
    assert rows(INDEX, least=2) == [
        {"text": "A game of war", "label": ["role::program"]},
        {"text": "Ein Spiel für zwei", "label": ["role::program"]},
    ]
