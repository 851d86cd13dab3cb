"""Run one experiment, or a sweep of them.

python -m textclf.run                                       MiniLM on the bundled reviews, offline
python -m textclf.run model=bert dataset=imdb
python -m textclf.run -m model=distilbert,bert,roberta seed=1,2,3
python -m textclf.run study=baseline_vs_transformer dataset=ag_news
python -m textclf.run model=bert dataset=imdb resume=true   resume what was interrupted
python -m textclf.run --from-run RUN                        run again what a record says
python -m textclf.run --help                                the choices, and common options
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import hydra
import psutil
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from textclf.__main__ import bash_script
from textclf.errors import ConfigError
from textclf.experiment import config, console
from textclf.experiment.arguments import (
    CONF,
    deferred,
    has_options,
    in_order,
    named_models,
    own_arguments,
    parsed,
    swept_groups,
)
from textclf.experiment.cli import HELP_ALL, explain, follower_overrides, help_text, is_follower, study_of
from textclf.experiment.config import build, build_experiment
from textclf.experiment.resume import (
    FROM_RUN,
    OPTIONS,
    adopt_finished,
    arguments_from_run,
    resume_command,
)
from textclf.experiment.sweep.status import read_sweep
from textclf.system import signals
from textclf.system.environment import threads
from textclf.system.imports import importing
from textclf.system.redact import redacted
from textclf.system.wait_policy import watch_for_torch
from textclf.tracking.lease import BusyError
from textclf.tracking.record import RunRecord
from textclf.tracking.start import start_sweep

log = logging.getLogger("textclf.run")

FAILED = 1
INTERRUPTED = 130


class JobFailedError(Exception):
    """A job has failed, and the person has been told why."""


class Invocation:
    """One call of the command: Hydra hands each job's config to `job`."""

    def __init__(self, given: float | None = None, again: RunRecord | None = None):
        """Take a call.

        Args:
            given: The time of the command, in seconds since 1970, until its first job takes it; none for now.
            again: The record that is run again, if one is.
        """
        self.given = given
        self.again = again

    def __getstate__(self) -> dict[str, Any]:
        """Leave what belongs to this process behind where a launcher runs jobs in another."""
        return {"given": None, "again": None}

    def job(self, cfg: DictConfig) -> float:
        """Run one job: an error becomes a paragraph on the screen and a traceback in the log."""
        try:
            return self.run(cfg)
        except BusyError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                log.info("left to another worker of the sweep")
            else:
                log.error("%s", error)
            raise JobFailedError from error
        except (Exception, SystemExit) as error:
            log.error("%s", explain(error), exc_info=True)
            log.info("the traceback is in %s", Path(HydraConfig.get().runtime.output_dir) / "run.log")
            raise JobFailedError from error

    def run(self, cfg: DictConfig) -> float:
        """Run the experiment that a composed config describes, and return its objective."""
        begun, self.given = self.given or time.time(), None
        hydra_config = HydraConfig.get()
        sweep = read_sweep(Path(hydra_config.sweep.dir)) if hydra_config.mode is RunMode.MULTIRUN else None
        parent = sweep.parent_run_id if sweep is not None else None
        try:
            experiment = build_experiment(cfg)
        except ConfigError as error:
            _track_refusal(cfg, parent, error)
            raise
        with importing():
            from textclf.experiment.experiment import follow_experiment, run_experiment
            from textclf.tracking.record import command_line

        if is_follower():
            follow_experiment(experiment)
            return float("nan")
        arguments = list(hydra_config.overrides.task)
        alone = ["hydra.mode=RUN"] if hydra_config.runtime.choices.get("study") else []
        own = own_arguments(hydra_config)
        command = command_line([*own, *(given for given in arguments if not given.startswith(OPTIONS)), *alone])
        folder = Path(hydra_config.runtime.output_dir)
        if cfg.resume and sweep is not None:
            adopt_finished(cfg, folder)
        with signals.stoppable():
            record = run_experiment(experiment, folder, command, parent, begun, cfg.resume, cfg.resume_changed)
        if self.again is not None:
            from textclf.experiment.rerun import compare_with

            log.info("%s", compare_with(self.again, record))
        if experiment.objective not in record.metrics:
            log.warning("%s is undefined for this run, so a sweeper learns nothing from it", experiment.objective)
        return record.metrics.get(experiment.objective, float("nan"))


def _track_refusal(cfg: DictConfig, parent: str | None, error: ConfigError) -> None:
    """Leave a failed run in the tracker's record of a sweep for a job whose config is refused."""
    if parent is None:
        return
    with contextlib.suppress(ConfigError):
        name = " ".join(HydraConfig.get().overrides.task)
        with start_sweep(build(cfg, "tracker"), cfg.experiment, name, {}, parent):
            raise error


def _swept(multirun: bool, overrides: list[str]) -> set[str]:
    """Return the groups of which the command runs several choices, where it gives options that they may share.

    In a sweep there are the models too whose options it gives by their names.
    """
    named = named_models(overrides)
    if not (named or has_options(overrides)):
        return set()
    study = study_of(overrides)
    is_sweep = multirun or study is not None or "hydra.mode=MULTIRUN" in overrides
    return swept_groups(overrides, study or {}) | named if is_sweep else set()


def main() -> None:
    """Compose and run what the command line says; exit with 0 only if all of it went well."""
    wants_traceback = "HYDRA_FULL_ERROR" in os.environ
    try:
        os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise; what is shown is decided below
        invocation = Invocation(given=psutil.Process().create_time())
        watch_for_torch(int(threads()))
        config.register()
        logging.raiseExceptions = False  # a log file on a full disk loses a line, and nothing else
        if is_follower():
            sys.argv += follower_overrides()
        asks = {"--help", "-h", HELP_ALL} & set(sys.argv)
        if any(argument.partition("=")[0] == FROM_RUN for argument in sys.argv) and not asks:
            sys.argv[1:], invocation.again = arguments_from_run(sys.argv[1:])
        given = parsed(sys.argv[1:])
        if asks:
            print(help_text(given.overrides, whole=HELP_ALL in asks))
            return
        if given.shell_completion and "install=bash" in given.overrides:
            print(bash_script())
            return
        sys.argv[1:] = in_order(sys.argv[1:], given.overrides)
        if not (given.cfg or given.info or given.shell_completion):
            if not (is_follower() or given.hydra_help):
                console.begin()
            sys.argv[1:] = deferred(sys.argv[1:], _swept(given.multirun, given.overrides))
        with signals.stoppable():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(invocation.job)()
    except JobFailedError:
        sys.exit(FAILED)
    except BrokenPipeError:  # the reader of `--help | head` has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (stays open, for the interpreter's last flush)
        sys.exit(FAILED)
    except KeyboardInterrupt as stop:
        if isinstance(stop, signals.Stopped):
            print(f"{stop}; resume with: {resume_command()}", file=sys.stderr)
        else:
            print("interrupted", file=sys.stderr)
        sys.exit(stop.status if isinstance(stop, signals.Stopped) else INTERRUPTED)
    except Exception as error:
        if wants_traceback:
            print(redacted(traceback.format_exc()), file=sys.stderr)
            sys.exit(FAILED)
        print(f"error: {explain(error)}", file=sys.stderr)
        _close_sweep()
        sys.exit(FAILED)


def _close_sweep() -> None:
    """Report how far a sweep came whose launcher broke down; a command without a sweep has not imported this."""
    if "textclf.experiment.sweep.callback" in sys.modules:
        from textclf.experiment.sweep.callback import close_current

        close_current()


if __name__ == "__main__":
    main()
