"""Verdicts in sentences that can be quoted, and that claim no more than the test shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textclf.compare.options import Claim
from textclf.compare.pairs import FEWEST_SEEDS, Pair, Verdict
from textclf.compare.statistics import POWER
from textclf.compare.summary import SystemRow
from textclf.errors import listed

METRIC_WORDS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "macro_precision": "macro precision",
    "weighted_precision": "weighted precision",
    "macro_recall": "macro recall",
    "weighted_recall": "weighted recall",
    "mcc": "Matthews correlation",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
IN_POINTS = tuple(name for name in METRIC_WORDS if name not in ("log_loss", "mcc"))
SMALLER = 0.95
"""Below this share of the winner's parameters, or above its inverse in speed, the loser's thrift is worth a clause."""
WORTH_KEEPING = 0.9
"""Below this share of the winner's score nobody asks what was saved."""
MOSTLY_SEEDS = 0.5
"""Above this share of the variance more seeds help more than more test examples."""


def words(metric: str) -> str:
    """Return a metric's name in running text."""
    return METRIC_WORDS.get(metric, metric)


def amount(value: float, metric: str) -> str:
    """Return a difference in a metric with its unit: points (hundredths), or the metric's own."""
    if metric in IN_POINTS:
        size = f"{abs(value) * 100:.1f}"
        return f"{size} {'point' if size == '1.0' else 'points'}".replace(".0 ", " ") if size != "0.0" else "0 points"
    return f"{abs(value):.3f}"


def ends(low: float, high: float, metric: str) -> str:
    """Return an interval in the unit of `amount`, without the unit's name."""
    scale, digits = (100, 1) if metric in IN_POINTS else (1, 3)
    return " to ".join(f"{round(value * scale, digits) + 0.0:.{digits}f}".replace("-", "−") for value in (low, high))


def p_text(p: float) -> str:
    """Return a p-value as it is printed."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {min(p, 1.0):.3f}" if p < 0.1 else f"p = {min(p, 1.0):.2f}"


def sentence(pair: Pair, rows: dict[str, SystemRow], margin: float, num_pairs: int) -> str:
    """Return a pair's verdict as a sentence or two.

    Args:
        pair: The pair.
        rows: The systems by name, for what each costs.
        margin: The margin of equivalence.
        num_pairs: Number of pairs that the p-values were corrected for.
    """
    swapped = pair.verdict is Verdict.WORSE
    winner, loser = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    low, high = (-pair.high, -pair.low) if swapped else (pair.low, pair.high)
    metric = words(pair.metric)
    of = "" if pair.claim is Claim.recipe else "this classifier of "
    basis = f"{_seeds(pair)}, {pair.num_examples:,} test examples"
    alone = f", {p_text(pair.p_value)[4:]} alone" if pair.p_value < 0.05 <= pair.p_corrected else ""
    corrected = f"{p_text(pair.p_corrected)}{f' corrected for {num_pairs} pairs{alone}' if num_pairs > 1 else ''}"
    if pair.verdict in (Verdict.BETTER, Verdict.WORSE):
        lower_is_better = pair.difference < 0 if not swapped else pair.difference > 0
        if lower_is_better:
            low, high = -high, -low
        said = (
            f"{of}{winner} beats {loser} by {amount(pair.difference, pair.metric)} of {metric} "
            f"(95 % {ends(low, high, pair.metric)}, {corrected}, {basis})"
        )
        thrift = keeps(loser, winner, rows, pair.metric)
        return _capital(f"{said}{'; ' + thrift if thrift else ''}.")
    if pair.verdict is Verdict.EQUIVALENT:
        return _capital(
            f"{of}{winner} and {loser} are equivalent within {amount(margin, pair.metric)} of {metric} "
            f"(difference {ends(pair.low, pair.high, pair.metric)}, {basis})"
            + (f"; {thrift}." if (thrift := keeps(loser, winner, rows, pair.metric)) else ".")
        )
    said = (
        f"no difference shown between {of}{winner} and {loser} in {metric} "
        f"(difference {ends(low, high, pair.metric)}, {corrected}): {_why(pair)}"
    )
    small, large = sorted((winner, loser), key=lambda name: rows[name].costs.get("num_parameters", math.inf))
    saved = cheaper(small, large, rows)
    return _capital(f"{said}{f'. {small} is the cheaper one, {saved}' if saved else ''}.")


def cheaper(small: str, large: str, rows: dict[str, SystemRow]) -> str:
    """Return in what a system is cheaper than another; empty where it is not."""
    a, b = rows[small], rows[large]
    size = _ratio(a.costs.get("num_parameters"), b.costs.get("num_parameters"))
    speed = _ratio(a.costs.get("test_examples_per_second"), b.costs.get("test_examples_per_second"))
    if not (size < SMALLER or (speed > 1 / SMALLER and size <= 1)):
        return ""
    parts = [f"with {percent(size)} of the parameters"] if size < SMALLER else []
    return " ".join([*parts, *([f"at {times(speed)} the speed"] if math.isfinite(speed) else [])])


def keeps(small: str, large: str, rows: dict[str, SystemRow], metric: str) -> str:
    """Return what a system keeps of a better one, at what cost; empty where it is no cheaper."""
    saved = cheaper(small, large, rows)
    if not saved or metric not in IN_POINTS:
        return ""
    share = _ratio(rows[small].levels[metric].mean, rows[large].levels[metric].mean)
    return f"{small} keeps {share * 100:.1f} % of its {words(metric)} {saved}" if share >= WORTH_KEEPING else ""


def percent(share: float) -> str:
    """Return a share in per cent, with as many digits as it needs."""
    if share < 0.0001:
        return "under 0.01 %"
    return f"{share * 100:.0f} %" if share >= 0.095 else f"{share * 100:.2g} %"


def times(ratio: float) -> str:
    """Return a ratio as `1.7 times`."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _ratio(above: float | None, below: float | None) -> float:
    return above / below if above is not None and below else float("nan")


def _seeds(pair: Pair) -> str:
    """Return how many seeds a test rests on."""
    if pair.seeds[0] == pair.seeds[1]:
        return "one seed each" if pair.seeds[0] == 1 else f"{pair.seeds[0]} seeds each"
    return f"{pair.seeds[0]} and {pair.seeds[1]} seeds"


def _why(pair: Pair) -> str:
    """Return why a test could not tell two systems apart, and what would help."""
    gap = amount(pair.smallest_detectable, pair.metric)
    found = f"would be found {round(POWER * 10)} times in 10"
    if pair.claim is Claim.checkpoint:
        return f"with {pair.num_examples:,} test examples and one seed each, only gaps above about {gap} {found}"
    fewest = min(pair.seeds)
    if pair.seed_share > MOSTLY_SEEDS:
        number = NUMBERS[fewest] if fewest < len(NUMBERS) else str(fewest)
        return (
            f"{number} seeds cannot settle this, since {percent(pair.seed_share)} of the uncertainty comes from the "
            f"seeds; only gaps above about {gap} {found}"
        )
    return f"with {pair.num_examples:,} test examples and {_seeds(pair)}, only gaps above about {gap} {found}"


def _capital(text: str) -> str:
    """Return a sentence with its first letter large, unless it begins with a system's name."""
    starts = ("this ", "no ")
    return text[0].upper() + text[1:] if text.startswith(starts) else text


def missing(systems: Sequence[SystemRow]) -> list[str]:
    """Return what the runs lack for claims about recipes."""
    few = [row.name for row in systems if row.num_seeds < FEWEST_SEEDS]
    if not few:
        return []
    who = "Every system" if len(few) == len(systems) else listed(few, 8)
    verb = "has" if len(few) == 1 or len(few) == len(systems) else "have"
    return [
        f"{who} {verb} fewer than {NUMBERS[FEWEST_SEEDS]} seeds. Verdicts on such pairs are about these trained "
        f"classifiers, not about the recipes: another seed may turn them. Run again with seed=1,2,3,4,5 to learn about "
        f"the recipes."
    ]
