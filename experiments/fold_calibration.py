"""How often the test of cross-validated setups is wrong, how wide its intervals are, and how it was chosen.

python experiments/fold_calibration.py --write experiments/results/fold_calibration.md

Learners are really trained, fold by fold, on samples of made-up populations, so the folds share training examples as
those of any cross-validation do. Two setups are compared on each of many samples. The claim is about the difference of
their expected scores when they are trained on n (k - 1) / k examples of the population, with any seed. A
cross-validation estimates exactly that without bias, so the truth is the mean of its estimates over all samples. A
*false claim* is a test that finds this true difference to be impossible at 5 %: of two copies of one setup under
different seeds, whose true difference is 0, that is a claim that they differ; of two different ones, it is the claim
that would be made if they were equally good and all else were as it is. The interval then leaves the truth out, so its
coverage is the rest.

The samples are divided into two halves, of other populations and other learners. The rule was chosen on the half called
*chosen on*, before the half called *judged on* was run.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from experiments.simulated_learners import DRAWING, POPULATIONS, Sample, predictions, stratified
from textclf.compare.statistics import OF_CONFUSIONS, drawn_confusions, example_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHA = 0.05
SHAPES = ((3, 1), (3, 3), (5, 1), (5, 3), (5, 5), (10, 1), (10, 3))
"""Folds and repeats."""
SEEDS = (1, 3)
SIZES = {200: 600, 600: 500, 2000: 250}
"""Examples in a sample, and samples."""
F1_UP_TO = 600
"""Examples up to which macro F1 is compared too, in populations with uneven classes."""
DRAWS = 200
HALVES: dict[str, dict[str, list[tuple[str, str]]]] = {
    "chosen on": {
        "gaussian": [
            ("random_tree", "random_tree"),
            ("subspace_bayes", "subspace_bayes"),
            ("bayes", "nearest"),
            ("loose_ridge", "random_tree"),
            ("bayes", "subspace_bayes"),
            ("loose_ridge", "tight_ridge"),
        ],
        "uneven": [
            ("random_tree", "random_tree"),
            ("resampled_bayes", "resampled_bayes"),
            ("bayes", "nearest"),
            ("nearest", "tight_ridge"),
            ("bayes", "loose_ridge"),
        ],
    },
    "judged on": {
        "words": [
            ("subspace_word_bayes", "subspace_word_bayes"),
            ("random_tree", "random_tree"),
            ("word_bayes", "loose_ridge"),
            ("word_bayes", "nearest"),
            ("loose_ridge", "tight_ridge"),
            ("word_bayes", "subspace_word_bayes"),
        ],
        "rings": [
            ("random_tree", "random_tree"),
            ("subspace_bayes", "subspace_bayes"),
            ("bayes", "nearest"),
            ("nearest", "random_tree"),
            ("bayes", "resampled_bayes"),
        ],
    },
}
"""Pairs of learners by half and population."""
SPLIT = 5
"""A single split tests a fifth of the examples."""


@dataclass(frozen=True)
class Cell:
    """One kind of cross-validation of one pair of setups."""

    half: str
    population: str
    examples: int
    first: str
    second: str
    metric: str
    folds: int
    repeats: int
    seeds: int


FIELDS = ("difference", "examples", "within", "folds", "all_folds", "repeats", "first_seeds", "second_seeds")
FIELDS += ("split", "split_examples", "split_first", "split_second")
"""What is kept of each sample: the difference; its variance over examples, and that of one repeat; the variance of the
mean over folds, and of single folds; of repeats; and of each setup's seeds. Then the same of a single split."""
Kept = Mapping[str, Floats]
Rule = Callable[[Cell, Kept], tuple[Floats, Floats]]


def plain(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The two-way test, as if every repeat were of the same classifiers."""
    parts = [(kept["examples"], cell.examples - 1)]
    if cell.seeds > 1:
        parts += [(kept[side] / (cell.seeds - 1), cell.seeds - 1) for side in ("first_seeds", "second_seeds")]
    return _added(parts)


def corrected_folds(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The corrected t over folds (Nadeau & Bengio 2003), over repeats (Bouckaert & Frank 2004)."""
    count = cell.folds * cell.repeats
    return kept["all_folds"] * (1 / count + 1 / (cell.folds - 1)), np.full(len(kept["folds"]), count - 1.0)


def _added(parts: Sequence[tuple[Floats, float]]) -> tuple[Floats, Floats]:
    """Return a sum of variances with Satterthwaite's degrees of freedom."""
    total = np.sum([variance for variance, _ in parts], axis=0)
    return total, total**2 / np.sum([variance**2 / freedom for variance, freedom in parts], axis=0)


def examples_and_folds(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The examples' variance and what folds vary more than that."""
    excess = np.maximum(kept["folds"] - kept["within"], 0) / cell.repeats
    return _added([(kept["examples"], cell.examples - 1), (excess, cell.repeats * (cell.folds - 1))])


RULES: dict[str, Rule] = {
    "two-way": plain,
    "corrected t over folds": corrected_folds,
    "examples + folds": examples_and_folds,
}


def pairs_of(half: str, population: str, size: int) -> Iterator[Cell]:
    """Yield the cells of a population and sample size."""
    uneven = population in ("uneven", "rings")
    for (first, second), (folds, repeats), seeds in itertools.product(HALVES[half][population], SHAPES, SEEDS):
        if seeds == 1 or first in DRAWING or second in DRAWING:  # others predict the same whatever the seed
            for metric in ("accuracy", "macro_f1") if uneven and size <= F1_UP_TO else ("accuracy",):
                yield Cell(half, population, size, first, second, metric, folds, repeats, seeds)


@dataclass(frozen=True)
class Passes:
    """What one learner predicts of a sample out of fold, for one number of folds, reduced to what the cells need."""

    values: Floats
    """Of each example, float64 (seeds, repeats, n): whether it is right."""
    scores: Mapping[str, Floats]
    """By metric, float64 (seeds, repeats)."""
    by_fold: Mapping[str, Floats]
    """By metric, float64 (seeds, repeats, k)."""
    draws: Floats
    """Macro F1 in bootstrap draws, float64 (seeds, repeats, draws); empty where it is not compared."""


def passes_of(sample: Sample, predicted: Ints, partitions: Ints, weights: NDArray[np.float32] | None) -> Passes:
    """Reduce out-of-fold predictions, int64 (seeds, repeats, n)."""
    seeds, repeats, n = predicted.shape
    folds, classes = int(partitions.max()) + 1, sample.num_labels
    values = (predicted == sample.labels).astype(np.float64)
    indicators = (partitions[:, :, None] == np.arange(folds)).astype(np.float64)
    sizes = indicators.sum(axis=1)
    scores = {"accuracy": values.mean(axis=2)}
    sums = np.matmul(values.transpose(1, 0, 2), indicators).transpose(1, 0, 2)
    whole = scores["accuracy"][..., None]
    by_fold = {"accuracy": folds * whole - (folds - 1) * (n * whole - sums) / (n - sizes)}
    if weights is None:
        return Passes(values, scores, by_fold, np.empty(0))
    macro_f1 = OF_CONFUSIONS["macro_f1"]
    shape = (seeds, repeats, folds, classes, classes)
    cells = np.arange(seeds)[:, None, None] * repeats + np.arange(repeats)[:, None]
    cells = ((cells * folds + partitions) * classes + sample.labels) * classes + predicted
    matrices = np.bincount(cells.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
    totals = matrices.sum(axis=2)
    scores["macro_f1"] = macro_f1(totals)
    by_fold["macro_f1"] = folds * scores["macro_f1"][..., None] - (folds - 1) * macro_f1(totals[:, :, None] - matrices)
    drawn = macro_f1(drawn_confusions(sample.labels, predicted.reshape(-1, n), classes, weights))
    return Passes(values, scores, by_fold, drawn.reshape(seeds, repeats, -1))


def kept_of(cell: Cell, first: Passes, second: Passes, split: tuple[Passes, Passes], tested: NDArray) -> list[float]:
    """Return the fields of one sample; `split` are the passes whose first repeat has `tested` as its first fold."""
    later = cell.seeds if cell.first == cell.second else 0  # a copy has seeds of its own
    a, b = slice(0, cell.seeds), slice(later, later + cell.seeds)
    rows = slice(0, cell.repeats)
    scores = [side.scores[cell.metric][own, rows] for side, own in ((first, a), (second, b))]
    by_repeat = scores[0].mean(axis=0) - scores[1].mean(axis=0)
    by_fold = first.by_fold[cell.metric][a, rows].mean(axis=0) - second.by_fold[cell.metric][b, rows].mean(axis=0)
    if cell.metric == "accuracy":
        gaps = first.values[a, rows].mean(axis=0) - second.values[b, rows].mean(axis=0)
        unit = 1 / gaps.shape[1]
    else:
        gaps, unit = first.draws[a, rows].mean(axis=0) - second.draws[b, rows].mean(axis=0), 1.0
    seeds = [side.mean(axis=1).var(ddof=1) if len(side) > 1 else 0.0 for side in scores]
    found = [
        by_repeat.mean(),
        max(gaps.mean(axis=0).var(ddof=1) * unit, 1 / cell.examples**2),
        gaps.var(axis=1, ddof=1).mean() * unit,
        by_fold.var(axis=1, ddof=1).mean() / cell.folds,
        by_fold.var(ddof=1),
        by_repeat.var(ddof=1) if cell.repeats > 1 else 0.0,
        *seeds,
    ]
    if cell.metric != "accuracy":
        return [*found, *[np.nan] * 4]
    own = [side.values[rows, 0][:, tested] for side, rows in zip(split, (a, b), strict=True)]
    gap = own[0].mean(axis=0) - own[1].mean(axis=0)
    noise = [side.var(axis=0).mean() / len(gap) / max(len(side) - 1, 1) for side in own]
    spread = [side.mean(axis=1).var(ddof=1) / (len(side) - 1) if len(side) > 1 else 0.0 for side in own]
    least = max(gap.var(ddof=1) / len(gap), 1 / len(gap) ** 2)
    return [*found, gap.mean(), least, *(max(s - w, 0.0) for s, w in zip(spread, noise, strict=True))]


def simulate(half: str, population: str, size: int, repetitions: int) -> dict[Cell, Floats]:
    """Return the fields of every sample for every cell, float64 (repetitions, fields)."""
    rng = np.random.default_rng([size, *population.encode()])
    cells = list(pairs_of(half, population, size))
    uses_f1 = any(cell.metric == "macro_f1" for cell in cells)
    weights = np.concatenate(list(example_weights(size, DRAWS))) if uses_f1 else None
    most = {folds: max(r for k, r in SHAPES if k == folds) for folds, _ in SHAPES}
    copied = {cell.first for cell in cells if cell.first == cell.second}
    learners = dict.fromkeys(name for cell in cells for name in (cell.first, cell.second))
    found: dict[Cell, list[list[float]]] = {cell: [] for cell in cells}
    for _ in range(repetitions):
        sample = POPULATIONS[population](size, rng)
        partitions = {k: np.stack([stratified(sample.labels, k, rng) for _ in range(r)]) for k, r in most.items()}
        passes = {}
        for name in learners:
            seeds = max(SEEDS) * (2 if name in copied else 1)
            for folds, predicted in predictions(name, sample, partitions, seeds, rng).items():
                passes[name, folds] = passes_of(sample, predicted, partitions[folds], weights)
        tested = partitions[SPLIT][0] == 0
        for cell in cells:
            sides = passes[cell.first, cell.folds], passes[cell.second, cell.folds]
            split = passes[cell.first, SPLIT], passes[cell.second, SPLIT]
            found[cell].append(kept_of(cell, *sides, split, tested))
    return {cell: np.array(rows) for cell, rows in found.items()}


@dataclass(frozen=True)
class Rates:
    """What came of the samples of a cell under a rule."""

    false_claims: float
    power: float
    """Share of samples in which a difference would be claimed that a test knowing all would claim in 80 %."""
    width: float
    """Mean width of the 95 % interval, in points."""
    against_split: float
    """That width, divided by the mean width of the single split's; nan where that was not computed."""
    freedom: float


def as_kept(rows: Floats) -> Kept:
    """Return the fields of samples by name."""
    return dict(zip(FIELDS, rows.T, strict=True))


def truths(results: Mapping[Cell, Floats]) -> dict[tuple[object, ...], float]:
    """Return the true difference by all that decides it; of copies it is 0, of others the mean of all estimates."""
    gathered: dict[tuple[object, ...], list[float]] = {}
    for cell, rows in results.items():
        gathered.setdefault(_setting(cell), []).append(0.0 if cell.first == cell.second else float(rows[:, 0].mean()))
    return {key: float(np.mean(values)) for key, values in gathered.items()}


def _setting(cell: Cell) -> tuple[object, ...]:
    """Return what decides the expected difference."""
    return cell.population, cell.examples, cell.first, cell.second, cell.metric, cell.folds


def rates(cell: Cell, rows: Floats, truth: float, rule: Rule) -> Rates:
    """Return how a rule did in a cell."""
    kept = as_kept(rows)
    variance, freedom = rule(cell, kept)
    error = kept["difference"] - truth
    reach = stats.t.ppf(1 - ALPHA / 2, freedom) * np.sqrt(variance)
    lead = (stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)) * np.sqrt(np.mean(error**2))
    split_variance, split_freedom = single_split(cell, kept)
    split = stats.t.ppf(1 - ALPHA / 2, split_freedom) * np.sqrt(split_variance)
    return Rates(
        false_claims=float(np.mean(np.abs(error) > reach)),
        power=float(np.mean(error + lead > reach)),
        width=float(200 * reach.mean()),
        against_split=float(reach.mean() / split.mean()),
        freedom=float(np.median(freedom)),
    )


def single_split(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The two-way test of a single split of the same sample, 80 % to train on and 20 % to test on."""
    parts = [(kept["split_examples"], cell.examples / SPLIT - 1)]
    if cell.seeds > 1:
        parts += [(kept[side], cell.seeds - 1) for side in ("split_first", "split_second")]
    return _added(parts)
