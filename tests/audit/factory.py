"""Data for the tests of the audit: clean texts of two classes, to be spoiled."""

import numpy as np
from datasets import Dataset

from textclf.data.dataset import TextData

COMMON = [
    "about",
    "after",
    "again",
    "always",
    "around",
    "because",
    "before",
    "between",
    "during",
    "early",
    "evening",
    "every",
    "family",
    "friend",
    "garden",
    "garage",
    "hotel",
    "house",
    "kitchen",
    "letter",
    "little",
    "looking",
    "morning",
    "mother",
    "music",
    "never",
    "night",
    "office",
    "other",
    "people",
    "picture",
    "place",
    "please",
    "question",
    "quite",
    "really",
    "reason",
    "road",
    "school",
    "second",
    "shop",
    "simple",
    "sister",
    "small",
    "something",
    "station",
    "street",
    "summer",
    "table",
    "teacher",
    "ticket",
    "together",
    "town",
    "train",
    "travel",
    "village",
    "visit",
    "waiting",
    "walked",
    "water",
    "weather",
    "week",
    "window",
    "winter",
    "without",
    "woman",
    "world",
    "would",
    "yesterday",
    "young",
]
GOOD = ["lovely", "wonderful", "excellent", "delightful", "superb", "charming", "brilliant", "pleasant"]
BAD = ["awful", "terrible", "dreadful", "boring", "horrible", "dull", "annoying", "broken"]


def rows(count, seed, classes=2):
    """Return texts with their labels; no two are alike."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        label = i % classes
        words = [str(word) for word in rng.choice(COMMON, 14)]
        marks = rng.choice(BAD if label == 0 else GOOD, 3)
        text = f"the {' '.join(words[:5])} was {marks[0]} and the {' '.join(words[5:10])} {marks[1]} of {marks[2]} "
        found.append([text + " ".join(words[10:]), label])
    return found


def as_data(train, validation, test, label_names=("negative", "positive"), languages=None):
    """Return rows as `TextData`; a row is a text and a label, or two texts and a label."""

    def split(part, language):
        columns = {"example": list(range(len(part))), "text": [row[0] for row in part]}
        if len(part[0]) == 3:
            columns["text_pair"] = [row[1] for row in part]
        columns["label"] = [row[-1] for row in part]
        if language is not None:
            columns["language"] = language
        return Dataset.from_dict(columns)

    given = languages or (None, None, None)
    splits = [split(part, language) for part, language in zip((train, validation, test), given, strict=True)]
    return TextData("mine", *splits, label_names=tuple(label_names), source="tests")


def clean():
    """Return three splits of clean rows."""
    return rows(240, 1), rows(60, 2), rows(80, 3)
