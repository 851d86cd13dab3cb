"""Seeds of a sweep: a model that draws nothing from its seed is run once, since every other run would repeat it."""

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


def without_repeats(config: DictConfig, jobs: list[list[str]]) -> list[list[str]]:
    """Return the jobs of a sweep, of those that would differ in nothing the first; print which seeds are left out.

    Args:
        config: The sweep's composed config.
        jobs: The overrides of each job.
    """
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
    name = f"{experiment.model.name} on {experiment.dataset.display_name}"
    said = (
        f"{name} draws nothing from its seed: it is run once, with seed {experiment.seed}, and not again with "
        f"{listed(left_out)}"
    )
    if said not in _told:
        print(terminal(said), flush=True)
    _told.add(said)


def _repeats(config: DictConfig, jobs: list[list[str]]) -> list[list[str]]:
    """Return those of some jobs, alike but for the seed, whose runs would repeat that of one before them."""
    try:
        if _draws(_experiment(config, jobs[0]).model):
            return []
        seen: set[str] = set()
        repeats = []
        for job in jobs:
            options = deciding(resolved_options(_experiment(config, job)), Decides.metrics, Decides.files)
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


def _is_seed(override: str) -> bool:
    return override.lstrip("+").startswith(f"{SEED}=")


def _seed_of(job: list[str]) -> Any:
    return next(given.partition("=")[2] for given in job if _is_seed(given))
