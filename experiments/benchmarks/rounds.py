"""Ways to do the same work, timed in turns, and the ratios between them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from experiments.benchmarks.memory import processor_seconds
from textclf.compare.statistics import differences, scores_of_means

SLOW_PERIOD = 0.8
"""A timing beside which the machine multiplied matrices at less than this share of its median rate is a slow one."""


@dataclass(frozen=True)
class Way:
    """One way to do the work of a table."""

    name: str
    work: Callable[[Any], Any]
    """What is timed; takes what `prepare` gave."""
    prepare: Callable[[int], Any] = field(default=lambda seed: seed)
    """What comes before and is not timed; takes the seed of the round."""
    judge: Callable[[Any], Mapping[str, Any]] = field(default=lambda result: {})
    """What comes after and is not timed: facts on the result, such as which test examples it gets right."""


@dataclass(frozen=True)
class Timing:
    """One way in one round."""

    seconds: float
    """On the clock."""
    processor_seconds: float
    """Of all cores, in this process and the ones that it started."""
    probe: float
    """FLOP/s of a matrix product before and after, their mean: low in a slow period of the machine."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def taken(self, processor_time: bool) -> float:
        """Return the seconds of the processor or of the clock."""
        return self.processor_seconds if processor_time else self.seconds


Timings = dict[str, list[Timing]]
"""The timings of each way, one for each round."""


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, with the smallest and the largest."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """Return it for a table: `6.10 (5.82–6.51)`."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


def alternate(
    ways: Sequence[Way],
    seeds: Sequence[int],
    probe: Callable[[], float],
    say: Callable[[str], None] = print,
) -> Timings:
    """Time the ways in turns, every other round in the reverse order.

    Args:
        ways: What to time.
        seeds: The seed of each round; as many rounds as seeds.
        probe: Gives the FLOP/s of the machine at this moment; called before and after each timing.
        say: Takes a line on each timing.
    """
    timings: Timings = {way.name: [] for way in ways}
    for number, seed in enumerate(seeds):
        for way in ways if number % 2 == 0 else list(ways)[::-1]:
            given = way.prepare(seed)
            gc.collect()
            before = probe()
            clock, processor = time.perf_counter(), processor_seconds()
            result = way.work(given)
            taken, used = time.perf_counter() - clock, processor_seconds() - processor
            rate = (before + probe()) / 2
            timings[way.name].append(Timing(taken, used, rate, dict(way.judge(result))))
            say(
                f"round {number + 1} of {len(seeds)}: {way.name}: {taken:.2f} s, {used:.2f} s of the processor, "
                f"probe {rate / 1e9:.0f} GFLOP/s"
            )
    return timings


def spread(values: Sequence[float]) -> Spread:
    """Return the median of some numbers and their range."""
    return Spread(statistics.median(values), min(values), max(values))


def times_as_fast(timings: Timings, name: str, other: str, processor_time: bool = False) -> Spread:
    """Return how many times as fast one way is as another; each ratio is taken within a round."""
    pairs = zip(timings[other], timings[name], strict=True)
    return spread([theirs.taken(processor_time) / own.taken(processor_time) for theirs, own in pairs])


def rates(timings: Timings, name: str, count: float, processor_time: bool = False) -> Spread:
    """Return how many of `count` things a way does in a second."""
    return spread([count / timing.taken(processor_time) for timing in timings[name]])


def slow_periods(timings: Timings) -> tuple[int, int, Spread]:
    """Return how many timings fell into a slow period of the machine, of how many, and the FLOP/s of the probe."""
    probes = [timing.probe for own in timings.values() for timing in own]
    found = spread(probes)
    return sum(probe < SLOW_PERIOD * found.median for probe in probes), len(probes), found


def exponent(sizes: ArrayLike, costs: ArrayLike) -> float:
    """Return k of the power law costs = c · sizes^k that fits best by least squares of the logarithms."""
    return float(np.polyfit(np.log(np.asarray(sizes, float)), np.log(np.asarray(costs, float)), 1)[0])


@dataclass(frozen=True)
class Gap:
    """How much more accurate one way is than another, in points, with its 95 % interval."""

    points: float
    low: float
    high: float

    @property
    def shows_no_loss(self) -> bool:
        """Whether a loss of more than 0.3 points is ruled out."""
        return self.low > -0.3

    def text(self) -> str:
        """Return it for a table: `-0.10 (-0.32 to 0.12)`."""
        return f"{self.points:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def accuracy_gap(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> Gap:
    """Compare two ways on the same test examples, over seeds and examples, as `textclf.compare` does.

    Args:
        first: Which test examples the first way gets right, bool (n,), for each seed.
        second: The same of the second way.
    """
    scores = scores_of_means([np.stack([np.asarray(one) for one in own]) for own in (first, second)])
    found = differences(scores, 0, 1)
    low, high = found.interval()
    return Gap(*(100 * float(value[0]) for value in (found.value, low, high)))
