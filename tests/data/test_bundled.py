"""The bundled data keeps what its README says."""

import json
import re
from collections import Counter
from itertools import combinations

import pytest

from textclf.data.file_paths import BUNDLED

SIZES = {
    "reviews": {"train": 520, "validation": 80, "test": 200},
    "headlines": {"train": 388, "validation": 60, "test": 152},
    "entailment": {"train": 260, "validation": 40, "test": 100},
}


def read(name, split):
    return [json.loads(line) for line in (BUNDLED / name / f"{split}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_balance(name):
    for split, size in SIZES[name].items():
        counts = Counter(row["label"] for row in read(name, split))
        assert sum(counts.values()) == size
        assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("name", SIZES)
def test_no_near_duplicates(name):
    texts = {row["premise"] if "premise" in row else row["text"] for split in SIZES[name] for row in read(name, split)}
    words = [frozenset(re.findall(r"\w+", text.lower())) for text in texts]
    near = [(a, b) for a, b in combinations(words, 2) if len(a & b) > 0.6 * len(a | b)]
    assert not near


def test_a_premise_is_in_one_split_with_both_labels():
    splits = {split: Counter(row["premise"] for row in read("entailment", split)) for split in SIZES["entailment"]}
    for counts in splits.values():
        assert set(counts.values()) == {2}
    for one, other in combinations(splits.values(), 2):
        assert not set(one) & set(other)
