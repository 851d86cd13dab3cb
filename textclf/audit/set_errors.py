"""Labels of sets that are probably wrong: given or left out against a model that never saw the text and is sure."""

from __future__ import annotations

import warnings

import numpy as np
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold

from textclf.audit.corpus import Corpus
from textclf.audit.label_errors import (
    AVOIDED,
    FEWEST,
    FEWEST_STEPS,
    FOLDS,
    INVERSE_REGULARISATION,
    LabelErrors,
    features_of,
)
from textclf.audit.options import AuditOptions
from textclf.data.dataset import SPLITS
from textclf.errors import listed


def find_set_errors(corpus: Corpus, options: AuditOptions) -> LabelErrors | None:
    """Search for labels of sets that are probably wrong.

    Each text is predicted by one logistic regression a label, fitted on the four folds that it is not in; copies of a
    text lie in one fold. Which decisions on a label are sure enough is found out by confident learning (Northcutt,
    Jiang and Chuang 2021), label by label as cleanlab does it (Thyagarajan et al. 2022). A label is judged where
    enough texts have it, and where the model avoids most mistakes of always giving the more frequent answer.

    Returns:
        What was found; none where no label has enough texts with and without it.
    """
    has = corpus.sets
    assert has is not None
    empty = np.concatenate([corpus.keys[name].empty for name in SPLITS])
    rows, said = np.flatnonzero(~empty), []
    if len(rows) > options.label_error_sample:
        said.append(f"a random {options.label_error_sample:,} of {len(rows):,} examples were judged")
        drawn = np.random.default_rng(options.seed).permutation(rows)[: options.label_error_sample]
        rows = np.sort(drawn)
    counts = has[rows].sum(axis=0)
    enough = np.flatnonzero(np.minimum(counts, len(rows) - counts) >= FEWEST)
    if len(enough) < has.shape[1]:
        said.append(f"{has.shape[1] - len(enough)} labels with fewer than {FEWEST} examples were not judged")
    values = np.concatenate([corpus.keys[name].values for name in SPLITS])[rows]
    if len(enough) == 0 or len(np.unique(values)) < FOLDS:
        return None
    given = has[rows][:, enough]
    probabilities = _out_of_fold(features_of(corpus, rows), given, values, options.seed)
    predicted = probabilities >= 0.5
    right = (predicted == given).mean(axis=0)
    majority = np.maximum(given.mean(axis=0), 1 - given.mean(axis=0))
    knows = 1 - right <= (1 - AVOIDED) * (1 - majority)
    if not knows.all():
        unknown = [corpus.data.label_names[enough[k]] for k in np.flatnonzero(~knows)]
        said.append(f"the model knows too little of {listed(unknown)} for its opinion on them to count")
    wrong, scores = _issues(given, probabilities)
    wrong &= (predicted != given) & knows
    lowest = np.where(wrong, scores, np.inf).min(axis=1)
    found = np.flatnonzero(wrong.any(axis=1))
    found = found[np.argsort(lowest[found], kind="stable")]
    suggested = has[rows[found]].copy()
    suggested[:, enough] ^= wrong[found]
    judged = knows if knows.any() else np.ones_like(knows)
    return LabelErrors(
        rows=rows[found],
        suggested=suggested,
        scores=lowest[found],
        judged=rows,
        judged_scores=scores[:, judged].min(axis=1),
        accuracy=float(right[judged].mean()),
        majority=float(majority[judged].mean()),
        remark="; ".join(said),
        labels=tuple(enough[knows].tolist()),
    )


def _issues(
    given: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which decisions on a label are suspected, bool (n, k), and the probability of each as given."""
    lists = [np.flatnonzero(row).tolist() for row in given]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label in which nothing is suspected
        found = find_multilabel_issues_per_class(lists, probabilities, n_jobs=1)
        scores = get_label_quality_scores_per_class(lists, probabilities)
    return np.asarray(found, dtype=bool), np.asarray(scores, dtype=np.float64)


def _out_of_fold(
    features: csr_matrix, given: NDArray[np.bool_], keys: NDArray[np.uint64], seed: int
) -> NDArray[np.float64]:
    """Return the probability of each label by models that did not see an example, float64 (n, k)."""
    _, text = np.unique(keys, return_inverse=True)
    fold = np.empty(int(text.max()) + 1, dtype=np.int64)
    for number, (_, held_out) in enumerate(KFold(FOLDS, shuffle=True, random_state=seed).split(fold)):
        fold[held_out] = number
    out = np.empty(given.shape)
    for number in range(FOLDS):
        held_out = fold[text] == number
        train = np.flatnonzero(~held_out)
        for label in range(given.shape[1]):
            own = given[train, label]
            if own.all() or not own.any():  # copies of one text had the others
                out[held_out, label] = own.mean()
                continue
            model = SGDClassifier(
                loss="log_loss",
                alpha=1 / (INVERSE_REGULARISATION * len(train)),
                max_iter=max(10, FEWEST_STEPS // len(train)),
                tol=None,
                random_state=seed,
            )
            out[held_out, label] = model.fit(features[train], own).predict_proba(features[held_out])[:, 1]
    return out
