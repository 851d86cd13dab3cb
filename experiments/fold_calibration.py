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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from experiments.simulated_learners import DRAWING, POPULATIONS, Sample, predictions, stratified
from textclf.compare.statistics import FEW_FOLDS, OF_CONFUSIONS, SHARED, drawn_confusions, example_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHA = 0.05
SHAPES = ((3, 1), (3, 3), (5, 1), (5, 3), (5, 5), (10, 1), (10, 3))
"""Folds and repeats."""
SEEDS = (1, 3)
SIZES = {200: 600, 600: 400, 2000: 200}
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
MOST_FALSE = 0.06
"""False claims that are accepted."""
NARROW = 0.6
"""Width of an interval against the single split's that is aimed at."""
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
    """The examples' variance, and what folds vary more than that."""
    excess = np.maximum(kept["folds"] - kept["within"], 0) / cell.repeats
    return _added([(kept["examples"], cell.examples - 1), (excess, cell.repeats * (cell.folds - 1))])


def chosen(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The same, the examples' part raised for shared training examples, the folds' for their small number."""
    freedom = cell.repeats * (cell.folds - 1)
    excess = np.maximum(kept["folds"] * (1 + FEW_FOLDS / freedom) - kept["within"], 0) / cell.repeats
    return _added([(SHARED * kept["examples"], cell.examples - 1), (excess, freedom)])


RULES: dict[str, Rule] = {
    "two-way": plain,
    "corrected t over folds": corrected_folds,
    "examples + folds": examples_and_folds,
    "chosen": chosen,
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
    split_false_claims: float
    """Share of samples in which the single split's interval leaves the truth out; nan likewise."""
    samples: int


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


def rates(cell: Cell, rows: Floats, truth: Mapping[tuple[object, ...], float], rule: Rule) -> Rates:
    """Return how a rule did in a cell."""
    kept = as_kept(rows)
    variance, freedom = rule(cell, kept)
    error = kept["difference"] - truth[_setting(cell)]
    reach = stats.t.ppf(1 - ALPHA / 2, freedom) * np.sqrt(variance)
    lead = (stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)) * np.sqrt(np.mean(error**2))
    against, wrong = float("nan"), float("nan")
    if cell.metric == "accuracy":
        split_variance, split_freedom = single_split(cell, kept)
        split_reach = stats.t.ppf(1 - ALPHA / 2, split_freedom) * np.sqrt(split_variance)
        split_error = kept["split"] - truth[_setting(replace(cell, folds=SPLIT))]
        against, wrong = reach.mean() / split_reach.mean(), np.mean(np.abs(split_error) > split_reach)
    return Rates(
        false_claims=float(np.mean(np.abs(error) > reach)),
        power=float(np.mean(error + lead > reach)),
        width=float(200 * reach.mean()),
        against_split=float(against),
        split_false_claims=float(wrong),
        samples=len(rows),
    )


def single_split(cell: Cell, kept: Kept) -> tuple[Floats, Floats]:
    """The two-way test of a single split of the same sample, 80 % to train on and 20 % to test on."""
    parts = [(kept["split_examples"], cell.examples / SPLIT - 1)]
    if cell.seeds > 1:
        parts += [(kept[side], cell.seeds - 1) for side in ("split_first", "split_second")]
    return _added(parts)


def samples(
    half: str, population: str, size: int, repetitions: int, keep: Path | None
) -> tuple[dict[Cell, Floats], float]:
    """Return what `simulate` does and the seconds it took; kept in a file, from which it is read the next time."""
    file = None if keep is None else keep / f"{population}-{size}-{repetitions}.npz"
    if file is not None and file.is_file():
        with np.load(file) as read:
            return dict(zip(pairs_of(half, population, size), read["rows"], strict=True)), float(read["seconds"])
    begun = time.perf_counter()
    found = simulate(half, population, size, repetitions)
    seconds = time.perf_counter() - begun
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, rows=np.stack(list(found.values())), seconds=seconds)
    return found, seconds


def summary_of(half: str, found: Mapping[Cell, Rates]) -> list[str]:
    """Return sentences on the chosen rule in one half: each target, whether it is met, and the worst cells."""
    over = {cell: one for cell, one in found.items() if one.false_claims > MOST_FALSE}
    clear = [cell for cell, one in over.items() if one.false_claims > MOST_FALSE + 2 * _error(one.samples)]
    worst, most = max(found.items(), key=lambda item: item[1].false_claims)
    mean = np.mean([one.false_claims for one in found.values()])
    lines = [
        f"- **{half}**: at a nominal 5 %, false claims in {mean:.1%} of samples on average over {len(found):,} cells, "
        f"in at most {most.false_claims:.1%} ({_named(worst)}; {most.samples} samples). {len(over)} cells are above "
        f"{MOST_FALSE:.0%}, {len(clear)} of them by more than two standard errors. Coverage is the rest: on average "
        f"{1 - mean:.1%}, at least {1 - most.false_claims:.1%}."
    ]
    for seeds in SEEDS:
        of_seeds = {c: one for c, one in found.items() if c.seeds == seeds and not np.isnan(one.against_split)}
        if not of_seeds:
            continue
        wide = max(of_seeds, key=lambda cell: of_seeds[cell].against_split)
        ratios = np.array([one.against_split for one in of_seeds.values()])
        lines.append(
            f"  With {seeds} seed{'s' * (seeds > 1)} intervals are {np.mean(ratios):.2f} as wide as the single split's "
            f"on average (median {np.median(ratios):.2f}), {np.mean(ratios <= NARROW):.0%} of cells within {NARROW:g}, "
            f"the widest {of_seeds[wide].against_split:.2f} ({_named(wide)}); the single split's own intervals leave "
            f"the truth out in {np.mean([one.split_false_claims for one in of_seeds.values()]):.1%} of samples, up to "
            f"{max(one.split_false_claims for one in of_seeds.values()):.1%}."
        )
    return lines


def targets_of(found: Mapping[Cell, Rates]) -> list[str]:
    """Return which of the targets the rule meets on the half that it is judged on."""
    judged = {cell: one for cell, one in found.items() if cell.half == "judged on"}
    if not judged:
        return []
    above = sum(one.false_claims > MOST_FALSE for one in judged.values())
    said = "met in every cell" if not above else f"not met to the letter: {above} of {len(judged)} cells are above it"
    lines = ["", f"On the half judged on, the target of {MOST_FALSE:.0%} of false claims is {said}."]
    for repeats, seeds in itertools.product(sorted({cell.repeats for cell in judged}), SEEDS):
        for folds in sorted({cell.folds for cell in judged if cell.repeats == repeats}):
            ratios = [
                one.against_split
                for cell, one in judged.items()
                if (cell.folds, cell.repeats, cell.seeds, cell.metric) == (folds, repeats, seeds, "accuracy")
            ]
            kind = f"{folds} folds, {repeats} repeat{'s' * (repeats > 1)} and {seeds} seed{'s' * (seeds > 1)}"
            share = np.mean(np.array(ratios) <= NARROW)
            lines.append(f"- The target of widths is met in {share:.0%} of cells with {kind}.")
    return lines


def _error(count: int) -> float:
    """Return the standard error of a rate of 6 %."""
    return float(np.sqrt(MOST_FALSE * (1 - MOST_FALSE) / count))


def _row(name: str, of_cells: Sequence[Rates]) -> list[str]:
    """Return a rule's row in the table of rules."""
    shares = np.array([one.false_claims for one in of_cells])
    ratios = [one.against_split for one in of_cells if not np.isnan(one.against_split)]
    power = np.mean([one.power for one in of_cells])
    above = f"{np.sum(shares > MOST_FALSE)} of {len(shares)}"
    return [name, f"{shares.mean():.3f}", f"{shares.max():.3f}", above, f"{power:.2f}", f"{np.mean(ratios):.2f}"]


def _named(cell: Cell) -> str:
    return (
        f"{cell.first} and {cell.second}, {cell.metric}, {cell.examples:,} examples, {cell.folds} folds, "
        f"{cell.repeats} repeat{'s' * (cell.repeats > 1)}, {cell.seeds} seed{'s' * (cell.seeds > 1)}"
    )


def table_by(
    results: Mapping[Cell, Floats],
    found: Mapping[str, Mapping[Cell, Rates]],
    heads: Sequence[str],
    key: Callable[[Cell], tuple[object, ...]],
) -> str:
    """Return a table with a row for each kind of cells, its rates averaged, and the worst cell's beside."""
    gathered: dict[tuple[object, ...], list[Cell]] = {}
    for cell in results:
        gathered.setdefault(key(cell), []).append(cell)
    rows = []
    for kind, cells in gathered.items():
        row = [str(part) for part in kind]
        for name in RULES:
            shares = [found[name][cell].false_claims for cell in cells]
            row.append(f"{np.mean(shares):.3f}" + (f" ({max(shares):.3f})" if name == "chosen" else ""))
        own = [found["chosen"][cell] for cell in cells]
        ratios = [one.against_split for one in own if not np.isnan(one.against_split)]
        row += [f"{np.mean([one.power for one in own]):.2f}", f"{np.mean([one.width for one in own]):.1f}"]
        row.append(f"{np.mean(ratios):.2f} ({max(ratios):.2f})" if ratios else "")
        rows.append(row)
    rules = [name if name != "chosen" else "chosen, mean (worst cell)" for name in RULES]
    return tabulate(
        rows, [*heads, *rules, "power", "width", "against a split"], tablefmt="github", disable_numparse=True
    )


def report(results: Mapping[Cell, Floats], made: str) -> str:
    """Return the page."""
    truth = truths(results)
    found = {
        name: {cell: rates(cell, rows, truth, rule) for cell, rows in results.items()} for name, rule in RULES.items()
    }
    sizes = sorted({(cell.examples, len(rows)) for cell, rows in results.items()})
    parts = ["# How often the test of cross-validated setups is wrong", ""]
    for half in HALVES:
        of_half = {cell: one for cell, one in found["chosen"].items() if cell.half == half}
        parts += summary_of(half, of_half) if of_half else []
    parts += [
        *targets_of(found["chosen"]),
        "",
        f"The rule, fixed on the first half: the variance of a difference is {SHARED:g} times its variance over "
        f"examples, plus what folds vary more than examples explain, divided by the repeats; the folds' variance is "
        f"raised by {FEW_FOLDS:g} over its degrees of freedom, repeats x (folds - 1). The targets are false "
        f"claims in at most {MOST_FALSE:.0%} of samples, intervals that hold the truth in 94 %, and widths of at most "
        f"{NARROW:g} of a single split's.",
        "",
        "Samples in a cell: "
        + ", ".join(
            f"{count} of {n:,} examples (standard error of a rate of 5 %: {np.sqrt(0.0475 / count):.1%})"
            for n, count in sizes
        )
        + ". Cells of one population, pair and size are of the same samples, so their errors go together.",
        "",
        "The single split trains on 80 % of the same sample, tests on 20 %, and has the same number of seeds. From its "
        "seeds' part all is taken that counts twice, where the library takes half, so its intervals are, if anything, "
        "too narrow here. With one seed its interval allows for other test examples alone, and its claim is about two "
        "classifiers; that of a cross-validation is about the setups. Power is for a difference that a test knowing "
        "the true variance would find in 80 % of samples. Widths are in points.",
        "",
        "Not simulated: the nested cross-validation of Bates, Hastie & Tibshirani (2023), which for k folds trains "
        "k (k - 1) / 2 classifiers more in each of some hundred repeats; trainings that sometimes fail altogether; "
        "examples in groups. Least squares on the classes stand for logistic regression.",
        "",
        made,
    ]
    for half in HALVES:
        of_half = {cell: rows for cell, rows in results.items() if cell.half == half}
        if not of_half:
            continue
        rules = [_row(name, [found[name][cell] for cell in of_half]) for name in RULES]
        heads = [
            "rule",
            "false claims, mean",
            "worst cell",
            f"cells above {MOST_FALSE:.0%}",
            "power",
            "against a split",
        ]
        parts += ["", f"## {half}: rules", "", tabulate(rules, heads, tablefmt="github", disable_numparse=True)]
        parts += ["", f"## {half}: false claims by folds, repeats and seeds", ""]
        heads, key = ["folds", "repeats", "seeds"], lambda cell: (cell.folds, cell.repeats, cell.seeds)
        parts += [table_by(of_half, found, heads, key), "", f"## {half}: false claims by pair", ""]
        heads = ["population", "first", "second", "metric", "examples", "seeds"]
        parts.append(
            table_by(of_half, found, heads, lambda c: (c.population, c.first, c.second, c.metric, c.examples, c.seeds))
        )
        parts += ["", f"## {half}: the worst cells", ""]
        worst = sorted(of_half, key=lambda cell: -found["chosen"][cell].false_claims)[:12]
        parts += [f"- {found['chosen'][cell].false_claims:.1%}: {_named(cell)}." for cell in worst]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Simulate both halves, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few samples of the smallest size, to see that it runs")
    parser.add_argument("--half", choices=list(HALVES), action="append", help="only this half")
    parser.add_argument("--keep", type=Path, help="folder for finished parts, from which another start goes on")
    parser.add_argument("--write", type=Path, help="file to write the page to")
    given = parser.parse_args()
    sizes = {min(SIZES): 4} if given.quick else SIZES
    results, seconds = {}, 0.0
    for half in given.half or HALVES:
        for population, (size, repetitions) in itertools.product(HALVES[half], sizes.items()):
            found, taken = samples(half, population, size, repetitions, given.keep)
            results, seconds = results | found, seconds + taken
            print(f"{half}: {population}, {size} examples, after {seconds:.0f} s", flush=True)
    options = " --quick" * given.quick + "".join(f" --half '{half}'" for half in given.half or ())
    command = f"python experiments/fold_calibration.py{options} --write experiments/results/fold_calibration.md"
    text = report(results, f"Made by `{command}` in {seconds / 60:.0f} min on one core.")
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
