"""How often tests call a setup different from itself, on real text.

python experiments/null_pairs.py headlines reviews --write experiments/results/null_pairs.md
python experiments/null_pairs.py reviews --model minilm --seeds 12 --folds 3

One setup is trained many times, each time with another seed. Its seeds are then dealt into two groups, as if they were
two setups, and each test is asked whether they differ. They do not: every claim is false. Two kinds of trainings are
made on each dataset: of its own training split, tested on its own test split; and of all its examples by
cross-validation, over several partitions, each of the folds with a seed of its own.

McNemar's test sees one seed of each group. The t test over seeds sees their scores and no examples. The two-way test
adds both parts of the error, and is given as it is, and with nothing taken from the seeds' part of what the examples
count already. The test over folds is that of cross-validations.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from experiments.simulated_learners import stratified
from textclf import compose_experiment
from textclf.compare.statistics import Scores, differences, fold_scores, mcnemar_p_value, scores_of_means
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.data.load import load
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel
from textclf.training.fit import fit
from textclf.training.result import RunContext

ALPHA = 0.05
TFIDF = {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "sublinear_tf": True}
QUICK = {
    "tree": {"_target_": "sklearn.tree.ExtraTreeClassifier", "min_samples_leaf": 2},
    "forest": {"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 10},
    "sgd": {"_target_": "sklearn.linear_model.SGDClassifier", "loss": "log_loss", "max_iter": 5, "tol": None},
}
"""Classifiers over tf-idf that draw from their seed and are trained in a fraction of a second."""
GROUPS = 400
"""Pairs of groups that are dealt from the seeds."""
Rights = NDArray[np.bool_]


@dataclass(frozen=True)
class Trainings:
    """Where each of many trainings of one setup is right."""

    dataset: str
    model: str
    split: Rights
    """On the dataset's own test split, bool (seeds, n_test)."""
    crossed: Rights
    """Out of fold, on all examples, bool (seeds, partitions, n)."""
    partitions: NDArray[np.int64]
    """The fold of each example, int64 (partitions, n)."""


def train_all(dataset: str, model: str, seeds: int, partitions: int, folds: int) -> Trainings:
    """Train one setup again and again.

    Args:
        dataset: A choice of `dataset`.
        model: A key of `QUICK`, or a choice of `model`.
        seeds: Trainings on the dataset's own split; a third as many go through each partition.
        partitions: Partitions into folds.
        folds: Folds of each.
    """
    options = [f"dataset={dataset}", "tracker=none", f"model={'tfidf_logreg' if model in QUICK else model}"]
    experiment = compose_experiment(*options)
    if model in QUICK:
        quick = ClassicalModel(name=model, vectorizer=dict(TFIDF), classifier=dict(QUICK[model]))
        experiment = replace(experiment, model=quick)
    data = load(experiment.dataset)
    split = np.stack([_right(experiment, data, seed) for seed in range(1, seeds + 1)])
    pooled = concatenate_datasets([data.train, data.validation, data.test])
    labels = labels_of(pooled)
    parts = np.stack([stratified(labels, folds, np.random.default_rng([folds, part])) for part in range(partitions)])
    rows = max(2 * FEWEST, seeds // 3)
    crossed = np.zeros((rows, *parts.shape), dtype=bool)
    for seed, part, fold in np.ndindex(rows, partitions, folds):
        inside = np.flatnonzero(parts[part] != fold)
        outside = np.flatnonzero(parts[part] == fold)
        some = replace(data, train=pooled.select(inside), test=pooled.select(outside))
        own_seed = int(np.random.SeedSequence([seed, part, fold]).generate_state(1)[0] >> 1)
        crossed[seed, part, outside] = _right(experiment, some, own_seed)
    return Trainings(dataset, model, split, crossed, parts)


FEWEST = 3
"""Seeds in a group, at least, for a test of setups."""


def _right(experiment: Experiment, data: TextData, seed: int) -> Rights:
    """Train once and return which test examples are predicted rightly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier, _ = fit(experiment.model, data, experiment.trainer, RunContext(seed))
    texts, pairs = texts_of(data.test)
    return classifier.predict_proba(list(texts), pairs).argmax(axis=1) == labels_of(data.test)


def groups(count: int, size: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of groups of different seeds."""
    for _ in range(GROUPS):
        dealt = rng.permutation(count)
        yield dealt[:size], dealt[size : 2 * size]


def rates(trainings: Trainings, rng: np.random.Generator) -> Iterator[tuple[str, str, float, float]]:
    """Yield each test, what it was given, the share of false claims, and the median width of its 95 % interval."""
    split = trainings.split
    count = len(split)
    p = [mcnemar_p_value(split[a[0]], split[b[0]]) for a, b in groups(count, 1, rng)]
    yield "McNemar, one seed each", "own split", _share(p), float("nan")
    for size in (3, 5, 10):
        if 2 * size > count:
            continue
        dealt = list(groups(count, size, rng))
        scores = [scores_of_means([split[a], split[b]]) for a, b in dealt]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # seeds that score the same
            over_seeds = [stats.ttest_ind(*score.by_seed).pvalue for score in scores]
        given = f"own split, {size} seeds each"
        yield "t over seeds", given, _share(over_seeds), float("nan")
        yield "two-way, nothing taken", given, *_claims([replace(score, noise=None) for score in scores])
        yield "two-way", given, *_claims(scores)
    crossed, parts = trainings.crossed, trainings.partitions
    rows, repeats = crossed.shape[:2]
    for size, passes in ((1, 1), (1, 3), (3, 1), (3, 3)):
        if passes > repeats or 2 * size > rows:
            continue
        found = []
        for a, b in groups(rows, size, rng):
            drawn = rng.choice(repeats, passes, replace=False)
            found.append(fold_scores([crossed[a][:, drawn], crossed[b][:, drawn]], parts[drawn]))
        given = f"{parts.max() + 1} folds, {passes} partition{'s' * (passes > 1)}, {size} seed{'s' * (size > 1)} each"
        yield "folds", given, *_claims(found)


def _share(p_values: Sequence[float]) -> float:
    return float(np.mean(np.nan_to_num(p_values, nan=1.0) < ALPHA))


def _claims(scores: Sequence[Scores]) -> tuple[float, float]:
    """Return the share of false claims and the median width of the intervals."""
    found = [differences(score, 0, 1) for score in scores]
    widths = [float(high[0] - low[0]) for low, high in (estimate.interval() for estimate in found)]
    return _share([float(estimate.p_values()[0]) for estimate in found]), float(np.median(widths))


def report(studied: Sequence[Trainings], command: str, seconds: float) -> str:
    """Return the page."""
    rows, worst = [], {}
    for trainings in studied:
        for test, given, share, width in rates(trainings, np.random.default_rng(0)):
            said = "" if np.isnan(width) else f"{100 * width:.1f}"
            rows.append([trainings.dataset, trainings.model, test, given, f"{share:.1%}", said])
            worst[test] = max(worst.get(test, 0.0), share)
    kinds = "; ".join(f"{test} in up to {share:.1%}" for test, share in worst.items())
    trained = [
        f"{one.model} on {one.dataset}: {len(one.split)} seeds on its own split of {one.split.shape[1]} test examples "
        f"(accuracy {one.split.mean():.3f}, standard deviation over seeds {one.split.mean(axis=1).std(ddof=1):.3f}); "
        f"{one.crossed.shape[0]} seeds in each of {one.crossed.shape[1]} partitions into {one.partitions.max() + 1} "
        f"folds of {one.crossed.shape[2]} examples (accuracy {one.crossed.mean():.3f})."
        for one in studied
    ]
    return "\n".join(
        [
            "# How often tests call a setup different from itself",
            "",
            f"At a nominal 5 %, of {GROUPS} pairs of groups of seeds of one and the same setup: {kinds}.",
            "",
            "The groups are dealt again and again from the same seeds, so that a rate is less certain than its number "
            "of pairs says: with 40 seeds there are but 20 pairs of them that share none.",
            "",
            *(f"- {line}" for line in trained),
            "",
            tabulate(
                rows,
                ["dataset", "model", "test", "given", "false claims", "width of the 95 % interval, points"],
                tablefmt="github",
                disable_numparse=True,
            ),
            "",
            f"Made by `{command}` in {seconds / 60:.0f} min.",
            "",
        ]
    )


def main() -> None:
    """Train, ask the tests, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="DATA", help="choices of dataset, such as headlines")
    parser.add_argument("--model", action="append", help=f"one of {', '.join(QUICK)}, or a choice of model")
    parser.add_argument("--seeds", type=int, default=40, help="trainings on the own split (%(default)s)")
    parser.add_argument("--partitions", type=int, default=6, help="partitions into folds (%(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="folds of each (%(default)s)")
    parser.add_argument("--write", type=Path, help="file to write the page to")
    given = parser.parse_args()
    begun = time.perf_counter()
    studied = []
    for dataset in given.data:
        for model in given.model or QUICK:
            studied.append(train_all(dataset, model, given.seeds, given.partitions, given.folds))
            print(f"{dataset}, {model}: trained after {time.perf_counter() - begun:.0f} s", flush=True)
    options = "".join(f" --model {model}" for model in given.model or ())
    command = (
        f"python experiments/null_pairs.py {' '.join(given.data)}{options} --seeds {given.seeds} --folds {given.folds}"
    )
    text = report(studied, command, time.perf_counter() - begun)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
