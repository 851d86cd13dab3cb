"""Compare a classifier with the champion, which bears the alias that it asks for, on the test set they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textclf.compare.options import Claim, CompareOptions
from textclf.compare.pairs import Pair, Verdict, compare_pairs
from textclf.compare.runs import FinishedRun, read_run
from textclf.compare.scores import TESTED, TestScores
from textclf.compare.setups import Setup, SharedTest
from textclf.compare.verdicts import format_difference, format_interval
from textclf.documents.wording import p_equals
from textclf.errors import ArtifactError, listed
from textclf.evaluation.metric_names import metric_label
from textclf.models.saved import Description, read_description

CHAMPION, CHALLENGER = "the champion", "the challenger"


@dataclass(frozen=True)
class Candidate:
    """A classifier that a registered model holds or is to hold."""

    said: str
    """What it is called in a sentence."""
    classifier: Path
    """Its folder."""
    folder: Path | None
    """The folder with the record and the test predictions of its run; none where there is none."""

    @property
    def description(self) -> Description:
        """What its folder says of it."""
        return read_description(self.classifier)

    @property
    def has_pairs(self) -> bool | None:
        """Whether it takes pairs of texts."""
        said = self.description.has_pairs
        return self.run().record.data.get("pairs") if said is None and self.folder is not None else said

    def run(self) -> FinishedRun:
        """Return its run, with the test predictions.

        Raises:
            ArtifactError: If it has none, or its files contradict each other.
        """
        if self.folder is None:
            raise ArtifactError(f"{self.said} has no test predictions beside it")
        return read_run(self.folder)


@dataclass(frozen=True)
class Judgement:
    """What was found of a challenger and the champion."""

    allowed: bool
    """Whether the challenger may take the alias without being forced to."""
    reason: str
    """Why, in a sentence."""


def judge(challenger: Candidate, champion: Candidate, options: CompareOptions | None = None) -> Judgement:
    """Compare a challenger with the champion.

    It is refused where it answers other requests or with other labels, where the two were not tested on the
    same examples, and where the champion is significantly better. What is tested are these two
    trained classifiers, over the test examples.

    Args:
        challenger: The classifier that would take the alias.
        champion: The one that bears it.
        options: The metric and the level of significance; by default the champion's own objective, and 5 %.
    """
    if reason := _other_contract(challenger, champion):
        return Judgement(False, reason)
    try:
        first, second = challenger.run(), champion.run()
    except ArtifactError as error:
        return Judgement(False, f"The two cannot be compared: {error}.".replace("..", "."))
    if first.test_set != second.test_set:
        return Judgement(
            False,
            f"The two cannot be compared: {challenger.said} was tested on {len(first.labels):,} examples of "
            f"{first.record.dataset}, {champion.said} on {len(second.labels):,} of {second.record.dataset}, and these "
            f"are not the same examples{', or not in the same folds' if first.partitions is not None else ''}.",
        )
    pair = compared(first, second, options)
    return Judgement(pair.verdict is not Verdict.WORSE, _sentence(pair, challenger.said, champion.said))


def compared(challenger: FinishedRun, champion: FinishedRun, options: CompareOptions | None = None) -> Pair:
    """Return the test of two classifiers, the challenger first, on the test set that they share.

    For accuracy it is McNemar's; for macro F1 and the like the paired bootstrap's over the examples. Where the
    champion's objective cannot be tested, they are compared by accuracy; of sets of labels by subset accuracy, the
    share that is exactly right.
    """
    options = options or CompareOptions()
    objective = options.metric or champion.record.objective.partition("/")[2]
    otherwise = "subset_accuracy" if champion.record.data.get("sets") else "accuracy"
    metric = objective if objective in TESTED else otherwise
    setups = (Setup(CHALLENGER, (challenger,), {}), Setup(CHAMPION, (champion,), {}))
    asked = CompareOptions(metric, options.margin, options.alpha, Claim.classifier, reference=CHAMPION)
    scores = TestScores(SharedTest(champion.record.dataset, setups, ()))
    pairs = compare_pairs(scores, metric, asked)
    if not pairs:  # the metric is undefined in one of them; accuracy never is
        (pair,) = compare_pairs(scores, otherwise, asked)
        return pair
    return pairs[0]


def _other_contract(challenger: Candidate, champion: Candidate) -> str:
    """Return in what the two differ for those who send requests; empty where in nothing."""
    new, old = challenger.description.label_names, champion.description.label_names
    if set(new) != set(old):
        return (
            f"{challenger.said} answers with the labels {listed(new, 10)}, {champion.said} with {listed(old, 10)}: who "
            f"uses the one may not understand the other."
        )
    answers = {True: "a set of labels", False: "one class"}
    sets = [one.description.thresholds is not None for one in (challenger, champion)]
    if sets[0] != sets[1]:
        return (
            f"{challenger.said} gives each text {answers[sets[0]]}, {champion.said} {answers[sets[1]]}: who uses the "
            f"one does not understand the other."
        )
    kinds = {True: "pairs of texts", False: "single texts", None: "either"}
    if None not in (challenger.has_pairs, champion.has_pairs) and challenger.has_pairs != champion.has_pairs:
        return (
            f"{challenger.said} classifies {kinds[challenger.has_pairs]}, {champion.said} {kinds[champion.has_pairs]}: "
            f"requests to the one are refused by the other."
        )
    return ""


def _sentence(pair: Pair, challenger: str, champion: str) -> str:
    """Return what was found, in a sentence."""
    low, high, metric = pair.low, pair.high, metric_label(pair.metric)
    basis = f"on the same {pair.num_examples:,} test examples"
    if pair.verdict in (Verdict.BETTER, Verdict.WORSE):
        winner, loser = (challenger, champion) if pair.verdict is Verdict.BETTER else (champion, challenger)
        if pair.difference < 0:
            low, high = -high, -low
        gap = format_difference(pair.difference, pair.metric)
        return (
            f"{winner} is significantly better than {loser} {basis}: by {gap} of {metric} "
            f"(95 % {format_interval(low, high, pair.metric)}, {p_equals(pair.p_value)})."
        )
    difference = f"difference {format_interval(low, high, pair.metric)}, {p_equals(pair.p_value)}"
    if pair.verdict is Verdict.EQUIVALENT:
        return f"{challenger} and {champion} are equivalent in {metric} {basis} ({difference})."
    return f"No difference in {metric} is shown between {challenger} and {champion} {basis} ({difference})."
