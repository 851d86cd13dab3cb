"""What a sweep sets out to do, as far as its config says beforehand."""

from __future__ import annotations

from datetime import datetime

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from textclf.experiment.resume import OPTIONS, sweep_command
from textclf.experiment.sweep.status import Sweep, options_of


def planned_sweep(config: DictConfig) -> Sweep:
    """Return what the sweep of a composed config is to do; the tracker does not know of it yet."""
    study = config.hydra.runtime.choices.get("study")
    jobs, total = _planned(config, list(config.hydra.overrides.task))
    return Sweep(
        name=str(study) if study else _sweep_name(config, jobs),
        total=total,
        jobs=jobs,
        command=sweep_command(config),
        search=not is_basic(config),
    )


def is_basic(config: DictConfig) -> bool:
    """Whether the jobs of a sweep are given, rather than chosen as it goes."""
    return str(config.hydra.sweeper._target_).endswith("BasicSweeper")


def _planned(config: DictConfig, arguments: list[str]) -> tuple[list[list[str]], int | None]:
    """Return the overrides of each job, and their number, as far as the sweeper has them beforehand."""
    sweeper = config.hydra.sweeper
    if not is_basic(config):
        return [], sweeper.get("n_trials")
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    given = [argument for argument in arguments if not argument.startswith(OPTIONS)]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    (batch,) = BasicSweeper.split_arguments(parser.parse_overrides([*params, *given]), None)
    return batch, len(batch)


def _sweep_name(config: DictConfig, jobs: list[list[str]]) -> str:
    """Return what a sweep without a study varies, with the time of its start."""
    given = [options_of(job) for job in jobs]
    keys = dict.fromkeys(key for options in given for key in options)
    varied = [key for key in keys if len({options.get(key) for options in given}) > 1]
    if not varied:
        varied = list(OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {})  # type: ignore[arg-type]
    return f"sweep of {', '.join(map(str, varied)) or 'one job'} {datetime.now():%Y-%m-%d %H:%M}"
