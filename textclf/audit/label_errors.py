"""Labels that are probably wrong: those that a model which never saw them is sure to be something else."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split

from textclf.audit.corpus import MOST_EXAMPLES, Corpus
from textclf.audit.finding import Finding, Severity
from textclf.audit.options import AuditOptions
from textclf.audit.shingles import grams, words_of
from textclf.data.dataset import SPLITS
from textclf.documents.wording import rounded_percent

FOLDS = 5
FEATURES = 1 << 18
"""Columns that words and pairs of words are spread over."""
INVERSE_REGULARISATION = 2.0
"""Weak enough to learn the task and strong enough not to learn wrong labels by heart."""
FEWEST_STEPS = 200_000
"""Examples that each model sees at least, again and again where there are few."""
FEWEST = 5 * FOLDS
"""Examples that a class needs to be judged; of fewer, a model knows too little."""
AVOIDED = 0.6
"""Share of the majority's mistakes that the model has to avoid for its opinion to count."""
MANY, GOOD = 0.03, 0.8
"""Share of suspected labels that is a warning, if the model is right at least so often."""


@dataclass(frozen=True)
class LabelErrors:
    """What came of the search for wrong labels."""

    rows: NDArray[np.int64]
    """int64 (m,): examples whose label is suspected, the worst first."""
    suggested: NDArray[Any]
    """The label that the model would give each, int64 (m,), or the set of labels, bool (m, num_labels)."""
    scores: NDArray[np.float64]
    """float64 (m,): probability of the given label (of a set: that the label most in doubt is right), 0 to 1; the lower
    the more suspect."""
    judged: NDArray[np.int64]
    """int64 (k,): examples that were judged."""
    judged_scores: NDArray[np.float64]
    """float64 (k,): probability of the given label of each."""
    accuracy: float
    """Share of given labels that the model predicts out of fold; of sets, of decisions on a label."""
    majority: float
    """Share of the most frequent label; of sets, of the more frequent answer for each label."""
    remark: str
    """What was not judged, and why; empty where everything was."""
    labels: tuple[int, ...] | None = None
    """The labels of sets that the model knows enough of; none where each text has one class."""

    @property
    def trusted(self) -> bool:
        """Whether the model knows enough of the task for its opinion to count."""
        if self.labels is not None:
            return len(self.labels) > 0
        return 1 - self.accuracy <= (1 - AVOIDED) * (1 - self.majority)


def find_label_errors(corpus: Corpus, options: AuditOptions) -> LabelErrors | None:
    """Search for labels that are probably wrong.

    Each example is predicted by a logistic regression of words and pairs of words (TF-IDF) that was fitted on the
    four folds it is not in; copies of a text lie in one fold. Which predictions are sure enough is decided by
    confident learning (Northcutt, Jiang and Chuang 2021) as cleanlab does it.

    Returns:
        What was found; none where fewer than two classes have enough examples.
    """
    rows, remark = _chosen(corpus, options)
    if len(rows) == 0:
        return None
    labels_here, labels = np.unique(corpus.labels[rows], return_inverse=True)
    values = np.concatenate([corpus.keys[name].values for name in SPLITS])[rows]
    probabilities = _out_of_fold(features_of(corpus, rows), labels, values, options.seed)
    if probabilities is None:
        return None
    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class in which nothing is suspected
        issues = find_label_issues(labels, probabilities, n_jobs=1)
    issues &= predicted != labels
    order = np.flatnonzero(issues)
    order = order[np.argsort(scores[order], kind="stable")]
    counts = np.bincount(labels)
    return LabelErrors(
        rows=rows[order],
        suggested=labels_here[predicted[order]],
        scores=scores[order].astype(np.float64),
        judged=rows,
        judged_scores=scores.astype(np.float64),
        accuracy=float((predicted == labels).mean()),
        majority=float(counts.max() / counts.sum()),
        remark=remark,
    )


def _chosen(corpus: Corpus, options: AuditOptions) -> tuple[NDArray[np.int64], str]:
    """Return which examples to judge: of classes large enough, with a text, and of many a stratified sample."""
    empty = np.concatenate([corpus.keys[name].empty for name in SPLITS])
    counts = np.bincount(corpus.labels[~empty], minlength=corpus.data.num_labels)
    small = [corpus.data.label_names[label] for label in np.flatnonzero(counts < FEWEST)]
    rows = np.flatnonzero((counts[corpus.labels] >= FEWEST) & ~empty)
    if len(np.unique(corpus.labels[rows])) < 2:
        return np.zeros(0, dtype=np.int64), ""
    said = [f"{len(small)} classes with fewer than {FEWEST} examples were not judged"] if small else []
    if len(rows) > options.label_error_sample:
        said.append(f"a random {options.label_error_sample:,} of {len(rows):,} examples were judged, by class")
        rows, _ = train_test_split(
            rows, train_size=options.label_error_sample, stratify=corpus.labels[rows], random_state=options.seed
        )
        rows = np.sort(rows)
        counts = np.bincount(corpus.labels[rows], minlength=corpus.data.num_labels)
        rows = rows[counts[corpus.labels[rows]] >= FEWEST]
    return rows, "; ".join(said)


def features_of(corpus: Corpus, rows: NDArray[np.int64]) -> csr_matrix:
    """Return TF-IDF of words and pairs of words, hashed, float32 (len(rows), features); of pairs of both texts."""
    parts = [_counts([corpus.texts[row] for row in rows])]
    if corpus.text_pairs is not None:
        parts.append(_counts([corpus.text_pairs[row] for row in rows]))
    return csr_matrix(hstack([TfidfTransformer(sublinear_tf=True).fit_transform(part) for part in parts]))


def _counts(texts: list[str]) -> csr_matrix:
    """Return how often each text has each word and pair of words, float32 (n, features)."""
    words = words_of(texts)
    columns = np.concatenate([words.values, grams(words, 2).values]) % np.uint64(FEATURES)
    owner = np.repeat(np.arange(len(texts), dtype=np.int32), words.counts)
    shape = (len(texts), FEATURES)
    ones = np.ones(len(columns), dtype=np.float32)
    found = csr_matrix((ones, (np.concatenate([owner, owner]), columns.astype(np.int32))), shape=shape)
    frequency = np.bincount(found.indices, minlength=FEATURES)
    kept = np.flatnonzero(frequency > 1)  # what one text alone has tells nothing of another
    return csr_matrix(found[:, kept])


def _out_of_fold(
    features: csr_matrix, labels: NDArray[np.int64], keys: NDArray[np.uint64], seed: int
) -> NDArray[np.float64] | None:
    """Return what models that did not see an example predict for it, float64 (n, classes).

    Args:
        features: Of the n examples.
        labels: int64 (n,), from 0, none left out.
        keys: uint64 (n,): copies of a text share one, and a fold.
        seed: Seed of the folds.
    """
    _, first, text = np.unique(keys, return_index=True, return_inverse=True)
    of_texts = labels[first]
    if np.bincount(of_texts, minlength=labels.max() + 1).min() < FOLDS:
        return None  # nearly all examples of a class are copies of one text
    fold = np.zeros(len(first), dtype=np.int64)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(folds.split(of_texts, of_texts)):
        fold[held_out] = number
    out = np.zeros((len(labels), int(labels.max()) + 1))
    for number in range(FOLDS):
        held_out = fold[text] == number
        train = np.flatnonzero(~held_out)
        model = SGDClassifier(
            loss="log_loss",
            alpha=1 / (INVERSE_REGULARISATION * len(train)),
            max_iter=max(10, FEWEST_STEPS // len(train)),
            tol=None,
            random_state=seed,
        )
        out[held_out] = model.fit(features[train], labels[train]).predict_proba(features[held_out])
    return out


def check_labels(corpus: Corpus, errors: LabelErrors | None) -> list[Finding]:
    """Say how many labels are suspected of being wrong."""
    if errors is None or not errors.trusted or len(errors.rows) == 0:
        return []
    marked = np.zeros(len(corpus), dtype=bool)
    marked[errors.rows] = True
    remark = f" ({errors.remark})" if errors.remark else ""
    sets = corpus.sets is not None
    against = corpus.label if not sets else lambda row: "what is given"
    many = len(errors.rows) / len(errors.judged) >= MANY and errors.accuracy >= GOOD
    return [
        Finding(
            "label_errors",
            Severity.warning if many else Severity.note,
            "Labels that may be wrong",
            len(errors.rows),
            len(errors.judged),
            "examples",
            f"A simple model that had not seen them is sure of {'other labels' if sets else 'another class'}{remark}. "
            f"It is right in "
            f"{rounded_percent(errors.accuracy)} of cases, so some of them are its own mistakes: the top of the list "
            f"is the best place to look.",
            "Read the list label_errors.csv from the top, and stop where the labels are mostly right. Correct test "
            "before train: wrong test labels hide which model is better.",
            corpus.counted(marked),
            tuple(
                corpus.example(
                    int(row), f"rather {corpus.name_of(label)} ({1 - score:.0%} against {against(int(row))})"
                )
                for row, label, score in zip(errors.rows[:MOST_EXAMPLES], errors.suggested, errors.scores, strict=False)
            ),
        )
    ]
