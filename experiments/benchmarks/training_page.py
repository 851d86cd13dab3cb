"""The page of table `training`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.benchmarks.arithmetic import Shape
from experiments.benchmarks.memory import Measured
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, table, turns_note
from experiments.benchmarks.peers import BATCH, LEARNING_RATE, LONGEST
from experiments.benchmarks.rounds import Gap, Timings, accuracy_gap, rates, times_as_fast
from experiments.benchmarks.texts import TITLES, VALIDATED
from textclf.documents.document import Block, Paragraph

OURS = "textclf, trainer=torch"
OURS_HF = "textclf, trainer=hf"
SCRIPT = "HF Trainer, as its example script"
BEST = "HF Trainer, best settings, "
"""What the names of the Trainer's best settings begin with; the attention follows."""
MEMORY_STEPS = 2
"""The second step has the optimizer's state and the gradients at once, so a third takes no more."""


@dataclass(frozen=True)
class Measurements:
    """What was measured."""

    timings: Timings
    memory: Mapping[str, Measured]
    """Peaks of each way in a process of its own."""
    ceilings: Mapping[str, float]
    """FLOP/s of matrix products alone, by arithmetic."""
    examples: int
    """Examples of a round."""
    flops_per_example: float
    mean_length: float
    """Tokens of a text."""
    shape: Shape
    texts: str
    """Where they are from."""
    peers: Mapping[str, str]
    """The settings of each peer, in words."""


def best_peer(timings: Timings, processor_time: bool) -> str:
    """Return which of the Trainer's best settings is fastest here."""
    names = [name for name in timings if name.startswith(BEST)]
    return max(names, key=lambda name: rates(timings, name, 1, processor_time).median)


def gaps(timings: Timings, others: Sequence[str]) -> dict[str, dict[str, Gap]]:
    """Return how much more accurate each of our ways is than each of the others."""
    right = {name: [timing.facts["right"] for timing in own] for name, own in timings.items()}
    return {
        own: {other: accuracy_gap(right[own], right[other]) for other in others}
        for own in (OURS, OURS_HF)
        if own in right
    }


def training_page(settings: Settings, measured: Measurements) -> Result:
    """Return the table of what was measured."""
    timings, memory, ceilings = measured.timings, measured.memory, measured.ceilings
    examples = measured.examples
    clock = settings.processor_time
    best = best_peer(timings, clock)
    top = max(ceilings, key=lambda name: ceilings[name])
    rows, bars = [], {}
    for name, own in timings.items():
        rate = rates(timings, name, examples, clock)
        loop = float(np.median([examples / timing.facts["loop_seconds"] for timing in own]))
        share = measured.flops_per_example * rate.median / ceilings[top]
        accuracy = [timing.facts["accuracy"] for timing in own]
        rows.append(
            [
                name,
                f"{rate.median:.1f}",
                times_as_fast(timings, name, SCRIPT, clock).text(),
                times_as_fast(timings, name, best, clock).text(),
                f"{loop:.1f}",
                f"{100 * share:.0f} %",
                f"{np.mean(accuracy):.4f}",
            ]
        )
        bars[name] = (rate.median, rate.low, rate.high)
    compared = gaps(timings, (SCRIPT, best))
    titles = ("way", "examples/s", "× the example script", "× the best settings", "loop alone, examples/s",
              f"of the {top} ceiling", "accuracy")  # fmt: skip
    blocks: list[Block] = [
        table(titles, rows),
        table(
            ("accuracy in points, difference (95 % interval)", "to the example script", "to the best settings"),
            [[own, *(gap.text() for gap in found.values())] for own, found in compared.items()],
        ),
        table(
            ("peak memory, DistilBERT's size, batches of 32 × 128", "GB", "share of the Trainer's"),
            [
                [name, found.text(), f"{found.peak_bytes / memory[SCRIPT].peak_bytes:.2f}"]
                for name, found in memory.items()
            ],
        ),
    ]
    if not settings.long:
        blocks.insert(2, Paragraph(_few(examples, settings)))
    notes = _notes(settings, measured)
    content = {
        "timings": plain_timings(timings),
        "examples": examples,
        "best_settings": best,
        "flops_per_example": measured.flops_per_example,
        "ceilings_flops": dict(ceilings),
        "accuracy_gaps_points": {
            own: {other: vars(gap) | {"no_loss_beyond_0.3": gap.shows_no_loss} for other, gap in found.items()}
            for own, found in compared.items()
        },
        "peak_bytes": {name: found.peak_bytes for name, found in memory.items()},
    }
    return Result(
        "training",
        f"Training: MiniLM on {TITLES[settings.dataset]}",
        blocks,
        content,
        lambda path: draw_bars(path, f"examples a second, by {settings.clock}", bars),
        "Bars: how many examples a second each way trains on",
        notes,
    )


def _few(examples: int, settings: Settings) -> str:
    """Return what accuracies after so short a training say."""
    known = settings.output / "training_long.md"
    where = f"{known.name} has it over more examples" if known.is_file() else "make bench-long compares it over more"
    return (
        f"{examples:,} examples in one epoch are few to train on: these accuracies compare the ways, are far from what "
        f"MiniLM reaches, and have wide intervals; {where}."
    )


def _notes(settings: Settings, measured: Measurements) -> list[str]:
    """Return how it was measured."""
    shape = measured.shape
    peers = "; ".join(f"{name}: {said}" for name, said in measured.peers.items())
    ceilings = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in measured.ceilings.items())
    return [
        f"{measured.texts} Every way goes from texts in memory and a checkpoint on disk to trained weights: it loads "
        f"model and tokenizer, tokenises, and trains one epoch in batches of {BATCH}, at most {LONGEST} tokens, "
        f"learning rate {LEARNING_RATE:g}, weight decay 0.01, warm-up 0.06, gradients clipped to 1. Tokenising counts "
        f"for all. textclf also scores {VALIDATED} validation examples. The loop alone is what each engine says of "
        f"itself, on the clock.",
        f"The Trainer's settings: {peers}. The fastest of its best counts. It sorts by length within "
        f"parts of the examples, at least four of them, so it gains by more examples. textclf: its defaults.",
        turns_note(measured.timings, settings),
        f"The ceiling is torch.mm at 2,048 tokens and the shapes of this model's layers ({shape.layers} layers, "
        f"{shape.hidden} hidden, {shape.intermediate} intermediate), forward and backward: {ceilings}. The work is "
        f"counted from the real lengths (mean {measured.mean_length:.0f} tokens, no padding): "
        f"{measured.flops_per_example / 1e9:.2f} GFLOP an example, three forward passes. bf16 is measured where the "
        f"processor has units for it.",
        f"All trained models are scored by the same code on the same test examples, one seed a round "
        f"({', '.join(map(str, settings.round_seeds))}). The interval allows for seeds and test examples, by the "
        f"two-way test of textclf.compare.",
        f"Peak memory: the whole process, {MEMORY_STEPS} steps on texts of 128 tokens, random weights.",
    ]
