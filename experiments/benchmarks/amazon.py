"""Table `amazon`: the classical models on as many rows as Amazon's reviews have, in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from experiments.benchmarks.classical import WITHOUT_FASTTEXT, write_small
from experiments.benchmarks.classical_ways import (
    FASTTEXT_WAY,
    STREAMED,
    Files,
    ours_name,
    peer_name,
    works,
    write_split,
)
from experiments.benchmarks.memory import Measured, in_own_process
from experiments.benchmarks.page import Result, Settings, draw_bars, progress, table
from experiments.benchmarks.texts import VALIDATED, generated_chunks
from textclf.documents.document import Block, Paragraph

WORDS = 78
"""Mean words of a review of Amazon's (fancyzhx/amazon_polarity)."""
TEST_SHARE = 9
"""Training examples for each test example: 3.6 million and 400,000."""
MEMORY_SHARE = 0.85
"""Share of the machine's memory at which a process is stopped."""


def measure(settings: Settings) -> Result:
    """Generate the rows, then read, fit and score them once in each way, in a process of its own."""
    limit = MEMORY_SHARE * psutil.virtual_memory().total
    ours = [ours_name(model) for model in (STREAMED, "nb_svm", "tfidf_logreg")]
    named = [*ours, FASTTEXT_WAY, peer_name("tfidf_logreg")]
    measured: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        progress(f"writing {settings.rows:,} rows")
        files = Files(Path(folder))
        sizes = {"train": settings.rows, "validation": VALIDATED, "test": max(2, settings.rows // TEST_SHARE)}
        for number, (split, rows) in enumerate(sizes.items()):
            write_split(files, split, generated_chunks(rows, WORDS, seed=number))
        write_small(files.folder)
        size = files.train.stat().st_size
        for name in named:
            if name not in works(settings.threads):
                continue
            progress(f"{name}: begins")
            found = in_own_process("classical_ways", "fit_in_folder", name, folder, settings.threads, limit_bytes=limit)
            progress(f"{name}: {found.seconds:.0f} s, {found.text()} GB")
            measured[name] = found
    return page(settings, measured, sizes, size, limit)


def page(
    settings: Settings, measured: Mapping[str, Measured], sizes: Mapping[str, int], size: int, limit: float
) -> Result:
    """Return the table of what was measured."""
    base = measured.get(FASTTEXT_WAY)
    rows, bars = [], {}
    for name, found in measured.items():
        done = not found.stopped
        rows.append(
            [
                name,
                f"{found.seconds:,.0f}" if done else f"stopped after {found.seconds:,.0f}",
                f"{found.seconds / base.seconds:.2f}" if done and base else "–",
                f"{found.given['accuracy']:.4f}" if done else "–",
                found.text(),
            ]
        )
        if done:
            bars[name] = (found.seconds,) * 3
    blocks: list[Block] = [table(("way", "seconds", "times fastText's seconds", "accuracy", "peak memory, GB"), rows)]
    if base is None:
        blocks.append(Paragraph(WITHOUT_FASTTEXT))
    content = {
        "examples": dict(sizes),
        "train_file_bytes": size,
        "memory_limit_bytes": limit,
        "ways": {name: {key: getattr(found, key) for key in ("seconds", "peak_bytes", "stopped", "given")}
                 for name, found in measured.items()},
    }  # fmt: skip
    return Result(
        "amazon",
        f"Classical models: {sizes['train']:,} rows",
        blocks,
        content,
        (lambda path: draw_bars(path, "seconds on the clock", bars)) if bars else None,
        "Bars: the seconds in which each way reads, fits and scores",
        [
            f"{sizes['train']:,} generated texts to train on and {sizes['test']:,} to test on, {WORDS} words in the "
            f"mean as Amazon's reviews have, of a made-up language whose words are as unequally frequent as those of a "
            f"real one. How many rows and how long they are is what matters here; accuracies are of this language.",
            f"Every way runs once, in a process of its own: seconds are on the clock, from the start of the process to "
            f"its end, imports included; peak memory is of the whole process. One that took more than "
            f"{limit / 1e9:.0f} GB would have been stopped. What each way reads is as in the table classical.",
        ],
    )
