"""The outlook of two setups that their runs cannot tell apart: what it would take, its cost here, and the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textclf.compare.options import Claim
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.scores import TestScores
from textclf.compare.setups import Setup
from textclf.compare.statistics import (
    Estimates,
    cross_validated,
    differences,
    needed_examples,
    needed_repeats,
    needed_seeds,
)
from textclf.compare.verdicts import format_difference
from textclf.documents.wording import duration

FOLDS, REPEATS = 5, 3
"""The cross-validation that is advised: the cheapest that was found to be sharper than a single split of its data."""
MOST_ADVISED = 20
"""Seeds or repeats; more are not advised."""
OF_ONE_RUN = re.compile(r"\+{0,2}(seed|resume|resume_changed|hydra\.mode|hydra\.run\.\w+|hydra\.sweep\.\w+)=")
"""Overrides that a further run has of its own."""


@dataclass(frozen=True)
class Need:
    """How much would show a difference 8 times in 10; none where no number within reason would."""

    gap: float
    """The true difference that is to be shown, in the metric's own unit, 0 or more."""
    examples: int | None
    """Test examples, with as many trainings."""
    trainings: int | None
    """Seeds of each setup that draws from its seed, or repeats of a cross-validation, on as many test examples."""


@dataclass(frozen=True)
class Outlook:
    """What it would take to tell a pair apart."""

    pair: Pair
    seen: Need
    """For the difference that was seen."""
    largest: Need
    """For the far end of its interval: less would not do."""
    labelled: int
    """Examples that a cross-validation would test; 0 where there is one already, or a part of the examples was used."""
    folds_gap: float
    """About the smallest difference that it would show 8 times in 10; NaN where `labelled` is 0."""
    next_step: str
    """What to do: `seeds`, `repeats`, `folds` or `examples`."""
    command: str
    """What to type for it."""
    seconds: float
    """Seconds of training that it would take here, about; NaN where that is not known."""

    def __str__(self) -> str:
        pair = self.pair
        far = format_difference(self.largest.gap, pair.metric)
        said = [
            f"To show a difference between {pair.first} and {pair.second} as small as the one seen "
            f"({format_difference(self.seen.gap, pair.metric)}) 8 times in 10 takes {self._ways(self.seen)}; as large "
            f"as the far end of its interval ({far}), {self._ways(self.largest)}. There are {pair.num_examples:,}."
        ]
        if self.labelled:
            said.append(
                f"{FOLDS} folds drawn {REPEATS} times would test all {self.labelled:,} labelled examples and show "
                f"differences from about {format_difference(self.folds_gap, pair.metric)}."
            )
        return " ".join(said)

    def _ways(self, need: Need) -> str:
        """Return each way to show a difference, in words."""
        ways = [] if need.examples is None else [f"about {_rounded(need.examples):,} test examples"]
        if need.trainings is not None:
            ways.append(f"{need.trainings:,} {'repeats' if self.pair.folds else 'seeds'}")
        if ways:
            return " or ".join(ways)
        if self.pair.claim is Claim.classifier:
            return "more test examples than can be had"
        return f"both more test examples and more {'repeats' if self.pair.folds else 'seeds'}"

    @property
    def advice(self) -> str:
        """What to do next, without the command."""
        cost = "" if np.isnan(self.seconds) else f" (about {duration(max(self.seconds, 1))} of training here)"
        if self.next_step == "examples":
            return "More labelled examples to test on would help most."
        return {
            "seeds": f"Further seeds would tell; compare them together with these runs{cost}:",
            "repeats": f"More repeats would tell{cost}:",
            "folds": f"A cross-validation would see more{cost}:",
        }[self.next_step]


def _rounded(number: int) -> int:
    """Return a number with the two digits that an estimate is worth."""
    return int(float(f"{number:.2g}"))


def outlook(scores: TestScores, pair: Pair, alpha: float) -> Outlook | None:
    """Return what it would take to tell a pair apart; none where its verdict tells.

    Args:
        scores: The scores of the setups of its test set.
        pair: The pair.
        alpha: Level of the test, divided by the number of pairs.
    """
    if pair.verdict is not Verdict.CANNOT_TELL:
        return None
    names = [setup.name for setup in scores.test.setups]
    places = [names.index(name) for name in (pair.first, pair.second)]
    setups = [scores.test.setups[place] for place in places]
    over = scores.of_setups(pair.metric) if pair.claim is Claim.setup else scores.of_classifiers(pair.metric)
    estimate = differences(over, *places)
    repeats = 0 if scores.test.partitions is None else len(scores.test.partitions)
    gaps = abs(pair.difference), max(abs(pair.low), abs(pair.high))
    seen, largest = (_need(estimate, pair, gap, alpha, repeats) for gap in gaps)
    labelled = 0 if repeats else _labelled(setups)
    folds_gap = float("nan")
    if labelled:
        seeds = max(min((count for count in pair.seeds if count), default=1), 1)
        folded = cross_validated(estimate, pair.num_examples, seeds, labelled, FOLDS * REPEATS)
        folds_gap = float(folded.smallest_detectable(alpha)[0])
    step = _next_step(pair, seen, folds_gap)
    command, seconds = _plan(step, setups, seen.trainings or 0)
    return Outlook(pair, seen, largest, labelled, folds_gap, step, command, seconds)


def _need(estimate: Estimates, pair: Pair, gap: float, alpha: float, repeats: int) -> Need:
    """Return what would show a difference of one size."""
    examples = needed_examples(estimate, pair.num_examples, gap, alpha)
    seeds = min((count for count in pair.seeds if count), default=0)
    trainings = None
    if repeats:
        trainings = needed_repeats(estimate, pair.num_examples, repeats, gap, alpha)
    elif pair.claim is Claim.setup and seeds > 1:
        trainings = needed_seeds(estimate, pair.num_examples, seeds, gap, alpha)
    return Need(gap, examples, trainings)


def _labelled(setups: Sequence[Setup]) -> int:
    """Return how many examples folds would test; 0 where setups were trained on a part of them or on parts that differ.

    Texts that only the test split has are counted where the data are a person's own: a benchmark's test split stays
    what it is.
    """
    counts = [setup.runs[0].record.data.get("examples", {}) for setup in setups]
    if any(setup.size != setups[0].size or any(setup.size) for setup in setups) or counts[0] != counts[1]:
        return 0
    splits = ("train", "validation", "test") if _has_own_test(setups[0]) else ("train", "validation")
    return int(sum(counts[0].get(split, 0) for split in splits))


def _has_own_test(setup: Setup) -> bool:
    """Whether the test split is a person's own, and no benchmark from the Hub."""
    return not setup.options.get("dataset.path")


def _next_step(pair: Pair, seen: Need, folds_gap: float) -> str:
    """Return what to do next: what would show the difference seen, or else what would see more at all."""
    if seen.trainings is not None and seen.trainings <= MOST_ADVISED:
        return "repeats" if pair.folds else "seeds"
    return "folds" if folds_gap < pair.smallest_detectable else "examples"


def _plan(step: str, setups: Sequence[Setup], trainings: int) -> tuple[str, float]:
    """Return the command of a step, and the seconds of training that it takes."""
    costs = [float(np.median([run.record.costs.get("train_seconds", np.nan) for run in s.runs])) for s in setups]
    if step == "seeds":
        drawing = [setup for setup in setups if setup.draws_seed]
        done = {seed for setup in drawing for seed in setup.seeds}
        more = [seed for seed in range(1, max(done) + trainings + 1) if seed not in done]
        more = more[: max(trainings - min(len(setup.seeds) for setup in drawing), 1)]
        seconds = sum(cost * len(more) for cost, setup in zip(costs, setups, strict=True) if setup.draws_seed)
        return command_of(drawing, [f"seed={','.join(map(str, more))}"]), seconds
    if step == "examples":
        return "", float("nan")
    seeds = [f"seed={','.join(str(seed) for seed in sorted(set(setups[0].seeds) & set(setups[1].seeds)))}"]
    if step == "repeats":
        folds = int(setups[0].options.get("dataset.folds") or FOLDS)
        fits, options = folds * trainings * len(setups[0].seeds), [f"dataset.fold_repeats={trainings}", *seeds]
    else:
        fits, options = FOLDS * REPEATS, [f"dataset.folds={FOLDS}", f"dataset.fold_repeats={REPEATS}", "seed=1"]
        options += ["dataset.fold_test=true"] if _has_own_test(setups[0]) and _has_test(setups[0]) else []
    return command_of(setups, options), sum(costs) * (fits + 1)


def _has_test(setup: Setup) -> bool:
    """Whether the source has a test split that folds would otherwise leave alone."""
    return bool(setup.options.get("dataset.test") or setup.options.get("dataset.test_split"))


def command_of(setups: Sequence[Setup], options: Sequence[str]) -> str:
    """Return the command that runs setups again with other options; several, a line each, where one cannot say it.

    Args:
        setups: The setups.
        options: Overrides that are added, or take the place of those of the same name.
    """
    given: list[dict[str, str]] = []
    for setup in setups:
        words = shlex.split(setup.runs[0].record.command)[3:]
        words = [word for word in words if "=" in word and not OF_ONE_RUN.match(word)]
        kept = dict(word.split("=", 1) for word in words)
        given.append(kept | dict(option.split("=", 1) for option in options))
    keys = list(dict.fromkeys(key for kept in given for key in kept))
    differing = [key for key in keys if len({kept.get(key) for kept in given}) > 1]
    if len(differing) > 1 or any(differing[0] not in kept for kept in given if differing):
        return "\n".join(_command(kept) for kept in given)
    return _command({key: ",".join(dict.fromkeys(kept[key] for kept in given)) for key in keys})


def _command(overrides: dict[str, str]) -> str:
    several = any("," in overrides.get(key, "") for key in ("model", "seed")) and "study" not in overrides
    words = [f"{key}={value}" for key, value in overrides.items()]
    return shlex.join(["python", "-m", "textclf.run", *(["-m"] if several else []), *words])
