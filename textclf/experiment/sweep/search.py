"""A search for options: its space, the name that says what decides its trials, and the study that keeps them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from omegaconf import DictConfig

from textclf.errors import ConfigError, listed
from textclf.evaluation.metric_names import check_objective, higher_is_better
from textclf.experiment.arguments import as_given, task_overrides
from textclf.experiment.config import build_experiment
from textclf.experiment.options import Decides, Experiment, deciding
from textclf.experiment.provenance import resolved_options
from textclf.experiment.sweep.seeds import SEED, seeds_that_matter
from textclf.system.redact import redacted_tree
from textclf.tracking.record import config_fingerprint, flat

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

NAME_IN_STORAGE = "%study_name%"
"""Stands in a storage for the name of the search."""
DECIDED, SPACE = "decided", "space"
"""Attributes of a stored study: the options that decide the value of its trials, and its ranges."""
MOST_TOLD = 5
"""Options that differ which a refusal names."""


@dataclass(frozen=True)
class SearchSpace:
    """The command line and the config of a search, taken apart."""

    ranges: dict[str, BaseDistribution]
    """Optuna's distribution of each option that is searched, by its dotted name."""
    fixed: list[str]
    """The overrides that are the same in every trial."""
    seeds: list[str]
    """The seeds that every trial is run with; empty where there is one, that of the config."""


@dataclass(frozen=True)
class Search:
    """A search that has been checked."""

    space: SearchSpace
    objective: str
    name: str
    """Made of what decides the value of a trial, unless the config names it."""
    decided: dict[str, Any]
    """The options that decide the value of a trial beside those that are searched, by dotted names."""
    kinds: list[list[str]] = field(default_factory=list)
    """The overrides of a trial of each kind: with each choice of what is no number."""

    @property
    def direction(self) -> str:
        """The way of the objective: `maximize` or `minimize`."""
        return "maximize" if higher_is_better(self.objective) else "minimize"

    @property
    def jobs_per_trial(self) -> int:
        """Number of runs whose mean is the value of a trial."""
        return max(1, len(self.space.seeds))

    def jobs(self, params: Mapping[str, Any]) -> list[list[str]]:
        """Return the overrides of the runs of a trial, one for each seed."""
        chosen = [*(f"{key}={value}" for key, value in params.items()), *self.space.fixed]
        return [[*chosen, f"{SEED}={seed}"] for seed in self.space.seeds] or [chosen]


def planned_search(config: DictConfig) -> Search:
    """Return the search that the composed config of a sweep describes.

    Raises:
        ConfigError: If the space, the direction or a trial's own config is not usable.
    """
    options = config.hydra.sweeper
    space = search_space(options.get("params") or {}, as_given(task_overrides(config)))
    first = [f"{key}={_first(distribution)}" for key, distribution in space.ranges.items()]
    seed = [f"{SEED}={space.seeds[0]}"] if space.seeds else []
    loader = GlobalHydra.instance().config_loader()
    kinds = [[*first, *space.fixed], *_kinds(space, first)]
    space = replace(space, seeds=seeds_that_matter(config, kinds, space.seeds))
    experiment = build_experiment(loader.load_sweep_config(config, [*first, *space.fixed, *seed]))
    check_objective(experiment.objective)
    decided = decisions_of(experiment, space)
    name = options.get("study_name") or _name(experiment, space, decided)
    search = Search(space, experiment.objective, name, decided, kinds)
    if options.get("direction") not in (None, search.direction):
        better = "more" if higher_is_better(search.objective) else "less"
        raise ConfigError(
            f"hydra.sweeper.direction={options.direction} contradicts objective={search.objective}, of which {better} "
            f"is better. Leave hydra.sweeper.direction out: the objective decides it."
        )
    return search


def decisions_of(experiment: Experiment, space: SearchSpace) -> dict[str, Any]:
    """Return the options that decide the value of each trial alike, by dotted names, its seeds among them."""
    config = deciding(resolved_options(experiment), Decides.metrics)
    if experiment.engine == "none" and "model" not in space.ranges:
        del config["trainer"]  # which has no part in it
    found = {key: value for key, value in flat(config).items() if key not in space.ranges}
    found.pop("trainer.checkpoint_every", None)
    if space.seeds:
        found[SEED] = space.seeds
    return redacted_tree(json.loads(json.dumps(found, default=str)))


def _name(experiment: Experiment, space: SearchSpace, decided: Mapping[str, Any]) -> str:
    """Return the name of a search: dataset, model, metric, and a digest of all that decides the value of a trial."""
    model = "models" if "model" in space.ranges else experiment.model.name
    words = f"{experiment.dataset.display_name}-{model}-{experiment.objective.rpartition('/')[2]}"
    words = re.sub(r"[^\w.-]+", "_", words)
    return f"{words}-{config_fingerprint(decided, digits=8)}"


def _first(distribution: BaseDistribution) -> Any:
    """Return a value of a range, to compose a trial with."""
    choices = getattr(distribution, "choices", None)
    return choices[0] if choices else distribution.low  # type: ignore[attr-defined]


def _kinds(space: SearchSpace, first: Sequence[str]) -> list[list[str]]:
    """Return the overrides of a trial for each further choice of what is no number."""
    kinds = []
    for number, (key, distribution) in enumerate(space.ranges.items()):
        for choice in getattr(distribution, "choices", ())[1:]:
            kinds.append([*first[:number], f"{key}={choice}", *first[number + 1 :], *space.fixed])
    return kinds


def open_study(search: Search, storage: str | None, sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    """Return Optuna's study of a search: the one that the storage holds, or a new one.

    Args:
        search: What is searched.
        storage: Where its trials are kept; none keeps them in memory.
        sampler: What chooses the trials; none is Optuna's own.

    Raises:
        ConfigError: If the storage holds a study of that name whose trials had another objective, other options
            or another space.
    """
    import optuna

    space = {
        key: json.loads(optuna.distributions.distribution_to_json(distribution))
        for key, distribution in search.space.ranges.items()
    }
    study = optuna.create_study(
        study_name=search.name,
        storage=storage,
        direction="maximize" if search.direction == "maximize" else "minimize",
        sampler=sampler,
        load_if_exists=True,
    )
    where = f"The search {search.name!r} in {storage}"
    remedy = "Give this one another name with hydra.sweeper.study_name=NAME."
    stored = study.direction.name.lower()
    if stored != search.direction:
        raise ConfigError(
            f"{where} was begun to {stored} its objective, but objective={search.objective} is to be "
            f"{search.direction.removesuffix('e')}ed. {remedy}"
        )
    if DECIDED not in study.user_attrs:
        if study.trials:
            raise ConfigError(f"{where} does not say what its trials were run with. {remedy}")
        study.set_user_attr(DECIDED, search.decided)
        study.set_user_attr(SPACE, space)
    if other := _differences(study.user_attrs[DECIDED], search.decided):
        raise ConfigError(
            f"{where} ran its trials with other options, so their values do not compare: {other}. {remedy}"
        )
    if other := _differences(study.user_attrs[SPACE], space):
        raise ConfigError(f"{where} searched another space: {other}. {remedy}")
    return study


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the options that differ, with both values; empty where none does."""
    keys = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
    return listed((f"{key} was {_said(before.get(key))}, now {_said(now.get(key))}" for key in keys), MOST_TOLD)


def _said(value: Any) -> str:
    """Return an option or a range in a few words."""
    if isinstance(value, Mapping) and "attributes" in value:
        known = {key: inner for key, inner in value["attributes"].items() if inner not in (None, False)}
        return " ".join(f"{key}={inner}" for key, inner in known.items())
    return "not given" if value is None else str(value)


def storage_of(storage: str | None, name: str) -> str | None:
    """Return the storage of a search of that name, the folder of a SQLite file made."""
    if storage is None:
        return None
    storage = storage.replace(NAME_IN_STORAGE, name)
    if storage.startswith("sqlite:///"):
        Path(storage.removeprefix("sqlite:///")).absolute().parent.mkdir(parents=True, exist_ok=True)
    return storage


def search_space(params: Mapping[str, str], arguments: Sequence[str]) -> SearchSpace:
    """Return what is searched, and the overrides that are the same in every trial.

    Args:
        params: The search space of the config.
        arguments: The command line's overrides, which have the last word.

    Raises:
        ConfigError: If a range is empty or cannot be searched.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *arguments])
    given = {override.get_key_element(): override for override in parsed}
    ranges: dict[str, BaseDistribution] = {}
    fixed: list[str] = []
    seeds: list[str] = []
    for key, override in given.items():
        value = override.value()
        if not override.is_sweep_override():
            fixed.append(override.input_line or "")
        elif key.lstrip("+") == SEED:
            if not override.is_discrete_sweep():
                raise ConfigError(
                    f"{override.input_line}: a search does not choose the seed; give the seeds that every trial is run "
                    f"with, such as seed=1,2,3."
                )
            seeds = list(override.sweep_string_iterator())
        elif key == "objective":
            raise ConfigError(f"{override.input_line}: a search goes by one objective; give one.")
        elif isinstance(value, ChoiceSweep) and len(value.list) == 1:
            fixed += [f"{key}={only}" for only in override.sweep_string_iterator()]
        else:
            try:
                ranges[key] = _distribution(override)
            except ValueError as error:
                raise ConfigError(f"{override.input_line}: there is nothing to search in it ({error}).") from error
    return SearchSpace(ranges, fixed, seeds)


def _distribution(override: Override) -> BaseDistribution:
    """Return Optuna's distribution for a sweep in Hydra's words.

    Raises:
        ValueError: If it holds no value.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        log_scale = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log_scale)
        return FloatDistribution(float(value.start), float(value.end), log=log_scale)
    if isinstance(value, RangeSweep):
        ends = [end for end in (value.start, value.stop, value.step) if isinstance(end, int)]
        if len(ends) == 3:
            values = sorted(range(*ends))
            if not values:
                raise ValueError("the range is empty")
            return IntDistribution(values[0], values[-1], step=abs(ends[2]))
    return CategoricalDistribution([str(choice) for choice in override.sweep_iterator(transformer=Transformer.encode)])
