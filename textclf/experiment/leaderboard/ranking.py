"""Rank setups by test set: seeds of one setup in one row, scores on other test sets in tables of their own."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from textclf.evaluation.metric_names import direction
from textclf.experiment.leaderboard.entries import FinishedEntry, SweepEntry

Z = 1.959963984540054
"""The standard score of a 95 % interval."""


@dataclass(frozen=True)
class Row:
    """A setup, with all its runs on one test set."""

    name: str
    """The model, with the options that distinguish it from others of the same model."""
    runs: tuple[FinishedEntry, ...]
    """In order of seed and start, repeats of a seed among them."""
    score: float | None
    """Mean of the test score over seeds; none where it is undefined."""
    deviation: float
    """Standard deviation over seeds; nan of fewer than two, and of a model that draws nothing from its seed."""
    accuracy: float | None
    """Mean over seeds; of sets of labels the subset accuracy."""
    interval: tuple[float, float] | None
    """Wilson's 95 % interval of the accuracy."""
    seeds: int
    """Number of seeds; repeats of one count once."""
    trials: int
    """Number of trials of the search that it is the best of; 0 where it is of none."""

    @property
    def newest(self) -> FinishedEntry:
        """The run that was started last."""
        return max(self.runs, key=lambda run: run.started)

    def of_test(self, metric: str) -> float | None:
        """Return the mean of a test metric over seeds, of each the run that started first; none where none has it."""
        once = {run.seed: run for run in reversed(self.runs)}
        values = [run.metrics[metric] for run in once.values() if metric in run.metrics]
        return fmean(values) if values else None

    def mean(self, name: str) -> float | None:
        """Return the mean of a cost over runs; none where none of them measured it."""
        values = [value for run in self.runs if (value := getattr(run, name)) is not None]
        return fmean(values) if values else None


@dataclass(frozen=True)
class Ranking:
    """The setups that were tested on the same examples, the best first."""

    dataset: str
    examples: int
    """Number of test examples."""
    folds: str
    metric: str
    rows: tuple[Row, ...]

    @property
    def has_sets(self) -> bool:
        """Whether each text has a set of labels, so that the accuracy is that of whole sets."""
        return any("subset_accuracy" in run.metrics for row in self.rows for run in row.runs)

    @property
    def newest(self) -> str:
        """When the latest of its runs was started."""
        return max(row.newest.started for row in self.rows)


def rankings(runs: Iterable[FinishedEntry], sweeps: Iterable[SweepEntry]) -> list[Ranking]:
    """Return a ranking for each test set, that with the newest run first.

    Of the trials of a search, that which is best on validation stands for all: test scores of the others say nothing.
    """
    kept, trials = _without_trials(runs, [sweep.folder for sweep in sweeps if sweep.search])
    tests: dict[tuple[str, str], list[FinishedEntry]] = defaultdict(list)
    for run in kept:
        tests[run.dataset, run.test_set].append(run)
    found = [_ranking(same, trials) for same in tests.values()]
    return sorted(found, key=lambda ranking: ranking.newest, reverse=True)


def _without_trials(
    runs: Iterable[FinishedEntry], searches: Sequence[str]
) -> tuple[list[FinishedEntry], dict[str, int]]:
    """Return the runs with one for each search, and the number of trials by the folder of that one."""
    kept: list[FinishedEntry] = []
    members: dict[str, list[FinishedEntry]] = defaultdict(list)
    known = set(searches)
    for run in runs:
        parts = run.folder.split("/")
        above = next((place for n in range(1, len(parts)) if (place := "/".join(parts[:n])) in known), None)
        (kept if above is None else members[above]).append(run)
    trials = {}
    for same in members.values():
        best = max(same, key=_chosen)
        kept.append(best)
        trials[best.folder] = len(same)
    return kept, trials


def _chosen(run: FinishedEntry) -> float:
    return -math.inf if run.chosen is None or run.collapsed else direction(run.metric) * run.chosen


def _ranking(runs: Sequence[FinishedEntry], trials: dict[str, int]) -> Ranking:
    metric = Counter(sorted(run.metric for run in runs)).most_common(1)[0][0]
    setups: dict[str, list[FinishedEntry]] = defaultdict(list)
    for run in runs:
        setups[run.setup].append(run)
    members = [sorted(same, key=lambda run: (run.seed, run.started, run.folder)) for _, same in sorted(setups.items())]
    named = zip(_names(members), members, strict=True)
    rows = [_row(name, same, metric, trials.get(same[0].folder, 0)) for name, same in named]
    rows.sort(key=lambda row: (row.score is None, -direction(metric) * (row.score or 0.0), row.name))
    first = runs[0]
    return Ranking(first.dataset, first.examples, first.folds, metric, tuple(rows))


def _row(name: str, runs: Sequence[FinishedEntry], metric: str, trials: int) -> Row:
    once: dict[int, FinishedEntry] = {}
    for run in runs:  # of a seed, the run that started first counts, as in a comparison
        once.setdefault(run.seed, run)
    scores = [run.metrics[metric] for run in once.values() if metric in run.metrics]
    varies = any(run.draws_seed for run in runs)
    of_whole = ("accuracy", "subset_accuracy")
    right = [run.metrics[name] for run in once.values() for name in of_whole if name in run.metrics]
    accuracy = fmean(right) if right else None
    return Row(
        name,
        tuple(runs),
        fmean(scores) if scores else None,
        stdev(scores) if len(scores) > 1 and varies else math.nan,
        accuracy,
        wilson(accuracy, runs[0].examples) if accuracy is not None else None,
        len(once),
        trials,
    )


def wilson(share: float, total: int) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a share (Wilson 1927), as `Proportion` does without what that imports.

    Args:
        share: The share, 0 to 1.
        total: Of how many; none of nothing has an interval.
    """
    if total < 1 or not 0 <= share <= 1:
        return None
    scale = 1 + Z * Z / total
    middle = (share + Z * Z / (2 * total)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def _names(members: Sequence[Sequence[FinishedEntry]]) -> list[str]:
    """Return a name for each setup: its model, and what its command said that not all of that model's did."""
    models = [same[0].model for same in members]
    given = [set.intersection(*(set(run.given) for run in same)) for same in members]
    shared = {
        model: set.intersection(*(said for other, said in zip(models, given, strict=True) if other == model))
        for model in models
    }
    names = []
    for same, model, said in zip(members, models, given, strict=True):
        own = [option for option in same[0].given if option in said and option not in shared[model]]
        names.append(" ".join([model, *map(_leaf, own)]))
    total, seen = Counter(names), Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if total[name] == 1 else f"{name} #{seen[name]}")
    return numbered


def _leaf(option: str) -> str:
    """Return an option by the last part of its name: `learning_rate=1e-5`."""
    name, _, value = option.partition("=")
    return f"{name.rpartition('.')[2]}={value}"
