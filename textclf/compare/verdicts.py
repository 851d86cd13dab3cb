"""Verdicts as sentences that can be quoted, and that claim no more than the test shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textclf.compare.options import Claim
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.setups import FEWEST_SEEDS
from textclf.compare.statistics import POWER
from textclf.compare.summary import SetupRow
from textclf.documents.wording import decimals, interval, p_equals, p_value, percent, points, ratio_percent, times
from textclf.errors import listed
from textclf.evaluation.metric_names import is_in_points, metric_label

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SMALLER = 0.95
"""Below this share of the winner's parameters, or above its inverse in speed, the loser's thrift is worth a clause."""
WORTH_KEEPING = 0.9
"""Below this share of the winner's score nobody asks what was saved."""
MOSTLY_SEEDS = 0.5
"""Above this share of the variance more seeds help more than more test examples."""


def format_difference(value: float, metric: str) -> str:
    """Return a difference in a metric with its unit: points (hundredths), or the metric's own."""
    return points(value) if is_in_points(metric) else decimals(abs(value))


def format_interval(low: float, high: float, metric: str) -> str:
    """Return an interval in the unit of `format_difference`, without the unit's name."""
    return interval(low * 100, high * 100, 1) if is_in_points(metric) else interval(low, high, 3)


def verdict_sentence(
    pair: Pair, rows: dict[str, SetupRow], margin: float, num_pairs: int, basis: str = "", why: str = ""
) -> str:
    """Return a pair's verdict as a sentence or two.

    Args:
        pair: The pair.
        rows: The setups by name, for what each costs.
        margin: The margin of equivalence.
        num_pairs: Number of pairs that the p-values were corrected for.
        basis: What the test rests on, where that is not seeds and test examples.
        why: Why no difference was found, where that needs other words.
    """
    swapped = pair.verdict is Verdict.WORSE
    winner, loser = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    low, high = (-pair.high, -pair.low) if swapped else (pair.low, pair.high)
    metric = metric_label(pair.metric)
    of = "" if pair.claim is Claim.setup else "this classifier of "
    basis = basis or f"{_seeds(pair)}, {pair.num_examples:,} test examples"
    alone = f", {p_value(pair.p_value)} alone" if pair.p_value < 0.05 <= pair.p_corrected else ""
    corrected = f"{p_equals(pair.p_corrected)}{f' corrected for {num_pairs} pairs{alone}' if num_pairs > 1 else ''}"
    if pair.verdict in (Verdict.BETTER, Verdict.WORSE):
        lower_is_better = pair.difference < 0 if not swapped else pair.difference > 0
        if lower_is_better:
            low, high = -high, -low
        verdict = (
            f"{of}{winner} beats {loser} by {format_difference(pair.difference, pair.metric)} of {metric} "
            f"(95 % {format_interval(low, high, pair.metric)}, {corrected}, {basis})"
        )
        thrift = describe_tradeoff(loser, winner, rows, pair.metric)
        return _capital(f"{verdict}{'; ' + thrift if thrift else ''}.")
    if pair.verdict is Verdict.EQUIVALENT:
        return _capital(
            f"{of}{winner} and {loser} are equivalent within {format_difference(margin, pair.metric)} of {metric} "
            f"(difference {format_interval(pair.low, pair.high, pair.metric)}, {basis})"
            + (f"; {thrift}." if (thrift := describe_tradeoff(loser, winner, rows, pair.metric)) else ".")
        )
    verdict = (
        f"no difference shown between {of}{winner} and {loser} in {metric} "
        f"(difference {format_interval(low, high, pair.metric)}, {corrected}): {why or _why(pair)}"
    )
    thrift = _cheaper(winner, loser, rows)
    return _capital(f"{verdict}{f'. {thrift}' if thrift else ''}.")


def _cheaper(first: str, second: str, rows: dict[str, SetupRow]) -> str:
    """Return which of two setups is the cheaper one, and in what; empty where neither is, or it has collapsed."""
    for small, large in ((first, second), (second, first)):
        if not rows[small].collapsed and (saved := describe_savings(small, large, rows)):
            return f"{small} is the {'smaller' if _is_slower(small, large, rows) else 'cheaper'} one, {saved}"
    return ""


def describe_savings(small: str, large: str, rows: dict[str, SetupRow]) -> str:
    """Describe in what a setup is cheaper than another; empty where it is not.

    One of which the parameters cannot be counted is cheaper where it is faster.
    """
    a, b = rows[small], rows[large]
    size = _ratio(a.costs.get("num_parameters"), b.costs.get("num_parameters"))
    speed = _ratio(a.costs.get("test_examples_per_second"), b.costs.get("test_examples_per_second"))
    if not (size < SMALLER or (speed > 1 / SMALLER and not size > 1)):
        return ""
    parts = [f"with {ratio_percent(size)} of the parameters"] if size < SMALLER else []
    if _is_slower(small, large, rows):
        return f"{parts[0]}, but at {times(speed)} the speed"
    return " ".join([*parts, *([f"at {times(speed)} the speed"] if math.isfinite(speed) else [])])


def _is_slower(small: str, large: str, rows: dict[str, SetupRow]) -> bool:
    """Whether a setup is known to predict more slowly than another."""
    speeds = (rows[name].costs.get("test_examples_per_second") for name in (small, large))
    return _ratio(*speeds) < SMALLER


def describe_tradeoff(small: str, large: str, rows: dict[str, SetupRow], metric: str) -> str:
    """Describe how much of a better setup's score a cheaper one keeps; empty where it is no cheaper.

    Nor is anything said of a collapsed one: its score is that of no answer at all.
    """
    saved = describe_savings(small, large, rows)
    if not saved or not is_in_points(metric) or rows[small].collapsed or rows[large].collapsed:
        return ""
    share = _ratio(rows[small].levels[metric].mean, rows[large].levels[metric].mean)
    return f"{small} keeps {percent(share)} of its {metric_label(metric)} {saved}" if share >= WORTH_KEEPING else ""


def _ratio(above: float | None, below: float | None) -> float:
    return above / below if above is not None and below else float("nan")


def _seeds(pair: Pair) -> str:
    """Return how many seeds a test rests on."""
    if 0 in pair.seeds:
        drawn = max(pair.seeds)
        return f"{drawn} seeds of the one that draws from its seed" if drawn else "no chance in the training of either"
    if pair.seeds[0] == pair.seeds[1]:
        return "one seed each" if pair.seeds[0] == 1 else f"{pair.seeds[0]} seeds each"
    return f"{pair.seeds[0]} and {pair.seeds[1]} seeds"


def _why(pair: Pair) -> str:
    """Return why a test found no difference, and what difference it would have found."""
    gap = format_difference(pair.smallest_detectable, pair.metric)
    found = f"would be found {round(POWER * 10)} times in 10"
    if pair.claim is Claim.classifier:
        return f"with {pair.num_examples:,} test examples and one seed each, only gaps above about {gap} {found}"
    fewest = min((count for count in pair.seeds if count), default=0)
    if pair.seed_share > MOSTLY_SEEDS:
        number = NUMBERS[fewest] if fewest < len(NUMBERS) else str(fewest)
        return (
            f"{number} seeds cannot settle this, since {ratio_percent(pair.seed_share)} of the uncertainty comes from "
            f"the seeds; only gaps above about {gap} {found}"
        )
    return f"with {pair.num_examples:,} test examples and {_seeds(pair)}, only gaps above about {gap} {found}"


def _capital(text: str) -> str:
    """Return a sentence with its first letter large, unless it begins with a setup's name."""
    starts = ("this ", "no ")
    return text[0].upper() + text[1:] if text.startswith(starts) else text


def few_seeds_caveat(setups: Sequence[SetupRow]) -> list[str]:
    """Return the caveat on setups with too few seeds for claims about them; none where all have enough."""
    few = [row.name for row in setups if row.draws_seed and row.num_seeds < FEWEST_SEEDS]
    if not few:
        return []
    who = "Every setup" if len(few) == len(setups) else listed(few, 8)
    verb = "has" if len(few) == 1 or len(few) == len(setups) else "have"
    return [
        f"{who} {verb} fewer than {NUMBERS[FEWEST_SEEDS]} seeds. Verdicts on such pairs are about these trained "
        f"classifiers, not about the setups: another seed may reverse them. Run again with seed=1,2,3,4,5 for verdicts "
        f"on the setups."
    ]
