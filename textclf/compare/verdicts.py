"""Verdicts as sentences that can be quoted, and that claim no more than the test shows."""

from __future__ import annotations

from collections.abc import Sequence

from textclf.compare.options import Claim
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.savings import describe_cheaper, describe_tradeoff
from textclf.compare.setups import FEWEST_SEEDS
from textclf.compare.summary import SetupRow
from textclf.documents.wording import decimals, interval, p_equals, p_value, points, ratio_percent
from textclf.errors import listed
from textclf.evaluation.metric_names import direction, is_in_points, metric_label

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MOSTLY_SEEDS = 0.5
"""Above this share of the variance more seeds help more than more test examples."""


def format_difference(value: float, metric: str) -> str:
    """Return a difference in a metric with its unit: points (hundredths), or the metric's own."""
    return points(value) if is_in_points(metric) else decimals(abs(value))


def format_interval(low: float, high: float, metric: str) -> str:
    """Return an interval in the unit of `format_difference`, without the unit's name."""
    return interval(low * 100, high * 100, 1) if is_in_points(metric) else interval(low, high, 3)


def verdict_sentence(
    pair: Pair,
    rows: dict[str, SetupRow],
    margin: float,
    num_pairs: int,
    basis: str = "",
    why: str = "",
    sign: int | None = None,
) -> str:
    """Return a pair's verdict as a sentence or two.

    Args:
        pair: The pair.
        rows: The setups by name, for what each costs.
        margin: The margin of equivalence.
        num_pairs: Number of pairs that the p-values were corrected for.
        basis: What the test rests on, where that is not seeds and test examples.
        why: Why no difference was found, where that needs other words.
        sign: 1 where more of the metric is better, -1 where less is; none asks the metric's name.
    """
    swapped = pair.verdict is Verdict.WORSE
    winner, loser = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    low, high = (pair.low_corrected, pair.high_corrected)
    low, high = (-high, -low) if swapped else (low, high)
    metric = metric_label(pair.metric)
    of = "" if pair.claim is Claim.setup else "this classifier of "
    tested_on = basis or _tested_on(pair)
    alone = f"; {p_value(pair.p_value)} alone" if pair.p_value < 0.05 <= pair.p_corrected else ""
    corrected = f"{p_equals(pair.p_corrected)}" + (f", corrected for {num_pairs} pairs{alone}" if num_pairs > 1 else "")
    if pair.verdict in (Verdict.BETTER, Verdict.WORSE):
        lower_is_better = pair.difference < 0 if not swapped else pair.difference > 0
        if lower_is_better:
            low, high = -high, -low
        verdict = (
            f"{of}{winner} beats {loser} by {format_difference(pair.difference, pair.metric)} of {metric} "
            f"(95 % {format_interval(low, high, pair.metric)}, {corrected}; {tested_on})"
        )
        thrift = describe_tradeoff(loser, winner, rows, pair.metric)
        return _capital(f"{verdict}{'; ' + thrift if thrift else ''}.")
    if pair.verdict is Verdict.EQUIVALENT:
        return _capital(
            f"{of}{winner} and {loser} are equivalent within {format_difference(margin, pair.metric)} of {metric} "
            f"(difference {format_interval(pair.low, pair.high, pair.metric)}, {tested_on})"
            + (f"; {thrift}." if (thrift := describe_tradeoff(loser, winner, rows, pair.metric)) else ".")
        )
    verdict = (
        f"{_undecided(pair, rows, tested_on, direction(pair.metric) if sign is None else sign)} in {metric} "
        f"(difference {format_interval(low, high, pair.metric)}, {corrected}). {why or _why(pair)}"
    )
    thrift = describe_cheaper(winner, loser, rows)
    return f"{verdict}.{f' {thrift}.' if thrift else ''}"


def _undecided(pair: Pair, rows: dict[str, SetupRow], tested_on: str, sign: int) -> str:
    """Return what a test does not show, as the beginning of a sentence."""
    scores = [rows[name].levels[pair.metric].mean for name in (pair.first, pair.second)]
    of, that = ("", "") if pair.claim is Claim.setup else ("this classifier of ", "that of ")
    better, other = (pair.first, pair.second) if sign * scores[0] >= sign * scores[1] else (pair.second, pair.first)
    verb = "does" if tested_on.startswith(("1 ", "one ")) and " and " not in tested_on else "do"
    if scores[0] == scores[1]:
        return f"{tested_on} {verb} not show that {of}{better} and {that}{other} differ"
    return f"{tested_on} {verb} not show that {of}{better} is better than {that}{other}"


def _tested_on(pair: Pair) -> str:
    """Return what a test rests on: examples, and seeds where they vary."""
    if pair.folds:
        seeds = f" and {max(pair.seeds)} seeds" if max(pair.seeds) > 1 else ""
        return f"{pair.num_examples:,} examples in {pair.folds}{seeds}"
    examples = f"{pair.num_examples:,} test example{'s' * (pair.num_examples != 1)}"
    if 0 in pair.seeds:
        drawn = max(pair.seeds)
        name = pair.first if pair.seeds[0] else pair.second
        return f"{examples} and {drawn} seeds of {name}" if drawn else examples
    if pair.seeds[0] == pair.seeds[1]:
        return f"{examples} and " + ("one seed each" if pair.seeds[0] == 1 else f"{pair.seeds[0]} seeds each")
    return f"{examples} and {pair.seeds[0]} and {pair.seeds[1]} seeds"


def _why(pair: Pair) -> str:
    """Return what a test would have missed, and why, as a sentence without its full stop."""
    gap = format_difference(pair.smallest_detectable, pair.metric)
    said = f"A gap under about {gap} would usually go unnoticed"
    if not pair.folds and pair.claim is Claim.setup and pair.seed_share > MOSTLY_SEEDS:
        said += f": {ratio_percent(pair.seed_share)} of the uncertainty comes from the seeds"
    return said


def _capital(text: str) -> str:
    """Return a sentence with its first letter large, unless it begins with a setup's name."""
    return text[0].upper() + text[1:] if text.startswith("this ") else text


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
