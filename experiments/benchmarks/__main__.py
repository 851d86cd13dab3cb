"""Measure how fast textclf is, one table at a time.

python -m experiments.benchmarks training
python -m experiments.benchmarks all                 # the short form of every table that needs no GPU
python -m experiments.benchmarks training --dataset imdb
python -m experiments.benchmarks all --long          # more rows and curves to their ends: hours
python -m experiments.benchmarks gpu                 # where there is a CUDA GPU
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from textclf.system.exits import cli_errors


@dataclass(frozen=True)
class Size:
    """How much a table measures unless told otherwise."""

    rows: int
    rounds: int


SIZES: dict[str, tuple[Size, Size]] = {
    "training": (Size(384, 3), Size(4000, 3)),
    "inference": (Size(256, 3), Size(4000, 5)),
    "encoding": (Size(256, 3), Size(4000, 5)),
    "classical": (Size(25_000, 3), Size(25_000, 5)),
    "startup": (Size(64, 3), Size(520, 5)),
    "busy": (Size(200, 3), Size(520, 5)),
    "scaling": (Size(16_000, 3), Size(1_000_000, 3)),
    "amazon": (Size(100_000, 1), Size(3_600_000, 1)),
    "gpu": (Size(20_000, 3), Size(100_000, 3)),
}
"""The tables, each in its short and its long form."""
DATASETS = ("ag_news", "imdb", "glue/rte")
OF_DATASETS = ("training", "inference")
"""The tables that read one of them; `all` measures them on each."""
DEFAULT = ("training", "inference", "encoding", "classical", "startup", "busy", "scaling")
LONG = (*DEFAULT, "amazon")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks",
        description="Measure how fast textclf is beside the programs that it would replace, in turns, and write "
        "a page, its numbers and a picture for each table.",
    )
    parser.add_argument("table", choices=[*SIZES, "all"], help="what to measure; all: every table that needs no GPU")
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        default="ag_news",
        help="what training and inference read; others than %(default)s are written as TABLE_DATASET",
    )
    parser.add_argument("--rows", type=int, metavar="N", help="examples; of scaling, the most")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each way takes its turn")
    parser.add_argument("--seeds", default="1,2,3", metavar="N,N", help="seed of each round (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="all cores by default")
    parser.add_argument("--long", action="store_true", help="the long form, written as TABLE_long")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="take ratios from the time of the processor, on a machine that others use too",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (experiments/results/speed)")
    given = parser.parse_args()
    for option in ("rows", "rounds", "threads"):
        value = getattr(given, option)
        if value is not None and value < 1:
            parser.error(f"--{option} must be at least 1, got {value}")
    if given.dataset != "ag_news" and given.table not in OF_DATASETS:
        parser.error(f"--dataset is for {' and '.join(OF_DATASETS)}, got {given.table}")
    try:
        given.seeds = tuple(int(seed) for seed in given.seeds.split(","))
    except ValueError:
        parser.error(f"--seeds must be whole numbers with commas between them, got {given.seeds!r}")
    return given


def main() -> None:
    """Measure the tables that the command line names."""
    given = arguments()
    os.environ |= {
        "OMP_NUM_THREADS": str(given.threads),
        "RAYON_NUM_THREADS": str(given.threads),
        "TOKENIZERS_PARALLELISM": "true" if given.threads > 1 else "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with cli_errors():
        if given.table != "all":
            measure(given.table, given.dataset, given)
            return
        for table in LONG if given.long else DEFAULT:
            for dataset in DATASETS if table in OF_DATASETS else DATASETS[:1]:
                measure(table, dataset, given)


def measure(table: str, dataset: str, given: argparse.Namespace) -> None:
    """Measure one table and write it."""
    import datasets
    import torch

    from experiments.benchmarks.page import RESULTS, Settings, command_of, progress, write_result

    torch.set_num_threads(given.threads)
    datasets.disable_progress_bars()
    size = SIZES[table][given.long]
    settings = Settings(
        rows=given.rows or size.rows,
        rounds=given.rounds or size.rounds,
        seeds=given.seeds,
        threads=given.threads,
        dataset=dataset,
        output=given.output or RESULTS,
        long=given.long,
        processor_time=given.processor_time,
        command=command_of([table, *_words(table, dataset)]),
    )
    start = time.perf_counter()
    result = importlib.import_module(f"experiments.benchmarks.{table}").measure(settings)
    page = write_result(result, settings)
    progress(f"{table}: {time.perf_counter() - start:.0f} s, written to {page}")
    print(page.read_text(encoding="utf-8"))


def _words(table: str, dataset: str) -> list[str]:
    """Return what a person types after a table's name to measure it on one dataset again."""
    words = [word for word in sys.argv[1:] if word not in (table, "all")]
    told = dataset == DATASETS[0] or any(word.startswith("--dataset") for word in words)
    return words if told else ["--dataset", dataset, *words]


if __name__ == "__main__":
    main()
