"""How often `textclf.compare --table` claims a difference that is not there, and misses one that is.

python experiments/table_calibration.py --write experiments/results/table_calibration.md

Tables are simulated many times over: some setups, each with an accuracy on each draw. Each test example has a
difficulty; each draw makes all setups a little better or worse, and each setup apart a little more; a prediction is
right with the chance that follows. *Identical* setups find the same examples hard, *different* ones each their own, but
are equally good on average over all examples there could be. Both are tables without a true difference, and a claim on
any of their pairs is false. *Better* is a table of which one setup has a true lead.

Without the number of test examples a table is about these very examples, so setups that differ on them do differ: the
rate of *different* setups in that column is what such verdicts are worth for other examples.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tabulate import tabulate

from textclf.compare.options import CompareOptions
from textclf.compare.pairs import Verdict
from textclf.compare.results_file import Group, Score
from textclf.compare.score_table import ScoreTable

EASE, DIFFICULTY, TASTE = 1.5, 1.5, 1.0
"""Mean logit of being right; deviation of the examples' difficulty, and of what one setup alone finds hard."""
TOGETHER = 0.3
"""Deviation of what a draw does to all setups, in logits."""
EXAMPLES = 500
LEAD = 1.5
"""Logits by which one setup leads in tables with a true difference."""
CLAIMED = (Verdict.BETTER, Verdict.WORSE)


@dataclass(frozen=True)
class Cell:
    """One kind of table."""

    truth: str
    """`identical`, `different` or `better`."""
    shared: bool
    """Whether draws are shared."""
    setups: int
    draws: int
    apart: float
    """Deviation of what a draw does to each setup alone, in logits."""


@dataclass(frozen=True)
class Rates:
    """Shares of the tables of a cell."""

    known: float
    """In which any claim was made, with the number of test examples known (of `better`: the lead was found)."""
    unknown: float
    """The same without that number."""


def scores(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """Return the accuracy of each setup on each draw, float64 (setups, draws)."""
    logits = EASE + DIFFICULTY * rng.standard_normal(EXAMPLES)
    together = TOGETHER * rng.standard_normal(cell.draws)
    rows = []
    for setup in range(cell.setups):
        own = logits + (TASTE * rng.standard_normal(EXAMPLES) if cell.truth == "different" else 0.0)
        own = own + (LEAD if cell.truth == "better" and setup == 0 else 0.0)
        draw = together if cell.shared else TOGETHER * rng.standard_normal(cell.draws)
        draw = draw + cell.apart * rng.standard_normal(cell.draws)
        chances = 1 / (1 + np.exp(-(own[None, :] + draw[:, None])))
        rows.append((rng.random(chances.shape) < chances).mean(axis=1))
    return np.array(rows)


def table_of(found: np.ndarray, shared: bool, examples: int | None) -> ScoreTable:
    """Return the table of such scores."""
    group = Group("simulated", "accuracy", examples=examples)
    for setup, own in enumerate(found):
        for draw, value in enumerate(own):
            group.scores.append(Score(0, f"setup{setup}", str(draw) if shared else None, float(value), 1e-6))
    return ScoreTable(group, CompareOptions())


def simulate(cell: Cell, repetitions: int) -> Rates:
    """Return how often claims are made in a cell."""
    rng = np.random.default_rng([*cell.truth.encode(), cell.shared, cell.setups, cell.draws, int(100 * cell.apart)])
    counts = np.zeros(2)
    for _ in range(repetitions):
        found = scores(cell, rng)
        for column, examples in enumerate((EXAMPLES, None)):
            pairs = table_of(found, cell.shared, examples).pairs
            if cell.truth == "better":
                counts[column] += all(pair.verdict is Verdict.BETTER for pair in pairs if pair.first == "setup0")
            else:
                counts[column] += any(pair.verdict in CLAIMED for pair in pairs)
    return Rates(*map(float, counts / repetitions))


def grid() -> Iterator[Cell]:
    """Yield every cell."""
    truths, apart = ("identical", "different"), (0.03, 0.2)
    for truth, shared, setups, draws, own in itertools.product(truths, (True, False), (2, 5), (3, 10), apart):
        yield Cell(truth, shared, setups, draws, own)
    for shared, setups, draws in itertools.product((True, False), (2, 5), (3, 5, 10)):
        yield Cell("better", shared, setups, draws, 0.2)


def report(results: dict[Cell, Rates], repetitions: int, seconds: float) -> str:
    """Return the page, with the worst cells first said."""
    same = [rates for cell, rates in results.items() if cell.truth == "identical"]
    other = [rates for cell, rates in results.items() if cell.truth == "different"]
    parts = [
        "# How often verdicts on a table of results are wrong",
        "",
        "A table is wrong if any claim on its pairs is false; each may be at 5 %.",
        "",
        f"- With the number of test examples known, at most {max(r.known for r in [*same, *other]):.1%} of "
        f"{repetitions:,} tables were wrong.",
        f"- Without it, at most {max(r.unknown for r in same):.1%} were wrong about these very test examples, and up "
        f"to {max(r.unknown for r in other):.0%} if their verdicts were taken to hold for other test examples too.",
        "",
        f"Tables of {EXAMPLES} test examples; apart is the deviation, in logits, of what a draw does to a setup alone "
        f"(to all together: {TOGETHER:g}).",
        "",
        f"Standard error of a rate of 5 %: {np.sqrt(0.05 * 0.95 / repetitions):.2%}. Made by `python "
        f"experiments/table_calibration.py --write experiments/results/table_calibration.md --repetitions "
        f"{repetitions}` in {seconds / 60:.0f} min.",
    ]
    for better in (False, True):
        rows = [
            [cell.truth, "shared" if cell.shared else "own", cell.setups, cell.draws, f"{cell.apart:g}", *found]
            for cell, rates in results.items()
            for found in [[f"{rates.known:.3f}", f"{rates.unknown:.3f}"]]
            if (cell.truth == "better") is better
        ]
        what = "A true lead: tables in which it was found" if better else "No true difference: tables with a claim"
        heads = ["truth", "draws are", "setups", "draws", "apart", "examples known", "not known"]
        parts += ["", f"## {what}", "", tabulate(rows, heads, tablefmt="github", disable_numparse=True)]
    return "\n".join(parts) + "\n"


def _named(cell: Cell, repetitions: int) -> tuple[Cell, Rates]:
    return cell, simulate(cell, repetitions)


def main() -> None:
    """Simulate the whole grid and print or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="tables per cell")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="cells simulated side by side")
    parser.add_argument("--write", type=Path, help="file to write the report to")
    arguments = parser.parse_args()
    start = time.perf_counter()
    work = (delayed(_named)(cell, arguments.repetitions) for cell in grid())
    results = {}
    for cell, rates in Parallel(arguments.workers, return_as="generator")(work):
        results[cell] = rates
        print(cell, rates, flush=True)
    text = report(results, arguments.repetitions, time.perf_counter() - start)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
