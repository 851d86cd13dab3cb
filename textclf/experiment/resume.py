"""`resume=true` and `--from-run`: find the run or sweep that was started before, and the command that resumes it."""

from __future__ import annotations

import logging
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig, open_dict

from textclf.errors import ArtifactError, ConfigError, TextclfError
from textclf.experiment.arguments import as_given, own_arguments, task_overrides
from textclf.experiment.config import RunConfig, build_experiment
from textclf.experiment.sweep.status import SWEEP_FILE, Sweep, read_sweep
from textclf.system.files import folders_with
from textclf.system.imports import importing
from textclf.system.places import TRUST
from textclf.tracking.find_runs import OUTPUTS, RUN_HELP, resolve_run
from textclf.tracking.record import STARTED_FILE, RunRecord, command_line

log = logging.getLogger("textclf.run")

OPTIONS = tuple(f"{name}=" for name in RunConfig.__dataclass_fields__ if name.startswith("resume"))
FROM_RUN = "--from-run"


def use_former_run(config: DictConfig) -> None:
    """Resume a run in the folder where it was started before, unless one is named."""
    if not config.resume or _names(config, "hydra.run.dir"):
        return
    with suppress(TextclfError):  # told when the run itself builds its experiment
        found = find_run(config)
        if found is None:
            log.info("there is nothing to resume: no run below %s was started with these options", OUTPUTS)
        else:
            _set_folder(config, "run", found)


def use_former_sweep(config: DictConfig) -> None:
    """Resume a sweep in the newest folder of the same command, unless one is named."""
    search = not config.hydra.sweeper._target_.endswith("BasicSweeper")  # it goes on from its storage
    if not config.resume or search or _names(config, "hydra.sweep.dir"):
        return
    command = sweep_command(config)
    known = [(path, read_sweep(path)) for path in folders_with(SWEEP_FILE, OUTPUTS)]
    same = [folder for folder, sweep in known if sweep is not None and same_command(sweep, command)]
    if same:
        _set_folder(config, "sweep", max(same, key=lambda folder: (folder / SWEEP_FILE).stat().st_mtime))
    else:
        print(f"no sweep below {OUTPUTS} was started with this command; runs that are finished elsewhere are used")


def _names(config: DictConfig, option: str) -> bool:
    return any(given.startswith(f"{option}=") for given in config.hydra.overrides.hydra)


def _set_folder(config: DictConfig, mode: str, folder: Path) -> None:
    """Tell Hydra, and the processes that it starts, the folder as if it had been typed."""
    with open_dict(config.hydra):
        config.hydra[mode].dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.{mode}.dir='{folder}'")


def find_run(cfg: DictConfig) -> Path | None:
    """Return the folder of the run that a config describes, where it was done before.

    Raises:
        TextclfError: If the config is not usable.
    """
    experiment = build_experiment(cfg)
    with importing():
        from textclf.experiment.experiment import started_now
        from textclf.tracking.find_runs import find_previous_run

    now = started_now(experiment)
    return find_previous_run(now.fingerprint, now.environment, OUTPUTS, cfg.resume_changed)


def sweep_command(cfg: DictConfig) -> str:
    """Return the command of a sweep, without the options that only say how to resume."""
    arguments = [given for given in as_given(task_overrides(cfg)) if not given.startswith(OPTIONS)]
    arguments = [*own_arguments(cfg.hydra), *arguments]
    return command_line([*([] if cfg.hydra.runtime.choices.get("study") else ["-m"]), *arguments])


def same_command(sweep: Sweep, command: str) -> bool:
    """Return whether a sweep was started by a command, in whatever order its arguments stand."""
    return sorted(shlex.split(sweep.command)) == sorted(shlex.split(command))


def adopt_finished(cfg: DictConfig, folder: Path) -> None:
    """Let the folder of a job hold the same run finished elsewhere, where there is one and the folder is fresh."""
    if (folder / STARTED_FILE).exists():
        return
    found = find_run(cfg)
    from textclf.tracking.find_runs import link_finished_run
    from textclf.tracking.run_folder import is_finished

    if found is not None and is_finished(found):
        link_finished_run(found, folder)


def arguments_from_run(arguments: list[str]) -> tuple[list[str], RunRecord]:
    """Return the arguments that rerun a record, in place of `--from-run RUN`, and the record; print what has changed.

    Args:
        arguments: Those of the command line; overrides among them have the last word.

    Raises:
        TextclfError: If no run is named, it cannot be run again, or it names places that nobody trusts.
    """
    rest, named = _taken(arguments, FROM_RUN, RUN_HELP)
    rest, trusted = _taken(rest, TRUST, "an address, a file or a folder that the record names")
    from textclf.experiment.rerun import changes_since, check_places, overrides_of

    found = resolve_run(named[-1])
    record = found.record
    if record is None:
        raise ArtifactError(f"{named[-1]} is a classifier without the record of its run.")
    check_places(record, found.folder or found.classifier, rest, trusted)
    print(f"again: {record.name}, as run {record.started}")
    for change in changes_since(record):
        print(f"  changed since: {change}")
    return [*overrides_of(record), *rest], record


def _taken(arguments: list[str], flag: str, help: str) -> tuple[list[str], list[str]]:
    """Return the arguments without those that a flag takes, and these."""
    rest, taken = [], []
    waiting = iter(arguments)
    for argument in waiting:
        name, is_joined, value = argument.partition("=")
        if name != flag:
            rest.append(argument)
            continue
        found = value if is_joined else next(waiting, None)
        if not found:
            raise ConfigError(f"{flag} must be followed by {help}.")
        taken.append(found)
    return rest, taken


def resume_command() -> str:
    """Return the command that resumes what this process was doing."""
    given = [argument for argument in as_given(sys.argv[1:]) if not argument.startswith("resume=")]
    return shlex.join(["python", "-m", "textclf.run", *given, "resume=true"])
