"""Setups: runs that differ in nothing but the seed, gathered by the test set they were scored on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.compare.runs import FinishedRun, best_on_validation
from textclf.models.llm.options import OF_ASKING
from textclf.tracking.record import currency_of, flat, weights_of

GROUPS = ("dataset", "model", "trainer", "objective")
"""Groups of a config that define a setup; the seed, the names and the tracker do not."""
SIZE_OPTIONS = ("dataset.max_train_examples", "dataset.examples_per_class")
"""Options that say how many examples a setup was trained on; setups of other sizes are not paired."""
WITHOUT_EFFECT = frozenset(f"model.{name}" for name in OF_ASKING)
"""Options that change no prediction."""
DRAW_OPTION = "dataset.draw_seed"
FEWEST_SEEDS = 3
"""Seeds that each setup needs for a claim about setups: with two, the test was found to be too liberal."""
VERSIONED = ("textclf", "git_commit", "torch", "transformers", "scikit-learn")


@dataclass(frozen=True)
class Setup:
    """A model with its training setup and data, run with one or more seeds."""

    name: str
    """The model, with the options that distinguish it from others of the same model."""
    runs: tuple[FinishedRun, ...]
    """By seed, each seed once."""
    options: dict[str, Any]
    """Options by dotted names."""

    @property
    def draws_seed(self) -> bool:
        """Whether its classifiers depend on the seed; if not, one run stands for every seed."""
        return any(run.record.fit.get("draws_seed", True) for run in self.runs)

    @property
    def is_idle(self) -> bool:
        """Whether its model reads no text, as `model=majority`."""
        return self.runs[0].is_idle

    @property
    def labels_per_class(self) -> int | None:
        """Labels of train that it takes of each class however many there are; none where it takes all there are."""
        return labels_per_class(self.runs[0])

    @property
    def size(self) -> tuple[object, ...]:
        """The options that say how many examples it was trained on; none of one that takes no more where there are."""
        return tuple(self.options.get(option) for option in SIZE_OPTIONS)

    @property
    def sample(self) -> tuple[FinishedRun, ...]:
        """The runs as a sample of seeds: of a setup that draws nothing from the seed, as many as are needed."""
        return self.runs if self.draws_seed else (self.runs[0],) * FEWEST_SEEDS

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(run.record.seed for run in self.runs)

    @property
    def train_examples(self) -> int:
        """Number of labelled examples it was trained on; 0 of a zero-shot classifier, or those in a prompt."""
        record, taken = self.runs[0].record, self.labels_per_class
        if taken is not None:
            return int(record.fit.get("train_examples", 0)) if taken else 0
        return int(record.data["examples"]["train"]) if record.fit.get("reads_labels", True) else 0

    @property
    def chosen_run(self) -> FinishedRun:
        """The run that does best on validation, of equals that with the lowest seed."""
        return best_on_validation(self.runs)

    @property
    def passes(self) -> list[list[FinishedRun]]:
        """Each seed's repeats of a cross-validation; one of a single test split."""
        return [[run, *run.again] for run in self.runs]

    @property
    def predicted(self) -> NDArray:
        """Each seed's predicted classes, int64 (seeds, n); or sets of labels, bool (seeds, n, num_labels)."""
        return np.stack([run.predicted for run in self.runs])


@dataclass(frozen=True)
class SharedTest:
    """Setups that were scored on the same test examples."""

    dataset: str
    """Name of the dataset, with the size of the subset that was tested where it is one."""
    setups: tuple[Setup, ...]
    problems: tuple[str, ...]
    """What does not fit, a sentence each."""

    @property
    def labels(self) -> NDArray:
        """True classes of the test examples, int64 (n,); or sets of labels, bool (n, num_labels)."""
        return self.setups[0].runs[0].labels

    @property
    def has_sets(self) -> bool:
        """Whether each example has a set of labels, not one class."""
        return self.setups[0].runs[0].has_sets

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes or labels."""
        return self.setups[0].runs[0].label_names

    @property
    def partitions(self) -> NDArray[np.int64] | None:
        """The fold that tested each example, int64 (repeats, n); none where one test split was held out."""
        return self.setups[0].runs[0].partitions

    @property
    def sizes(self) -> list[tuple[object, ...]]:
        """The options that say how many examples each setup was trained on; setups of the same are paired.

        One that takes no more labels where there are more stands beside those that were trained on the most.
        """
        trained = [setup for setup in self.setups if setup.labels_per_class is None]
        most = max(trained, key=lambda setup: setup.train_examples, default=self.setups[0]).size
        return [setup.size if setup.labels_per_class is None else most for setup in self.setups]

    @property
    def folds(self) -> str:
        """The cross-validation for a person, as `5 folds drawn 3 times`; empty where one test split was held out."""
        if self.partitions is None:
            return ""
        repeats, count = len(self.partitions), int(self.partitions.max()) + 1
        return f"{count} folds" + (f" drawn {repeats} times" if repeats > 1 else "")


def shared_tests(runs: Iterable[FinishedRun]) -> list[SharedTest]:
    """Gather runs by their test examples and, of these, by their options.

    Runs on other test examples, labels or classes are never compared: each test set stands alone. Nor are sets of
    labels with single classes.
    """
    by_test: dict[tuple[str, bool], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        by_test[run.test_set, run.has_sets].append(run)
    tests = [_shared_test(members) for members in by_test.values()]
    tests.sort(key=lambda test: (test.dataset, test.setups[0].runs[0].test_set))
    names = [test.dataset for test in tests]
    return [
        SharedTest(test.dataset, test.setups, (*test.problems, *_not_comparable(test, tests)))
        if names.count(test.dataset) > 1
        else test
        for test in tests
    ]


def _not_comparable(test: SharedTest, tests: Sequence[SharedTest]) -> list[str]:
    """Return why setups on test sets of the same name are not compared."""
    others = [other for other in tests if other is not test and other.dataset == test.dataset]
    reasons = []
    for other in others:
        if other.has_sets != test.has_sets:
            why = f"its texts have {_answer(other)}, not {_answer(test)}"
        elif other.label_names != test.label_names:
            why = f"its {'labels' if other.has_sets else 'classes'} are {', '.join(other.label_names)}"
        elif other.folds != test.folds:
            said = [one.folds or "one test split" for one in (other, test)]
            why = f"{said[0]}, not {said[1]} (dataset.folds, dataset.fold_repeats)"
        elif len(other.labels) == len(test.labels) and other.folds and _texts_of(other) == _texts_of(test):
            why = "the same examples in other folds; give the runs the same dataset.split_seed and groups"
        elif len(other.labels) != len(test.labels):
            why = f"it has {len(other.labels):,} test examples, not {len(test.labels):,}"
        else:
            why = "its test texts or labels differ"
        reasons.append(
            f"{other.setups[0].runs[0]}"
            + (f" and {_others(other)} more" if _others(other) else "")
            + f" also tested on {other.dataset}, but cannot be compared with these runs: {why}."
        )
    return reasons


def _answer(test: SharedTest) -> str:
    return "a set of labels each" if test.has_sets else "one class each"


def _texts_of(test: SharedTest) -> str:
    """Return the fingerprint of the tested texts, without that of their folds."""
    return test.setups[0].runs[0].test_set.partition(" ")[0]


def _others(test: SharedTest) -> int:
    return sum(len(setup.runs) for setup in test.setups) - 1


def _shared_test(runs: Sequence[FinishedRun]) -> SharedTest:
    """Gather the runs on one test set by their options."""
    by_options: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in runs:
        by_options[json.dumps(_setup_options(run), sort_keys=True, default=str)].append(run)
    problems: list[str] = []
    members = [_once_a_seed(by_options[key], problems) for key in sorted(by_options)]
    options = [_setup_options(same[0]) for same in members]
    setups = [
        Setup(name, tuple(same), given)
        for name, same, given in zip(_names(members, options), members, options, strict=True)
    ]
    setups.sort(key=lambda setup: (setup.name, setup.train_examples))
    problems += _versions(setups)
    first = runs[0].record
    dataset = first.config.get("dataset", {})
    size = dataset.get("max_eval_examples")
    limited = size is not None and not first.folds  # of folds it limits the source's own test split alone
    title = str(dataset.get("name", first.dataset)) + (f"[eval={size}]" if limited else "")
    return SharedTest(title, tuple(setups), tuple(problems))


def _setup_options(run: FinishedRun) -> dict[str, Any]:
    """Return the options that make a run's setup, by dotted names."""
    groups = [group for group in GROUPS if group != "trainer" or run.record.trainer != "none"]
    options = flat({group: run.record.config.get(group) for group in groups})
    idle = WITHOUT_EFFECT if labels_per_class(run) is None else {*WITHOUT_EFFECT, *SIZE_OPTIONS}
    options = {name: value for name, value in options.items() if name not in idle}
    if draws_examples(run):
        options[DRAW_OPTION] = "seed"
    return options


def labels_per_class(run: FinishedRun) -> int | None:
    """Return how many labels of train a run took of each class, however many there were; none where it took all."""
    taken = run.record.fit.get("labels_per_class")
    return None if taken is None else int(taken)


def draws_examples(run: FinishedRun) -> bool:
    """Whether a run was trained on examples that were drawn by its seed."""
    return run.record.config.get("dataset", {}).get("draw_seed") == run.record.seed


def _once_a_seed(runs: Sequence[FinishedRun], problems: list[str]) -> list[FinishedRun]:
    """Return the runs of a setup by seed; of two with the same seed, the one that started first."""
    kept: dict[int, FinishedRun] = {}
    for run in sorted(runs, key=lambda run: (run.record.seed, run.record.started, str(run.folder))):
        first = kept.setdefault(run.record.seed, run)
        if first is not run:
            same = "made the same predictions" if np.array_equal(first.predicted, run.predicted) else "differs"
            problems.append(
                f"{run} repeats seed {run.record.seed} of {first} and {same}: a seed counts once, so the "
                f"run that started first is compared and this one is left out."
            )
    repeats = _repeats(kept.values(), problems)
    return [kept[seed] for seed in sorted(kept) if seed not in repeats]


def _repeats(runs: Iterable[FinishedRun], problems: list[str]) -> set[int]:
    """Return the seeds whose runs repeat that of another seed, although their model varies by seed.

    Weights that differ speak for another fit, which may predict the same; a record that does not say whether the
    model varies by seed is believed.
    """
    seen: dict[bytes, FinishedRun] = {}
    repeats = set()
    for run in sorted(runs, key=lambda run: (run.record.started, run.record.seed)):
        if not run.record.fit.get("draws_seed", False):
            continue
        first = seen.setdefault(run.predicted.tobytes() + run.log_losses.tobytes(), run)
        weights, others = weights_of(run.folder), weights_of(first.folder)
        if first is run or (weights and others and weights != others):
            continue
        seed, other = run.record.seed, first.record.seed
        repeats.add(seed)
        problems.append(
            f"{run} with seed {seed} made the predictions of {first} with seed {other}, to the digit, although the "
            f"model varies by seed: is one a copy of the other? They count as one, and {run} is left out. If it is a "
            f"copy, take it away; if not, run seed {seed} again."
        )
    return repeats


def _names(members: Sequence[Sequence[FinishedRun]], options: Sequence[dict[str, Any]]) -> list[str]:
    """Return a name for each setup: its model, and the options that distinguish it from others of that model."""
    models = [same[0].record.model for same in members]
    names = []
    for model, given in zip(models, options, strict=True):
        siblings = [other for name, other in zip(models, options, strict=True) if name == model]
        keys = dict.fromkeys(key for other in siblings for key in other)
        varied = [key for key in keys if len({str(other.get(key)) for other in siblings}) > 1]
        if any(key.endswith("._target_") for key in varied):  # another engine brings options of its own
            varied = [key for key in varied if key.endswith("._target_") or all(key in other for other in siblings)]
        names.append(" ".join([model, *(_describe_option(key, given.get(key)) for key in varied)]))
    return [
        name if names.count(name) == 1 else f"{name} #{names[: number + 1].count(name)}"
        for number, name in enumerate(names)
    ]


def _describe_option(key: str, value: object) -> str:
    """Return an option in the name of a setup."""
    if key.endswith("._target_"):
        return str(value).rpartition(".")[2].removesuffix("Trainer").lower()
    if key in SIZE_OPTIONS:
        each = "-per-class" if value and key.endswith("_per_class") else ""
        return f"train={value or 'all'}{each}"
    return f"{key.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{key.rpartition('.')[2]}={value}"


def _versions(setups: Sequence[Setup]) -> list[str]:
    """Return what of the software or machine differed between the runs."""
    notes = []
    records = [run.record for setup in setups for run in setup.runs]
    for name in (*VERSIONED, "platform", "machine"):
        found = sorted({record.environment.get(name, "unknown") for record in records})
        if len(found) > 1:
            what = "costs" if name in ("platform", "machine") else "scores and costs"
            notes.append(f"The runs were made with {name} {', '.join(found)}; {what} may differ for that reason.")
    devices = sorted({str(record.fit.get("device")) for record in records if record.trainer != "none"})
    if len(devices) > 1:
        notes.append(f"The runs were trained on {', '.join(devices)}; their times cannot be compared.")
    currencies = sorted({currency_of(record) for record in records if "price_per_1000_texts" in record.costs})
    if len(currencies) > 1:
        notes.append(f"Prices are in {' and '.join(currencies)}, so they are not compared; currency=… says which.")
    return notes
