"""Hydra's hooks: each job's status kept in its folder, and a table after the last job of a sweep."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.core.utils import JobStatus as HydraJobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tabulate import tabulate

from textclf.command import explain
from textclf.records import RunRecord, read_record
from textclf.tracking.options import comparison_url

log = logging.getLogger("textclf.sweep")

STATUS_FILE = "status.json"
FAILED = 1
SOME_FAILED = 3
"""Exit status of a sweep of which a job failed."""
NAMED = ("dataset", "model", "seed")
"""Overrides that the name of a run says already."""


class JobStatus(Callback):
    """Lets a failed job neither stop nor hide the others, and closes a sweep with a table."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep how the job ended; in a sweep, let the others go on."""
        hydra_config = job_return.hydra_cfg.hydra if job_return.hydra_cfg is not None else config.hydra
        folder = Path(hydra_config.runtime.output_dir)
        failed = job_return.status is HydraJobStatus.FAILED
        status: dict[str, Any] = {"job": hydra_config.job.get("num", 0), "failed": failed}
        status["overrides"] = list(hydra_config.overrides.task)
        if failed:
            error = job_return._return_value
            status["error"] = explain(error.__cause__ or error)
        if folder.is_dir():
            (folder / STATUS_FILE).write_text(json.dumps(status, indent=2, ensure_ascii=False), encoding="utf-8")
        if failed and hydra_config.mode.name == "MULTIRUN":
            # Hydra would raise the first failure and never call on_multirun_end.
            job_return.return_value = float("nan")
            job_return.status = HydraJobStatus.COMPLETED
        elif failed:
            sys.exit(FAILED)  # the person knows already; Hydra would say it once more

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print a row per job and where to look next; exit with 3 if any failed."""
        folder = Path(config.hydra.sweep.dir)
        jobs = [
            json.loads(path.read_text(encoding="utf-8")) | {"folder": path.parent} for path in folder.rglob(STATUS_FILE)
        ]
        jobs.sort(key=lambda status: status["job"])
        records = {job["job"]: read_record(job["folder"]) for job in jobs if not job["failed"]}
        print(f"\n{sweep_table(jobs, records)}\n")
        print(f"runs, figures and reports: {folder}")
        if url := next((url for record in records.values() if (url := record.tracking["url"])), None):
            print(f"side by side in MLflow:    make ui, then {comparison_url(url)}")
        failures = [status for status in jobs if status["failed"]]
        for status in failures:
            print(f"\njob {status['job']} ({' '.join(status['overrides'])}) failed: {status['error']}")
        if failures:
            print(f"\n{len(failures)} of {len(jobs)} jobs failed; their tracebacks are in {folder}/job*/run.log")
            sys.exit(SOME_FAILED)


def sweep_table(jobs: list[dict[str, Any]], records: Mapping[int, RunRecord]) -> str:
    """Return a table of a sweep's jobs: what was varied, scores, training time, size and speed.

    Args:
        jobs: What each `status.json` holds, in order.
        records: The records of the jobs that did not fail, by number of the job.
    """
    options = [dict(override.lstrip("+").split("=", 1) for override in job["overrides"]) for job in jobs]
    keys = dict.fromkeys(key for given in options for key in given if key not in NAMED)
    varied = [key for key in keys if len({given.get(key) for given in options}) > 1]
    rows = []
    for job, given in zip(jobs, options, strict=True):
        values = [given.get(key, "") for key in varied]
        record = records.get(job["job"])
        if record is None:
            what = " ".join(f"{key}={given[key]}" for key in NAMED if key in given)
            rows.append([what or f"job {job['job']}", *values, "FAILED"])
            continue
        metrics, costs = record.metrics, record.costs
        rows.append(
            [
                record.name,
                *values,
                f"{metrics['test/accuracy']:.3f}",
                f"{metrics['test/macro_f1']:.3f}" if "test/macro_f1" in metrics else "–",
                f"{costs['train_seconds']:.1f}",
                f"{costs['num_parameters']:,.0f}",
                f"{costs['test_examples_per_second']:,.0f}",
            ]
        )
    scores = ["test accuracy", "test macro F1", "train s", "parameters", "predicted/s"]
    align = ["left"] * (1 + len(varied)) + ["right"] * len(scores)
    return tabulate(rows, ["run", *varied, *scores], disable_numparse=True, colalign=align)
