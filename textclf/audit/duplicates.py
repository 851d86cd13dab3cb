"""Texts that occur more than once, in one split or in several, and texts that hold nothing."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from textclf.audit.corpus import MOST_EXAMPLES, Corpus
from textclf.audit.finding import Example, Finding, Severity, by_share, excerpt
from textclf.audit.leakage import Leak, Leakage, Match, contradicting
from textclf.audit.shingles import digest
from textclf.data.dataset import SPLITS
from textclf.documents.wording import rounded_percent
from textclf.errors import listed

SAME = "Texts count as the same when they differ in case and spaces at most."
LETTERS = re.compile(r"[^\W_]")
FEW_LETTERS = 3
"""Letters and digits below which a text is nearly empty; characters of unspaced scripts say more, so 1 of them does."""


def check_duplicates(corpus: Corpus) -> list[Finding]:
    """Find copies within a split, and copies with different labels."""
    found = []
    repeated = np.concatenate([corpus.keys[name].repeated for name in SPLITS])
    values = np.concatenate([corpus.keys[name].values for name in SPLITS])
    by_split = corpus.counted(repeated)
    if repeated.any():
        found.append(
            Finding(
                "duplicates",
                by_share(float(repeated.mean()), problem=0.1, warning=0.01),
                "Texts that repeat an earlier one of their split",
                int(repeated.sum()),
                len(corpus),
                "examples",
                f"Each copy counts again, in training and in scores. {SAME}",
                "Remove the copies, unless their number tells how common a text is.",
                by_split,
                corpus.first_examples(_by_frequency(values, repeated)),
            )
        )
    wrong = np.concatenate(list(contradicting(corpus.keys).values()))
    if wrong.any():
        rows = np.flatnonzero(wrong)
        rows = rows[np.argsort(values[rows], kind="stable")]
        differing, at_issue = _differing_labels(corpus, rows, values)
        found.append(
            Finding(
                "contradictions",
                by_share(float(wrong.mean()), problem=0.01),
                "Texts that bear different labels"
                if corpus.sets is None
                else "Texts that bear different sets of labels",
                int(wrong.sum()),
                len(corpus),
                "examples",
                f"No model can get all copies of such a text right; some of the labels are wrong or the task needs "
                f"more than the text. {at_issue}{SAME}",
                "Look at each text, and correct its labels or remove it.",
                corpus.counted(wrong),
                tuple(corpus.example(int(row), differing.get(int(row), "")) for row in rows[:MOST_EXAMPLES]),
            )
        )
    return found


def _differing_labels(
    corpus: Corpus, rows: NDArray[np.int64], values: NDArray[np.uint64]
) -> tuple[dict[int, str], str]:
    """Return in which labels the copies of each text differ, by row, and in which they do so most often, a sentence.

    Args:
        corpus: The examples.
        rows: Those whose text bears other labels elsewhere, the copies of a text one after the other.
        values: A number for the text of each of all examples, uint64 (n,).
    """
    if corpus.sets is None:
        return {}, ""
    names, found = corpus.data.label_names, {}
    times = np.zeros(len(names), dtype=np.int64)
    for copies in np.split(rows, np.flatnonzero(np.diff(values[rows])) + 1):
        has = corpus.sets[copies]
        differs = has.any(axis=0) & ~has.all(axis=0)
        times += differs
        found |= dict.fromkeys(
            copies.tolist(), f"the copies differ in {listed(names[k] for k in np.flatnonzero(differs))}"
        )
    said = [f"{names[k]} ({times[k]} texts)" for k in np.argsort(-times, kind="stable") if times[k]]
    return found, f"The copies differ in {listed(said, MOST_EXAMPLES)}. "


def _by_frequency(values: NDArray[np.uint64], repeated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return one copy of each repeated text, those with most copies first."""
    rows = np.flatnonzero(repeated)
    _, first, counts = np.unique(values[rows], return_index=True, return_counts=True)
    return rows[first[np.argsort(-counts, kind="stable")]]


def check_empty(corpus: Corpus) -> list[Finding]:
    """Find texts that hold nothing, or nearly nothing."""
    empty = np.concatenate([corpus.keys[name].empty for name in SPLITS])
    parts = [corpus.texts] + ([corpus.text_pairs] if corpus.text_pairs is not None else [])
    sparse = np.array([any(_says_nothing(text) for text in row) for row in zip(*parts, strict=True)]) & ~empty
    found = []
    for code, title, marked, worst in (
        ("empty", "Empty texts", empty, 0.01),
        ("nearly_empty", f"Texts with fewer than {FEW_LETTERS} letters or digits", sparse, 0.05),
    ):
        if marked.any():
            found.append(
                Finding(
                    code,
                    by_share(float(marked.mean()), problem=worst),
                    title,
                    int(marked.sum()),
                    len(corpus),
                    "examples",
                    "There is nothing in them that tells their class: a model learns to guess, and is scored on "
                    "guesses.",
                    "Remove them, or see whether the text was lost on the way (a wrong column, a failed export).",
                    corpus.counted(marked),
                    corpus.first_examples(np.flatnonzero(marked)),
                )
            )
    return found


def _says_nothing(text: str) -> bool:
    """Whether a text is nearly empty."""
    if len(text) > 60 and LETTERS.search(text, 0, 60):  # most texts are settled by their beginning
        return False
    letters = LETTERS.findall(text)
    return len(letters) < FEW_LETTERS and not any(ord(letter) > 0x0E00 for letter in letters)


def check_leakage(corpus: Corpus, leakage: Leakage, threshold: float) -> list[Finding]:
    """Say what two splits share; near duplicates were looked for from `threshold` on."""
    found = []
    for leak in leakage.leaks:
        size = int(corpus.sizes[SPLITS.index(leak.target)])
        exact, near = len(leak.exact_target_rows), len(leak.near_target_rows)
        if exact + near == 0:
            continue
        found.append(
            Finding(
                f"leakage_{leak.source}_{leak.target}",
                by_share((exact + near) / size, problem=0.01),
                f"Texts of {leak.target} that are in {leak.source} too",
                exact + near,
                size,
                f"{leak.target} examples",
                _meaning(leak)
                + (
                    f" Near duplicates share {rounded_percent(threshold)} or more of their pieces (groups of three "
                    f"words, of short texts groups of five characters)."
                    if leakage.near
                    else ""
                )
                + (f" Note that {leakage.remark}." if leakage.remark else ""),
                f"dataset.on_leakage=drop takes {len(leak.rows):,} examples out of {leak.source}; test stays as it is.",
                {"word for word": exact, "nearly the same": near},
                tuple(_shown(corpus, leak, match) for match in _mixed(leak)),
            )
        )
    return found + _one_text(corpus)


def _mixed(leak: Leak) -> list[Match]:
    """Return a few exact and a few near matches, the near ones spread from the most to the least alike."""
    near = leak.near_matches
    take = min(len(near), max(MOST_EXAMPLES - 3, MOST_EXAMPLES - len(leak.exact_matches)))
    spread = [near[i * len(near) // take] for i in range(take)] if take else []
    return [*leak.exact_matches[: MOST_EXAMPLES - take], *spread]


def _meaning(leak: Leak) -> str:
    if leak.target == "test":
        return "A model that remembers them scores higher on test than it will on new texts."
    return "The best epoch and the best setup are chosen on texts that training has seen."


def _shown(corpus: Corpus, leak: Leak, match: Match) -> Example:
    """Return a matching pair as an example."""
    own, other = corpus.row(leak.target, match.target_row), corpus.row(leak.source, match.row)
    where = f"{leak.source} {corpus.numbers[other]} ({corpus.label(other)})"
    if match.similarity == 1.0 and corpus.whole(own) == corpus.whole(other):
        return corpus.example(own, f"the same as {where}")
    return corpus.example(own, f"{match.similarity:.0%} like {where}: {excerpt(corpus.whole(other))}")


def _one_text(corpus: Corpus) -> list[Finding]:
    """Of pairs of texts, say where one of the two recurs in another split without the other."""
    if corpus.text_pairs is None:
        return []
    found = []
    test = corpus.split_of == SPLITS.index("test")
    whole = np.concatenate([corpus.keys[name].values for name in SPLITS])
    known = np.isin(whole, whole[corpus.split_of == 0])
    for place, texts in (("first", corpus.texts), ("second", corpus.text_pairs)):
        values = np.array([digest(text) for text in texts], dtype=np.uint64)
        recurs = test & np.isin(values, values[corpus.split_of == 0]) & ~known
        if recurs.any():
            found.append(
                Finding(
                    f"{place}_text_recurs",
                    Severity.note,
                    f"Test pairs whose {place} text is in train, beside another one",
                    int(recurs.sum()),
                    int(test.sum()),
                    "test examples",
                    "The pair itself is new, so this is no leak by itself, but a model may know the text and what "
                    "is usually asked of it.",
                    "If use will bring new texts, split so that all pairs of a text lie in one split.",
                    examples=corpus.first_examples(np.flatnonzero(recurs)),
                )
            )
    return found
