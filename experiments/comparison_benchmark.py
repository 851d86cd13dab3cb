"""How long a comparison of many runs takes, and how much memory.

python experiments/comparison_benchmark.py --runs 200 --examples 25000

Writes made-up run folders to a temporary place: setups of five seeds, whose predictions agree as
those of real models do. Prints the seconds and the peak of memory of `python -m textclf.compare`, the first time and
again: the second comparison knows the digests of the predictions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from textclf.system.files import write_json, write_manifest
from textclf.tracking.record import PREDICTIONS_FILE, RunRecord

SEEDS = 5
POLL_SECONDS = 0.05


def write_runs(folder: Path, runs: int, examples: int, num_labels: int) -> None:
    """Write run folders with made-up predictions."""
    rng = np.random.default_rng(0)
    names = [f"class{label}" for label in range(num_labels)]
    labels = rng.integers(0, num_labels, examples)
    difficulty = rng.normal(0, 1, examples)
    texts = [f"text {row} " + "word " * 100 for row in range(examples)]
    for number in range(runs):
        setup, seed = divmod(number, SEEDS)
        right = difficulty + rng.normal(0, 0.7, examples) < 0.8 + 0.02 * setup
        predicted = np.where(right, labels, (labels + rng.integers(1, num_labels, examples)) % num_labels)
        probabilities = np.full((examples, num_labels), 0.2 / max(num_labels - 1, 1), dtype=np.float32)
        probabilities[np.arange(examples), predicted] = 0.8
        table = pd.DataFrame({"example": np.arange(examples), "text": texts})
        table["label"], table["prediction"] = (np.array(names, dtype=object)[of] for of in (labels, predicted))
        for label, name in enumerate(names):
            table[f"probability_{name}"] = probabilities[:, label]
        target = folder / f"job{number}"
        target.mkdir(parents=True)
        table.to_parquet(target / PREDICTIONS_FILE)
        accuracy = float((labels == predicted).mean())
        record = RunRecord(
            name=f"made_up/m{setup:02d}/seed{seed}",
            experiment="benchmark",
            dataset="made_up",
            model=f"m{setup:02d}",
            trainer="torch",
            seed=seed,
            objective="validation/accuracy",
            metrics={"test/accuracy": accuracy, "test/macro_f1": accuracy, "validation/accuracy": accuracy},
            costs={"train_seconds": 1.0 + setup, "num_parameters": 1e6 * (1 + setup)},
            data={
                "label_names": names,
                "examples": {"train": 1000, "validation": 100, "test": examples},
                "test_fingerprint": "made up",
            },
            fit={"device": "cpu"},
            config={
                "dataset": {"name": "made_up"},
                "model": {"name": f"m{setup:02d}"},
                "objective": "validation/accuracy",
            },
            config_fingerprint="",
            command="",
            environment={},
            started="2026-01-01T00:00:00+00:00",
            seconds=1.0,
        )
        write_json(target / "run.json", asdict(record))
        write_manifest(target)


def measure(command: list[str], cwd: Path) -> tuple[float, float]:
    """Run a command with a home of its own; return its seconds and the peak of its resident memory in GB."""
    start, peak = time.perf_counter(), 0
    process = psutil.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, env=os.environ | {"HF_HOME": str(cwd / "home")})
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(POLL_SECONDS)
    if process.wait() != 0:
        raise SystemExit("the comparison failed")
    return time.perf_counter() - start, peak / 1e9


def main() -> None:
    """Write runs, compare them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--examples", type=int, default=25_000)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1, help="comparisons after the first (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as temporary:
        folder = Path(temporary)
        write_runs(folder / "runs", given.runs, given.examples, given.classes)
        time.sleep(3)  # files as young as these are not remembered
        print(f"{given.runs} runs, {given.examples:,} test examples, {given.classes} classes")
        for number in range(1 + given.repeats):
            command = [sys.executable, "-m", "textclf.compare", "runs", "--output", f"out{number}"]
            seconds, peak = measure(command, folder)
            print(f"{'again' if number else 'first'}: {seconds:.1f} s, peak memory {peak:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
