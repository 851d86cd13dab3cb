"""The answer of a comparison: which setup to take, and why, in two or three plain sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textclf.compare.comparison import Comparison
from textclf.compare.crossings import crossings
from textclf.compare.options import Claim
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.savings import describe_tradeoff
from textclf.compare.summary import PRICE, SetupRow
from textclf.compare.verdicts import format_difference
from textclf.documents.wording import decimals, in_seconds, times
from textclf.errors import listed
from textclf.evaluation.metric_names import metric_label

MUCH = 10
"""How many times as cheap a setup must be for one that scored better, but is not shown to be better, to be passed over.
Below that the better score is the better bet."""
SECONDS_WORTH_SAVING = 5.0
"""Of training; whatever takes less is cheap enough."""
LATENCY_WORTH_SAVING = 0.002
"""Seconds for one text."""
AS_FAST = 0.8
"""From this share of the other's speed a setup counts as as fast."""
MOST_NAMED = 3


@dataclass(frozen=True)
class Answer:
    """What to take, and why."""

    setup: str | None
    """The setup to take; none where none is shown to be worth it."""
    title: str
    reasons: tuple[str, ...]
    """A sentence each."""


def answer(comparison: Comparison) -> Answer | None:
    """Return which setup to take; none where there is nothing to choose from.

    No setup that collapsed is taken, nor one that another is shown to beat. Of the others it is the one that scored
    best, unless one that is not shown to be worse is `MUCH` cheaper to predict with or to train.
    """
    rows = [row for row in comparison.rows if comparison.metric in row.levels]
    if not comparison.pairs or not rows:
        return None
    able = [row for row in rows if not row.collapsed]
    if not able:
        return Answer(None, "Take none of them: all have collapsed.", ("Each gives one answer to every text.",))
    sizes = dict(zip((setup.name for setup in comparison.test.setups), comparison.test.sizes, strict=True))
    able = [row for row in able if sizes[row.name] == sizes[able[0].name]]
    idle = [row for row in able if comparison.setup(row.name).is_idle]
    able = [row for row in able if row not in idle]
    if not able:
        return None
    judged = _judged(comparison)
    beaten = {loser for winner, loser in judged.beats if winner in {row.name for row in able}}
    candidates = [row for row in able if row.name not in beaten]
    chosen = candidates[0]
    for row in candidates[1:]:
        chosen = row if _much_cheaper(row, chosen) else chosen
    for nothing in idle:
        if not any((row.name, nothing.name) in judged.beats for row in able):
            return _not_worth_it(comparison, able[0], nothing, judged)
    reasons = _reasons(comparison, chosen, able, judged)
    asked = [str(one) for one in crossings(comparison) if chosen.name in (one.fixed, *one.setups)]
    reasons += asked[:1]  # beside the best of those that take no more labels
    return Answer(chosen.name, f"Take {chosen.name}.", tuple(reasons))


@dataclass(frozen=True)
class _Judged:
    """The pairs, and which setup is shown to beat which."""

    beats: frozenset[tuple[str, str]]
    pairs: dict[frozenset[str], Pair]

    def of(self, first: str, second: str) -> Pair | None:
        return self.pairs.get(frozenset((first, second)))


def _judged(comparison: Comparison) -> _Judged:
    beats = set()
    for pair in comparison.pairs:
        if pair.verdict is Verdict.BETTER:
            beats.add((pair.first, pair.second))
        elif pair.verdict is Verdict.WORSE:
            beats.add((pair.second, pair.first))
    return _Judged(frozenset(beats), {frozenset((pair.first, pair.second)): pair for pair in comparison.pairs})


def _much_cheaper(row: SetupRow, other: SetupRow) -> bool:
    """Whether a setup is much cheaper than another to predict with or to train, and in neither or in money dearer."""
    if _ratio(other, row, PRICE) < AS_FAST:
        return False
    speed = _ratio(row, other, "test_examples_per_second")
    trains = _ratio(other, row, "train_seconds")
    if speed >= MUCH and trains >= AS_FAST:
        saved = _cost(other, "latency_median_seconds") - _cost(row, "latency_median_seconds")
        return math.isnan(saved) or saved >= LATENCY_WORTH_SAVING
    saved = _cost(other, "train_seconds") - _cost(row, "train_seconds")
    return trains >= MUCH and saved >= SECONDS_WORTH_SAVING and speed >= AS_FAST


def _cost(row: SetupRow, name: str) -> float:
    return row.costs.get(name, float("nan"))


def _ratio(above: SetupRow, below: SetupRow, name: str) -> float:
    """Return the ratio of a cost; NaN where one is not known, which is neither more nor less than anything."""
    under = _cost(below, name)
    return _cost(above, name) / under if under else float("nan")


def _reasons(comparison: Comparison, chosen: SetupRow, able: list[SetupRow], judged: _Judged) -> list[str]:
    """Return why a setup is to be taken."""
    metric, best = comparison.metric, able[0]
    score = f"{decimals(chosen.levels[metric].mean)} {metric_label(metric)}"
    others = [row.name for row in able if row is not chosen]
    lost = [name for name in others if (chosen.name, name) in judged.beats]
    open_ = [name for name in others if name not in lost]
    if chosen is not best:
        pair = judged.of(chosen.name, best.name)
        gap = chosen.levels[metric].mean - best.levels[metric].mean
        cheap = _cheap_words(chosen, best)
        said = [
            f"No other is shown to be better. {best.name} scored {format_difference(gap, metric)} better, which may be "
            f"chance; {chosen.name} {cheap}."
        ]
    elif others and not open_:
        pair, gap = judged.of(chosen.name, others[0]), abs(_gap(chosen, able[1], metric))
        who = others[0] if len(others) == 1 else f"all {len(others)} others, {others[0]} by the least"
        said = [f"It beats {who}: {score}, {format_difference(gap, metric)} ahead."]
        if thrift := describe_tradeoff(others[0], chosen.name, comparison.by_name, metric):
            said.append(f"{thrift}.")
    else:
        pair = judged.of(chosen.name, open_[0]) if open_ else None
        said = [f"It scored best, {score}."]
        if open_:
            is_, them = ("is", "it") if len(open_) == 1 else ("are", "any of them")
            said.append(f"{listed(open_, MOST_NAMED)} {is_} not shown to be worse, nor is {them} much cheaper.")
    if pair is not None and pair.verdict is Verdict.CANNOT_TELL:
        said.append(
            f"With {pair.num_examples:,} {'examples' if pair.folds else 'test examples'} a gap under about "
            f"{format_difference(pair.smallest_detectable, metric)} would usually go unnoticed."
        )
    if pair is not None and pair.claim is Claim.classifier:
        said.append("Another seed may change this: train with seed=1,2,3,4,5 to know.")
    return said


def _gap(first: SetupRow, second: SetupRow, metric: str) -> float:
    return first.levels[metric].mean - second.levels[metric].mean


def _cheap_words(chosen: SetupRow, best: SetupRow) -> str:
    """Return in what a setup is cheaper, as a predicate."""
    speed = _ratio(chosen, best, "test_examples_per_second")
    said = [f"predicts {times(speed)} as fast"] if speed >= 1 / AS_FAST else []
    if _ratio(best, chosen, "train_seconds") >= 1 / AS_FAST:
        ours, theirs = (in_seconds(_cost(row, "train_seconds")) for row in (chosen, best))
        said.append(f"trained in {ours} instead of {theirs}")
    return " and ".join(said)


def _not_worth_it(comparison: Comparison, best: SetupRow, idle: SetupRow, judged: _Judged) -> Answer:
    """Return the answer where no setup is shown to beat one that reads no text."""
    metric, pair = comparison.metric, judged.of(best.name, idle.name)
    said = [
        f"{idle.name} gives every text the same answer. The best of the others, {best.name}, scored "
        f"{format_difference(_gap(best, idle, metric), metric)} better, which may be chance."
    ]
    if pair is not None:
        gap = format_difference(pair.smallest_detectable, metric)
        said.append(f"With {pair.num_examples:,} examples a gap under about {gap} would usually go unnoticed.")
    return Answer(None, f"None of them is shown to beat {idle.name}.", tuple(said))
