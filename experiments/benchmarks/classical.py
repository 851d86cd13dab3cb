"""Table `classical`: TF-IDF and NB-SVM on IMDb, beside plain scikit-learn and fastText."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.classical_ways import (
    FASTTEXT,
    FASTTEXT_WAY,
    MODELS,
    SMALL,
    Files,
    peer_name,
    works,
    write_split,
)
from experiments.benchmarks.memory import Measured, in_own_process
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.rounds import Timing, Timings, Way, alternate, spread, times_as_fast
from experiments.benchmarks.texts import generated_data, real_data
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.documents.document import Block, Paragraph

TEST_ROWS = 25_000
WITHOUT_FASTTEXT = (
    "fastText is not in the table: it is not installed here (pip install -e '.[bench]' in a checkout of textclf)."
)


def write_files(data: TextData, folder: Path) -> Files:
    """Write a dataset as each way reads it, in random order: fastText learns in the order of its file."""
    files = Files(folder)
    for split in ("train", "validation", "test"):
        own = data.split(split).shuffle(seed=0)
        names = [data.label_names[label] for label in labels_of(own)]
        write_split(files, split, [(list(texts_of(own)[0]), names)])
    return files


def measure(settings: Settings) -> Result:
    """Read, fit and score in turns, each time in a process of its own."""
    data, said = real_data("imdb", settings.rows, min(TEST_ROWS, settings.rows))
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        write_files(data, Path(folder))
        write_small(Path(folder))
        timings = alternate(ways(folder, settings.threads), settings.round_seeds, Probe(), progress)
    return page(settings, {name: [_inside(timing) for timing in own] for name, own in timings.items()}, said)


def write_small(folder: Path) -> None:
    """Write a few texts beside the files of a dataset, for processes to warm up on."""
    (folder / SMALL).mkdir()
    write_files(generated_data(100, 20, 2, words=10), folder / SMALL)


def ways(folder: str, threads: int) -> list[Way]:
    """Return the ways to read, fit and score the files in a folder, ours first."""

    def way(name: str) -> Way:
        return Way(
            name, lambda _: in_own_process("classical_ways", "fit_in_folder", name, folder, threads), judge=_judge
        )

    return [way(name) for name in works(threads)]


def _judge(done: Measured) -> Mapping[str, Any]:
    return {**done.given, "peak_bytes": done.peak_bytes}


def _inside(timing: Timing) -> Timing:
    """Return a timing of the work alone, without the process around it."""
    facts = timing.facts
    return replace(timing, seconds=facts["seconds"], processor_seconds=facts["processor_seconds"])


def page(settings: Settings, timings: Timings, said: str) -> Result:
    """Return the table of what was measured."""
    clock, rows, bars = settings.processor_time, [], {}
    for name, own in timings.items():
        seconds = spread([timing.taken(clock) for timing in own])
        model = name.rpartition(", ")[2]
        twin = peer_name(model) if model in MODELS else None
        rows.append(
            [
                name,
                seconds.text(1),
                times_as_fast(timings, name, twin, clock).text() if twin else "–",
                times_as_fast(timings, FASTTEXT_WAY, name, clock).text() if FASTTEXT_WAY in timings else "–",
                f"{own[0].facts['accuracy']:.4f}",
                f"{max(timing.facts['peak_bytes'] for timing in own) / 1e9:.2f}",
            ]
        )
        bars[name] = (seconds.median, seconds.low, seconds.high)
    titles = ("way", "seconds", "× scikit-learn", "times fastText's seconds", "accuracy", "peak memory, GB")
    blocks: list[Block] = [table(titles, rows)]
    if FASTTEXT_WAY not in timings:
        blocks.append(Paragraph(WITHOUT_FASTTEXT))
    content = {"timings": plain_timings(timings)}
    return Result(
        "classical",
        "Classical models: IMDb",
        blocks,
        content,
        lambda path: draw_bars(path, f"seconds, by {settings.clock}", bars),
        "Bars: the seconds in which each way reads, fits and scores",
        [
            f"{said} Seconds are of reading files, fitting, and predicting the test split. textclf and scikit-learn "
            f"read the same Parquet files; fastText reads text files that were prepared beforehand as its tutorial "
            f"says (lower case, punctuation set apart), which is not counted. textclf checks, labels and splits "
            f"what it reads, and its NB-SVM gives probabilities, for which it is fitted on folds too; "
            f"scikit-learn's has labels alone.",
            f"scikit-learn: TfidfVectorizer with LogisticRegression; and CountVectorizer, log-count ratios and "
            f"LinearSVC, written by hand, with the arguments that textclf's configs give the same classes. fastText: "
            f"{', '.join(f'{key}={value}' for key, value in FASTTEXT.items())}, {settings.threads} threads.",
            turns_note(timings, settings),
            "Each timing is made in a new process, which imports and warms up on a few texts before; peak memory is of "
            "that whole process.",
        ],
    )
