"""Crossings of learning curves with setups that take no more labels: how many labels until training is as good.

A language model that is asked, or label embeddings, score the same however many labels there are; with examples in its
prompt a model takes a few. Beside a learning curve of three sizes or more the question is from how many labels on the
trained setup is at least as good, and what it then costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from textclf.compare.comparison import Comparison
from textclf.compare.curves import lines_of
from textclf.compare.setups import FEWEST_SEEDS, Setup, draws_examples
from textclf.compare.statistics import FEWEST_SIZES, Crossing, crossing, differences
from textclf.compare.summary import PRICE
from textclf.documents.wording import money, times
from textclf.evaluation.metric_names import direction
from textclf.tracking.record import currency_of

DIGITS = 2
"""Digits of an estimated number of labels that count."""


@dataclass(frozen=True)
class LabelCrossing:
    """Where the learning curve of one line of setups crosses the score of a setup that takes no more labels."""

    line: str
    setups: tuple[str, ...]
    """Those of the line, smallest first."""
    fixed: str
    """The setup that takes no more labels where there are more."""
    found: Crossing
    """In training examples. Without an interval its ends are 0 and infinity."""
    sizes: tuple[int, ...]
    """Training examples that were tried, ascending."""
    classes: int
    """Number of classes where sizes were given for each class; 0 where they were not."""
    over: str
    """What the interval allows for; empty where there is none."""
    prices: tuple[float, float] | None
    """Price of predicting 1,000 texts with the trained and with the fixed setup; none where either is not known."""
    fixed_price: float | None = None
    """The second of these, which may be known alone."""
    currency: str = ""
    label_price: float | None = field(default=None, kw_only=True)
    """Price of a label; none counts none."""

    def __str__(self) -> str:
        return " ".join([self._crossing_words, *self._label_price_words])

    @property
    def _unit(self) -> str:
        return "labels a class" if self.classes else "training examples"

    def count(self, examples: float, digits: int = DIGITS) -> str:
        """Return a number of training examples in the unit of the sizes, in so many digits; all of 0."""
        number = examples / (self.classes or 1)
        if digits and number > 0:
            number = round(number, digits - 1 - math.floor(math.log10(number)))
        return f"{number:,.0f}"

    @property
    def _crossing_words(self) -> str:
        at, fewest, most = self.found.at, self.count(self.sizes[0], 0), self.count(self.sizes[-1], 0)
        if at == 0:
            said = f"With {fewest} {self._unit}, the fewest tried, {self.line} is at least as good as {self.fixed}"
        elif math.isinf(at):
            return (
                f"With up to {most} {self._unit}, the most tried, {self.line} is not as good as "
                f"{self.fixed}{self._interval_words}."
            )
        else:
            said = f"From about {self.count(at)} {self._unit} on {self.line} is at least as good as {self.fixed}"
        return f"{said}{self._interval_words}{self._price_words}."

    @property
    def _interval_words(self) -> str:
        """Return the interval, in brackets."""
        if not self.over:
            return f" (no interval: it takes {FEWEST_SEEDS} seeds or more of each size)"
        low, high = self.found.low, self.found.high
        lowest, highest = self.count(low, 0), "" if math.isinf(high) else self.count(high, 0)
        if math.isinf(low):
            said = f"more than {self.count(self.sizes[-1], 0)}"
        elif high == 0:
            said = f"{self.count(self.sizes[0], 0)} or fewer"
        elif low == 0 and math.isinf(high):
            return f" (no number tried is shown to be too few, or enough; 95 %, over {self.over})"
        elif low == 0:
            said = f"{highest} or fewer"
        else:
            said = f"more than {lowest}" if math.isinf(high) else f"{lowest} to {highest}"
        return f" (95 % {said}; over {self.over})"

    @property
    def _price_words(self) -> str:
        """Return the price in relation to that of the fixed setup; empty where one is not known."""
        if self.prices is None or not self.prices[1]:
            return ""
        ours, theirs = (money(price, self.currency) for price in self.prices)
        share = times(self.prices[0] / self.prices[1])
        of = " of" if share.startswith("1/") else ""
        return f", at {share}{of} the price of predicting ({ours} against {theirs} for 1,000 texts)"

    @property
    def _label_price_words(self) -> list[str]:
        """Return what the labels cost, and for how many texts the fixed setup costs as much; nothing without prices."""
        if self.label_price is None or not 0 < self.found.at < math.inf:
            return []
        whole = self.found.at * self.label_price
        said = f"At {money(self.label_price, self.currency)} a label these cost about {money(whole, self.currency)}"
        saved = (self.fixed_price or 0) - (self.prices[0] if self.prices else 0)
        if saved > 0:
            texts = float(f"{1000 * whole / saved:.2g}")
            said += f", which {self.line} saves over {self.fixed} in predicting {texts:,.0f} texts"
        return [f"{said}."]


def crossings(comparison: Comparison) -> list[LabelCrossing]:
    """Return where each learning curve crosses each setup that takes no more labels where there are more.

    The best of those comes first, and of the curves the one that is best with the most labels. A curve has
    `FEWEST_SIZES` sizes or more. An interval needs `FEWEST_SEEDS` seeds of each, or setups that draw nothing. There is
    none of cross-validations.
    """
    metric, test = comparison.metric, comparison.test
    able = {setup.name: setup for setup in test.setups if metric in comparison.by_name[setup.name].levels}
    fixed = [
        able[row.name] for row in comparison.rows if row.name in able and able[row.name].labels_per_class is not None
    ]
    if test.folds or not fixed or metric not in comparison.scores.tested:
        return []
    rank = {row.name: place for place, row in enumerate(comparison.rows)}
    curves = {}
    for name, setups in lines_of(comparison).items():
        line = [one for one in setups if one.name in able and one.labels_per_class is None and one.train_examples > 0]
        sizes = [one.train_examples for one in line]
        if len(sizes) >= FEWEST_SIZES and len(set(sizes)) == len(sizes) and not line[0].is_idle:
            curves[name] = line
    best_first = sorted(curves, key=lambda name: rank[curves[name][-1].name])
    return [_crossing(comparison, name, curves[name], one) for one in fixed for name in best_first]


def _crossing(comparison: Comparison, name: str, line: Sequence[Setup], fixed: Setup) -> LabelCrossing:
    """Return where one line crosses one setup."""
    metric, test = comparison.metric, comparison.test
    places = {setup.name: place for place, setup in enumerate(test.setups)}
    sizes = [setup.train_examples for setup in line]
    sign = direction(metric)
    firsts, seconds = [places[setup.name] for setup in line], [places[fixed.name]] * len(line)
    if sign < 0:
        firsts, seconds = seconds, firsts
    gains = differences(comparison.scores.of_setups(metric), np.array(firsts), np.array(seconds))
    found = crossing(sizes, gains)
    over = _over([*line, fixed])
    if not over:
        found = Crossing(found.at, 0.0, math.inf)
    enough = next((setup for setup in line if setup.train_examples >= found.at), line[-1])
    prices = [comparison.by_name[setup.name].costs.get(PRICE) for setup in (enough, fixed)]
    per_class = all(setup.options.get("dataset.examples_per_class") for setup in line)
    return LabelCrossing(
        line=name,
        setups=tuple(setup.name for setup in line),
        fixed=fixed.name,
        found=found,
        sizes=tuple(sizes),
        classes=len(test.label_names) if per_class else 0,
        over=over,
        prices=None if prices[0] is None or prices[1] is None else (prices[0], prices[1]),
        fixed_price=prices[1],
        currency=currency_of(fixed.runs[0].record),
        label_price=comparison.options.label_price,
    )


def _over(setups: Sequence[Setup]) -> str:
    """Return what the interval of a crossing allows for; empty where there are too few seeds for one."""
    if any(len(setup.sample) < FEWEST_SEEDS for setup in setups):
        return ""
    if all(draws_examples(run) for setup in setups[:-1] for run in setup.runs):
        return "draws of the training and test examples"
    return "seeds and test examples, with one draw of the training examples"
