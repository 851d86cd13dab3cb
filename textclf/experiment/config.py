"""The config of a run: its schema, known to Hydra before a config is composed, and its check.

A YAML in `conf/model` begins with `defaults: [transformer]` and says what differs; types, names and defaults come from
the dataclass. So every option can be overridden on the command line, `--cfg job` shows all of them, and a wrong one is
refused before the first job of a sweep. The modules imported here hold options only and are cheap; the work is
imported when it starts. `build_experiment` finds every mistake and reports them at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import unquote

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from textclf.compare.options import CompareOptions
from textclf.data.options import FilesDataset, HubDataset
from textclf.errors import ConfigError, did_you_mean, listed
from textclf.evaluation.options import AnalysisOptions
from textclf.experiment.options import GROUPS, Experiment, RunOptions
from textclf.models.llm.options import LlmModel
from textclf.models.options import (
    ClassicalModel,
    EmbeddingsModel,
    LabelEmbeddingsModel,
    SetfitModel,
    StaticEmbeddingsModel,
    TransformerModel,
    ZeroShotModel,
)
from textclf.tracking.options import MlflowTracker, NullTracker
from textclf.training.options import HFTrainer, TorchTrainer

SCHEMAS: dict[tuple[str, str], type] = {
    ("dataset", "hub"): HubDataset,
    ("dataset", "files"): FilesDataset,
    ("model", "transformer"): TransformerModel,
    ("model", "embeddings"): EmbeddingsModel,
    ("model", "static_embeddings"): StaticEmbeddingsModel,
    ("model", "setfit_options"): SetfitModel,
    ("model", "label_embeddings"): LabelEmbeddingsModel,
    ("model", "zero_shot_options"): ZeroShotModel,
    ("model", "classical"): ClassicalModel,
    ("model", "llm_options"): LlmModel,
    ("trainer", "torch_options"): TorchTrainer,
    ("trainer", "hf_options"): HFTrainer,
    ("tracker", "mlflow_options"): MlflowTracker,
    ("tracker", "null_options"): NullTracker,
    ("analysis", "analysis_options"): AnalysisOptions,
    ("compare", "compare_options"): CompareOptions,
}

PLAIN = "textclf.plain"
"""Reads JSON that is written as in an address, `${textclf.plain:%7B%22gr%C3%BCn%22%3A%201%7D}`, and does nothing else.

Hydra's overrides have no words for a mapping with such a key.
"""


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
    for group in GROUPS:
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
    return Experiment(**build_all(cfg), **{option.name: cfg[option.name] for option in fields(RunOptions)})


@dataclass(frozen=True)
class RunConfig(RunOptions):
    """The whole config of a run."""

    resume: bool = False
    """Find the run or sweep that the same command began before, keep what is finished, and resume the rest."""
    resume_changed: bool = False
    """Resume although code, versions of libraries or machine have changed since; the record then says so."""
    verbose: bool = False
    """Show on the screen all that the log of a run holds."""
    dataset: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    tracker: Any = MISSING
    analysis: Any = MISSING
    compare: Any = MISSING


def register() -> None:
    """Make the options known to Hydra, and the way to say a mapping with any keys in an override."""
    OmegaConf.register_new_resolver(PLAIN, lambda said: json.loads(unquote(said)), replace=True)
    store = ConfigStore.instance()
    for (group, name), options in {(None, "run_options"): RunConfig, **SCHEMAS}.items():
        node = OmegaConf.structured(options)
        inner = [node[key] for key in node if not OmegaConf.is_missing(node, key)]
        for open_node in (node, *(value for value in inner if isinstance(value, DictConfig))):
            OmegaConf.set_readonly(open_node, False)  # frozen as an object, open to overrides as a config
        store.store(group=group, name=name, node=node)
