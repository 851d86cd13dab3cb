"""Checks before anything is made: files, columns and checkpoints that runs name are looked for, each once.

What is looked at is small: names, the first lines of files, one request to the Hub. A run checks itself more closely
when it begins.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from textclf.data.options import DatasetOptions, FilesDataset
from textclf.errors import ConfigError, TextclfError, listed
from textclf.experiment.config import build_experiment
from textclf.models.options import ModelOptions, PretrainedModel
from textclf.system.imports import importing

NOT_LOOKED_AT = ("trainer", "tracker", "analysis", "compare")
"""Groups whose options do not decide which data and checkpoints a job reads."""
SEED = re.compile(r"seed=(0|[1-9]\d*)")
"""An override of the seed by a plain number."""
MOST_JOBS = 8
"""Jobs that are named beside a reason."""


@dataclass(frozen=True)
class Obstacle:
    """A reason for which jobs cannot be run."""

    reason: str
    jobs: tuple[int, ...]
    """Their numbers."""
    options: tuple[str, ...] = ()
    """The overrides that they have in common, and not all others."""

    def __str__(self) -> str:
        numbers = listed(map(str, self.jobs), MOST_JOBS)
        which = f" ({' '.join(self.options)})" if self.options else ""
        return f"{'job' if len(self.jobs) == 1 else 'jobs'} {numbers}{which}: {self.reason}"


def check_data(options: DatasetOptions) -> None:
    """Raise where data are not where the options say; what is seen without a large import is looked at first.

    Raises:
        TextclfError: With what is wrong, and what would help.
    """
    if isinstance(options, FilesDataset):
        from textclf.data.file_paths import is_address, parts_of

        for split in ("train", "validation", "test"):
            if (file := getattr(options, split)) is not None and not is_address(file):
                parts_of(file, f"dataset.{split}")
    with importing():
        from textclf.data.load import check
    check(options)


def check_checkpoint(options: ModelOptions) -> None:
    """Raise where a model begins with a checkpoint that is not there.

    Raises:
        ArtifactError: With what would help.
    """
    if isinstance(options, PretrainedModel):
        from textclf.models.packaged import check_is_there

        check_is_there(options)


class _Composed:
    """Configs of the jobs of one sweep, by their overrides."""

    def __init__(self) -> None:
        self.sweep: DictConfig | None = None
        self.jobs: dict[tuple[str, ...], DictConfig] = {}
        self.of_any_seed: dict[tuple[str, ...], DictConfig] = {}
        """One config of those that differ in nothing but the seed, by the other overrides."""


_composed = _Composed()


def composed_job(config: DictConfig, job: Sequence[str]) -> DictConfig:
    """Return the config of a job of a sweep, composed once: it takes a quarter of a second.

    A job that differs from another in nothing but the seed has a copy of its config with its own seed, in which
    `hydra` still says what the other was given.

    Args:
        config: The sweep's composed config.
        job: The overrides of the job.

    Raises:
        HydraException: If its choices have no such option.
        OmegaConfBaseException: If a value is of the wrong type.
    """
    if _composed.sweep is not config:
        _composed.sweep, _composed.jobs, _composed.of_any_seed = config, {}, {}
    key, others = tuple(job), tuple(_without_seed(job))
    if key in _composed.jobs:
        return _composed.jobs[key]
    seeds = [said[1] for said in map(SEED.fullmatch, job) if said]
    if len(seeds) == len(key) - len(others) == 1 and others in _composed.of_any_seed:
        found = copy.deepcopy(_composed.of_any_seed[others])
        found.seed = int(seeds[0])
    else:
        found = GlobalHydra.instance().config_loader().load_sweep_config(config, list(job))
        _composed.of_any_seed.setdefault(others, found)
    _composed.jobs[key] = found
    return found


def obstacles(config: DictConfig, jobs: Sequence[Sequence[str]]) -> list[Obstacle]:
    """Return why some of the jobs of a sweep cannot be run, each reason once.

    Args:
        config: The sweep's composed config.
        jobs: The overrides of each job.
    """
    found: dict[str, list[int]] = {}
    for members in _alike(jobs):
        for number, reason in _reasons(config, jobs, members):
            found.setdefault(reason, []).append(number)
    return [Obstacle(reason, tuple(numbers), _own(jobs, numbers)) for reason, numbers in found.items()]


def refuse_if_none_can_run(found: Sequence[Obstacle], total: int) -> None:
    """Raise where not one job of a sweep can be run.

    Raises:
        ConfigError: With the reasons.
    """
    if total and len({number for one in found for number in one.jobs}) == total:
        raise ConfigError("\n".join(one.reason if len(found) == 1 else str(one) for one in found))


def _reasons(config: DictConfig, jobs: Sequence[Sequence[str]], members: list[int]) -> list[tuple[int, str]]:
    """Return why jobs that read the same cannot be run, by their numbers."""
    found: list[tuple[int, str]] = []
    while members:
        job = jobs[members[0]]
        try:
            experiment = build_experiment(composed_job(config, job))
        except (HydraException, OmegaConfBaseException):
            return found  # told when the jobs are planned
        except ConfigError as error:  # of an option that the others may have right
            same = [number for number in members if _without_seed(jobs[number]) == _without_seed(job)]
            found += [(number, str(error)) for number in same]
            members = [number for number in members if number not in same]
            continue
        reason = _reason(experiment.dataset, experiment.model)
        return found + [(number, reason) for number in members if reason is not None]
    return found


_known: dict[str, str | None] = {}


def _reason(dataset: DatasetOptions, model: ModelOptions) -> str | None:
    """Return why a job on this dataset and model cannot be run; each of them is looked at once."""
    looks: list[tuple[str, Callable[[], None]]] = [
        (repr(dataset), partial(check_data, dataset)),
        (repr(model), partial(check_checkpoint, model)),
    ]
    for key, look in looks:
        if key not in _known:
            try:
                look()
                _known[key] = None
            except TextclfError as error:
                _known[key] = str(error)
        if (reason := _known[key]) is not None:
            return reason
    return None


def _own(jobs: Sequence[Sequence[str]], numbers: Sequence[int]) -> tuple[str, ...]:
    """Return the overrides that some jobs have in common, and not all others."""
    everywhere = set.intersection(*map(set, jobs))
    common = set.intersection(*(set(jobs[number]) for number in numbers)) - everywhere
    return tuple(given for given in jobs[numbers[0]] if given in common)


def _alike(jobs: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the numbers of the jobs in groups that read the same data and checkpoint."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        is_plain = not any("${" in given for given in job)  # a path may follow the seed
        groups.setdefault(tuple(given for given in job if not (is_plain and _is_aside(given))), []).append(number)
    return list(groups.values())


def _is_aside(override: str) -> bool:
    """Say whether an override changes nothing about the data and checkpoint that a job reads."""
    key = override.lstrip("+~").partition("=")[0]
    return key == "seed" or ("." in key and key.partition(".")[0] in NOT_LOOKED_AT)


def _without_seed(job: Sequence[str]) -> list[str]:
    return [given for given in job if not given.lstrip("+").startswith("seed=")]
