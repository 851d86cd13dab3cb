"""How often the interval of a crossing holds the number of labels from which on training is really as good.

python experiments/crossing_calibration.py --write experiments/results/crossing_calibration.md

Learning curves are simulated whose true crossing is known. Each test example has a difficulty that all classifiers
share in part; each draw of the training examples makes a classifier a little better or worse everywhere, the more so
the fewer they are; a prediction is right with the chance that follows. The expected accuracy follows a law in the
number of training examples: the power law that the interpolation is made for, one that falls faster or slower, one
that jumps from near chance to its best like a fine-tuned transformer, and one that levels off just above the fixed
classifier, where no crossing is plain to see. The fixed classifier has one accuracy, which the law reaches at a known
size; it is the same for all draws, as a language model without examples is, or has draws of its own, as one with
examples in its prompt has. The interval should hold the true crossing in 95 % of repetitions or more; an end that is
open holds all that lies beyond.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from tabulate import tabulate

from textclf.compare.statistics import Crossing, crossing, differences, scores_of_means
from textclf.compare.statistics.curve_crossing import stays_above

Floats = NDArray[np.float64]

LAWS: dict[str, Callable[[Floats], Floats]] = {
    "power law": lambda n: 0.08 + 1.0 * n**-0.45,
    "fast": lambda n: 0.10 + 3.0 * n**-0.9,
    "slow": lambda n: 0.9 * n**-0.2,
    "jump": lambda n: 0.10 + 0.40 / (1 + (n / 90) ** 3),
    "level": lambda n: 0.20 + 3.0 * n**-1.0,
}
"""Expected errors by number of training examples."""
GRIDS = {"fourfold": (16, 64, 256, 1024), "twofold": (16, 32, 64, 128, 256, 512, 1024)}
CROSSINGS = (40.0, 150.0, 500.0)
SEEDS = (3, 5)
EXAMPLES = (150, 1000)
DIFFICULTY = 1.5
"""Standard deviation in logits of what all classifiers find hard."""
TASTE = 1.0
"""The same of what only one of two finds hard: the trained one, of whatever size, or the fixed one."""
OWN = 0.5
"""The same of what only one draw of the training examples finds hard."""
DRAWN = 0.8
"""Standard deviation in logits of a draw of n training examples is this over the root of n / 10, at most this."""


@dataclass(frozen=True)
class Cell:
    """One place on the grid."""

    law: str
    grid: str
    truth: float
    seeds: int
    examples: int
    draws_prompt: bool
    """Whether the fixed classifier varies by draw too."""


def cells() -> list[Cell]:
    """Return the grid."""
    product = itertools.product(LAWS, GRIDS, CROSSINGS, SEEDS, EXAMPLES, (False, True))
    return [Cell(*place) for place in product]


@cache
def logit_of(accuracy: float, spread: float) -> float:
    """Return the mean logit of a classifier whose expected accuracy, over normal logits of this spread, is given."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    return float(optimize.brentq(lambda m: weights @ special.expit(m + spread * nodes) - accuracy, -30, 30))


def simulated(cell: Cell, rng: np.random.Generator) -> tuple[Crossing, tuple[float, float]]:
    """Return the crossing that one simulated experiment finds, and the ends of an interval with interpolated ends."""
    sizes = np.array(GRIDS[cell.grid], dtype=np.float64)
    law = LAWS[cell.law]
    hard = DIFFICULTY * rng.standard_normal(cell.examples)
    tastes = TASTE * rng.standard_normal((2, cell.examples))
    values = []
    levels = [*(1 - law(sizes)), 1 - float(law(np.array(cell.truth)))]
    for place, accuracy in enumerate(levels):
        is_fixed = place == len(sizes)
        draws = cell.seeds if not is_fixed or cell.draws_prompt else 1
        drawn = 0.15 if is_fixed else DRAWN * min(1.0, (sizes[place] / 10) ** -0.5)
        drawn = drawn if draws > 1 else 0.0
        own = OWN if draws > 1 else 0.0
        mean = logit_of(accuracy, float(np.sqrt(DIFFICULTY**2 + TASTE**2 + own**2 + drawn**2)))
        logits = mean + drawn * rng.standard_normal((draws, 1)) + own * rng.standard_normal((draws, cell.examples))
        right = rng.random((draws, cell.examples)) < special.expit(logits + hard + tastes[int(is_fixed)])
        values.append(np.repeat(right, 3 if draws == 1 else 1, axis=0).astype(np.float64))  # as `Setup.sample`
    scores = scores_of_means(values)
    gains = differences(scores, np.arange(len(sizes)), np.full(len(sizes), len(sizes)))
    least, most = gains.interval()
    return crossing(sizes, gains), (stays_above(sizes, most), stays_above(sizes, least))


@dataclass(frozen=True)
class Count:
    """What came of the repetitions of a cell."""

    covered: float
    """Share of intervals that hold the true crossing."""
    interpolated: float
    """The same where the ends of the test's interval are interpolated between sizes as the estimate is."""
    too_high: float
    """Share whose lower end lies above it."""
    closed: float
    """Share with two ends within the sizes tried."""
    width: float
    """Median ratio of the ends of those; NaN where there are none."""
    ratio: float
    """Median of the estimate over the truth, of estimates within the sizes tried."""


def count(cell: Cell, repetitions: int, seed: int = 0) -> Count:
    """Simulate a cell."""
    rng = np.random.default_rng([seed, cells().index(cell)])
    found, between = zip(*(simulated(cell, rng) for _ in range(repetitions)), strict=True)
    low, at, high = (np.array([getattr(one, name) for one in found]) for name in ("low", "at", "high"))
    closed = (low > 0) & np.isfinite(high)
    inside = (at > 0) & np.isfinite(at)
    return Count(
        float(((low <= cell.truth) & (cell.truth <= high)).mean()),
        float(np.mean([start <= cell.truth <= end for start, end in between])),
        float((low > cell.truth).mean()),
        float(closed.mean()),
        float(np.median(high[closed] / low[closed])) if closed.any() else float("nan"),
        float(np.median(at[inside]) / cell.truth) if inside.any() else float("nan"),
    )


def page(repetitions: int) -> str:
    """Return the results as Markdown."""
    counts = {cell: count(cell, repetitions) for cell in cells()}
    rows = []
    for law, grid, draws in itertools.product(LAWS, GRIDS, (False, True)):
        own = [c for cell, c in counts.items() if (cell.law, cell.grid, cell.draws_prompt) == (law, grid, draws)]
        covered = [one.covered for one in own]
        rows.append(
            (
                law, grid, "draws" if draws else "one", f"{np.mean(covered):.1%}", f"{min(covered):.1%}",
                f"{min(one.interpolated for one in own):.1%}",
                f"{max(one.too_high for one in own):.1%}", f"{np.mean([one.closed for one in own]):.0%}",
                f"{np.nanmedian([one.width for one in own]):.1f}" if any(one.closed for one in own) else "–",
                f"{np.nanmedian([one.ratio for one in own]):.2f}",
            )
        )  # fmt: skip
    heads = [
        "law",
        "sizes",
        "fixed",
        "held",
        "held, least",
        "interpolated",
        "lower end above",
        "two ends",
        "high / low",
        "bias",
    ]
    covered = np.array([one.covered for one in counts.values()])
    interpolated = np.array([one.interpolated for one in counts.values()])
    return f"""# How often the interval of a crossing holds the truth

`python experiments/crossing_calibration.py --write FILE`: {repetitions:,} repetitions in each of {len(counts)} cells.

At a nominal 95 % the intervals hold the true crossing in {covered.mean():.1%} on average and {covered.min():.1%} in the
cell where they do so least; in {(covered < 0.94).sum()} of {len(counts)} cells it is less than 94 %.

Each row is of {len(CROSSINGS) * len(SEEDS) * len(EXAMPLES)} cells: crossings at
{", ".join(f"{one:.0f}" for one in CROSSINGS)} training examples,
{" and ".join(map(str, SEEDS))} draws of them, {" and ".join(map(str, EXAMPLES))} test examples.

{tabulate(rows, heads, tablefmt="github", colalign=["left"] * 3 + ["right"] * 7)}

*held*: share of intervals that hold the truth, mean and least over cells. *interpolated*: the least where
the ends are interpolated between sizes, as the estimate is; of all cells {interpolated.min():.1%}. *lower end above*:
share of intervals above the truth, the most of any cell. *two ends*: share with both ends within the sizes tried, and
*high / low* the median ratio of these. *bias*: median estimate within the sizes tried over the truth.
"""


def main() -> None:
    """Simulate and print, or write, the page."""
    parser = argparse.ArgumentParser(description="Simulate how often the interval of a crossing holds the truth.")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    begun = time.perf_counter()
    text = page(given.repetitions)
    print(text)
    print(f"took {time.perf_counter() - begun:.0f} s")
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
