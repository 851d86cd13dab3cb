"""How often the tests of sets of labels claim a difference that is not there.

python experiments/set_calibration.py --write experiments/results/set_calibration.md

Two learners of sets of labels are simulated many times over. Each label has its share of the examples, the rarest 2 %;
what a learner sees of a label in a text is the truth plus what is hard in this text, for both learners or, of
*different* ones, for one alone, plus what this seed makes of the label, plus chance. The label is given where that is
above its threshold. Of *deterministic* pairs the second predicts the same whatever its seed. Both are equally good over
all examples and seeds that there could be, so that every claim is false, and a test at 5 % should make one in no more
than 5 % of repetitions. Each learner has three seeds.

Micro and macro F1 are tested by what each example contributes to them (the delta method), as comparisons do. A sample
in which a label neither occurs nor is given has no macro F1, and there is nothing to test in it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tabulate import tabulate

from textclf.compare.statistics import OF_SETS, differences, scores_of_means

ALPHA = 0.05
SEEDS = 3
LABELS = {"common": (0.4, 0.3, 0.2, 0.1), "rare": (0.4, 0.25, 0.15, 0.1, 0.06, 0.04, 0.03, 0.02)}
"""The shares of the examples that have each label."""
CLEAR = 3.0
"""How far a label's presence lies from its absence, in standard deviations of chance."""
HARD, TASTE = 0.7, 0.7
"""Standard deviation of what is hard in a text for both learners, and for one of two different ones alone."""


@dataclass(frozen=True)
class Cell:
    """One place on the grid."""

    labels: str
    """A key of `LABELS`."""
    examples: int
    truth: str
    """`identical`, `different` or `deterministic`."""
    ratio: float
    """Standard deviation over seeds of a label's threshold, in standard deviations of chance."""


def grid() -> Iterator[Cell]:
    """Yield the cells."""
    for labels, examples in itertools.product(LABELS, (200, 500, 1000)):
        for truth, ratio in itertools.product(("identical", "different"), (0.0, 0.3, 1.0)):
            yield Cell(labels, examples, truth, ratio)
        yield Cell(labels, examples, "deterministic", 0.0)


def drawn(cell: Cell, rng: np.random.Generator) -> tuple[NDArray[np.bool_], list[NDArray[np.bool_]]]:
    """Return true sets, bool (n, L), and those that each of two learners gives, bool (seeds, n, L) each."""
    shares = np.array(LABELS[cell.labels])
    truth = rng.random((cell.examples, len(shares))) < shares
    threshold = CLEAR * (0.5 + 0.15 * (0.4 - shares))  # rarer labels take more
    common = CLEAR * truth + HARD * rng.standard_normal(truth.shape)
    given = []
    for learner in range(2):
        own = TASTE * rng.standard_normal(truth.shape) if cell.truth == "different" else 0.0
        seeds = cell.ratio * rng.standard_normal((SEEDS, 1, len(shares)))
        chance = rng.standard_normal((SEEDS, *truth.shape))
        if cell.truth == "deterministic" and learner:
            chance = np.repeat(chance[:1], SEEDS, axis=0)
        given.append(common + own + chance > threshold + seeds)
    return truth, given


def p_values(truth: NDArray[np.bool_], given: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Return the p-value of each test that two learners differ, nan where a metric is undefined.

    Args:
        truth: The true sets, bool (n, L).
        given: What each learner gives with each seed, bool (seeds, n, L).
    """
    found: dict[str, float] = {}
    for metric, values in OF_SETS.items():
        scores = scores_of_means([np.stack([values(truth, one) for one in seeds]) for seeds in given])
        able = np.isfinite(scores.means).all()
        found[metric] = float(differences(scores, 0, 1).p_values()[0]) if able else float("nan")
    return found


def simulate(cell: Cell, repetitions: int) -> dict[str, tuple[float, float]]:
    """Return of each test the share of false claims among the samples that it could be made in, and their share."""
    number = list(grid()).index(cell)
    rng = np.random.default_rng([1, number])
    found = [p_values(*drawn(cell, rng)) for _ in range(repetitions)]
    rates = {}
    for test in found[0]:
        p = np.array([one[test] for one in found])
        able = np.isfinite(p)
        rates[test] = (float((p[able] < ALPHA).mean()), float(able.mean()))
    return rates


def report(results: Mapping[Cell, Mapping[str, tuple[float, float]]], repetitions: int, seconds: float) -> str:
    """Return the page as Markdown, what holds over all cells first."""
    tests = list(next(iter(results.values())))
    parts = ["# How often tests of sets of labels are wrong", ""]
    for test in tests:
        rates = {cell: found[test][0] for cell, found in results.items()}
        worst = max(rates, key=lambda cell: rates[cell])
        parts.append(
            f"- {test}: at a nominal 5 %, {np.mean(list(rates.values())):.1%} of false claims on average over "
            f"{len(rates)} cells, and {rates[worst]:.1%} at most (in {worst.labels} labels, {worst.examples:,} "
            f"examples, {worst.truth}, ratio {worst.ratio:g})."
        )
    able = min(found["macro_f1"][1] for found in results.values())
    parts += [
        "",
        f"Each rate is of {repetitions:,} repetitions, so the standard error of one of 5 % is "
        f"{np.sqrt(ALPHA * (1 - ALPHA) / repetitions):.2%}. In the worst cell {able:.1%} of the samples have a macro "
        f"F1. Every learner has {SEEDS} seeds; labels are common ({_shares('common')}) or partly rare "
        f"({_shares('rare')}).",
        "",
        "Made by `python experiments/set_calibration.py --write experiments/results/set_calibration.md --repetitions "
        f"{repetitions}` in {max(seconds / 60, 1):.0f} min of one core.",
        "",
    ]
    rows = [
        [cell.labels, f"{cell.examples:,}", cell.truth, f"{cell.ratio:g}", *(f"{found[test][0]:.3f}" for test in tests)]
        for cell, found in results.items()
    ]
    heads = ["labels", "examples", "truth", "ratio", *tests]
    return "\n".join([*parts, tabulate(rows, heads, tablefmt="github", disable_numparse=True)]) + "\n"


def _shares(labels: str) -> str:
    return ", ".join(f"{share:.0%}" for share in LABELS[labels])


def _timed(cell: Cell, repetitions: int) -> tuple[Cell, dict[str, tuple[float, float]], float]:
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return cell, simulate(cell, repetitions), time.process_time() - begun


def main() -> None:
    """Simulate the whole grid and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="repetitions per cell (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="cells simulated side by side")
    parser.add_argument("--write", type=Path, help="file to write the page to")
    given = parser.parse_args()
    results, seconds = {}, 0.0
    work = (delayed(_timed)(cell, given.repetitions) for cell in grid())
    for cell, rates, taken in Parallel(given.workers, return_as="generator")(work):
        results[cell], seconds = rates, seconds + taken
        print(f"[{len(results)}] {cell} {rates}", flush=True)
    text = report(results, given.repetitions, seconds)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
