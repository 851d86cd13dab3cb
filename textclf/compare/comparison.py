"""The setups of one test set, compared: rows, pairs, verdicts, caveats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from textclf.compare.options import CompareOptions
from textclf.compare.outlook import Outlook, outlook
from textclf.compare.pairs import Pair, compare_pairs
from textclf.compare.scores import TestScores
from textclf.compare.setups import Setup, SharedTest, draws_examples
from textclf.compare.summary import SetupRow, setup_rows
from textclf.compare.verdicts import few_seeds_caveat, verdict_sentence
from textclf.errors import ConfigError, did_you_mean, listed
from textclf.evaluation.metric_names import direction, metric_label

ALSO_TESTED = ("accuracy", "micro_f1", "macro_f1", "subset_accuracy", "hamming_loss")
"""Metrics whose pairs are shown even where the verdicts are about another."""
FLATTERED = 3
"""With so many setups or more the best one's score is flattered by having been picked."""


@dataclass(frozen=True)
class Comparison:
    """The setups of one test set, compared."""

    scores: TestScores
    options: CompareOptions

    @property
    def test(self) -> SharedTest:
        """The test set and its setups."""
        return self.scores.test

    @cached_property
    def metric(self) -> str:
        """The metric that verdicts are about: the one asked for, else what the runs were selected by.

        Raises:
            ConfigError: If the metric asked for cannot be tested.
        """
        tested, asked = self.scores.tested, self.options.metric
        if asked is not None:
            if asked not in tested:
                has = " of sets of labels" if self.test.has_sets else ""
                raise ConfigError(
                    f"compare.metric={asked}: differences{has} can be tested in {listed(tested)}."
                    f"{did_you_mean(asked, tested)}"
                )
            return asked
        usual = "micro_f1" if self.test.has_sets else "accuracy"
        objectives = {run.record.objective.partition("/")[2] for setup in self.test.setups for run in setup.runs}
        (only,) = objectives if len(objectives) == 1 else (usual,)
        if only not in tested or (self.test.has_sets and not self._is_defined(only)):
            return usual
        return only

    def _is_defined(self, metric: str) -> bool:
        """Whether as many setups have a metric in every run as make a comparison."""
        return len(self.scores.levels(metric)) >= min(2, len(self.test.setups))

    @cached_property
    def rows(self) -> list[SetupRow]:
        """A row for each setup, the best first; those without the metric last."""
        sign = direction(self.metric)

        def rank(row: SetupRow) -> tuple[bool, float, str]:
            level = row.levels.get(self.metric)
            return level is None, -sign * level.mean if level is not None else 0.0, row.name

        return sorted(setup_rows(self.scores), key=rank)

    @cached_property
    def by_name(self) -> dict[str, SetupRow]:
        """The rows by the setup's name."""
        return {row.name: row for row in self.rows}

    def setup(self, name: str) -> Setup:
        """Return the setup of that name."""
        return next(setup for setup in self.test.setups if setup.name == name)

    @property
    def best(self) -> SetupRow:
        """The best setup of those that have not collapsed; where all have, the best of all."""
        return next((row for row in self.rows if not row.collapsed), self.rows[0])

    @property
    def reference(self) -> SetupRow:
        """The setup that the others are related to: the one asked for where it was run, else the best."""
        return self.by_name.get(self.options.reference or "", self.best)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every pair, judged by the metric."""
        return compare_pairs(self.scores, self.metric, self.options)

    @cached_property
    def other_pairs(self) -> dict[str, list[Pair]]:
        """Every pair, judged by each of the further metrics."""
        others = [metric for metric in ALSO_TESTED if metric != self.metric and metric in self.scores.metrics]
        return {metric: compare_pairs(self.scores, metric, self.options) for metric in others}

    @cached_property
    def leading_pairs(self) -> list[Pair]:
        """The pairs that answer the question: all with the reference, or else with the best; its own size first."""
        chosen = self.reference.name
        return [pair for pair in self.pairs if chosen in (pair.first, pair.second)]

    @cached_property
    def outlooks(self) -> list[Outlook]:
        """What it would take to tell the leading pairs apart that these runs cannot, in their order."""
        strict = self.options.alpha / max(len(self.pairs), 1)
        found = [outlook(self.scores, pair, strict) for pair in self.leading_pairs]
        return [one for one in found if one is not None]

    def sentences(self, pairs: Sequence[Pair]) -> list[str]:
        """Return the verdicts on pairs, a sentence each."""
        count = len(self.pairs)
        return [verdict_sentence(pair, self.by_name, self.options.margin, count) for pair in pairs]

    @property
    def _training_warnings(self) -> list[str]:
        """Collapses and other warnings of the training, by setup."""
        warned = [
            f"{row.name} collapsed with seed {listed(map(str, row.collapsed))} ({len(row.collapsed)} of "
            f"{row.num_seeds}): one answer to every text. Its mean and spread tell little about what it can do; train "
            f"it longer, or with another learning rate."
            for row in self.rows
            if row.collapsed
        ]
        for setup in self.test.setups:
            for run in setup.runs:
                warnings = [str(warning) for warning in run.record.fit.get("warnings", ())]
                warned += [
                    f"{setup.name}, seed {run.record.seed}: {warning}"
                    for warning in warnings
                    if not warning.startswith("collapse:")
                ]
        return warned

    @cached_property
    def caveats(self) -> list[str]:
        """What limits the verdicts, a sentence or two each."""
        found = ([] if self.test.folds else few_seeds_caveat(self.rows)) + self._training_warnings
        if any(draws_examples(run) for setup in self.test.setups for run in setup.runs):
            found.append(
                "Each seed was trained on its own draw of the examples, so what is said over seeds holds for other "
                "draws of as many examples too, and the spread over seeds is mostly theirs."
            )
        objective = self.test.setups[0].runs[0].record.objective.partition("/")[2]
        if self.options.metric is None and objective != self.metric:
            why = "in which differences cannot be tested (or not all by the same metric)"
            if objective in self.scores.tested and not self._is_defined(objective):
                why = "which is undefined in some run of most setups: a label neither occurs in test nor is given"
            found.append(
                f"The runs were selected by {metric_label(objective)}, {why}, so the verdicts are about "
                f"{metric_label(self.metric)}."
            )
        if self.options.reference is not None and self.options.reference not in self.by_name:
            found.append(
                f"compare.reference={self.options.reference} is none of these setups, so they are related "
                f"to {self.best.name}.{did_you_mean(self.options.reference, self.by_name)}"
            )
        if len(self.rows) >= FLATTERED:
            found.append(
                f"{self.best.name} was picked as the best of {len(self.rows)} on this very test set, so its score "
                f"is a little flattered; the corrected p-values allow for the number of pairs, its mean does not."
            )
        without = [row.name for row in self.rows if self.metric not in row.levels]
        if without:
            found.append(f"{listed(without)} had no {metric_label(self.metric)} in some run, where it is undefined.")
        return [*found, *self.test.problems]
