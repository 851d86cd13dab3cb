"""The command line: composing a config, its help, the choices there are, and errors of Hydra in plain words."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from textclf.documents.escape import terminal
from textclf.errors import ConfigError, TextclfError, causes, did_you_mean, first_line, listed
from textclf.experiment.arguments import CONF, choices_of, own_folders, quoted
from textclf.experiment.config import RunConfig, build_experiment, register
from textclf.experiment.options import GROUPS
from textclf.system import exits
from textclf.system.disk import RUN, Aftermath
from textclf.system.exits import describe_shortage
from textclf.system.redact import redacted
from textclf.system.unfinished import new_temporary_folder

if TYPE_CHECKING:
    from textclf.data.options import DatasetOptions
    from textclf.experiment.options import Experiment


HELP = """\
textclf: which model is worth its cost on your texts?

  python -m textclf.run [GROUP=CHOICE ...] [GROUP.OPTION=VALUE ...]     one run
  python -m textclf.run -m model=tfidf_logreg,minilm,bert seed=1,2,3    each combination, and their comparison
  python -m textclf.run study=STUDY                                     a sweep that is written down
  python -m textclf.run --from-run RUN                                  again what a record says (--trust PLACE)

Choices:
{choices}

Your own files:        dataset=files dataset.train=FILE
Any other dataset:     dataset=hub dataset.name=NAME dataset.path=OWNER/NAME
Any other checkpoint:  model=transformer model.name=NAME model.checkpoint=OWNER/NAME
Your own choices:      --config-dir FOLDER, with dataset/, model/ and study/ in it

Common options:
{options}
{more}
"""
COMMON = {
    "dataset.train=FILE dataset.test=FILE": "your data; without a test file a part of train is set aside",
    "dataset.text_column=NAME dataset.label_column=NAME": "its columns, where they have no usual names",
    "dataset.max_train_examples=1000": "train on fewer, to try things out",
    "dataset.folds=5": "cross-validate",
    "model.max_length=256": "longest text, in tokens",
    "trainer.epochs=3 trainer.batch_size=32": "how a transformer is trained",
    "seed=1,2,3": "with -m, run each; chance then counts in the comparison",
    "tracker=none": "leave MLflow out",
    "resume=true": "the same command again: keep what is finished, resume the rest",
    "verbose=true": "show all that run.log holds",
}
"""Options that people use most, with what each is for."""
HELP_ALL = "--help-all"
LEAST_COLUMNS = 80


def help_text(overrides: list[str], whole: bool = False) -> str:
    """Return the help; the whole of it has the config that these overrides compose.

    Hydra's own help lists every group of every plugin, which takes it seconds.
    """
    width = max(LEAST_COLUMNS, min(shutil.get_terminal_size((120, 24)).columns, 120))
    known = {group: choices_of(group) for group in (*GROUPS, "study")}
    choices = [_choices(group, names, width) for group, names in known.items() if names]
    options = [f"  {option:<51}  {purpose}" for option, purpose in COMMON.items()]
    more = f"\n{HELP_ALL} shows every option with its value; --cfg job -p model those of one group."
    if whole:
        config = OmegaConf.to_yaml(composed(overrides))
        more = (
            f"\nThe config as it would run; each value is changed by GROUP.OPTION=VALUE:\n\n{config}\n"
            f"--cfg job -p model shows one group; --hydra-help says what else Hydra can do."
        )
    return HELP.format(choices="\n".join(choices), options="\n".join(options), more=more).rstrip()


def _choices(group: str, names: list[str], width: int) -> str:
    """Return the choices of a group in lines of a width, none of which begins with a bar."""
    words = f"{group}=" + "\u00a0| ".join(names)  # a space that is no place to break at
    lines = textwrap.wrap(words, width - 2, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    return "\n".join(f"  {line}" for line in lines).replace("\u00a0", " ")


def composed(overrides: Iterable[str]) -> DictConfig:
    """Return the config that overrides such as `dataset=imdb` compose.

    Raises:
        HydraException: If there is no such choice or option; `explain` says it in a paragraph.
        OmegaConfBaseException: If a value is of the wrong type.
    """
    with _beside_another_hydra(), initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


@contextmanager
def _beside_another_hydra() -> Iterator[None]:
    """Make the options known to Hydra for a while, and then leave it as it was: a program may use it itself.

    Hydra has one state a process: what is initialized, its version base, and the schemas: a program's own,
    which may have the same names, are out of sight here.
    """
    store, version = ConfigStore.instance(), VersionBase.instance()
    schemas, initialized, base = store.repo, GlobalHydra.instance().hydra, version.version_base
    of_hydra = {name: node for name, node in schemas.items() if name == "hydra" or name.startswith("_")}
    GlobalHydra.instance().clear()
    try:
        store.repo = of_hydra | _own_schemas()
        yield
    finally:
        store.repo, version.version_base = schemas, base
        GlobalHydra.instance().hydra = initialized


@functools.cache
def _own_schemas() -> dict[str, Any]:
    """Return textclf's schemas as Hydra's store holds them, which hands out copies: making them takes 0.1 s."""
    store = ConfigStore.instance()
    before, store.repo = store.repo, {}
    try:
        register()
        return store.repo
    finally:
        store.repo = before


def study_of(overrides: Iterable[str]) -> dict[str, Any] | None:
    """Return the values that the study among some overrides combines; none where there is none, or it is no sweep."""
    chosen = [override for override in overrides if re.match(r"\+?study=\w", override)]
    if not chosen:
        return None
    with _beside_another_hydra(), initialize_config_dir(str(CONF), version_base="1.3"):
        found = compose("config", chosen, return_hydra_config=True).hydra
    return dict(found.sweeper.get("params") or {}) if found.mode is RunMode.MULTIRUN else None


def compose_experiment(*overrides: str, dataset: DatasetOptions | None = None) -> Experiment:
    """Return the experiment that `python -m textclf.run` would run with these overrides, for use from Python.

    It works inside a program that uses Hydra itself, and leaves that as it was.

    Args:
        overrides: Such as `model=bert` or `trainer.epochs=2`.
        dataset: The data, such as an `InMemoryDataset`; none takes what the overrides name.

    Raises:
        ConfigError: With what is wrong with them.
    """
    if len(overrides) == 1 and not isinstance(overrides[0], str):  # a list of them
        overrides = tuple(overrides[0])
    try:
        experiment = build_experiment(composed(overrides))
        return experiment if dataset is None else replace(experiment, dataset=dataset)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:  # a ValueError for model=null
        raise ConfigError(explain(error)) from error


def is_follower() -> bool:
    """Whether this process is one of several data-parallel ones, and not the first."""
    return int(os.environ.get("RANK", "0")) > 0


def follower_overrides() -> list[str]:
    """Return overrides that keep a data-parallel follower from writing or saying anything of its own."""
    folder = new_temporary_folder("textclf-follower-")
    return [f"hydra.run.dir={folder}", "hydra.output_subdir=null", "hydra/job_logging=none"]


def explain(error: BaseException, after: Aftermath = RUN) -> str:
    """Return one paragraph on an error, as `textclf.system.exits.explain`, also where it is Hydra's or OmegaConf's."""
    said = describe_shortage(error, after) or (None if isinstance(error, TextclfError) else _explain_config(error))
    return exits.explain(error, after) if said is None else terminal(redacted(said))


def _explain_config(error: BaseException) -> str | None:
    """Return what is wrong with a config or with the folders it names; none where that is not what is wrong."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, sign, name = error.missing_cfg_file.partition("/")
        if not sign:
            return _no_primary_config(group)
        known = choices_of(group) or list(error.options or ())
        return f"{group}={name}: there is no such choice; there are {listed(known, 40)}.{did_you_mean(name, known)}"
    if isinstance(error, HydraException) and (several := re.search(r"Ambiguous value for argument '(.*)'", str(error))):
        return _several_values(several[1])
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return _explain_composition(error)
    if isinstance(error, ValueError) and "Config group override" in str(error):
        return f"a group such as dataset or model needs the name of a choice, not null or a number: {first_line(error)}"
    if isinstance(error, (YAMLError, UnicodeDecodeError)):
        return f"a config file holds no YAML of plain values: {' '.join(str(error).split())}."
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename}: {error.strerror}. If this is where the run should be written, name another folder "
            f"with hydra.run.dir=/path/to/it (hydra.sweep.dir for sweeps, tracker.directory for MLflow)."
        )
    return None


def _unreadable(error: OverrideParseException) -> str:
    """Return the argument that Hydra cannot read, and how it must be typed."""
    argument = str(error.override)
    why = first_line(error).removesuffix(".")
    is_plain = "Exception" not in why and not why.startswith("Error parsing")
    said = f"{argument}: this argument cannot be read{f' ({why})' if is_plain else ''}."
    key, sign, value = argument.partition("=")
    if not sign:
        return (
            f"{said} Arguments are GROUP=CHOICE or GROUP.OPTION=VALUE, such as model=bert or trainer.epochs=2. If it "
            f"belongs to the value before it, quote both together for the shell: 'dataset.train=my file.csv'."
        )
    if not re.fullmatch(r"[+~]{0,2}[\w.@/:-]+", key, re.ASCII):
        return f"{said} The name of an option has letters, digits, _ and dots; {shlex.quote(key)} has others."
    form = quoted(argument)
    if form is None or value[:1] in "[{":
        example = shlex.quote(f"{key}=['a=b.csv']" if value[:1] == "[" else f"{key}='a=b.csv'")
        return (
            f"{said} A text with spaces, =, brackets, quotes or letters beyond a to z needs quotes of its own inside "
            f"those of the shell, such as {example}."
        )
    return f"{said} If it is one text, quote it for the shell and once more inside: {form}"


def _several_values(argument: str) -> str:
    """Return what values with commas may mean, and how each must be typed."""
    key, _, value = argument.partition("=")
    form = quoted(argument)
    return (
        f"{argument}: values with commas are several. To run each of them, add -m. To give a list, type "
        f"{shlex.quote(f'{key}=[{value}]')}." + (f" If it is one text, type {form}" if form else "")
    )


def _no_primary_config(name: str) -> str:
    """Return that there is no such primary config, and what a person with a file of settings may want instead."""
    known = sorted({path.stem for folder in (*own_folders, CONF) for path in folder.glob("*.yaml")})
    return (
        f"--config-name {name}: there is no such config; there is {listed(known)}.{did_you_mean(name, known)} Leave it "
        f"out: settings of your own are a file study/NAME.yaml in a folder of yours, given as --config-dir FOLDER "
        f"study=NAME."
    )


def _explain_composition(error: BaseException) -> str:
    """Return what Hydra or OmegaConf refused, with the names that come near."""
    said = " ".join(line.strip() for line in str(error).split("\n") if line.strip())
    cause = next((e for e in causes(error) if isinstance(e, OmegaConfBaseException)), None)
    unknown = re.search(r"Could not override '([^']+)'", said)
    if unknown and unknown[1].partition(".")[0] in choices_of("model"):
        own = unknown[1].partition(".")[2]
        return f"{unknown[1]}: that is how a sweep gives an option to one of its models. Here it is model.{own}."
    if cause is None:
        return _unknown_option(unknown[1]) if unknown else said
    key = str(cause.full_key or cause.key or "")
    what = str(cause.msg or cause).split("\n")[0]
    if unknown or re.search(r"Key '.*' (is )?not in", what):
        parent = cause.parent_node
        return _unknown_option(key, [str(name) for name in parent] if isinstance(parent, DictConfig) else [])
    return f"{key}: {what[:1].lower()}{what[1:]}."


def _unknown_option(key: str, known: Iterable[str] = ()) -> str:
    """Return that there is no such option, with the ones there are and those that come near."""
    head, _, last = key.rpartition(".")
    names = list(known) or ([] if head else [*GROUPS, *(f.name for f in fields(RunConfig) if f.name not in GROUPS)])
    there = f" {head or 'A run'} has {listed(names, 40)}." if names else ""
    add = f" Another argument of its class is added by +{key}=…" if "_target_" in names else ""
    return f"{key}: there is no such option.{there}{did_you_mean(last, names)}{add}"
