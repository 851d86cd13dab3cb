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
SETS = {"messages": {"train": 240, "validation": 60, "test": 100}}
LABELS = {"billing", "refund", "delivery", "damaged", "login", "bug", "feature_request", "praise"}


def read(name, split):
    return [json.loads(line) for line in (BUNDLED / name / f"{split}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_balance(name):
    for split, size in SIZES[name].items():
        counts = Counter(row["label"] for row in read(name, split))
        assert sum(counts.values()) == size
        assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("name", [*SIZES, *SETS])
def test_no_near_duplicates(name):
    splits = (SIZES | SETS)[name]
    texts = {row["premise"] if "premise" in row else row["text"] for split in splits for row in read(name, split)}
    words = [frozenset(re.findall(r"\w+", text.lower())) for text in texts]
    near = [(a, b) for a, b in combinations(words, 2) if len(a & b) > 0.6 * len(a | b)]
    assert not near


def test_a_premise_is_in_one_split_with_both_labels():
    splits = {split: Counter(row["premise"] for row in read("entailment", split)) for split in SIZES["entailment"]}
    for counts in splits.values():
        assert set(counts.values()) == {2}
    for one, other in combinations(splits.values(), 2):
        assert not set(one) & set(other)


def test_messages_have_none_to_four_labels_each_in_its_share():
    shares = {}
    for split, size in SETS["messages"].items():
        rows = read("messages", split)
        assert len(rows) == size
        assert set().union(*(row["labels"] for row in rows)) == LABELS
        assert all(len(set(row["labels"])) == len(row["labels"]) <= 4 for row in rows)
        assert 1.5 <= sum(len(row["labels"]) for row in rows) / size <= 1.6
        counts = Counter(label for row in rows for label in row["labels"])
        shares[split] = {label: counts[label] / size for label in LABELS}
        assert 0.07 <= sum(not row["labels"] for row in rows) / size <= 0.09
    for label in LABELS:
        assert 0.14 <= shares["train"][label] <= 0.26
        assert max(own[label] for own in shares.values()) - min(own[label] for own in shares.values()) < 0.03


def test_messages_are_6_to_45_words_long():
    words = [len(row["text"].split()) for split in SETS["messages"] for row in read("messages", split)]
    assert min(words) >= 6
    assert max(words) <= 45


def test_no_word_gives_a_label_of_messages_away():
    """Whoever says `refund` where the word stands in a text misses most refunds, and so for every label's best word."""
    rows = [(set(re.findall(r"\w+", row["text"].lower())), set(row["labels"])) for row in read("messages", "train")]
    words = Counter(word for own, _ in rows for word in own)
    for label in LABELS:
        size = sum(label in labels for _, labels in rows)
        for word in (word for word, count in words.items() if count >= 5):
            hits = sum(word in own and label in labels for own, labels in rows)
            assert 2 * hits / (words[word] + size) < 0.6, (label, word)  # F1 of the rule
