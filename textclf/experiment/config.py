"""From a composed config to an experiment: every mistake found, then told at once."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from textclf.errors import ConfigError, did_you_mean, listed
from textclf.experiment.schema import GROUPS, SCHEMAS
from textclf.system.imports import importing

if TYPE_CHECKING:
    from textclf.experiment.experiment import Experiment


def build(cfg: DictConfig, group: str) -> Any:
    """Return the checked options object of a group.

    Raises:
        ConfigError: If an option is missing, of the wrong type or out of range; all are named.
    """
    node = cfg[group]
    known = {options.__name__: options for (owner, _), options in SCHEMAS.items() if owner == group}
    if not isinstance(node, DictConfig) or OmegaConf.get_type(node) not in known.values():
        schemas = [name for owner, name in SCHEMAS if owner == group]
        said = (
            ""
            if not isinstance(node, DictConfig) or "_target_" not in node
            else (f" It names _target_={node._target_!r}: a config is data and cannot choose the code that runs.")
        )
        raise ConfigError(
            f"the config of {group} is not built on one of textclf's own. Begin its YAML with "
            f"`defaults: [{schemas[0]}]` (or another of {listed(schemas)}).{said}"
        )
    options = OmegaConf.get_type(node)
    assert options is not None
    allowed = {f.name for f in fields(options)}
    if unknown := [str(key) for key in node if key not in allowed]:
        raise ConfigError(
            "\n".join(
                f"{group}.{key}: there is no such option; {options.__name__} has {listed(sorted(allowed), 40)}."
                f"{did_you_mean(key, allowed)}"
                for key in unknown
            )
        )
    if missing := sorted(OmegaConf.missing_keys(node)):
        raise ConfigError(f"{listed(missing)} must be given.")
    try:
        return OmegaConf.to_object(node)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{group}.{line}" for line in str(error).split("\n"))) from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{group}.{getattr(error, 'key', '')}: {str(error).splitlines()[0]}") from error
    except (AttributeError, TypeError) as error:  # OmegaConf takes whatever an interpolation gives
        raise ConfigError(f"{group}: an interpolation gives a value of the wrong type ({error}).") from error


def build_all(cfg: DictConfig) -> dict[str, Any]:
    """Return the options objects of all groups, by group.

    Raises:
        ConfigError: With the mistakes of every group, a line each.
    """
    built: dict[str, Any] = {}
    problems: list[str] = []
    for group in (*GROUPS, "analysis"):
        try:
            built[group] = build(cfg, group)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return built


def build_experiment(cfg: DictConfig) -> Experiment:
    """Return the checked experiment that a composed config describes.

    Raises:
        ConfigError: With every mistake in the config.
    """
    options = build_all(cfg)
    with importing():
        from textclf.experiment.experiment import Experiment

    return Experiment(
        **options,
        seed=cfg.seed,
        objective=cfg.objective,
        name=cfg.experiment,
        run_name=cfg.run_name,
        save_classifier=cfg.save_classifier,
    )
