"""`resume=true` and `--from-run`: find the run or sweep that was started before, and the command that resumes it."""

from __future__ import annotations

import functools
import logging
import shlex
import sys
import time
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
from textclf.tracking.claims import Claim, take_claim
from textclf.tracking.find_runs import OUTPUTS, RUN_HELP, find_previous_run, resolve_run, same_run_at_work
from textclf.tracking.lease import at_work
from textclf.tracking.record import RUN_FILE, STARTED_FILE, RunRecord, command_line, config_fingerprint
from textclf.tracking.run_start import RunStart

log = logging.getLogger("textclf.run")

OPTIONS = tuple(f"{name}=" for name in RunConfig.__dataclass_fields__ if name.startswith(("resume", "verbose")))
"""Options of a command that are no part of what is run."""
FROM_RUN = "--from-run"
POLL_SECONDS = 1.0


def use_former_run(config: DictConfig) -> None:
    """Choose the folder of a run, unless one is named.

    With `resume=true` it is the one in which it was started before; while another process is at work there, or is just
    starting the same, that is waited for. What a killed process left before its run was known is gone on with always.
    """
    if _names(config, "hydra.run.dir"):
        return
    with suppress(TextclfError):  # told when the run itself builds its experiment
        now = _start_of(config)
        claim = take_claim(OUTPUTS, now.fingerprint, wait=config.resume)
        try:
            found = None
            if config.resume:
                claim, found = _former_run(config, now, claim)
            found = found or claim.abandoned()
            if found is not None:
                _set_folder(config, "run", found)
            elif config.resume:
                log.info("there is nothing to resume: no run below %s was started with these options", OUTPUTS)
            claim.note(Path(config.hydra.run.dir))
        except BaseException:
            claim.done()
            raise


def _former_run(config: DictConfig, now: RunStart, claim: Claim) -> tuple[Claim, Path | None]:
    """Return the folder in which a run was started before, if any, once nobody else is at work on it; and the claim."""
    while True:
        found = _find_run(config, now)
        if found is not None and (found / RUN_FILE).is_file():
            return claim, found
        busy = same_run_at_work(now.fingerprint, now.environment, OUTPUTS)
        if busy is None:
            return claim, found
        claim.done()  # others may have to wait as well
        print(f"{at_work(busy) or 'another process'} is at work on this run in {busy}; waiting for it", flush=True)
        while at_work(busy) is not None:
            time.sleep(POLL_SECONDS)
        claim = take_claim(OUTPUTS, now.fingerprint, wait=True)


def use_former_sweep(config: DictConfig) -> None:
    """Choose the folder of a sweep, unless one is named: with `resume=true` the newest of the same command.

    While another process is just starting the same sweep, that is waited for, and this one joins it. What a killed
    process left before its sweep was known is gone on with always.
    """
    if _names(config, "hydra.sweep.dir"):
        return
    search = not config.hydra.sweeper._target_.endswith("BasicSweeper")  # it goes on from its storage
    resumes = config.resume and not search
    command = sweep_command(config)
    claim = take_claim(OUTPUTS, config_fingerprint({"sweep": sorted(shlex.split(command))}, 16), wait=resumes)
    try:
        known = [(path, read_sweep(path)) for path in folders_with(SWEEP_FILE, OUTPUTS)] if resumes else []
        same = [folder for folder, sweep in known if sweep is not None and same_command(sweep, command)]
        if same:
            _set_folder(config, "sweep", max(same, key=lambda folder: (folder / SWEEP_FILE).stat().st_mtime))
            claim.done()
            return
        if (abandoned := claim.abandoned()) is not None:
            _set_folder(config, "sweep", abandoned)
        elif resumes:
            print(f"no sweep below {OUTPUTS} was started with this command; runs that are finished elsewhere are used")
        claim.note(Path(config.hydra.sweep.dir))
    except BaseException:
        claim.done()
        raise


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
        TextclfError: If the config or its data are not usable.
    """
    return _find_run(cfg, _start_of(cfg))


def _find_run(cfg: DictConfig, now: RunStart) -> Path | None:
    """Return the folder of a run that was done before: one of other data is another run."""

    @functools.cache
    def data_now() -> str:
        from textclf.data.load import load

        return load(build_experiment(cfg).dataset).fingerprint

    return find_previous_run(now.fingerprint, now.environment, OUTPUTS, cfg.resume_changed, data_now)


def _start_of(cfg: DictConfig) -> RunStart:
    """Return what the run that a config describes would start with in this process.

    Raises:
        TextclfError: If the config is not usable.
    """
    experiment = build_experiment(cfg)
    with importing():
        from textclf.experiment.experiment import started_now

    return started_now(experiment)


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
    return [*overrides_of(record, rest), *rest], record


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
