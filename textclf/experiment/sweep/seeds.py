"""Seeds and sizes of a sweep that change nothing: runs that would repeat another are left out.

A model that draws nothing from its seed is run once. So is one that takes no labels of train, or as many whatever there
are, as a language model does for its prompt: more training examples make it no better, and each run would be paid for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from textclf.documents.escape import terminal
from textclf.errors import TextclfError, listed
from textclf.experiment.config import build_experiment
from textclf.experiment.options import Decides, Experiment, deciding
from textclf.experiment.preflight import composed_job
from textclf.experiment.provenance import resolved_options
from textclf.models.options import ModelOptions
from textclf.system.files import plain
from textclf.system.imports import importing

SEED = "seed"
SIZES = ("dataset.examples_per_class", "dataset.max_train_examples")
"""Options that say how many training examples there are."""


def without_repeats(config: DictConfig, jobs: list[list[str]]) -> list[list[str]]:
    """Return the jobs of a sweep, of those that would differ in nothing one; print which seeds are left out.

    Args:
        config: The sweep's composed config.
        jobs: The overrides of each job.
    """
    jobs = _of_one_size(config, jobs)
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for job in jobs:
        groups.setdefault(tuple(given for given in job if not _is_seed(given)), []).append(job)
    left_out: list[list[str]] = []
    for members in groups.values():
        repeats = _repeats(config, members) if len(members) > 1 else []
        left_out += repeats
        if repeats:
            first = next(job for job in members if job not in repeats)
            _tell(_experiment(config, first), [_seed_of(job) for job in repeats])
    return [job for job in jobs if job not in left_out]


def _of_one_size(config: DictConfig, jobs: list[list[str]]) -> list[list[str]]:
    """Return the jobs of a sweep, of those that take no more labels where there are more those of one size alone.

    It is the smallest that has the labels they take where validation grows with train, since its texts are to be
    predicted too; else the largest.
    """
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for job in jobs:
        groups.setdefault(tuple(given for given in job if not _is_size(given)), []).append(job)
    left_out: list[list[str]] = []
    for members in groups.values():
        chosen = _chosen_size(config, members) if len(members) > 1 else None
        left_out += [job for job in members if chosen is not None and job != chosen]
    return [job for job in jobs if job not in left_out]


def _chosen_size(config: DictConfig, jobs: list[list[str]]) -> list[str] | None:
    """Return the job to run of some that are alike but for their size; none where each is another."""
    try:
        first = _experiment(config, jobs[0])
        taken = _labels_per_class(first)
        if taken is None or first.dataset.folds is not None:
            return None
        experiments = [_experiment(config, job) for job in jobs]
    except (HydraException, OmegaConfBaseException, TextclfError):
        return None  # told by the jobs themselves
    each = [(one.dataset.examples_per_class, job) for one, job in zip(experiments, jobs, strict=True)]
    of_class = {size: job for size, job in each if size is not None}
    if len(of_class) == len(jobs):
        enough = sorted(size for size in of_class if size >= taken)
        chosen = of_class[enough[0] if enough else max(of_class)]
    else:
        in_all = [one.dataset.max_train_examples or float("inf") for one in experiments]
        chosen = jobs[in_all.index(max(in_all))]
    what = "no labels of train" if not taken else f"{taken} labels of each class"
    _say(f"{_named(first)} takes {what}, however many there are: it is run with one size alone")
    return chosen


def seeds_that_matter(config: DictConfig, trials: Sequence[Sequence[str]], seeds: Sequence[str]) -> list[str]:
    """Return the seeds of a search that make a difference: all, or the first; print which are left out.

    Args:
        config: The sweep's composed config.
        trials: The overrides, but for the seed, of a trial of each kind that the search may choose.
        seeds: The seeds that every trial is asked to run with.
    """
    repeated = [len(seeds) > 1]
    for trial in trials if len(seeds) > 1 else ():
        jobs = [[*trial, f"{SEED}={seed}"] for seed in seeds]
        repeated.append(_repeats(config, jobs) == jobs[1:])
    if not all(repeated):
        return list(seeds)
    _tell(_experiment(config, [*trials[0], f"{SEED}={seeds[0]}"]), list(seeds[1:]))
    return [seeds[0]]


def _tell(experiment: Experiment, left_out: list[str]) -> None:
    said = (
        f"{_named(experiment)} draws nothing from its seed: it is run once, with seed {experiment.seed}, and not again "
        f"with {listed(left_out)}"
    )
    _say(said)


def _named(experiment: Experiment) -> str:
    return f"{experiment.model.name} on {experiment.dataset.name}"


def _say(said: str) -> None:
    """Print a sentence, once."""
    if said not in _told:
        print(terminal(said), flush=True)
    _told.add(said)


def _repeats(config: DictConfig, jobs: list[list[str]]) -> list[list[str]]:
    """Return those of some jobs, alike but for the seed, whose runs would repeat that of one before them."""
    try:
        first = _experiment(config, jobs[0])
        if _draws(first.model):
            return []
        reads_none = _labels_per_class(first) == 0
        seen: set[str] = set()
        repeats = []
        for job in jobs:
            options = deciding(resolved_options(_experiment(config, job)), Decides.metrics, Decides.files)
            if reads_none:  # which examples are drawn makes no difference
                options["dataset"] = {name: value for name, value in options["dataset"].items() if name != "draw_seed"}
            key = json.dumps(plain({name: value for name, value in options.items() if name != SEED}), default=str)
            if key in seen:  # an option such as dataset.split_seed may follow the seed
                repeats.append(job)
            seen.add(key)
        return repeats
    except (HydraException, OmegaConfBaseException, TextclfError):
        return []  # told by the jobs themselves


def _experiment(config: DictConfig, job: list[str]) -> Experiment:
    return build_experiment(composed_job(config, job))


_told: set[str] = set()
_known: dict[str, bool] = {}


def _draws(model: ModelOptions) -> bool:
    """Whether a fit of the model draws from the seed, tried once for each model."""
    key = repr(model)
    if key not in _known:
        with importing():
            from textclf.training.fit import draws_seed

            _known[key] = draws_seed(model)
    return _known[key]


def _labels_per_class(experiment: Experiment) -> int | None:
    """Return how many labels of each class a fit takes, however many there are; none where it takes all."""
    with importing():
        from textclf.training.fit import labels_per_class

        return labels_per_class(experiment.model, experiment.dataset.has_sets)


def _is_size(override: str) -> bool:
    return override.lstrip("+").partition("=")[0] in SIZES


def _is_seed(override: str) -> bool:
    return override.lstrip("+").startswith(f"{SEED}=")


def _seed_of(job: list[str]) -> Any:
    return next(given.partition("=")[2] for given in job if _is_seed(given))
