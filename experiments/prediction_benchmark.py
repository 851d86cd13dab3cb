"""How fast a run predicts a file, beside the bare model and beside transformers' own pipeline.

python experiments/prediction_benchmark.py RUN --input reviews.parquet --rows 1500 --rounds 3

All ways predict the same texts with the same weights on the same machine, in turns, in one process; what is told is
the ratio of the processor time that they take, round by round, and the median of these: on a machine that others use
too, the time on the clock says how busy these were. The cold start is a new process that predicts one text. Folders
that the run was exported to can take part. Writes a table to experiments/results/prediction.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from textclf.errors import TextclfError
from textclf.models.base import Classifier
from textclf.predict.inputs import WantedTexts
from textclf.predict.rows import Kind, read_batches
from textclf.predict.stream import predict_batches
from textclf.predict.writers import open_writer
from textclf.system.environment import machine
from textclf.system.files import write_text
from textclf.tracking.find_runs import load_classifier, resolve_run

RESULT = Path(__file__).parent / "results" / "prediction.md"
OURS = "textclf.predict, CSV to CSV"
BARE = "the bare model, sorted batches"
DEFAULT = "pipeline, as it is (one text a batch)"
BATCHED = "pipeline, batch_size=32"
EXPORTED = "exported: "
COLD_TEXT = "The cinematography was stunning, but the plot was boring."


def texts_of_file(file: Path, column: str, rows: int) -> list[str]:
    """Return texts drawn at random from a Parquet file, always the same ones."""
    texts = pq.read_table(file, columns=[column]).column(column).to_pylist()
    chosen = np.random.default_rng(0).choice(len(texts), size=min(rows, len(texts)), replace=False)
    return [texts[row] for row in chosen]


def ways(
    classifier: Any, exported: dict[str, Classifier], texts: Sequence[str], folder: Path
) -> dict[str, Callable[[], Sequence[str]]]:
    """Return each way to predict, by name; each gives the labels."""
    from transformers import pipeline

    source = folder / "texts.csv"
    with open_writer(source, Kind.csv) as writer:
        writer.write(_batch(texts))
    pipe = pipeline("text-classification", model=classifier.model, tokenizer=classifier.tokenizer, device=-1)
    length: dict[str, Any] = {"truncation": True, "max_length": classifier.lengths.max_length}

    def ours() -> Sequence[str]:
        target = folder / "out.csv"
        with open_writer(target, Kind.csv, force=True) as writer:
            for batch in predict_batches(classifier, read_batches(source, Kind.csv, WantedTexts(has_pairs=False))):
                writer.write(batch)
        (done,) = read_batches(target, Kind.csv, WantedTexts(has_pairs=False))
        return done.table.column("label").to_pylist()

    def bare(classifier: Classifier = classifier) -> Sequence[str]:
        best = classifier.predict_proba(texts).argmax(axis=1)
        return [classifier.label_names[label] for label in best]

    return {
        OURS: ours,
        BARE: bare,
        DEFAULT: lambda: [found["label"] for found in pipe(list(texts), **length)],
        BATCHED: lambda: [found["label"] for found in pipe(list(texts), batch_size=32, **length)],
        **{name: partial(bare, other) for name, other in exported.items()},
    }


def _batch(texts: Sequence[str]) -> Any:
    from textclf.predict.rows import Batch

    return Batch(pa.table({"id": pa.array(range(len(texts))), "text": pa.array(texts)}), list(texts), None)


def timed_rounds(ways: dict[str, Callable[[], Sequence[str]]], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of each way in each round, in turns; every other round in the reverse order."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    labels: dict[str, Sequence[str]] = {}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            begun, clock = time.process_time(), time.perf_counter()
            labels[name] = ways[name]()
            seconds[name].append(time.process_time() - begun)
            passed = time.perf_counter() - clock
            print(f"round {number + 1}: {name}: {seconds[name][-1]:.1f} s, {passed:.1f} s passed", flush=True)
    for name, found in labels.items():
        same = np.mean([one == other for one, other in zip(found, labels[BARE], strict=True)])
        if same < (0.95 if name.startswith(EXPORTED) else 0.999):
            raise SystemExit(f"error: {name} gives other labels than {BARE} for {1 - same:.1%} of the texts")
    return seconds


def cold_starts(run: str, exported: Sequence[Path], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of new processes that predict one text: ours and transformers', in turns."""
    classifier = str(resolve_run(run).classifier.resolve())
    code = f"from transformers import pipeline; print(pipeline('text-classification', {classifier!r})({COLD_TEXT!r}))"
    commands = {
        "textclf.predict": [sys.executable, "-m", "textclf.predict", run, COLD_TEXT],
        "transformers.pipeline": [sys.executable, "-c", code],
        **{
            f"textclf.predict, {EXPORTED}{path.name}": [sys.executable, "-m", "textclf.predict", str(path), COLD_TEXT]
            for path in exported
        },
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            begun, clock = _of_children(), time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(_of_children() - begun)
            passed = time.perf_counter() - clock
            print(f"cold start: {name}: {seconds[name][-1]:.1f} s, {passed:.1f} s passed", flush=True)
    return seconds


def _of_children() -> float:
    """Return the processor seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(seconds: dict[str, list[float]], cold: dict[str, list[float]], said: dict[str, Any]) -> str:
    """Return the page."""
    lines = [
        "# How fast a run predicts",
        "",
        f"    {said['command']}",
        "",
        f"{said['rows']:,} texts of {said['input']} (median {said['words']:.0f} words), {said['model']} with at most "
        f"{said['max_length']} tokens, float32, on {said['machine']} with {said['threads']} "
        f"thread{'s' * (said['threads'] > 1)}. All ways took "
        f"turns, {said['rounds']} rounds in one process; a ratio is taken within a round, and given as the median "
        f"(smallest to largest). The labels of all ways agree; of an export with 8-bit weights, at least 95 in "
        f"100 do. Others used the machine too, so all times are of the "
        f"processor, not of the clock.",
        "",
        f"| way | texts a processor second, median | speed beside {OURS} |",
        "|---|---:|---:|",
    ]
    for name, own in seconds.items():
        ratios = sorted(ours / other for ours, other in zip(seconds[OURS], own, strict=True))
        rate = said["rows"] / statistics.median(own)
        spread = "" if name == OURS else f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f}{spread} |")
    lines += [
        "",
        "| cold start: a new process, one text | processor seconds, median | smallest to largest |",
        "|---|---:|---:|",
    ]
    for name, own in cold.items():
        lines.append(f"| {name} | {statistics.median(own):.1f} | {min(own):.1f} to {max(own):.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("run", help="a run of a transformer on single texts")
    parser.add_argument("--input", type=Path, required=True, help="a Parquet file with a column text")
    parser.add_argument("--exported", type=Path, nargs="*", default=[], help="folders that it was exported to")
    parser.add_argument("--column", default="text")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold-rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(given.threads)}
    try:
        found = resolve_run(given.run)
        classifier: Any = found.load()
    except TextclfError as error:
        sys.exit(f"error: {error}")
    if not hasattr(classifier, "lengths") or classifier.has_pairs:
        sys.exit(f"error: {given.run} is no transformer on single texts; transformers.pipeline takes only these.")
    import torch

    torch.set_num_threads(given.threads)
    texts = texts_of_file(given.input, given.column, given.rows)
    cold = cold_starts(given.run, given.exported, given.cold_rounds)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        exported = {f"{EXPORTED}{path.name}, sorted batches": load_classifier(path) for path in given.exported}
        seconds = timed_rounds(ways(classifier, exported, texts, Path(folder)), given.rounds)
    words = float(np.median(pc.count_substring_regex(pa.array(texts), r"\S+").to_numpy()))
    said = {
        "command": shlex.join(["python", "experiments/prediction_benchmark.py", *_without_folders(sys.argv[1:])]),
        "rows": len(texts),
        "input": given.input.name,
        "words": words,
        "model": found.record.model if found.record else "a transformer",
        "max_length": classifier.lengths.max_length,
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "rounds": given.rounds,
    }
    page = table(seconds, cold, said)
    print(page)
    print(json.dumps({"seconds": seconds, "cold": cold}))
    write_text(given.output, page)


def _without_folders(arguments: Sequence[str]) -> list[str]:
    """Return what was typed, of absolute paths only the last part."""
    return [Path(word).name if word.startswith("/") else word for word in arguments]


if __name__ == "__main__":
    main()
