"""Arguments of `textclf.run`: own config folders, options of swept choices, and values quoted for the shell."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from textclf.errors import ConfigError
from textclf.experiment.options import GROUPS

_PACKAGE = Path(__file__).resolve().parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
"""The config groups: inside an installed package, beside it in a checkout."""
EXPERIMENTS = _PACKAGE / "experiments" if (_PACKAGE / "experiments").is_dir() else _PACKAGE.parent / "experiments"
"""The second place of configs: the group `study`."""
CONFIG_DIR = "--config-dir"
MULTIRUN = "hydra.mode=MULTIRUN"

own_folders: list[Path] = []
"""Folders of configs that this command names beside textclf's own, the first before the others."""
_deferred: dict[str, str] = {}
"""Overrides as they were given, by the form in which `deferred` has put them."""


class OwnSearchPath(SearchPathPlugin):
    """Lets Hydra find the group `study`, and the configs of own folders."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder of the studies after the main one, and own folders before it where Hydra has not."""
        search_path.append("textclf-experiments", f"file://{EXPERIMENTS}")
        known = {source.path for source in search_path.get_path()}
        for folder in reversed(own_folders):
            if f"file://{folder}" not in known:
                search_path.prepend("command-line", f"file://{folder}")


Plugins.instance().register(OwnSearchPath)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command line as Hydra takes it apart, and note the own folders of configs that it names.

    Raises:
        ConfigError: If a folder of configs is not there, or would take the place of textclf's own.
    """
    found, apart = get_args_parser().parse_known_args(list(arguments))
    found.overrides += [word for word in apart if not word.startswith("-")]
    if found.config_path is not None:
        raise ConfigError(
            f"--config-path {found.config_path} would put textclf's own configs out of reach. Give "
            f"{CONFIG_DIR} {shlex.quote(found.config_path)} instead, which adds yours to them."
        )
    use_own_folder(found.config_dir)
    return found


def in_order(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return arguments with the overrides together: Hydra refuses those that stand on both sides of an option.

    Args:
        arguments: Those of the command line.
        overrides: Those among them that are no options.
    """
    options = list(arguments)
    for word in reversed(overrides):
        del options[len(options) - 1 - options[::-1].index(word)]
    split = len(arguments) - len(options) > 0 and " ".join(overrides) not in " ".join(arguments)
    return [*overrides, *options] if split else list(arguments)


def use_own_folder(folder: str | None) -> None:
    """Let configs be found in a folder of a person's own too; none where there is no such folder.

    Raises:
        ConfigError: If it is not there, or is not one that holds groups.
    """
    own_folders.clear()
    if folder is None:
        return
    path = Path(folder).absolute()
    if not path.is_dir():
        raise ConfigError(f"{CONFIG_DIR} {folder}: there is no such folder. Name one that holds {_KINDS}.")
    if path.name in (*GROUPS, "study") and not any((path / group).is_dir() for group in (*GROUPS, "study")):
        raise ConfigError(
            f"{CONFIG_DIR} {folder} holds no groups itself. Name the folder above it, {path.parent}: it is one that "
            f"holds {_KINDS}."
        )
    own_folders.append(path)


_KINDS = "configs in folders such as model, dataset and study"


def choices_of(group: str) -> list[str]:
    """Return what can be chosen in a group, nested choices such as `glue/rte` and own ones among them."""
    found: set[str] = set()
    for root in (*own_folders, EXPERIMENTS if group == "study" else CONF):
        folder = root / group
        found |= {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    return sorted(found)


def own_arguments(hydra_config: Any) -> list[str]:
    """Return the arguments that name own folders of configs, for the command in a record.

    Args:
        hydra_config: The node `hydra` of the composed config.
    """
    sources = [source.path for source in hydra_config.runtime.config_sources if source.provider == "command-line"]
    return [word for path in dict.fromkeys(sources) for word in (CONFIG_DIR, path)]


def deferred(arguments: Sequence[str], swept: Iterable[str]) -> list[str]:
    """Return arguments of a sweep of which those on swept groups are checked on each job, not on the default choice.

    Hydra composes a sweep's config with the default of each group that is swept, so that an option which all swept
    models have, but the default one has not, would be refused. A sweep over one value is left out there, and is the
    same in each job.

    Args:
        arguments: Those of the command line.
        swept: Groups of which several choices are run, and models whose options are given by their names.
    """
    heads = set(swept)
    out = []
    for argument in arguments:
        override = _parsed_override(argument)
        key = override.get_key_element().lstrip("+") if override is not None else ""
        if override is not None and "." in key and key.partition(".")[0] in heads and not override.is_sweep_override():
            name, _, value = argument.partition("=")
            only = "'null'" if value == "null" else value  # Hydra has no choice of null; `as_given` gives it back
            one = f"{name}=choice({only})"
            if not override.is_delete() and value and _parsed_override(one) is not None:
                _deferred[one] = argument
                argument = one
        out.append(argument)
    return out


def named_models(overrides: Iterable[str]) -> set[str]:
    """Return the models to which overrides give options of their own, as `llm.shots=4` does to `model=llm`."""
    heads = {text.lstrip("+").partition("=")[0].partition(".")[0] for text in overrides if _names_option(text)}
    return heads & set(choices_of("model")) - {*GROUPS} if heads - {*GROUPS} else set()


def _names_option(text: str) -> bool:
    return "." in text.partition("=")[0]


def of_own_model(job: Sequence[str], default: str) -> list[str]:
    """Return the overrides of a job of a sweep, with those that are for another model left out.

    `llm.shots=4` is `model.shots=4` in a job of `model=llm`, and nothing in others.

    Args:
        job: The overrides.
        default: The model of a job that names none.
    """
    named = named_models(job)
    if not named:
        return list(job)
    chosen = [given.partition("=")[2] for given in job if given.lstrip("+").partition("=")[0] == "model"]
    own, out = chosen[-1] if chosen else default, []
    for given in job:
        key, sign, value = given.partition("=")
        plus = key[: len(key) - len(key.lstrip("+"))]
        head, _, option = key.lstrip("+").partition(".")
        if not (option and head in named):
            out.append(given)
        elif head == own:
            out.append(f"{plus}model.{option}{sign}{value}")
    return out


def task_overrides(config: DictConfig) -> list[str]:
    """Return the overrides of a composed config as they were typed: `${seed}` in one is each job's own."""
    return [str(given) for given in OmegaConf.to_container(config.hydra.overrides.task, resolve=False)]  # type: ignore


def as_given(arguments: Iterable[str]) -> list[str]:
    """Return arguments as they were given, whatever `deferred` has made of them."""
    return [_deferred.get(argument, argument) for argument in arguments]


def swept_groups(overrides: Iterable[str], params: Mapping[str, Any]) -> set[str]:
    """Return the groups of which several choices are run.

    Args:
        overrides: Those of the command line, which have the last word.
        params: The values that a study combines.
    """
    given = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    parsed = [override for text in given if (override := _parsed_override(text)) is not None]
    last = {override.get_key_element(): override.is_sweep_override() for override in parsed}
    return {group for group in GROUPS if last.get(group)} | {key for key in params if last.get(key) is False} & {
        *GROUPS
    }


def has_options(overrides: Iterable[str]) -> bool:
    """Whether an override is about an option of a group."""
    return any(text.lstrip("+~").partition("=")[0].partition(".")[0] in GROUPS and "." in text for text in overrides)


def _parsed_override(text: str) -> Override | None:
    """Return an override, taken apart; none where it cannot be read."""
    if text.startswith("-"):
        return None
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def quoted(argument: str) -> str | None:
    """Return an argument as it must be typed for its value to be read as a text; none where no quotes would help.

    Args:
        argument: An override that Hydra cannot read, such as `dataset.train=a=b.csv`.
    """
    key, sign, value = argument.partition("=")
    if not sign or not value:
        return None
    for quote in ("'", '"'):
        if quote not in value and not value.endswith("\\"):
            said = f"{key}={quote}{value}{quote}"
            override = _parsed_override(said)
            if override is not None and override.value() == value:
                return shlex.quote(said) if quote == '"' else _in_double_quotes(said)
    return None


def _in_double_quotes(text: str) -> str:
    """Return a text with single quotes in it as a POSIX shell takes it; in double quotes where those change nothing."""
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)
