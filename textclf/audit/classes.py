"""Class counts, and whether the classes have the same shares in all splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from textclf.audit.corpus import Corpus
from textclf.audit.finding import Finding, Severity
from textclf.data.dataset import SPLITS
from textclf.documents.wording import rounded_percent
from textclf.errors import listed

TINY, SMALL = 10, 50
"""Training examples below which a class can hardly be learned, and below which its scores are shaky."""
FEW_TEST = 10
"""Test examples below which a class's own scores say little."""
IMBALANCED, VERY_IMBALANCED = 3.0, 20.0
"""How many times the largest class may outnumber the smallest before it is noted, and before it is a warning."""
CHANCE = 0.001
"""Probability below which two splits are said to differ by more than chance."""
NOTABLE = 0.02
"""Least distance between two distributions, 0 to 1, that is worth saying."""


def class_counts(corpus: Corpus) -> NDArray[np.int64]:
    """Return the examples of each class, or with each label, in each split, int64 (num_labels, 3)."""
    if corpus.sets is not None:
        return np.stack([corpus.sets[corpus.split_of == i].sum(axis=0) for i in range(len(SPLITS))], axis=1)
    counts = np.zeros((corpus.data.num_labels, len(SPLITS)), dtype=np.int64)
    np.add.at(counts, (corpus.labels, corpus.split_of), 1)
    return counts


def check_classes(corpus: Corpus) -> list[Finding]:
    """Find classes that are too small, an imbalance, and splits that differ."""
    counts, names = class_counts(corpus), corpus.data.label_names
    if corpus.sets is not None:  # whose shares do not sum to 1
        few = [*_small(counts, names, "label"), *_untested(counts, names, "label")]
        return [*few, *_rare_label(counts, names, int(corpus.sizes[0]))]
    return [*_small(counts, names), *_untested(counts, names), *_imbalance(counts, names), *_differing(counts, names)]


def _small(counts: NDArray[np.int64], names: tuple[str, ...], kind: str = "class") -> list[Finding]:
    """Classes, or labels of sets, with few training examples."""
    found, several = [], "classes" if kind == "class" else "labels"
    for low, high, code, severity in ((0, TINY, f"tiny_{kind}", "problem"), (TINY, SMALL, f"small_{kind}", "warning")):
        few = [i for i in range(len(names)) if low <= counts[i, 0] < high]
        if few:
            said = listed([f"{names[i]} ({counts[i, 0]})" for i in few], 10)
            found.append(
                Finding(
                    code,
                    Severity(severity),
                    f"{several.capitalize()} with fewer than {high} training examples",
                    len(few),
                    len(names),
                    several,
                    f"{said}: too few to be learned well, and macro-averaged scores depend on them as much as on "
                    f"the largest {kind}.",
                    f"Collect more of them, merge them with a {kind} that is close, or leave them out.",
                )
            )
    return found


def _untested(counts: NDArray[np.int64], names: tuple[str, ...], kind: str = "class") -> list[Finding]:
    """Classes, or labels of sets, that the test split hardly has."""
    several = "classes" if kind == "class" else "labels"
    few = [i for i in range(len(names)) if counts[i, 2] < FEW_TEST]
    if not few:
        return []
    absent = any(counts[i, 2] == 0 for i in few)
    return [
        Finding(
            "few_test_examples",
            Severity.problem if absent else Severity.warning,
            f"{several.capitalize()} with fewer than {FEW_TEST} test examples",
            len(few),
            len(names),
            several,
            f"{listed([f'{names[i]} ({counts[i, 2]})' for i in few], 10)}: a score of such a {kind} moves by ten "
            f"points or more with one prediction, and a {kind} without test examples has none.",
            f"Test on more examples, or read the scores of these {several} as rough.",
        )
    ]


def _rare_label(counts: NDArray[np.int64], names: tuple[str, ...], texts: int) -> list[Finding]:
    """A most frequent label that outnumbers the rarest by far."""
    train = counts[:, 0]
    rarest, largest = int(train.argmin()), int(train.argmax())
    ratio = train[largest] / max(train[rarest], 1)
    if ratio < IMBALANCED:
        return []
    return [
        Finding(
            "imbalance",
            Severity.warning if ratio >= VERY_IMBALANCED else Severity.note,
            f"The most frequent label has {ratio:,.0f} times the texts of the rarest",
            int(train[rarest]),
            texts,
            f"training texts have {names[rarest]}",
            f"{names[largest]} has {train[largest]:,}. Micro F1 counts every label that is given, so that frequent "
            f"labels decide it; macro F1 counts each label the same.",
            "Read both, and the scores of each label in a run's report. model.imbalance=class_weights weighs rare "
            "labels more.",
        )
    ]


def _imbalance(counts: NDArray[np.int64], names: tuple[str, ...]) -> list[Finding]:
    """A largest class that outnumbers the smallest by far."""
    train = counts[:, 0]
    smallest, largest = int(train.argmin()), int(train.argmax())
    ratio = train[largest] / max(train[smallest], 1)
    if ratio < IMBALANCED:
        return []
    return [
        Finding(
            "imbalance",
            Severity.warning if ratio >= VERY_IMBALANCED else Severity.note,
            f"The largest class is {ratio:,.0f} times the smallest",
            int(train[largest]),
            int(train.sum()),
            f"training examples are of {names[largest]}",
            f"{names[smallest]} has {train[smallest]:,}. Who always answers {names[largest]} is right in "
            f"{rounded_percent(train[largest] / train.sum())} of cases, so accuracy says little.",
            "Judge by macro F1, and compare with model=majority.",
        )
    ]


def _differing(counts: NDArray[np.int64], names: tuple[str, ...]) -> list[Finding]:
    """Splits whose classes are distributed otherwise than in train, by more than chance."""
    found = []
    for i, split in enumerate(SPLITS[1:], 1):
        pair = counts[:, [0, i]]
        pair = pair[pair.sum(axis=1) > 0]
        if len(pair) < 2:
            continue
        shares = counts[:, [0, i]] / counts[:, [0, i]].sum(axis=0)
        distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
        chance = float(chi2_contingency(pair).pvalue)
        if chance < CHANCE and distance >= NOTABLE:
            most = int(np.abs(shares[:, 0] - shares[:, 1]).argmax())
            found.append(
                Finding(
                    f"label_shift_{split}",
                    Severity.warning,
                    f"The classes of {split} are distributed otherwise than those of train",
                    round(distance * counts[:, i].sum()),
                    int(counts[:, i].sum()),
                    f"{split} examples would have to change class",
                    f"{names[most]} makes {rounded_percent(shares[most, 0])} of train and "
                    f"{rounded_percent(shares[most, 1])} of {split}; by chance so large a "
                    f"difference comes less than once in a thousand draws (chi-squared test). "
                    f"What is chosen or promised on one need not hold on the other.",
                    "If the splits should be alike, stratify them. If they differ as use will, keep them.",
                )
            )
    return found
