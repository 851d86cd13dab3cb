"""Run folders and sweeps as they are left, with no more than what the page of all runs reads."""

import json
from dataclasses import replace

from tests.tracking.test_record import RECORD
from textclf.system.files import write_manifest
from textclf.tracking.record import write_record
from textclf.tracking.run_folder import NOT_VOUCHED_FOR


def finished(folder, model="bayes", seed=1, score=0.5, *, dataset="reviews", given=(), folds=None, **changes):
    """Write a finished run; `changes` replace fields of its record."""
    folder.mkdir(parents=True)
    options = dict(option.split("=") for option in given)
    record = replace(
        RECORD,
        **{
            "name": f"{dataset}/{model}/seed{seed}",
            "model": model,
            "seed": seed,
            "dataset": dataset,
            "metrics": {"test/accuracy": score, "validation/accuracy": score},
            "costs": {"train_seconds": 2.0, "latency_median_seconds": 0.004, "size_bytes": 3e6},
            "data": {"test_fingerprint": f"test of {dataset}", "examples": {"test": 100}},
            "folds": folds or {},
            "config": {"model": {"name": model} | options, "dataset": {"name": dataset}, "seed": seed},
            "command": " ".join(["python -m textclf.run", f"model={model}", f"seed={seed}", *given]),
            **changes,
        },
    )
    write_record(folder, record)
    (folder / "report.html").write_text("")
    write_manifest(folder, NOT_VOUCHED_FOR)
    return folder


def failed(folder, error="DataError: no such file\nand more", job=0):
    """Write a run that failed, with its log."""
    folder.mkdir(parents=True)
    status = {"job": job, "failed": True, "overrides": ["model=bert"], "seconds": 1.0, "ended": 5.0, "error": error}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "run.log").write_text("Traceback")
    return folder


def sweep(folder, name="a sweep", total=2, **more):
    """Write what a sweep set out to do."""
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({"name": name, "total": total} | more))
    return folder
