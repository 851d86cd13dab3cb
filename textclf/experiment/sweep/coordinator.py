"""A sweep that is under way, seen from a process that works on it.

The first process of a sweep leads it: it holds the lease on the sweep's folder and the parent run in the tracker, and
makes the comparison. Others that join it with `resume=true` take the jobs that are free, and lead where the first has
gone.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from textclf.compare.options import CompareOptions
from textclf.documents.escape import terminal
from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line, listed
from textclf.evaluation.metric_names import direction
from textclf.experiment import console
from textclf.experiment.arguments import as_given, named_models, of_own_model, task_overrides
from textclf.experiment.cli import explain
from textclf.experiment.config import build
from textclf.experiment.notes import best_figures, best_run, sweep_note
from textclf.experiment.preflight import Obstacle, composed_job, obstacles, refuse_if_none_can_run
from textclf.experiment.resume import OPTIONS, resume_command, same_command, sweep_command
from textclf.experiment.sweep.seeds import without_repeats
from textclf.experiment.sweep.status import (
    COMPARISON,
    SWEEP_FILE,
    JobStatus,
    Sweep,
    SweepWatch,
    options_of,
    read_statuses,
    read_sweep,
    sweep_table,
    write_sweep,
)
from textclf.system.redact import redacted
from textclf.tracking.claims import start_is_over
from textclf.tracking.lease import BusyError, Lease, at_work, take_lease
from textclf.tracking.options import NOTE_TAG, TrackedRun, comparison_url
from textclf.tracking.record import CLASSIFIER, RUN_FILE, STATUS_FILE, RunRecord, predict_command, read_record
from textclf.tracking.start import start_sweep

log = logging.getLogger("textclf.sweep")

POLL_SECONDS = 1.0
MOST_VALUES = 12
"""Values of an option that the heading of a sweep names."""
HYDRAS_OWN = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
PLANNED = "hydra_plugins.textclf_basic.PlannedBasicSweeper"
"""The sweeper that runs the jobs of the plan in its place."""


class OpenSweep:
    """A sweep's jobs, its parent run in the tracker, and the watch over it."""

    def __init__(self, config: DictConfig):
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.options: CompareOptions = build(config, "compare")
        self.config = config
        self.context = ExitStack()
        self.parent = TrackedRun()
        study = config.hydra.runtime.choices.get("study")
        plan = planned_sweep(config)
        resuming = [given for given in task_overrides(config) if given.startswith(OPTIONS)]
        self.jobs = [[*job, *resuming] for job in plan.jobs]
        if str(config.hydra.sweeper._target_) == HYDRAS_OWN:
            config.hydra.sweeper._target_ = PLANNED
        before = read_sweep(self.folder) if config.resume else None
        what = f"{plan.total} jobs" if plan.total is not None else "jobs"
        print(f"{'study ' if study else ''}{(before or plan).name}: {what}, in {config.hydra.sweep.dir}", flush=True)
        for line in varied_lines(self.jobs):
            print(terminal(redacted(line)), flush=True)
        found = self._look_ahead(plan)
        self.lease = self._lead(config.resume)
        self.sweep = self._join_or_begin(plan, config.resume)
        start_is_over(self.folder)
        finished = _finished_before(self.folder) if config.resume else {}
        self.watch = SweepWatch(self.folder, self.sweep, {status.job for status in finished.values()})
        self.watch.explained |= {obstacle.reason for obstacle in found}
        self.watch.start()
        self.is_open = True
        console.tell_of_sweep()
        atexit.register(self.abandon)
        if finished:
            print(f"{len(finished)} of them were finished before, and are not run again", flush=True)
        if self.lease is None:
            print(f"led by {at_work(self.folder) or 'another process'}, which will compare them", flush=True)

    def _look_ahead(self, plan: Sweep) -> list[Obstacle]:
        """Say which jobs cannot be run, before anything is made.

        Raises:
            ConfigError: If none can.
        """
        checked = plan.jobs
        if plan.search and "OptunaSweeper" in str(self.config.hydra.sweeper._target_):
            from textclf.experiment.sweep.search import planned_search

            checked = planned_search(self.config).kinds
        found = obstacles(self.config, checked)
        refuse_if_none_can_run(found, len(checked))
        if found:
            number = len({job for obstacle in found for job in obstacle.jobs})
            what = f"of the choices of the search, {number}" if plan.search else f"{number} of {len(checked)} jobs"
            print(f"warning: {what} will fail, and the others go on:", flush=True)
            for obstacle in found:
                print(terminal(redacted(f"  {obstacle}")), flush=True)
        return found

    def _lead(self, resume: bool) -> Lease | None:
        """Take the lease on the folder; none where another process leads and this one joins it.

        Raises:
            ArtifactError: If another leads and this one has not said that it joins.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            return take_lease(self.folder)
        except BusyError as error:
            if resume:
                return None
            raise ArtifactError(
                f"A sweep is under way in {self.folder} ({at_work(self.folder)}). Name another folder with "
                f"hydra.sweep.dir=/path/to/it, or add resume=true to work on the same one."
            ) from error

    def _join_or_begin(self, plan: Sweep, resume: bool) -> Sweep:
        """Return the sweep that the folder holds where it is this one, else begin it.

        Raises:
            ArtifactError: If it holds another, or this one has not said that it resumes.
        """
        try:
            before = read_sweep(self.folder)
            if before is None and self.lease is not None and (self.folder / SWEEP_FILE).exists():
                raise ArtifactError(
                    f"{self.folder} holds a sweep already, whose {SWEEP_FILE} cannot be read; name another folder with "
                    f"hydra.sweep.dir=/path/to/it."
                )
            if before is None and self.lease is None:
                before = self._wait_for_leader()
            if before is not None and not resume:
                raise ArtifactError(
                    f"{self.folder} holds a sweep already, which is never overwritten; name another folder with "
                    f"hydra.sweep.dir=/path/to/it, or add resume=true to resume it."
                )
            if before is not None and (before.jobs != plan.jobs or not same_command(before, plan.command)):
                raise ArtifactError(
                    f"{self.folder} holds another sweep: {before.command}. Name another folder with "
                    f"hydra.sweep.dir=/path/to/it."
                )
            if self.lease is None:
                assert before is not None
                return before
            self.parent = self._open_parent((before or plan).name)
            begun = replace(before or plan, parent_run_id=self.parent.reference, url=self.parent.url)
            write_sweep(self.folder, begun)
            return begun
        except BaseException:
            if self.lease is not None:
                self.lease.give_back()
            raise

    def _wait_for_leader(self) -> Sweep:
        """Return the sweep once the process that leads has written what it is."""
        while at_work(self.folder) is not None:
            found = read_sweep(self.folder)
            if found is not None:
                return found
            time.sleep(POLL_SECONDS / 10)
        raise ArtifactError(f"The process that began the sweep in {self.folder} is gone; give the command again.")

    def _open_parent(self, name: str) -> TrackedRun:
        """Open the tracker's run that will hold the jobs' runs."""
        tracker = build(self.config, "tracker")
        tags = {"sweep": name, "folder": str(self.folder)}
        return self.context.enter_context(start_sweep(tracker, self.config.experiment, name, tags, folder=self.folder))

    def close(self) -> bool:
        """Print how the jobs ended; where this process leads, compare those that finished and close the parent run.

        Returns:
            Whether all jobs finished.
        """
        self.is_open = False
        if self.lease is None:
            with suppress(BusyError):  # the process that led may be gone
                self.lease = take_lease(self.folder)
                self.parent = self._open_parent(self.sweep.name)
        if self.lease is not None:
            self._await_others()
        self.watch.stop()
        try:
            return self._tell_and_compare() if read_statuses(self.folder) else False  # none: refused before its first
        finally:
            self.context.close()
            if self.lease is not None:
                self.lease.give_back()

    def _await_others(self) -> None:
        """Wait for the jobs that other processes work on."""
        told = False
        while others := _working(self.folder):
            if not told:
                print(f"waiting for {len(others)} jobs of other processes", flush=True)
                told = True
            time.sleep(POLL_SECONDS)

    def _tell_and_compare(self) -> bool:
        statuses = read_statuses(self.folder)
        records: dict[int, RunRecord] = {}
        unreadable = []
        for path, status in statuses.items():
            if not status.failed:
                try:
                    records[status.job] = read_record(path)
                except TextclfError as error:
                    unreadable.append(str(error))
        failures = [status for status in statuses.values() if status.failed]
        known = {status.job for status in statuses.values()}
        elsewhere = {int(path.name.removeprefix("job")) for path in _working(self.folder)}
        lost = sorted(set(range(self.sweep.total or 0)) - known - elsewhere)
        verdicts, take = "", None
        if self.lease is not None and len(records) > 1 and not self.sweep.search:
            verdicts, take = self._compare()
        if not verdicts:  # else each job had its line, and each setup has its row
            print(terminal(f"\n{sweep_table(list(statuses.values()), records, self.sweep.search)}\n"))
        self._track_best(list(records.values()), verdicts)
        print(f"runs, figures and reports: {self.folder}")
        if take is not None and (take / CLASSIFIER).is_dir():
            print(f"predict with it: {_predict_command(take)}")
        elif (best := _best(records, statuses)) is not None:
            print(f"predict with the best on validation: {_predict_command(best)}")
        if self.parent.url:
            print(f"side by side in MLflow: python -m textclf.ui, then {comparison_url(self.parent.url)}")
        self._tell_what_is_missing(lost, unreadable)
        wrong = len(failures) + len(lost) + len(unreadable)
        if wrong:
            print(f"\n{wrong} of {self.sweep.total or len(statuses)} jobs failed; see {self.folder}/job*/run.log")
            if not self.sweep.search and (lost or unreadable or any(status.resumes for status in failures)):
                print(f"to do those again and keep the others: {resume_command()}")
        self.parent.log_metrics({"jobs": float(len(statuses)), "jobs_failed": float(wrong)})
        return not wrong

    def _tell_what_is_missing(self, lost: list[int], unreadable: list[str]) -> None:
        for number in lost:
            what = " ".join(self.sweep.jobs[number]) if number < len(self.sweep.jobs) else ""
            print(f"\njob {number} ({what}) never ended: its process was stopped, or it was not begun")
        for problem in unreadable:
            print(terminal(f"\n{problem}"))

    def _track_best(self, records: list[RunRecord], verdicts: str) -> None:
        """Let the sweep's own row in the tracker show the scores of its best run, and say which that is."""
        best = best_run(records)
        tags = {NOTE_TAG: sweep_note(best, len(records), verdicts, self.folder)}
        if best is not None:
            self.parent.log_metrics(best_figures(best))
            tags |= {"best_run": best.name, "best_run_id": best.tracking.get("run_id") or ""}
        self.parent.set_tags(tags)

    def _compare(self) -> tuple[str, Path | None]:
        """Compare the finished runs; return the verdicts and the run to take. A fault of it costs none of the runs."""
        from textclf.compare.compare_runs import compare

        output = self.folder / COMPARISON
        print()
        try:
            written = compare([self.folder], self.options, output, self.sweep.name, self.sweep.command)
            print()
        except Exception as error:
            log.warning("the comparison could not be made: %s", first_line(error), exc_info=True)
            return "", None
        self.parent.log_artifacts(self.folder, [COMPARISON])
        return written.verdicts, written.take

    def abandon(self) -> None:
        """Close the parent run of a sweep that was stopped, as killed."""
        if self.is_open:
            self.is_open = False
            self.watch.stop()
            ended = f"{len(read_statuses(self.folder))} of {self.sweep.total or 'its'} jobs had ended"
            print(f"the sweep was stopped; {ended}, see {self.folder}", file=sys.stderr)
            interrupt = KeyboardInterrupt("the sweep was stopped")
            with suppress(KeyboardInterrupt):
                self.context.__exit__(KeyboardInterrupt, interrupt, None)
            if self.lease is not None:
                self.lease.give_back()


def _best(records: Mapping[int, RunRecord], statuses: Mapping[Path, JobStatus]) -> Path | None:
    """Return the folder of the run with the best objective that keeps a classifier; none where no run does."""
    scored = [
        (direction(record.objective) * record.metrics[record.objective], path)
        for path, status in statuses.items()
        if (record := records.get(status.job)) is not None and record.objective in record.metrics
        if (path / CLASSIFIER).is_dir()
    ]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def _predict_command(folder: Path) -> str:
    return predict_command(os.path.relpath(folder), bool(read_record(folder).data.get("pairs")))


def varied_lines(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each option that jobs differ in, with its values."""
    values: dict[str, dict[str, None]] = {}
    for job in jobs:
        for key, value in options_of(job).items():
            values.setdefault(key, {})[value] = None
    return [f"  {key}: {listed(found, MOST_VALUES)}" for key, found in values.items() if len(found) > 1]


def _working(folder: Path) -> list[Path]:
    """Return the folders of the jobs that other processes work on."""
    return [path for path in sorted(folder.glob("job*")) if (at := at_work(path)) is not None and at.pid != os.getpid()]


def _finished_before(folder: Path) -> dict[Path, JobStatus]:
    """Return the jobs that finished before; what is said of others is removed, since they are done again."""
    finished = {}
    for path, status in read_statuses(folder).items():
        if not status.failed and (path / RUN_FILE).is_file():
            finished[path] = status
        elif at_work(path) is None:
            (path / STATUS_FILE).unlink(missing_ok=True)
    return finished


def planned_sweep(config: DictConfig) -> Sweep:
    """Return what the sweep of a composed config is to do; the tracker does not know of it yet."""
    study = config.hydra.runtime.choices.get("study")
    jobs, total = _planned(config, task_overrides(config))
    _check_jobs(config, jobs)
    if jobs:
        jobs = without_repeats(config, jobs)
        total = len(jobs)
    return Sweep(
        name=str(study) if study else _sweep_name(config, jobs),
        total=total,
        jobs=jobs,
        command=sweep_command(config),
        search=not is_basic(config),
    )


def _check_jobs(config: DictConfig, jobs: list[list[str]]) -> None:
    """Compose a job of each kind, as its own choices make it, before the first is run.

    Raises:
        ConfigError: With the jobs whose choices have no such option.
    """
    known: set[tuple[str, ...]] = set()
    problems: dict[str, str] = {}
    for job in jobs:
        kind = tuple(given.partition("=")[0] if "." in given or given.startswith("seed=") else given for given in job)
        if kind in known:
            continue
        known.add(kind)
        try:
            composed_job(config, job)
        except (HydraException, OmegaConfBaseException) as error:
            problems.setdefault(explain(error), " ".join(job))
    if problems:
        raise ConfigError("\n".join(f"the job {job} cannot be run: {said}" for said, job in problems.items()))


def is_basic(config: DictConfig) -> bool:
    """Whether the jobs of a sweep are given, rather than chosen as it goes."""
    return str(config.hydra.sweeper._target_).endswith("BasicSweeper")


def _planned(config: DictConfig, arguments: list[str]) -> tuple[list[list[str]], int | None]:
    """Return the overrides of each job, and their number, as far as the sweeper has them beforehand."""
    sweeper = config.hydra.sweeper
    if not is_basic(config):
        if "OptunaSweeper" not in str(sweeper._target_):
            return [], sweeper.get("n_trials")
        from textclf.experiment.sweep.search import planned_search

        return [], sweeper.n_trials * planned_search(config).jobs_per_trial
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    given = [argument for argument in as_given(arguments) if not argument.startswith(OPTIONS)]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    (batch,) = BasicSweeper.split_arguments(parser.parse_overrides([*params, *given]), None)
    default = str(config.hydra.runtime.choices.get("model"))
    jobs = [of_own_model(job, default) for job in batch]
    _refuse_idle_options(given, batch, default)
    jobs = [job for number, job in enumerate(jobs) if job not in jobs[:number]]  # alike but for other models' options
    return jobs, len(jobs)


def _refuse_idle_options(given: Sequence[str], jobs: Sequence[Sequence[str]], default: str) -> None:
    """Refuse options of a model that no job runs.

    Raises:
        ConfigError: With the models that are run.
    """
    chosen = [[one.partition("=")[2] for one in job if one.partition("=")[0] == "model"] for job in jobs]
    run = dict.fromkeys(own[-1] if own else default for own in chosen)
    idle = [f"{name}.…" for name in sorted(named_models(given) - {*run})]
    if idle:
        raise ConfigError(f"{listed(idle)}: these are options of a model that is not run here; {listed(run)} are.")


def _sweep_name(config: DictConfig, jobs: list[list[str]]) -> str:
    """Return what a sweep without a study varies, with the time of its start."""
    given = [options_of(job) for job in jobs]
    keys = dict.fromkeys(key for options in given for key in options)
    varied = [key for key in keys if len({options.get(key) for options in given}) > 1]
    if not varied:
        varied = list(OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {})  # type: ignore[arg-type]
    return f"sweep of {', '.join(map(str, varied)) or 'one job'} {datetime.now():%Y-%m-%d %H:%M}"
