"""Hydra's hooks: a sweep is one thing, from its parent run in the tracker to its comparison.

A job's status is kept in its folder. So a failed job neither stops nor hides the others, whether the
jobs run one after another in this process or elsewhere under another launcher.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.core.utils import JobStatus as HydraJobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from textclf.build import build
from textclf.command import explain
from textclf.compare.options import CompareOptions
from textclf.errors import ArtifactError, TextclfError, first_line
from textclf.gpus import claim_gpu
from textclf.memory import release_memory
from textclf.progress import SweepWatch
from textclf.records import command_line, read_record
from textclf.sweep import (
    SWEEP_FILE,
    JobStatus,
    Sweep,
    options_of,
    read_statuses,
    sweep_table,
    write_status,
    write_sweep,
)
from textclf.tracking.options import TrackedRun, comparison_url

log = logging.getLogger("textclf.sweep")

FAILED = 1
SOME_FAILED = 3
"""Exit status of a sweep of which a job failed."""
COMPARISON = "comparison"
"""Folder of the comparison inside that of the sweep."""
SHARES_GPUS = ("JoblibLauncher", "LocalLauncher")
"""Launchers whose jobs run side by side on this machine and must share out its GPUs themselves."""


UNDER_WAY: list[OpenSweep] = []
"""The sweep that this process has started and not yet closed."""


class SweepCallback(Callback):
    """Opens and closes a sweep, and keeps how each job ended."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.open: OpenSweep | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave what belongs to the parent process behind when a launcher sends this to another."""
        return {"began": None, "open": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the sweep: its parent run, its folder, and the watch over it."""
        try:
            self.open = OpenSweep(config)
        except TextclfError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(FAILED)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the time, and take a GPU where jobs run side by side."""
        self.began = time.time()
        launcher = str(config.hydra.launcher.get("_target_", "")).rpartition(".")[2]
        if config.hydra.mode.name == "MULTIRUN" and launcher in SHARES_GPUS and "SLURM_JOB_ID" not in os.environ:
            claim_gpu(Path(config.hydra.sweep.dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep how the job ended; in a sweep, let the others go on."""
        hydra_config = job_return.hydra_cfg.hydra if job_return.hydra_cfg is not None else config.hydra
        folder = Path(hydra_config.runtime.output_dir)
        failed = job_return.status is HydraJobStatus.FAILED
        error = job_return._return_value if failed else None
        now = time.time()
        status = JobStatus(
            job=int(hydra_config.job.get("num", 0)),
            failed=failed,
            overrides=list(hydra_config.overrides.task),
            seconds=round(now - (self.began or now), 3),
            ended=now,
            error=explain(error.__cause__ or error) if isinstance(error, BaseException) else None,
        )
        if folder.is_dir():
            write_status(folder, status)
        if failed and hydra_config.mode.name == "MULTIRUN":
            # Hydra would raise the first failure and never call on_multirun_end. A sweeper that
            # optimises learns from nan that there is nothing to learn.
            job_return.return_value = float("nan")
            job_return.status = HydraJobStatus.COMPLETED
        elif failed:
            sys.exit(FAILED)  # the person knows already; Hydra would say it once more
        del error  # its traceback holds the model
        release_memory()
        if self.open is not None:
            self.open.watch.look()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the sweep; exit with 3 if a job failed."""
        if self.open is not None and not self.open.close():
            sys.exit(SOME_FAILED)


class OpenSweep:
    """A sweep that is under way, seen from the process that started it."""

    def __init__(self, config: DictConfig):
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.options: CompareOptions = build(config, "compare")
        if (self.folder / SWEEP_FILE).exists():
            raise ArtifactError(
                f"{self.folder} holds a sweep already, which is never overwritten; name another folder with "
                f"hydra.sweep.dir=/path/to/it."
            )
        self.context = ExitStack()
        arguments = list(config.hydra.overrides.task)
        study = config.hydra.runtime.choices.get("study")
        jobs, total = _planned(config, arguments)
        self.name = str(study) if study else _sweep_name(config, jobs)
        self.parent = self._open_parent(config)
        flag = [] if study else ["-m"]
        self.sweep = Sweep(
            name=self.name,
            total=total,
            jobs=jobs,
            parent_run_id=self.parent.run_id,
            url=self.parent.url,
            command=command_line([*flag, *arguments]),
            search=not _is_basic(config),
            pid=os.getpid(),
        )
        write_sweep(self.folder, self.sweep)
        self.watch = SweepWatch(self.folder, self.sweep)
        self.watch.start()
        UNDER_WAY.append(self)
        atexit.register(self.abandon)
        what = f"{total} jobs" if total is not None else "jobs"
        print(f"{'study ' if study else ''}{self.name}: {what}, in {config.hydra.sweep.dir}", flush=True)

    def _open_parent(self, config: DictConfig) -> TrackedRun:
        """Open the tracker's run that will hold the jobs' runs."""
        tracker = build(config, "tracker")
        tags = {"sweep": self.name, "folder": str(self.folder)}
        return self.context.enter_context(tracker.start_sweep(config.experiment, self.name, tags))

    def close(self) -> bool:
        """Print how the jobs ended, compare those that finished, and close the parent run.

        Returns:
            Whether all jobs finished.
        """
        UNDER_WAY.remove(self)
        self.watch.stop()
        statuses = read_statuses(self.folder)
        if not statuses:  # refused before its first job
            self.context.close()
            return False
        records, unreadable = {}, []
        for path, status in statuses.items():
            if not status.failed:
                try:
                    records[status.job] = read_record(path)
                except TextclfError as error:
                    unreadable.append(str(error))
        failures = [status for status in statuses.values() if status.failed]
        lost = sorted(set(range(self.sweep.total or 0)) - {status.job for status in statuses.values()})
        print(f"\n{sweep_table(list(statuses.values()), records, self.sweep.search)}\n")
        if len(records) > 1 and not self.sweep.search:
            self._compare()
        print(f"runs, figures and reports: {self.folder}")
        if self.parent.url:
            print(f"side by side in MLflow:    make ui, then {comparison_url(self.parent.url)}")
            print(f"the sweep itself:          {self.parent.url}")
        for status in failures:
            print(f"\njob {status.job} ({' '.join(status.overrides)}) failed: {status.error}")
        for number in lost:
            what = " ".join(self.sweep.jobs[number]) if number < len(self.sweep.jobs) else ""
            print(f"\njob {number} ({what}) never ended: its process was stopped, or it was not begun")
        for problem in unreadable:
            print(f"\n{problem}")
        wrong = len(failures) + len(lost) + len(unreadable)
        if wrong:
            print(f"\n{wrong} of {self.sweep.total or len(statuses)} jobs failed; see {self.folder}/job*/run.log")
        counts = {"jobs": float(len(statuses)), "jobs_failed": float(wrong)}
        self.parent.log_metrics(counts)
        self.context.close()
        return not wrong

    def _compare(self) -> None:
        """Compare the finished runs; a fault of the comparison costs none of them."""
        from textclf.compare.command import compare

        try:
            written = compare([self.folder], self.options, self.folder / COMPARISON, self.name, self.sweep.command)
            print()
        except Exception as error:
            log.warning("the comparison could not be made: %s", first_line(error), exc_info=True)
            return
        self.parent.log_artifacts(self.folder, [COMPARISON])
        self.parent.set_tags({"mlflow.note.content": written.verdicts})

    def abandon(self) -> None:
        """Close the parent run of a sweep that was stopped, as killed."""
        if self in UNDER_WAY:
            UNDER_WAY.remove(self)
            self.watch.stop()
            ended = f"{len(read_statuses(self.folder))} of {self.sweep.total or 'its'} jobs had ended"
            print(f"the sweep was stopped; {ended}, see {self.folder}", file=sys.stderr)
            interrupt = KeyboardInterrupt("the sweep was stopped")
            with suppress(KeyboardInterrupt):
                self.context.__exit__(KeyboardInterrupt, interrupt, None)


def _is_basic(config: DictConfig) -> bool:
    """Whether the jobs of a sweep are given, rather than chosen as it goes."""
    return str(config.hydra.sweeper._target_).endswith("BasicSweeper")


def _planned(config: DictConfig, arguments: list[str]) -> tuple[list[list[str]], int | None]:
    """Return the overrides of each job, and their number, as far as the sweeper has them beforehand."""
    sweeper = config.hydra.sweeper
    if not _is_basic(config):
        return [], sweeper.get("n_trials")
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    (batch,) = BasicSweeper.split_arguments(parser.parse_overrides([*params, *arguments]), None)
    return batch, len(batch)


def _sweep_name(config: DictConfig, jobs: list[list[str]]) -> str:
    """Return what a sweep without a study varies, with the time of its start."""
    given = [options_of(job) for job in jobs]
    keys = dict.fromkeys(key for options in given for key in options)
    varied = [key for key in keys if len({options.get(key) for options in given}) > 1]
    if not varied:
        varied = list(OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {})  # type: ignore[arg-type]
    return f"sweep of {', '.join(map(str, varied)) or 'one job'} {datetime.now():%Y-%m-%d %H:%M}"
