"""Setups of a table of scores, compared: rows, pairs, verdicts, and what the table cannot tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from textclf.compare.draws import DrawTest, error_of_score, error_of_test, separate_draws, shared_draws
from textclf.compare.options import Claim, CompareOptions
from textclf.compare.pairs import Pair, Verdict, judge
from textclf.compare.results_file import Group
from textclf.compare.scores import Level
from textclf.compare.setups import FEWEST_SEEDS
from textclf.compare.statistics import holm, holm_levels, superiority
from textclf.compare.summary import SetupRow
from textclf.compare.verdicts import format_difference, verdict_sentence
from textclf.documents.wording import decimals, p_equals
from textclf.errors import did_you_mean, listed
from textclf.evaluation.metric_names import METRICS, higher_is_better, metric_label

Floats = NDArray[np.float64]

FLATTERED = 3
"""With so many setups or more the best one's score is flattered by having been picked."""


@dataclass(frozen=True)
class DrawPair(Pair):
    """Two setups of a table, tested over draws."""

    shared: bool
    """Whether both were trained on the same draws."""
    tested: bool
    """Whether the table allows a test at all."""
    p_here: float
    """Over draws alone, on these very test examples; by Holm. The same as `p_corrected` where nothing else counts."""
    needed: int | None
    """Draws by which a difference of this size would be found 8 times in 10; none where no number would do."""
    holds_here: bool
    """Whether it is undecided for other test examples, but shown for these."""


class ScoreTable:
    """The setups of one data set, compared by one metric."""

    def __init__(self, group: Group, options: CompareOptions, lower_is_better: bool = False, folds: bool = False):
        """Take what was read.

        Args:
            group: The scores.
            options: How to compare.
            lower_is_better: Whether less of the metric is better, whatever its name says.
            folds: Whether the draws are folds of a cross-validation.
        """
        self.dataset, self.metric, self.options, self.folds = group.dataset, group.metric, options, folds
        self.notes = tuple(group.notes)
        self.sign = -1 if lower_is_better or not higher_is_better(group.metric) else 1
        self.names_draws = all(score.draw is not None for score in group.scores)
        self.scores: dict[str, dict[str, float]] = {}
        for score in group.scores:
            own = self.scores.setdefault(score.setup, {})
            own[score.draw if score.draw is not None else str(len(own) + 1)] = score.value
        self.stated_examples = group.examples
        known = group.examples if group.metric in ("accuracy", "subset_accuracy") and not folds else None
        self.num_examples = known
        """Test examples that can be allowed for; none where their number or their error is not known."""
        self.unit = max(
            min(score.unit for score in group.scores), 1 / known if known else 0.0
        )  # 0.8 may stand for 0.800

    def values(self, setup: str, draws: Sequence[str] | None = None) -> Floats:
        """Return a setup's scores, on some draws or on all, float64 (k,)."""
        own = self.scores[setup]
        return np.array([own[draw] for draw in (own if draws is None else draws)], dtype=np.float64)

    @cached_property
    def rows(self) -> list[SetupRow]:
        """A row for each setup, the best first."""
        rows = []
        for name in self.scores:
            values, several = self.values(name), len(self.scores[name]) > 1
            low = high = float("nan")
            if several or self.num_examples:
                ends = error_of_score(values, self.unit, self.num_examples).interval()
                low, high = (float(end[0]) for end in ends)
            low, high = (_within(end, self.metric) for end in (low, high))
            deviation = float(values.std(ddof=1)) if several else float("nan")
            over = "draws and examples" if several and self.num_examples else "draws" if several else "examples"
            level = Level(float(values.mean()), deviation, low, high, over)
            rows.append(SetupRow(name, tuple(range(len(values))), 0, {self.metric: level}, {}))
        return sorted(rows, key=lambda row: (-self.sign * row.levels[self.metric].mean, row.name))

    @cached_property
    def by_name(self) -> dict[str, SetupRow]:
        """The rows by the setup's name."""
        return {row.name: row for row in self.rows}

    @property
    def reference(self) -> str:
        """The setup that the others are related to: the one asked for where the table has it, else the best."""
        asked = self.options.reference
        return asked if asked in self.scores else self.rows[0].name  # type: ignore[return-value]

    @cached_property
    def pairs(self) -> list[DrawPair]:
        """Every pair, tested, corrected by Holm over all that can be tested, and judged."""
        names = [row.name for row in self.rows]
        ordered = [(b, a) if a == self.options.reference else (a, b) for a, b in combinations(names, 2)]
        tests = [self._test(first, second) for first, second in ordered]
        tested = [test for test in tests if test is not None]
        strict, margin = self.options.alpha / max(len(tested), 1), self.options.margin
        full = holm([float(test.full.estimate().p_values()[0]) for test in tested])
        here = holm([float(test.here.estimate().p_values()[0]) if test.here else 1.0 for test in tested])
        same = holm([float(test.full.estimate().equivalence_p_values(margin)[0]) for test in tested])
        levels = holm_levels([float(test.full.estimate().p_values()[0]) for test in tested], self.options.alpha)
        corrected = iter(zip(full, here, same, levels, strict=True))
        found = []
        for (first, second), test in zip(ordered, tests, strict=True):
            *p_values, level = map(float, next(corrected)) if test is not None else (1.0, 1.0, 1.0, 1.0)
            found.append(self._pair(first, second, test, (p_values[0], p_values[1], p_values[2]), strict, level))
        return found

    @property
    def num_tested(self) -> int:
        """The number of pairs that p-values were corrected for."""
        return sum(pair.tested for pair in self.pairs)

    @cached_property
    def leading_pairs(self) -> list[DrawPair]:
        """The pairs with the reference, or else with the best."""
        return [pair for pair in self.pairs if self.reference in (pair.first, pair.second)]

    def _test(self, first: str, second: str) -> _Test | None:
        """Return the test of two setups; none where the table has too little for one."""
        drawn = [draw for draw in self.scores[first] if draw in self.scores[second]] if self.names_draws else []
        counts = len(self.scores[first]), len(self.scores[second])
        about_setups = self.options.claim is not Claim.classifier
        n = self.num_examples
        if about_setups and len(drawn) >= FEWEST_SEEDS:
            a, b = (self.values(name, drawn) for name in (first, second))
            extra = error_of_test(float(a.mean()), float(b.mean()), n) if n else 0.0
            here = shared_draws(a, b, self.unit, folds=self.folds)
            full = shared_draws(a, b, self.unit, extra, n or 1, self.folds) if n else here
            return _Test(full, here, Claim.setup, (len(a), len(b)), float(((a > b) + 0.5 * (a == b)).mean()), True)
        if about_setups and min(counts) >= FEWEST_SEEDS:
            a, b = self.values(first), self.values(second)
            extra = error_of_test(float(a.mean()), float(b.mean()), n) if n else 0.0
            here = separate_draws(a, b, self.unit)
            full = separate_draws(a, b, self.unit, extra, n or 1) if n else here
            return _Test(full, here, Claim.setup, counts, superiority(a, b), False)
        if n is None:
            return None
        draw = min(drawn, key=_in_order) if drawn else None
        a, b = (self.scores[name][draw or min(self.scores[name], key=_in_order)] for name in (first, second))
        alone = DrawTest(a - b, 0.0, 1, 1, error_of_test(a, b, n), n)
        chance = float(stats.norm.cdf((a - b) / np.sqrt(alone.examples)))
        return _Test(alone, None, Claim.classifier, (1, 1), chance, bool(drawn))

    def _pair(
        self,
        first: str,
        second: str,
        test: _Test | None,
        p_values: tuple[float, float, float],
        strict: float,
        level: float,
    ) -> DrawPair:
        """Return a pair with what was found; of one without a test, its difference alone."""
        p, p_here, p_same = p_values
        counts = len(self.scores[first]), len(self.scores[second])
        gap = self.by_name[first].levels[self.metric].mean - self.by_name[second].levels[self.metric].mean
        if test is None:
            none = float("nan")
            numbers = (none, none, none, none, 1.0, 1.0, 1.0, none, none, none)
            return DrawPair(
                first, second, self.metric, Claim.classifier, counts, self.stated_examples or 0, gap, *numbers,
                Verdict.CANNOT_TELL, shared=False, tested=False, p_here=1.0, needed=None, holds_here=False,
            )  # fmt: skip
        found = test.full.estimate()
        low, high = (float(end[0]) for end in found.interval())
        low_corrected, high_corrected = (float(end[0]) for end in found.interval(1 - level))
        chance = test.superiority if self.sign > 0 else 1 - test.superiority
        verdict = judge(self.sign * test.full.difference, p, p_same, self.options.alpha)
        undecided = verdict is Verdict.CANNOT_TELL
        return DrawPair(
            first=first,
            second=second,
            metric=self.metric,
            claim=test.claim,
            seeds=test.draws,
            num_examples=self.stated_examples or 0,
            difference=test.full.difference,
            low=low,
            high=high,
            low_corrected=low_corrected,
            high_corrected=high_corrected,
            p_value=float(found.p_values()[0]),
            p_corrected=p,
            p_equivalent=p_same,
            superiority=chance,
            smallest_detectable=float(found.smallest_detectable(strict)[0]),
            seed_share=float(found.seed_share[0]),
            verdict=verdict,
            shared=test.shared,
            tested=True,
            p_here=p_here,
            needed=test.full.needed_draws(strict) if test.claim is Claim.setup and undecided else None,
            holds_here=undecided and p_here < self.options.alpha,
        )

    def sentences(self, pairs: Sequence[DrawPair]) -> list[str]:
        """Return the verdicts on pairs, a sentence or two each."""
        return [self._sentence(pair) for pair in pairs]

    def _sentence(self, pair: DrawPair) -> str:
        if not pair.tested:
            scores = (decimals(self.by_name[name].levels[self.metric].mean) for name in (pair.first, pair.second))
            few = "one draw" if min(pair.seeds) == 1 else f"{min(pair.seeds)} draws"
            return (
                f"Nothing can be said of {pair.first} and {pair.second} ({' and '.join(scores)}): {few} of a setup "
                f"{'does' if min(pair.seeds) == 1 else 'do'} not show how far another would be from it."
            )
        basis = _draws(pair) + (f" and {self.num_examples:,} test examples" if self.num_examples else "")
        said = verdict_sentence(
            pair, self.by_name, self.options.margin, self.num_tested, basis, self._why(pair), self.sign
        )
        if not pair.holds_here:
            return said
        better = pair.first if self.sign * pair.difference > 0 else pair.second
        return (
            f"{said} On these very test examples {better} is better ({p_equals(pair.p_here)} over draws); predictions "
            f"of single examples would tell whether it is on others."
        )

    def _why(self, pair: DrawPair) -> str:
        """Return why no difference was found, and what it would take."""
        gap = format_difference(pair.smallest_detectable, pair.metric)
        said = f"A gap under about {gap} would usually go unnoticed"
        if pair.claim is Claim.classifier or not pair.difference:
            return said
        if pair.needed is not None:
            return f"{said}; a difference of the size seen would take about {pair.needed} draws"
        if self.num_examples and pair.seed_share < 0.5:
            return f"{said}, and no number of draws would show one of the size seen, since the test set is too small"
        return said

    @cached_property
    def caveats(self) -> list[str]:
        """What limits the verdicts, a sentence or two each."""
        found = [*self.notes, *self._about_examples, *self._about_draws]
        asked = self.options.reference
        if asked is not None and asked not in self.scores:
            found.append(
                f"{asked} is none of these setups, so they are related to {self.rows[0].name}."
                f"{did_you_mean(asked, self.scores)}"
            )
        if self.metric not in METRICS:
            direction = "less" if self.sign < 0 else "more"
            found.append(
                f"{self.metric} is no metric that textclf knows: {direction} of it is taken to be better. If it is "
                f"one under another name, say so with --metric."
            )
        if len(self.rows) >= FLATTERED:
            found.append(
                f"{self.rows[0].name} was picked as the best of {len(self.rows)} on this very test set, so its score "
                f"is a little flattered; the corrected p-values allow for the number of pairs, its mean does not."
            )
        return found

    @property
    def _about_examples(self) -> list[str]:
        if not any(pair.tested for pair in self.pairs):
            return []
        if self.folds:
            return ["The draws are folds of a cross-validation, so their variance is raised for what they share."]
        if self.num_examples:
            return [
                f"The table does not say on which of the {self.num_examples:,} test examples each setup errs, so what "
                f"they add to the error is taken at its most: as if setups erred independently of each other. "
                f"Predictions of single examples would show more."
            ]
        if self.stated_examples:
            return [
                f"What {self.stated_examples:,} test examples add to the error of {metric_label(self.metric)} cannot "
                f"be known without predictions, so the verdicts are about these very examples: others may reverse them."
            ]
        return [
            "The table does not say how many test examples there were, so the verdicts are about these very examples: "
            "other draws would not reverse them, but other test examples may. Give their number with --test-examples."
        ]

    @property
    def _about_draws(self) -> list[str]:
        found = []
        few = [row.name for row in self.rows if row.num_seeds < FEWEST_SEEDS]
        if few:
            who = "Every setup" if len(few) == len(self.rows) else listed(few, 8)
            found.append(
                f"{who} {'has' if len(few) in (1, len(self.rows)) else 'have'} fewer than three draws: "
                + (
                    "verdicts on such pairs are about these classifiers, not about the setups."
                    if self.num_examples
                    else "nothing can be said of such pairs."
                )
            )
        if not self.names_draws and len(few) < len(self.rows):
            found.append(
                "No column names the draws, so the rows of a setup count as draws of its own. Where setups share "
                "draws, name their column (--column draw=NAME): that shows smaller differences."
            )
        elif any(pair.tested and pair.claim is Claim.setup and not pair.shared for pair in self.pairs):
            found.append("Where setups share fewer than three draws, they are compared as if they shared none.")
        if (together := self._correlation) is not None:
            found.append(
                f"Draws of one name count as the same for all setups, whose scores move together over them (mean "
                f"correlation {decimals(together, 2)}): the same draws make the comparison "
                f"{'finer' if together > 0.1 else 'no finer'}."
            )
        return found

    @property
    def _correlation(self) -> float | None:
        """The mean correlation of setups over shared draws; none where there are none."""
        found = []
        for pair in self.pairs:
            if pair.tested and pair.shared and pair.claim is Claim.setup:
                drawn = [draw for draw in self.scores[pair.first] if draw in self.scores[pair.second]]
                a, b = self.values(pair.first, drawn), self.values(pair.second, drawn)
                if a.std() > 0 and b.std() > 0:
                    found.append(float(np.corrcoef(a, b)[0, 1]))
        return float(np.mean(found)) if found else None

    @property
    def summary(self) -> str:
        """How many of the differences hold, in a sentence."""
        pairs = self.pairs
        count = len(pairs)
        held = sum(pair.verdict in (Verdict.BETTER, Verdict.WORSE) for pair in pairs)
        same = sum(pair.verdict is Verdict.EQUIVALENT for pair in pairs)
        here = sum(pair.holds_here for pair in pairs)
        parts = [f"{held} {'holds' if held == 1 else 'hold'}"]
        parts += [f"{here} {'is' if here == 1 else 'are'} shown for these very test examples only"] if here else []
        parts += [f"{same} {'is' if same == 1 else 'are'} shown to be within the margin"] if same else []
        left = count - held - here - same
        parts += [f"{left} {'is' if left == 1 else 'are'} not shown"] if left else []
        return f"Of {count} {'difference' if count == 1 else 'differences'} {', '.join(parts)}."


@dataclass(frozen=True)
class _Test:
    """A pair's test before the correction for the number of pairs."""

    full: DrawTest
    """With all that is known of the error."""
    here: DrawTest | None
    """Over draws alone."""
    claim: Claim
    draws: tuple[int, int]
    superiority: float
    shared: bool


def _in_order(draw: str) -> tuple[int, str]:
    """Return what draws are sorted by: numbers by size."""
    digits = re.search(r"\d+", draw)
    return (int(digits[0]) if digits else 0, draw)


def _draws(pair: DrawPair) -> str:
    """Return how many draws a test rests on."""
    if pair.claim is Claim.classifier:
        return "one draw each"
    if pair.shared:
        return f"{pair.seeds[0]} shared draws"
    return (
        f"{pair.seeds[0]} draws each"
        if pair.seeds[0] == pair.seeds[1]
        else f"{pair.seeds[0]} and {pair.seeds[1]} draws"
    )


def _within(end: float, metric: str) -> float:
    """Return the end of an interval, cut to what the metric can be."""
    if metric not in METRICS or end != end:
        return end
    return min(max(end, -1.0 if metric == "mcc" else 0.0), float("inf") if metric == "log_loss" else 1.0)
