"""Table `scaling`: what more rows, longer texts and more classes cost, with the exponent of each curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.page import Result, Settings, plain_timings, progress, table, turns_note
from experiments.benchmarks.rounds import Spread, Timings, Way, alternate, exponent, spread
from experiments.benchmarks.texts import generated_data
from textclf.compare.plots import COUNT, SECONDS, plain_ticks
from textclf.data.dataset import TextData
from textclf.documents.plotting import STYLE
from textclf.experiment.cli import compose_experiment
from textclf.training.fit import fit
from textclf.training.result import FitResult, RunContext

CLASSICAL, HASHED, TRANSFORMER = "tfidf_logreg", "hashed_logreg", "minilm"
ROWS, TOKENS, CLASSES = "rows", "length", "classes"
AXES = {ROWS: "examples", TOKENS: "words or tokens of a text", CLASSES: "classes"}
WORDS = 40
"""Mean words of a generated text where rows are varied."""
FEW_WORDS = 8
"""Where classes are varied: logistic regression keeps a weight for each pair of words and class."""


@dataclass(frozen=True)
class Curve:
    """One model's cost against one size."""

    axis: str
    model: str
    sizes: tuple[int, ...]
    data: Callable[[int], TextData]
    """Gives the data of a size."""
    overrides: Callable[[int], Sequence[str]] = field(default=lambda size: ())
    """Gives what the config of a size has beside the defaults."""

    def way(self, size: int) -> str:
        """Return the name of the point at a size."""
        return f"{self.model}, {self.axis} {size:,}"

    def rounds(self, timings: Timings) -> NDArray[np.float64]:
        """Return the seconds at each size in each round, (rounds, sizes)."""
        taken = [[timing.facts["fit_seconds"] for timing in timings[self.way(size)]] for size in self.sizes]
        return np.array(taken).T

    def seconds(self, timings: Timings) -> list[float]:
        """Return the median seconds at each size."""
        return np.median(self.rounds(timings), axis=0).tolist()

    def exponents(self, timings: Timings, last: int = 0) -> Spread:
        """Return the exponents of the rounds, of the `last` sizes alone where a number is given."""
        rounds = self.rounds(timings)[:, -last:]
        return spread([exponent(self.sizes[-last:], one) for one in rounds])


def sizes_up_to(least: int, most: int, factor: int) -> tuple[int, ...]:
    """Return sizes from least to most, each `factor` times the one before, and two at least."""
    sizes = [least]
    while len(sizes) < 2 or sizes[-1] * factor <= most:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


def curves(rows: int, long: bool) -> list[Curve]:
    """Return what is measured.

    Args:
        rows: The most examples of the classical model; everything else is smaller in proportion.
        long: Whether the curves go to their ends: 4,096 examples of the transformer.
    """
    classical = max(40, min(rows // 8, 2000))  # examples where rows are not varied
    transformer = max(4, min(rows // 250, 64))
    lengths = sizes_up_to(32, 512, 2 if long else 4)
    classes = (2, *(count for count in (20, 150, 1000) if count <= max(rows // 16, 20)))
    fits = (min(1000, max(20, rows // 16)), min(256, max(4, rows // 500)))  # the smallest numbers of examples

    def of_rows(size: int) -> TextData:
        return generated_data(size, 2, 2, WORDS)

    def of_length(examples: int, size: int) -> TextData:
        return generated_data(examples, 2, 2, size, exact=True)

    def of_classes(examples: int, size: int) -> TextData:
        return generated_data(max(examples, size), size, size, FEW_WORDS)

    def longest(size: int) -> list[str]:
        return [f"model.max_length={size}"]

    return [
        Curve(ROWS, CLASSICAL, sizes_up_to(fits[0], rows, 4), of_rows),
        Curve(ROWS, HASHED, sizes_up_to(fits[0], rows, 4), of_rows),
        Curve(ROWS, TRANSFORMER, sizes_up_to(fits[1], 4096 if long else 8 * fits[1], 2), of_rows),
        Curve(TOKENS, CLASSICAL, lengths, partial(of_length, classical)),
        Curve(TOKENS, TRANSFORMER, lengths, partial(of_length, transformer // 2), longest),
        Curve(CLASSES, CLASSICAL, classes, partial(of_classes, max(classical, 16 * classes[-1]))),
        Curve(CLASSES, TRANSFORMER, classes, partial(of_classes, max(transformer, classes[-1]))),
    ]


def fit_curve(curve: Curve, size: int, data: TextData) -> FitResult:
    """Fit a model of textclf's at one size."""
    given = (f"model={curve.model}", "trainer.epochs=1", "trainer.batch_size=32", *curve.overrides(size))
    experiment = compose_experiment(*given)
    return fit(experiment.model, data, experiment.trainer, RunContext(1))[1]


def ways(measured: Sequence[Curve]) -> list[Way]:
    """Return each point of each curve as something to time."""

    def way(curve: Curve, size: int) -> Way:
        return Way(
            curve.way(size),
            lambda data: fit_curve(curve, size, data),
            prepare=lambda seed: curve.data(size),
            judge=lambda done: {"fit_seconds": done.train_seconds},
        )

    return [way(curve, size) for curve in measured for size in curve.sizes]


def measure(settings: Settings) -> Result:
    """Fit at every size, in turns."""
    measured = curves(settings.rows, settings.long)
    for curve in measured[
        : len({one.model for one in measured})
    ]:  # what is done once in a process is no part of a curve
        fit_curve(curve, curve.sizes[0], curve.data(curve.sizes[0]))
    return page(settings, alternate(ways(measured), settings.round_seeds, Probe(), progress), measured)


def page(settings: Settings, timings: Timings, measured: Sequence[Curve]) -> Result:
    """Return the table of what was measured."""
    rows, exponents = [], {}
    for curve in measured:
        seconds = curve.seconds(timings)
        whole, last = curve.exponents(timings), curve.exponents(timings, last=2)
        exponents[f"{curve.model}, {curve.axis}"] = {"exponent": asdict(whole), "of_last_step": asdict(last)}
        ends = [f"{size:,}: {taken:,.2f} s" for size, taken in zip(curve.sizes, seconds, strict=True)]
        rows.append([f"{curve.model}, {curve.axis}", ends[0], ends[-1], whole.text(), last.text()])
    content = {
        "timings": plain_timings(timings),
        "curves": {
            f"{curve.model}, {curve.axis}": {"sizes": list(curve.sizes), "seconds": curve.seconds(timings)}
            for curve in measured
        },
        "exponents": exponents,
    }
    by_rows, by_length, by_classes = ([c for c in measured if c.axis == axis] for axis in AXES)
    return Result(
        "scaling",
        "Scaling: rows, lengths, classes",
        [table(("curve", "from", "to", "exponent", "of the last step"), rows)],
        content,
        lambda path: draw(path, timings, {ROWS: by_rows, TOKENS: by_length, CLASSES: by_classes}),
        "Lines on logarithmic axes: seconds against examples, length and classes, of the models",
        [
            "An exponent of 1 is cost in proportion, 2 four times the cost for twice the size; it is the slope of the "
            "line of least squares through the logarithms, and of the last step that between the two largest sizes, "
            "where what is done once weighs least; both are the median of the rounds (smallest–largest). Seconds are "
            "of vectorising and fitting, of a transformer those of the training loop, on the clock; textclf's "
            "defaults, batches of 32.",
            f"Texts are generated: a made-up language whose words are as unequally frequent as a real one's. Rows: "
            f"{WORDS} words in the mean. Length: every text has so many words, and max_length is as many tokens. "
            f"Classes: texts of {FEW_WORDS} words, the number of examples the same at every size.",
            turns_note(timings, settings),
        ],
    )


def draw(path: Path, timings: Timings, panels: Mapping[str, Sequence[Curve]]) -> None:
    """Draw seconds against each size on logarithmic axes, with the exponents."""
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=(8.4, 3.6), layout="constrained"))
        plots = canvas.figure.subplots(1, len(panels), sharey=True)
        for axes, (axis, shown) in zip(plots, panels.items(), strict=True):
            for curve, marker in zip(shown, ("o", "s", "^"), strict=False):
                slope = curve.exponents(timings).median
                label = f"{curve.model}: {slope:.2f}"
                axes.loglog(curve.sizes, curve.seconds(timings), marker=marker, markersize=5, label=label)
            sizes = np.array([size for curve in shown for size in curve.sizes], dtype=float)
            ticks = plain_ticks(sizes.min() / 1.01, sizes.max() * 1.01, COUNT)
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.set_xlabel(AXES[axis])
            axes.minorticks_off()
            axes.legend(title="exponent", alignment="left", loc="lower center", bbox_to_anchor=(0.5, 1.0))
        low, high = plots[0].get_ylim()
        ticks = plain_ticks(low, high, SECONDS)
        plots[0].set_yticks(list(ticks), list(ticks.values()))
        plots[0].minorticks_off()
        canvas.figure.savefig(path, dpi=130)
