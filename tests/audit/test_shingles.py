import re
import subprocess
import sys

import numpy as np
import pytest

from textclf.audit import shingles
from textclf.audit.shingles import beside, characters_of, digest, grams, jaccard, words_of

TEXTS = [
    "One fish, two fish; RED fish!",
    "one fish",
    "Two fish; red herring",
    "",
    "...",
    "naïve café Straße",
    "कमरा नहीं मिला",
    "price: $10.50 (or 10,50)\n\nnew line\ttab",
    "😀 emoji only 😀",
]


def pieces(text, size, kind):
    """The definition, in plain Python."""
    import unicodedata

    def part_of_word(c):
        return c.isalnum() or unicodedata.category(c).startswith("M")

    spaced = "".join(c if part_of_word(c) else " " for c in text.casefold())
    if kind == "words":
        found = spaced.split()
    else:
        found = list(re.sub(" +", " ", spaced).removeprefix(" "))
        found += [" "] if found and found[-1] != " " else []
    return {tuple(found[max(0, i - size + 1) : i + 1]) for i in range(len(found))}


@pytest.mark.parametrize(("take", "size", "kind"), [(words_of, 3, "words"), (characters_of, 5, "characters")])
@pytest.mark.parametrize("chunk", [1, 30, 10_000])
def test_pieces_are_what_their_definition_says(monkeypatch, take, size, kind, chunk):
    monkeypatch.setattr(shingles, "CHUNK_CHARACTERS", chunk)
    found = grams(take(TEXTS), size)
    assert len(found) == len(TEXTS)
    for i in range(len(TEXTS)):
        for j in range(len(TEXTS)):
            expected, other = pieces(TEXTS[i], size, kind), pieces(TEXTS[j], size, kind)
            assert len(found.of(i)) == len(expected), TEXTS[i]
            either = expected | other
            share = len(expected & other) / len(either) if either else 1.0
            assert jaccard(found.of(i), found.of(j)) == pytest.approx(share)


def test_characters_of_unspaced_scripts_are_words():
    assert words_of(["这是好电影", "good film", "ภาพยนตร์"]).counts.tolist() == [5, 2, 8]


def test_the_second_text_of_a_pair_is_told_apart():
    a, b = words_of(["x y", "x"]), words_of(["x", "x y"])
    assert beside(a, b).counts.tolist() == [3, 3]
    assert jaccard(beside(a, b).of(0), beside(a, b).of(1)) == 2 / 4  # x first and x second, of x y | x and x | x y


def test_no_texts():
    assert len(words_of([])) == 0


def test_digests_ignore_case_and_spaces_alone():
    assert digest("A  film\n") == digest("a film")
    assert digest("a film.") != digest("a film")
    assert digest("a", "b") != digest("b", "a")
    assert digest("a b", "") != digest("a", "b")


def test_hashes_are_the_same_in_every_process():
    code = "from textclf.audit.shingles import words_of; print(words_of(['one two']).values.tolist())"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == str(words_of(["one two"]).values.tolist())


def test_lone_surrogates_and_nul_survive():
    found = words_of(["a\ud800b", "a\x00b"])
    assert found.counts.tolist() == [2, 2]
    assert np.array_equal(found.values[:2], found.values[2:])
