"""What a table leaves behind: all numbers as JSON, a page in Markdown, and a picture."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.benchmarks.rounds import Timing, Timings, slow_periods
from textclf.documents.document import Block, Code, Column, Heading, Paragraph, Picture, Table, to_markdown
from textclf.documents.plotting import figure
from textclf.system.environment import environment
from textclf.system.files import write_json, write_text

RESULTS = Path(__file__).parents[1] / "results" / "speed"
VERSIONS = ("python", "torch", "transformers", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    rows: int
    """Examples that are trained on, or the most of a curve."""
    rounds: int
    seeds: tuple[int, ...]
    """The seed of each round; rounds beyond the last begin again with the first."""
    threads: int
    dataset: str = "ag_news"
    """What fine-tuning and prediction are measured on."""
    output: Path = RESULTS
    long: bool = False
    """Whether this is the long form, which is written beside the short one."""
    processor_time: bool = False
    """Take ratios from the time of the processor rather than from the clock, on a machine that others use too."""
    command: str = ""
    """What a person types to measure again."""

    @property
    def round_seeds(self) -> list[int]:
        """The seed of each round."""
        return [self.seeds[number % len(self.seeds)] for number in range(self.rounds)]

    @property
    def clock(self) -> str:
        """What ratios are taken from, in words."""
        return "the time of the processor" if self.processor_time else "the clock"


@dataclass(frozen=True)
class Result:
    """A measured table."""

    name: str
    """Name of its files."""
    title: str
    blocks: Sequence[Block]
    content: Mapping[str, Any]
    """All numbers behind it."""
    draw: Callable[[Path], None] | None = None
    """Draws the picture into a file."""
    alt: str = ""
    """What the picture shows."""
    notes: Sequence[str] = field(default_factory=tuple)
    """How it was measured, a paragraph each."""


def command_of(arguments: Sequence[str]) -> str:
    """Return what was typed, of absolute paths only the last part."""
    words = [Path(word).name if os.path.isabs(word) else word for word in arguments]
    return shlex.join(["python", "-m", "experiments.benchmarks", *words])


def write_result(result: Result, settings: Settings) -> Path:
    """Write JSON, picture and page of a table, whole or not at all, and return the page."""
    folder = settings.output
    folder.mkdir(parents=True, exist_ok=True)
    of_data = "" if settings.dataset == "ag_news" else f"_{settings.dataset.rpartition('/')[2]}"
    name = f"{result.name}{of_data}{'_long' * settings.long}"
    made = environment()
    blocks: list[Block] = [Heading(1, result.title), Code(settings.command), Paragraph(_machine(made, settings))]
    blocks += result.blocks
    if result.draw is not None:
        picture = folder / f"{name}.png"
        unfinished = folder / f".{name}.{os.getpid()}.png"
        result.draw(unfinished)
        unfinished.replace(picture)
        blocks.append(Picture(picture, "", result.alt))
    blocks += [Heading(2, "How it was measured"), *(Paragraph(note) for note in result.notes)]
    content = {
        "table": result.name,
        "command": settings.command,
        "rows": settings.rows,
        "rounds": settings.rounds,
        "seeds": list(settings.seeds),
        "threads": settings.threads,
        "ratios_from": settings.clock,
        "environment": made,
        **result.content,
    }
    write_json(folder / f"{name}.json", content)
    page = folder / f"{name}.md"
    write_text(page, to_markdown(blocks, folder))
    return page


def _machine(made: Mapping[str, str], settings: Settings) -> str:
    """Return on what it was measured."""
    versions = ", ".join(f"{name} {made[name]}" for name in VERSIONS)
    commit = f", textclf at {made['git_commit']}" if "git_commit" in made else ""
    threads = f"{settings.threads} thread{'s' * (settings.threads != 1)}"
    return f"On {made['machine']} with {threads}; {versions}{commit}."


def turns_note(timings: Timings, settings: Settings) -> str:
    """Return how the rounds went, and how the machine behaved beside them."""
    slow, of, probe = slow_periods(timings)
    return (
        f"All ways took turns in one process tree, {settings.rounds} rounds, every other one in the reverse order. A "
        f"ratio is taken within a round, from {settings.clock}, and given as the median (smallest–largest). A "
        f"matrix product beside each timing ran at {probe.median / 1e9:,.0f} GFLOP/s "
        f"({probe.low / 1e9:,.0f}–{probe.high / 1e9:,.0f}); {slow} of {of} timings fell into a slow period of the "
        f"machine, below 0.8 of the median."
    )


def plain_timings(timings: Timings) -> dict[str, list[dict[str, Any]]]:
    """Return timings as plain values, without facts on single examples."""
    return {name: [_plain(timing) for timing in own] for name, own in timings.items()}


def _plain(timing: Timing) -> dict[str, Any]:
    facts = {key: value for key, value in timing.facts.items() if isinstance(value, (int, float, str))}
    return {key: value for key, value in asdict(timing).items() if key != "facts"} | facts


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Table:
    """Return a table whose first column names its rows and whose others are numbers."""
    columns = tuple(Column(title, numeric=number > 0) for number, title in enumerate(titles))
    return Table(columns, tuple(tuple(row) for row in rows), caption)


def draw_bars(path: Path, label: str, bars: Mapping[str, tuple[float, float, float]]) -> None:
    """Draw a bar for each way, with its range; textclf's own stand out.

    Args:
        path: The PNG to write.
        label: What the bars' length is.
        bars: Median, smallest and largest by name, from the top.
    """
    with figure(path, 6.4, 0.9 + 0.42 * len(bars)) as axes:
        places = range(len(bars))[::-1]
        medians = [median for median, _, _ in bars.values()]
        reach = [[m - low for m, low, _ in bars.values()], [high - m for m, _, high in bars.values()]]
        colours = ["#0072B2" if name.startswith("textclf") else "#999999" for name in bars]
        axes.barh(places, medians, xerr=reach, color=colours, height=0.62, error_kw={"linewidth": 1, "capsize": 2})
        axes.set_yticks(list(places), list(bars))
        axes.set_xlabel(label)
        axes.grid(axis="y", visible=False)
        most = max(high for _, _, high in bars.values())
        for place, (median, _, high) in zip(places, bars.values(), strict=True):
            said = f"{median:,.0f}" if median >= 100 else f"{median:,.3g}"
            axes.annotate(said, (high, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
        axes.set_xlim(0, 1.14 * most)


def progress(line: str) -> None:
    """Say how far it is, on stderr."""
    print(line, file=sys.stderr, flush=True)
