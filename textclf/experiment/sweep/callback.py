"""Hydra's hooks: a sweep is one thing, from its parent run in the tracker to its comparison.

A job's status is kept in its folder. So a failed job neither stops nor hides the others, whether the
jobs run one after another in this process or elsewhere under another launcher.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout
from hydra.core.utils import JobReturn
from hydra.core.utils import JobStatus as HydraJobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from textclf.documents.escape import terminal
from textclf.errors import ConfigError, DataError, TextclfError
from textclf.experiment.cli import explain, is_follower
from textclf.experiment.config import build_experiment
from textclf.experiment.leaderboard.home import update_home
from textclf.experiment.preflight import check_data
from textclf.experiment.resume import OPTIONS, use_former_run, use_former_sweep
from textclf.experiment.sweep.coordinator import OpenSweep
from textclf.experiment.sweep.status import JobStatus, read_status, write_status
from textclf.system.memory import release_memory
from textclf.system.redact import redact_files, redacted
from textclf.tracking.claims import give_up_claims
from textclf.tracking.lease import BusyError, LeaseLostError
from textclf.tracking.record import RUN_FILE, STATUS_FILE
from textclf.tracking.run_folder import ChangedError, OtherDataError

log = logging.getLogger("textclf.sweep")

FAILED = 1
SOME_FAILED = 3
"""Exit status of a sweep of which a job failed."""
SHARES_GPUS = ("JoblibLauncher", "LocalLauncher")
"""Launchers whose jobs run side by side on this machine and must share out its GPUs themselves."""

_claimed: dict[Path, FileLock | None] = {}
"""The locks on the GPU that this process has, by the folder of the sweep; none where it shares one."""


class SweepCallback(Callback):
    """Opens and closes a sweep, and keeps how each job ended."""

    current: ClassVar[SweepCallback | None] = None
    """The callback of this process. Hydra makes it and hands it to nobody, so it is kept here for `close_current`."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.open: OpenSweep | None = None
        SweepCallback.current = self

    def __getstate__(self) -> dict[str, Any]:
        """Leave what belongs to the parent process behind when a launcher sends this to another."""
        return {"began": None, "open": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the sweep: its parent run, its folder, and the watch over it."""
        try:
            use_former_sweep(config)
            self.open = OpenSweep(config)
        except (TextclfError, HydraException, OmegaConfBaseException) as error:
            give_up_claims()
            print(f"error: {explain(error)}", file=sys.stderr)
            sys.exit(FAILED)
        update_home(self.open.folder)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Say what is run, refuse what is known to be missing, and find the folder of a run that is to be resumed."""
        if not is_follower():
            _begin(config)
        use_former_run(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the time, and take a GPU where jobs run side by side."""
        self.began = time.time()
        if self.open is not None:
            self.open.watch.is_here = True
        _redact_configs(config)
        launcher = str(config.hydra.launcher.get("_target_", "")).rpartition(".")[2]
        if config.hydra.mode.name == "MULTIRUN" and launcher in SHARES_GPUS and "SLURM_JOB_ID" not in os.environ:
            claim_gpu(Path(config.hydra.sweep.dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep how the job ended; in a sweep, let the others go on."""
        give_up_claims()
        hydra_config = job_return.hydra_cfg.hydra if job_return.hydra_cfg is not None else config.hydra
        folder = Path(hydra_config.runtime.output_dir)
        failed = job_return.status is HydraJobStatus.FAILED
        error = job_return._return_value if failed else None
        now = time.time()
        status = JobStatus(
            job=int(hydra_config.job.get("num", 0)),
            failed=failed,
            overrides=[given for given in hydra_config.overrides.task if not given.startswith(OPTIONS)],
            seconds=round(now - (self.began or now), 3),
            ended=now,
            error=explain(error.__cause__ or error) if isinstance(error, BaseException) else None,
            resumes=not isinstance(getattr(error, "__cause__", None), (ChangedError, OtherDataError)),
        )
        elsewhere = failed and isinstance(getattr(error, "__cause__", None), (BusyError, LeaseLostError))
        before = read_status(folder)
        kept = before is not None and not before.failed and (folder / RUN_FILE).is_file()
        if folder.is_dir() and not elsewhere and not kept:
            try:
                write_status(folder, status)
            except OSError as problem:  # a full disk; how the job ended is told all the same
                print(f"warning: {folder / STATUS_FILE} could not be written: {problem.strerror}", file=sys.stderr)
        if failed:
            update_home(folder)
        if failed and hydra_config.mode.name == "MULTIRUN":
            # Hydra would raise the first failure and never call on_multirun_end. A sweeper that
            # optimises learns from nan that there is nothing to learn.
            job_return.return_value = float("nan")
            job_return.status = HydraJobStatus.COMPLETED
        elif failed:
            sys.exit(FAILED)  # the person knows already; Hydra would say it once more
        if hydra_config.mode.name == "MULTIRUN":
            job_return.cfg = job_return.hydra_cfg = None  # Hydra keeps them of every job, and reads them no more
        del error  # its traceback holds the model
        release_memory()
        if self.open is not None:
            self.open.watch.look()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the sweep; exit with 3 if a job failed."""
        if self.open is None:
            return
        went_well = self.open.close()
        update_home(self.open.folder)
        if not went_well:
            sys.exit(SOME_FAILED)


def _begin(config: DictConfig) -> None:
    """Say what a single run is to do, and end it where its data are not there; what else is wrong its log tells."""
    with suppress(ConfigError, OmegaConfBaseException):
        experiment = build_experiment(config)
        named = f"{experiment.run_name}: " if experiment.run_name else ""
        what = f"{experiment.model.name} on {experiment.dataset.display_name}, seed {experiment.seed}"
        print(terminal(redacted(f"{named}{what}")), flush=True)
        try:
            check_data(experiment.dataset)
        except DataError as error:
            print(f"error: {explain(error)}", file=sys.stderr)
            sys.exit(FAILED)


def close_current() -> None:
    """Report how far the sweep of this process came, and compare what finished, where its launcher broke down."""
    current = SweepCallback.current
    if current is not None and current.open is not None and current.open.is_open:
        current.open.close()


def _redact_configs(config: DictConfig) -> None:
    """Take the secrets out of what Hydra has written of the config: it writes before anybody is asked."""
    written = Path(config.hydra.runtime.output_dir) / str(config.hydra.output_subdir)
    files = [written / name for name in ("config.yaml", "hydra.yaml", "overrides.yaml")]
    redact_files(*files, Path(config.hydra.sweep.dir) / "multirun.yaml")


def claim_gpu(folder: Path, count: int | None = None) -> int | None:
    """Let this process see one GPU only, one that no other process of the sweep has.

    The first claim of a process holds until it ends, since CUDA does not change its devices once it
    has begun. Where there are more processes than GPUs, those left over share them by turns.

    Args:
        folder: The folder of the sweep, on a file system that all its processes see.
        count: Number of GPUs; none asks CUDA.

    Returns:
        The GPU's number among those that this process saw, or nothing where there are fewer than two.
    """
    if folder in _claimed:
        return None
    if count is None:
        import torch

        count = torch.cuda.device_count()
    if count < 2:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        lock = FileLock(folder / f".gpu{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _claimed[folder] = lock
        return _see(number)
    _claimed[folder] = None
    return _see(os.getpid() % count)


def _see(number: int) -> int:
    """Restrict this process to one of the GPUs that it sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else []
    os.environ["CUDA_VISIBLE_DEVICES"] = names[number] if number < len(names) else str(number)
    log.info("this job has GPU %s", os.environ["CUDA_VISIBLE_DEVICES"])
    return number
