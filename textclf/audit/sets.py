"""Sets of labels as they are: how many labels a text has, which labels go together, and what differs between splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, hypergeom

from textclf.audit.corpus import Corpus
from textclf.audit.finding import Finding, Severity
from textclf.data.dataset import SPLITS
from textclf.documents.wording import rounded_percent
from textclf.errors import listed

CHANCE = 0.001
"""Probability, over all labels or pairs together, below which something is said to be more than chance."""
NOTABLE = 0.02
"""Least distance between two shares, 0 to 1, that is worth saying."""
FEW = 5
"""Training texts below which a pair of labels is called rare."""
MOST_NONE = 0.5
"""Share of training texts without a label from which on it is said."""
LARGEST = 4
"""Sizes of sets from this one on are counted together when splits are compared."""
MOST_NAMED = 8
"""Labels or pairs that a finding names."""


@dataclass(frozen=True)
class Cardinality:
    """How many labels the texts of a split have."""

    split: str
    mean: float
    """Labels a text."""
    least: int
    most: int
    none: float
    """Share of texts without a label, 0 to 1."""
    sets: int
    """Different sets of labels."""


@dataclass(frozen=True)
class Pair:
    """Two labels in the training texts."""

    first: int
    second: int
    """Numbers of the labels, of which the first has no more texts than the second."""
    count: int
    """Texts that have both."""
    expected: float
    """Texts that would have both if one label said nothing of the other."""
    texts: tuple[int, int]
    """Texts that have the first, and the second."""
    more: float
    """Probability of so many or more by chance (hypergeometric distribution), times the number of pairs."""
    fewer: float
    """Probability of so few or fewer by chance, times the number of pairs."""

    @property
    def always(self) -> bool:
        """Whether every text with the first label has the second, by more than chance."""
        return 0 < self.texts[0] == self.count and self.more < CHANCE

    @property
    def never(self) -> bool:
        """Whether no text has both, by more than chance."""
        return self.count == 0 and self.fewer < CHANCE

    @property
    def verdict(self) -> str:
        """What the counts say, in a word or two; empty where chance explains them."""
        if self.always:
            return "always together"
        if self.never:
            return "never together"
        if self.more < CHANCE:
            return "often together"
        return "seldom together" if self.fewer < CHANCE else ""


@dataclass(frozen=True)
class SetFacts:
    """What is known of the sets of labels of a dataset."""

    cardinality: tuple[Cardinality, ...]
    """One for each split."""
    pairs: tuple[Pair, ...]
    """All pairs of labels, those furthest from chance first."""

    @property
    def telling(self) -> tuple[Pair, ...]:
        """The pairs that chance does not explain."""
        return tuple(pair for pair in self.pairs if pair.verdict)

    def to_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return plain values, for JSON; of the pairs those that chance does not explain."""
        return {
            "cardinality": {
                one.split: {k: v for k, v in vars(one).items() if k != "split"} for one in self.cardinality
            },
            "pairs": [
                {
                    "labels": [names[pair.first], names[pair.second]],
                    "texts": pair.count,
                    "expected": round(pair.expected, 2),
                    "verdict": pair.verdict,
                }
                for pair in self.telling
            ],
        }


def set_facts(corpus: Corpus) -> SetFacts | None:
    """Return what is known of a dataset's sets of labels; none where each text has one class."""
    if corpus.sets is None:
        return None
    found = []
    for number, split in enumerate(SPLITS):
        has = corpus.sets[corpus.split_of == number]
        sizes = has.sum(axis=1)
        found.append(
            Cardinality(
                split, round(float(sizes.mean()), 3), int(sizes.min()), int(sizes.max()),
                round(float((sizes == 0).mean()), 4), len(np.unique(has, axis=0)),
            )
        )  # fmt: skip
    return SetFacts(tuple(found), _pairs(corpus.sets[corpus.split_of == 0]))


def _pairs(has: NDArray[np.bool_]) -> tuple[Pair, ...]:
    """Return all pairs of labels of some texts, bool (n, num_labels), those furthest from chance first."""
    counts = has.sum(axis=0)
    order = np.argsort(counts, kind="stable")
    first, second = (order[side] for side in np.triu_indices(len(order), 1))
    numbers = has.astype(np.float32)
    both = np.rint(numbers.T @ numbers)[first, second].astype(np.int64)
    chance = hypergeom(len(has), counts[second], counts[first])
    more, fewer = len(both) * chance.sf(both - 1), len(both) * chance.cdf(both)
    expected = counts[first] * counts[second] / len(has)
    return tuple(
        Pair(
            int(first[k]), int(second[k]), int(both[k]), float(expected[k]),
            (int(counts[first[k]]), int(counts[second[k]])), float(more[k]), float(fewer[k]),
        )
        for k in np.argsort(np.minimum(more, fewer), kind="stable")
    )  # fmt: skip


def check_sets(corpus: Corpus, facts: SetFacts | None) -> list[Finding]:
    """Find texts without labels, pairs that are rare or bound to each other, and splits that differ."""
    if corpus.sets is None or facts is None:
        return []
    return [
        *_sizes(corpus, facts),
        *_bound(corpus, facts),
        *_rare_pairs(corpus, facts),
        *_new_pairs(corpus, corpus.sets),
        *_shifts(corpus, corpus.sets),
    ]


def _sizes(corpus: Corpus, facts: SetFacts) -> list[Finding]:
    """Say where most texts have no label, or each has exactly one."""
    train, total = facts.cardinality[0], int(corpus.sizes[0])
    if train.least == train.most == 1:
        return [
            Finding(
                "one_label_each",
                Severity.note,
                "Every training text has exactly one label",
                total,
                total,
                "training texts",
                "A classifier of sets may give a text several labels, or none, which these never teach.",
                "If a text always has one label, take it for its class: dataset.task=single.",
            )
        ]
    if train.none < MOST_NONE:
        return []
    return [
        Finding(
            "mostly_no_label",
            Severity.note,
            "Most texts have no label",
            round(train.none * total),
            total,
            "training texts",
            f"Who never gives a label is exactly right on {rounded_percent(train.none)} of them, so the share of exact "
            f"sets (subset accuracy) and the Hamming loss say little.",
            "Judge by micro and macro F1, and compare with model=majority.",
        )
    ]


def _bound(corpus: Corpus, facts: SetFacts) -> list[Finding]:
    """Say which labels always or never occur together, beyond chance."""
    names, found = corpus.data.label_names, []
    always = [pair for pair in facts.pairs if pair.always]
    never = [pair for pair in facts.pairs if pair.never]
    train = len(facts.pairs)
    if always:
        said = [
            f"{names[one.first]} with {names[one.second]} ({one.count})"
            + ("; and the other way round" if one.texts[0] == one.texts[1] else "")
            for one in always
        ]
        same = sum(one.texts[0] == one.texts[1] for one in always)
        found.append(
            Finding(
                "labels_always_together",
                Severity.warning if same else Severity.note,
                "Labels that never occur without another",
                len(always),
                train,
                "pairs of labels",
                f"{listed(said, MOST_NAMED)}: in train every text with the first label has the second, by more than "
                f"chance. What tells them apart cannot be learned from these texts.",
                "If one implies the other, keep both, and try model.label_chain=true. If they mean the same, merge "
                "them (dataset.label_map).",
            )
        )
    if never:
        found.append(
            Finding(
                "labels_never_together",
                Severity.note,
                "Labels that never occur together",
                len(never),
                train,
                "pairs of labels",
                f"{listed([f'{names[one.first]} and {names[one.second]}' for one in never], MOST_NAMED)}: both are "
                f"frequent, and no training text has both, which chance does not explain.",
                "If they exclude each other, that is right. If people chose the first label that fitted, the others "
                "are missing: read some texts of each.",
            )
        )
    return found


def _rare_pairs(corpus: Corpus, facts: SetFacts) -> list[Finding]:
    """Say which pairs of labels few training texts have."""
    seen = [pair for pair in facts.pairs if pair.count]
    rare = sorted((pair for pair in seen if pair.count < FEW), key=lambda pair: pair.count)
    if not rare:
        return []
    names = corpus.data.label_names
    return [
        Finding(
            "rare_pairs",
            Severity.note,
            f"Pairs of labels with fewer than {FEW} training texts",
            len(rare),
            len(seen),
            "pairs that occur",
            f"{listed([f'{names[one.first]} and {names[one.second]} ({one.count})' for one in rare], MOST_NAMED)}. "
            f"What is particular to two labels together cannot be learned from so few; each label by itself can.",
            "Do not choose a model by such texts. For pairs that matter, collect more.",
        )
    ]


def _new_pairs(corpus: Corpus, has: NDArray[np.bool_]) -> list[Finding]:
    """Say which test texts have two labels that no training text has together."""
    train, test = (has[corpus.split_of == SPLITS.index(name)].astype(np.float32) for name in ("train", "test"))
    unseen = np.triu((train.T @ train == 0) & (test.T @ test > 0), 1)
    if not unseen.any():
        return []
    rows = np.flatnonzero(corpus.split_of == SPLITS.index("test"))
    new = rows[((test @ unseen) * test).any(axis=1)]
    names = corpus.data.label_names
    said = [f"{names[one]} and {names[other]}" for one, other in np.argwhere(unseen)]
    return [
        Finding(
            "new_pairs",
            Severity.note,
            "Test texts with two labels that no training text has together",
            len(new),
            len(rows),
            "test texts",
            f"{listed(said, MOST_NAMED)}. Chains of labels (model.label_chain=true) have learned that one of them "
            f"speaks against the other.",
            "Nothing, as a rule: each label is learned by itself.",
            examples=corpus.first_examples(new),
        )
    ]


def _shifts(corpus: Corpus, has: NDArray[np.bool_]) -> list[Finding]:
    """Say which labels have another share in validation or test than in train, and where sets are of other sizes."""
    found, names = [], corpus.data.label_names
    train = has[corpus.split_of == 0]
    for number, split in enumerate(SPLITS[1:], 1):
        own = has[corpus.split_of == number]
        shares, others = train.mean(axis=0), own.mean(axis=0)
        chance = np.array([_by_chance([_yes_no(train[:, k]), _yes_no(own[:, k])]) for k in range(len(names))])
        moved = np.flatnonzero((chance * len(names) < CHANCE) & (np.abs(shares - others) >= NOTABLE))
        moved = moved[np.argsort(chance[moved], kind="stable")]
        if len(moved):
            said = [
                f"{names[k]} is in {rounded_percent(float(shares[k]))} of train and in "
                f"{rounded_percent(float(others[k]))} of {split}"
                for k in moved
            ]
            found.append(
                Finding(
                    f"label_shift_{split}",
                    Severity.warning,
                    f"Labels whose share in {split} is not that of train",
                    len(moved),
                    len(names),
                    "labels",
                    f"{listed(said, MOST_NAMED)}; by chance so large differences come less than once in a thousand "
                    f"draws (chi-squared tests, for all labels together). Thresholds that are chosen for one share do "
                    f"not fit the other.",
                    "If the splits should be alike, stratify them. If they differ as use will, keep them.",
                )
            )
        sizes = [np.bincount(np.minimum(part.sum(axis=1), LARGEST), minlength=LARGEST + 1) for part in (train, own)]
        one, other = float(train.sum(axis=1).mean()), float(own.sum(axis=1).mean())
        distance = float(np.abs(sizes[0] / len(train) - sizes[1] / len(own)).sum() / 2)
        if _by_chance(sizes) < CHANCE and distance >= NOTABLE and not len(moved):
            found.append(
                Finding(
                    f"set_sizes_{split}",
                    Severity.warning,
                    f"Texts of {split} have more or fewer labels than those of train",
                    round(distance * len(own)),
                    len(own),
                    f"{split} texts would have to get other sets",
                    f"Train has {one:.2f} labels a text and {split} {other:.2f}; without a label are "
                    f"{rounded_percent(sizes[0][0] / len(train))} and {rounded_percent(sizes[1][0] / len(own))}.",
                    "See whether people labelled both by the same rules.",
                )
            )
    return found


def _yes_no(marked: NDArray[np.bool_]) -> list[int]:
    return [int(marked.sum()), int((~marked).sum())]


def _by_chance(counts: list[Any]) -> float:
    """Return the probability of so unequal counts of two samples by chance, 0 to 1."""
    table = np.array(counts)
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
