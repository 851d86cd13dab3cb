"""The outlook of two setups that their runs cannot tell apart: what it would take, its cost here, and the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
class Step:
    """What to run next."""

    kind: str
    """`seeds`, `repeats`, `folds`; or `examples`, where more must be labelled."""
    setups: tuple[Setup, ...] = ()
    options: tuple[str, ...] = ()
    """What their commands get as well."""
    trainings: int = 0
    """Of each setup."""

    @property
    def command(self) -> str:
        """What to type; empty where nothing is to be run."""
        return command_of(self.setups, self.options) if self.setups else ""

    @property
    def seconds(self) -> float:
        """Seconds of training that it takes, as long as those took that were run; NaN where that is not known."""
        costs = [[run.record.costs.get("train_seconds", np.nan) for run in setup.runs] for setup in self.setups]
        return self.trainings * sum(float(np.median(own)) for own in costs) if costs else float("nan")

    def __str__(self) -> str:
        if self.kind == "examples":
            return "More labelled examples to test on would help most."
        cost = "" if np.isnan(self.seconds) else f" (about {duration(max(self.seconds, 1))} of training here)"
        return {
            "seeds": f"Further seeds would tell; compare them together with these runs{cost}:",
            "repeats": f"More repeats would tell{cost}:",
            "folds": f"A cross-validation would see more{cost}:",
        }[self.kind]


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
    step: Step
    """What to do next."""

    def __str__(self) -> str:
        pair = self.pair
        far = format_difference(self.largest.gap, pair.metric)
        said = [
            f"To show a difference between {pair.first} and {pair.second} as small as the one seen "
            f"({format_difference(self.seen.gap, pair.metric)}) 8 times in 10 takes {self.ways(self.seen)}; as large "
            f"as the far end of its interval ({far}), {self.ways(self.largest)}. There are {pair.num_examples:,}."
        ]
        if self.labelled:
            said.append(
                f"{FOLDS} folds drawn {REPEATS} times would test all {self.labelled:,} labelled examples and show "
                f"differences from about {format_difference(self.folds_gap, pair.metric)}."
            )
        return " ".join(said)

    def ways(self, need: Need) -> str:
        """Return each way to show a difference, in words."""
        ways = [] if need.examples is None else [f"about {_rounded(need.examples):,} test examples"]
        if need.trainings is not None:
            ways.append(f"{need.trainings:,} {'repeats' if self.pair.folds else 'seeds'}")
        if ways:
            return " or ".join(ways)
        if self.pair.claim is Claim.classifier:
            return "more test examples than can be had"
        return f"both more test examples and more {'repeats' if self.pair.folds else 'seeds'}"

    def plain(self) -> dict[str, Any]:
        """Return what it would take, for JSON."""
        return {
            "first": self.pair.first,
            "second": self.pair.second,
            "seen": asdict(self.seen),
            "largest": asdict(self.largest),
            "labelled": self.labelled,
            "folds_gap": self.folds_gap,
            "next": self.step.kind,
            "command": self.step.command,
            "seconds": self.step.seconds,
        }


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
    step = _step(_kind_of_step(pair, seen, folds_gap), setups, seen.trainings or 0)
    return Outlook(pair, seen, largest, labelled, folds_gap, step)


def next_steps(outlooks: Sequence[Outlook]) -> list[Step]:
    """Return what to run for several pairs: steps that differ in their setups alone are one."""
    together: dict[tuple[str, tuple[str, ...], int], dict[str, Setup]] = {}
    for step in (one.step for one in outlooks):
        found = together.setdefault((step.kind, step.options, step.trainings), {})
        found |= {setup.name: setup for setup in step.setups}
    return [
        Step(kind, tuple(setups.values()), options, trainings)
        for (kind, options, trainings), setups in together.items()
    ]


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


def _kind_of_step(pair: Pair, seen: Need, folds_gap: float) -> str:
    """Return what to do next: what would show the difference seen, or else what would see more at all."""
    if seen.trainings is not None and seen.trainings <= MOST_ADVISED:
        return "repeats" if pair.folds else "seeds"
    return "folds" if folds_gap < pair.smallest_detectable else "examples"


def _step(kind: str, setups: Sequence[Setup], trainings: int) -> Step:
    """Return a step for two setups.

    Args:
        kind: Its kind.
        setups: The two.
        trainings: Seeds or repeats that are needed.
    """
    if kind == "examples":
        return Step(kind)
    if kind == "seeds":
        drawing = [setup for setup in setups if setup.draws_seed]
        done = {seed for setup in drawing for seed in setup.seeds}
        fewest = min(len(setup.seeds) for setup in drawing)
        new = [seed for seed in range(1, max(done) + trainings + 1) if seed not in done]
        new = new[: max(trainings - fewest, 1)]
        return Step(kind, tuple(drawing), (f"seed={','.join(map(str, new))}",), len(new))
    if kind == "repeats":
        folds = int(setups[0].options.get("dataset.folds") or FOLDS)
        seeds = sorted(set(setups[0].seeds) & set(setups[1].seeds)) or [1]
        options = (f"dataset.fold_repeats={trainings}", f"seed={','.join(map(str, seeds))}")
        return Step(kind, tuple(setups), options, (folds * trainings + 1) * len(seeds))
    options = (f"dataset.folds={FOLDS}", f"dataset.fold_repeats={REPEATS}")
    if _has_own_test(setups[0]) and _has_test(setups[0]):
        options += ("dataset.fold_test=true",)
    return Step(kind, tuple(setups), (*options, "seed=1"), FOLDS * REPEATS + 1)


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
