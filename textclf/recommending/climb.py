"""Climb the ladder: run models from the cheapest on, within a time, until the next is not shown to gain."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from huggingface_hub import try_to_load_from_cache

from textclf.audit.gate import pass_gate
from textclf.compare.pairs import Verdict
from textclf.compare.runs import FinishedRun
from textclf.compare.scores import Level
from textclf.compare.verdicts import format_difference
from textclf.data.dataset import TextData, labels_of
from textclf.data.load import load
from textclf.documents.wording import decimals, duration
from textclf.errors import DataError, TextclfError, first_line
from textclf.evaluation.metric_names import metric_label
from textclf.experiment.cli import compose_experiment
from textclf.experiment.experiment import check, run_experiment
from textclf.experiment.options import Experiment
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import EmbeddingsModel, SetfitModel, TransformerModel
from textclf.recommending.data_facts import DataFacts, facts_of
from textclf.recommending.estimate import classical_seconds, least_seconds, needs_a_trial, tried
from textclf.recommending.judge import Judged, half_score, held_out, judged, level_of, tested_metric, uses_folds
from textclf.tracking.record import command_line

log = logging.getLogger(__name__)

LADDER = (
    ("majority", 1),
    ("naive_bayes", 1),
    ("tfidf_logreg", 1),
    ("minilm_embeddings", 1),
    ("setfit", 1),
    ("minilm", 3),
)
"""Models from the cheapest to the dearest, with the seeds that each is run with."""
BASELINES = 2
"""Rungs that are run whatever they cost: without them there is no answer."""
MULTILINGUAL = "multilingual_e5_embeddings"
FEW = 64
"""Examples of a class up to which pairs of them are worth training on."""
PATIENCE = 2
"""Rungs since the last gain that were shown to gain nothing of note, after which the climb ends."""
WRONG = 1.5
"""A run that took so many times its estimate is remarked on."""


@dataclass(frozen=True)
class Tried:
    """A rung that was run."""

    model: str
    folders: tuple[Path, ...]
    runs: tuple[FinishedRun, ...]
    """As they do on texts that were held out; the test split is not among them."""
    level: Level
    """On those texts."""
    seconds: float
    """Duration of all its runs, with their evaluation."""
    estimate: float | None
    """What it was expected to take; none of the baselines."""
    judged: Judged | None
    """Against the rung that was kept before it; none of the first."""
    kept_before: str | None

    @property
    def remark(self) -> str:
        """By how much its estimate was wrong; empty where that was close, or there was none."""
        if self.estimate is None or self.seconds <= WRONG * self.estimate:
            return ""
        return f"{self.model} took {duration(self.seconds)}, and was expected to take {duration(self.estimate)}"


@dataclass(frozen=True)
class Skipped:
    """A rung that was not run."""

    model: str
    reason: str
    """A clause that follows the model's name and a colon."""


@dataclass(frozen=True)
class Climb:
    """All that was found on the way."""

    name: str
    facts: DataFacts
    metric: str
    tried: tuple[Tried, ...]
    skipped: tuple[Skipped, ...]
    kept: Tried
    stopped: str
    """Why the climb ended before the top; empty where it did not."""
    seconds: float
    folds: bool
    """Whether the texts that were held out are those of train and validation, fold by fold, or validation alone."""
    half: float | None = None
    """Score of the kept model with half of the training examples; none where it was not tried."""
    majority_class: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class _Clock:
    """The time that is left."""

    minutes: float
    now: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.now()

    @property
    def spent(self) -> float:
        return self.now() - self.begun

    @property
    def left(self) -> float:
        return 60 * self.minutes - self.spent


def climb(overrides: Sequence[str], output: Path, minutes: float, whole: bool = False) -> Climb:
    """Run the rungs that pay, each an ordinary run below `output`.

    Args:
        overrides: The dataset and what else the runs have in common, such as `dataset=imdb`.
        output: The folder for the runs.
        minutes: The time that may be spent; the baselines are run whatever it is.
        whole: Climb on where rungs are not shown to gain.

    Raises:
        TextclfError: If the data cannot be had, or are too few to learn from.
    """
    clock = _Clock(minutes)
    first = compose_experiment(*overrides, f"model={LADDER[0][0]}")
    data, _ = pass_gate(load(first.dataset), first.dataset.on_leakage)
    if data.has_sets:
        raise DataError(
            f"{data.name}: its texts have sets of labels, and a recommendation needs one class for each. Compare the "
            f"models instead: python -m textclf.run study=multi_label, with the same dataset options."
        )
    facts = facts_of(data)
    log.info("%s", facts.describe(data.name))
    with VECTORS.remembering(), _told_once("textclf.audit", "textclf.data"):
        found = _Climber(first, tuple(overrides), output, data, facts, clock, whole)
        found.climb()
        return found.result(first)


@contextmanager
def _told_once(*names: str) -> Iterator[None]:
    """Keep to errors what has been said of the data already: each run looks at them anew."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Climber:
    """The climb under way."""

    def __init__(
        self,
        first: Experiment,
        overrides: tuple[str, ...],
        output: Path,
        data: TextData,
        facts: DataFacts,
        clock: _Clock,
        whole: bool,
    ):
        self.overrides, self.output, self.data, self.facts = overrides, output, data, facts
        self.clock, self.whole = clock, whole
        self.tried: list[Tried] = []
        self.skipped: list[Skipped] = []
        self.kept: Tried | None = None
        self.metric = "accuracy"
        self.text_seconds: float | None = None
        """What encoding a text took."""
        self.stopped = ""
        self.notes: list[str] = []
        self.folds = uses_folds(first, data)
        self.ladder = self._ladder()

    def _ladder(self) -> list[tuple[str, int]]:
        """Return the rungs, with an encoder of many languages where the texts want one and it is at hand."""
        if self.facts.is_english:
            return list(LADDER)
        checkpoint = compose_experiment(f"model={MULTILINGUAL}").model
        assert isinstance(checkpoint, EmbeddingsModel)
        at_hand = isinstance(try_to_load_from_cache(checkpoint.checkpoint, "config.json"), str)
        said = f"the texts are not English ({self.facts.language}), and minilm was trained on English"
        if at_hand:
            self.notes.append(f"{said}, so {MULTILINGUAL} is tried in place of minilm_embeddings")
            return [(MULTILINGUAL if name == "minilm_embeddings" else name, seeds) for name, seeds in LADDER]
        self.notes.append(
            f"{said}: model={MULTILINGUAL} or model=xlm-roberta may do better, and are not on this machine"
        )
        return list(LADDER)

    def climb(self) -> None:
        """Try one rung after the other."""
        for note in self.notes:
            log.info("%s", note)
        idle = 0
        for number, (model, seeds) in enumerate(self.ladder):
            if idle >= PATIENCE and not self.whole:
                self.stopped = f"{PATIENCE} rungs before it did not gain, nor can have gained much"
                self.skipped += [Skipped(name, f"{self.stopped} (--all goes on)") for name, _ in self.ladder[number:]]
                return
            outcome = self._rung(number, model, 1 if self.folds else seeds)  # folds differ in their seed too
            if isinstance(outcome, Skipped):
                log.info("not tried: %s: %s", outcome.model, outcome.reason)
                self.skipped.append(outcome)
                continue
            self.tried.append(outcome)
            if outcome.judged is None or outcome.judged.is_better:
                self.kept, idle = outcome, 0
            elif outcome.judged.may_gain:
                pass  # neither a gain nor its absence is shown
            elif self.kept is not self.tried[0]:  # a floor that nothing has beaten yet is no reason to stop
                idle += 1
            log.info("%s", describe(outcome, self.metric))

    def _rung(self, number: int, model: str, seeds: int) -> Tried | Skipped:
        """Run a rung, or say why not."""
        try:
            experiment = compose_experiment(*self.overrides, f"model={model}")
            self.metric = tested_metric(experiment.objective)
            if isinstance(experiment.model, SetfitModel) and (why := self._no_pairs()):
                return Skipped(model, why)
            estimate = None
            if number >= BASELINES:
                estimate = self._estimate(experiment)
                if isinstance(estimate, Skipped):
                    return estimate
            return self._run(experiment, model, seeds, estimate)
        except TextclfError as error:
            if number < BASELINES:
                raise
            return Skipped(model, first_line(error))

    def _no_pairs(self) -> str:
        """Return why training on pairs of examples is not for these data; empty where it is."""
        if self.facts.pairs:
            return "it learns from single texts, and these are pairs"
        if self.facts.largest_class > FEW:
            return f"it pays with at most about {FEW} examples of a class, and there are {self.facts.largest_class:,}"
        return ""

    def _overhead(self) -> float:
        """Return what a run costs beside its model: the median of those so far."""
        beside = [rung.seconds - _median(rung.runs, "train_seconds") for rung in self.tried if len(rung.runs) == 1]
        return float(np.median(beside)) if beside else 0.0

    def _estimate(self, experiment: Experiment) -> float | Skipped:
        """Return what a run will take, or that it would overrun what is left."""
        name, overhead = experiment.model.name, self._overhead()
        if not needs_a_trial(experiment):
            dearest = max((_median(rung.runs, "train_seconds") for rung in self.tried), default=0.0)
            return self._in_time(name, classical_seconds(dearest, overhead, self.folds), "would take about")
        least = overhead + least_seconds(experiment, self.data, self.text_seconds, self.folds)
        fits = self._in_time(name, least, "would take at least")
        if isinstance(fits, Skipped):
            return fits
        check(experiment)
        trial = tried(experiment, self.data)
        log.info("%s: tried on a small slice in %s", name, duration(trial.own_seconds))
        if not isinstance(experiment.model, TransformerModel):
            self.text_seconds = trial.text_seconds
        return self._in_time(name, trial.total(self.data, overhead, self.folds), "would take about")

    def _in_time(self, model: str, seconds: float, would: str) -> float | Skipped:
        """Return the seconds where they are left, or why the rung is not tried."""
        left = self.clock.left
        if seconds <= left:
            return seconds
        return Skipped(
            model,
            f"it {would} {duration(seconds)}, and {duration(max(left, 0.0))} of {self.clock.minutes:g} min "
            f"were left; --minutes {_minutes(self.clock.spent + seconds):g} would do",
        )

    def _run(self, experiment: Experiment, model: str, seeds: int, estimate: float | None) -> Tried:
        """Run a rung with its seeds, as many as there is time for, and judge it."""
        start = self.clock.now()
        folders: list[Path] = []
        runs: list[FinishedRun] = []
        each = estimate or 0.0
        for seed in range(1, seeds + 1):
            if seed > 1 and (seeds - seed + 1) * each > self.clock.left:
                note = f"{model} was run with one seed, since three would not end in time: another may do otherwise"
                self.notes.append(note)
                break
            begun = self.clock.now()
            folder = self.output / (model if seeds == 1 else f"{model}_seed{seed}")
            given = [*self.overrides, f"model={model}", f"seed={seed}"]
            run_experiment(replace(experiment, seed=seed), folder, command_line(given))
            runs.append(held_out(replace(experiment, seed=seed), folder, self.data))
            folders.append(folder)
            each = self.clock.now() - begun
        kept = self.kept
        steps = len(self.ladder) - 1
        return Tried(
            model=model,
            folders=tuple(folders),
            runs=tuple(runs),
            level=level_of(runs, self.metric),
            seconds=self.clock.now() - start,
            estimate=None if estimate is None else estimate * len(runs),
            judged=None if kept is None else judged(runs, kept.runs, self.metric, steps),
            kept_before=None if kept is None else kept.model,
        )

    def result(self, first: Experiment) -> Climb:
        """Return all that was found, with the score that half of the labels give where there is time to see it."""
        assert self.kept is not None  # the first rung is
        counts = np.bincount(labels_of(self.data.train), minlength=self.data.num_labels)
        remarks = [rung.remark for rung in self.tried if rung.remark]
        half = self._half(first)
        return Climb(
            name=self.data.name,
            facts=self.facts,
            metric=self.metric,
            tried=tuple(self.tried),
            skipped=tuple(self.skipped),
            kept=self.kept,
            stopped=self.stopped,
            seconds=self.clock.spent,
            folds=self.folds,
            half=half,
            majority_class=self.data.label_names[int(counts.argmax())],
            notes=(*self.notes, *remarks),
        )

    def _half(self, first: Experiment) -> float | None:
        """Return the validation score of the kept model fitted to half of each class's examples."""
        kept = self.kept
        assert kept is not None
        model = compose_experiment(*self.overrides, f"model={kept.model}").model
        if kept is self.tried[0] or isinstance(model, (TransformerModel, SetfitModel)):
            return None
        if self.facts.smallest_class < 4 or kept.seconds > self.clock.left:
            return None
        return half_score(replace(first, model=model), self.data, self.metric)


def describe(rung: Tried, metric: str) -> str:
    """Return a rung's score and verdict in a line."""
    said = (
        f"{rung.model}: {metric_label(metric)} {decimals(rung.level.mean)} on texts held out, {duration(rung.seconds)}"
    )
    return said if rung.judged is None else f"{said}; {verdict(rung, metric)}"


def verdict(rung: Tried, metric: str) -> str:
    """Return what was shown of a rung against the one kept before it."""
    if rung.judged is None:
        return "the floor"
    pair, other = rung.judged.pair, rung.kept_before
    gap = format_difference(pair.difference, metric)
    if pair.verdict is Verdict.BETTER:
        return f"better than {other} by {gap}"
    if pair.verdict is Verdict.WORSE:
        return f"worse than {other} by {gap}"
    if pair.verdict is Verdict.EQUIVALENT:
        return f"equivalent to {other}"
    would = format_difference(pair.smallest_detectable, metric)
    return f"not shown to differ from {other} (by {gap}; about {would} would be found 8 times in 10)"


def _median(runs: Sequence[FinishedRun], cost: str) -> float:
    return float(np.median([run.record.costs.get(cost, 0.0) for run in runs]))


def _minutes(seconds: float) -> float:
    """Return minutes that hold so many seconds with a little room, as a person would give them."""
    minutes = 1.2 * seconds / 60
    return float(np.ceil(minutes)) if minutes > 2 else float(np.ceil(minutes * 2) / 2)
