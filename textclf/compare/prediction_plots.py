"""Plots of a comparison by prediction: differences of two setups by class, and the agreement of all.

Each picture is drawn from a table that says the same: `..._data` makes it, `plot_...` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from textclf.compare.plots import Mark, picture, wrapped
from textclf.compare.setups import Setup
from textclf.compare.statistics import (
    DRAWS,
    class_f1,
    confusions,
    differences,
    drawn_confusions,
    example_weights,
    scores_of_draws,
)
from textclf.documents.drawing import ON_DARK, ON_LIGHT, tell, tell_cells, tell_names
from textclf.documents.plotting import short

Floats = NDArray[np.float64]

MOST_CLASSES = 25
"""Classes in the picture of differences; of more, those with the largest."""
MOST_ANNOTATED_CLASSES = 12
MOST_SETUPS = 30
"""Setups in the picture of agreement; of more, the first."""
MOST_ANNOTATED_SETUPS = 15


def class_difference_data(first: Setup, second: Setup, draws: int = DRAWS) -> pd.DataFrame:
    """Return by how much the first setup's F1 exceeds the second's in each class, as the mean over seeds.

    Columns: `first`, `second`, `class`, `test_examples` (of this class), `first_f1`, `second_f1`, `difference`,
    `low`, `high` (95 % interval over seeds and test examples, of each class alone). Classes in which a
    seed has no F1, as none is predicted and none occurs, are left out.

    Args:
        first: A setup.
        second: Another, of the same test set.
        draws: Bootstrap draws of the test examples.
    """
    labels, names = first.runs[0].labels, first.runs[0].label_names
    by_seed = [_seed_f1(setup) for setup in (first, second)]
    drawn = _drawn_f1(first, second, draws)
    found = []
    for label, name in enumerate(names):
        own = [scores[:, label] for scores in by_seed]
        able = np.isfinite(drawn[:, :, label]).all(axis=0)
        if not all(np.isfinite(scores).all() for scores in own):
            continue
        scores = scores_of_draws(own, [setup[able, label] for setup in drawn], len(labels))
        estimate = differences(scores, 0, 1)
        ends = [float(end[0]) for end in estimate.interval()]
        count = int((labels == label).sum())
        found.append((first.name, second.name, name, count, *scores.means, float(estimate.value[0]), *ends))
    columns = ["first", "second", "class", "test_examples", "first_f1", "second_f1", "difference", "low", "high"]
    return pd.DataFrame(found, columns=columns)


def _seed_f1(setup: Setup) -> Floats:
    """Return each class's F1 for each seed, float64 (seeds, C)."""
    classes = len(setup.runs[0].label_names)
    return class_f1(np.stack([confusions(run.labels, run.predicted, classes) for run in setup.runs]))


def _drawn_f1(first: Setup, second: Setup, draws: int) -> Floats:
    """Return each class's F1, as the mean over seeds, in draws of the examples: float64 (2, draws, C)."""
    labels, classes = first.runs[0].labels, len(first.runs[0].label_names)
    drawn = np.zeros((2, draws, classes))
    done = 0
    for weights in example_weights(len(labels), draws):
        at = slice(done, done + len(weights))
        for number, setup in enumerate((first, second)):
            for run in setup.runs:  # one by one, for the sake of memory
                matrices = drawn_confusions(labels, run.predicted[None], classes, weights)
                drawn[number, at] += class_f1(matrices)[0] / len(setup.runs)
        done += len(weights)
    return drawn


def plot_class_differences(
    frame: pd.DataFrame, marks: Mapping[str, Mark], title: str, path: Path, called: str = "class", all_: str = "classes"
) -> bool:
    """Draw the differences of two setups' F1 by class or label, those in favour of the first on top.

    Args:
        frame: As of `class_difference_data`.
        marks: Each setup's colour.
        title: What stands above it.
        path: The file of the picture.
        called: What one of them is called: a class, or a label.
        all_: And several.

    Returns:
        Whether there was anything to draw.
    """
    if frame.empty:
        return False
    first, second = frame["first"].iloc[0], frame["second"].iloc[0]
    largest = frame["difference"].abs().sort_values(ascending=False, kind="stable").index[:MOST_CLASSES]
    shown = frame.loc[largest].sort_values("difference", ascending=False, kind="stable")
    if len(shown) < len(frame):
        title = f"{title} ({len(shown)} of {len(frame)} {all_}, the largest differences)"
    points, ends = shown["difference"] * 100, shown[["low", "high"]] * 100
    places = np.arange(len(shown))
    with picture(path, title, 7.2, 2.1 + 0.27 * len(shown)) as axes:
        colours = [marks[first if point >= 0 else second].colour for point in points]
        bars = axes.barh(places, points, color=colours, alpha=0.75, height=0.7)
        for bar, (_, row) in zip(bars, shown.iterrows(), strict=True):
            tell(bar, _difference_said(row), first if row["difference"] >= 0 else second)
        axes.hlines(places, ends["low"], ends["high"], color="#222222", linewidth=1.1)
        axes.axvline(0, color="#222222", linewidth=0.8)
        named = zip(shown["class"], shown["test_examples"], strict=True)
        axes.set_yticks(places, [f"{short(name)} ({count:,})" for name, count in named])
        tell_names(axes.get_yticklabels(), list(shown["class"]))
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.margins(x=0.06)
        axes.set(xlabel=f"difference of F1 in points, 95 % interval; in brackets: test examples of the {called}")
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        keys = [
            Patch(color=marks[name].colour, alpha=0.75, label=wrapped(f"{name} is better", 44))
            for name in (first, second)
        ]
        legend = axes.figure.legend(handles=keys, loc="outside lower center", ncols=2)
        for text, name in zip(legend.get_texts(), (first, second), strict=True):
            tell(text, f"{name} is better", name)
    return True


def _difference_said(row: pd.Series) -> str:
    """Return what a bar of a class's difference says."""
    said = f"{row['class']}: F1 {row['first_f1']:.3f} of {row['first']}, {row['second_f1']:.3f} of {row['second']}"
    ends = f"95 % interval {100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
    return f"{said}\n{100 * row['difference']:+.1f} points, {ends}, {row['test_examples']:,} test examples"


def confusion_difference_data(first: Setup, second: Setup) -> pd.DataFrame:
    """Return how much more often the first setup than the second predicts each class as each other.

    Columns: `first`, `second`, `true`, `predicted`, `first_share`, `second_share` (of the test examples of the
    true class, as the mean over seeds), `difference`; a true class without test examples has no shares.
    """
    names = first.runs[0].label_names
    shares = [_confusion_shares(setup).ravel() for setup in (first, second)]
    return pd.DataFrame(
        {
            "first": first.name,
            "second": second.name,
            "true": np.repeat(np.array(names, dtype=object), len(names)),
            "predicted": np.tile(np.array(names, dtype=object), len(names)),
            "first_share": shares[0],
            "second_share": shares[1],
            "difference": shares[0] - shares[1],
        }
    )


def _confusion_shares(setup: Setup) -> Floats:
    """Return the confusion matrix in shares of the true class, as the mean over seeds: float64 (C, C)."""
    classes = len(setup.runs[0].label_names)
    whole = [confusions(run.labels, run.predicted, classes) for run in setup.runs]
    mean = np.mean([matrix[:, :classes] for matrix in whole], axis=0)
    counts = whole[0].sum(axis=1, keepdims=True)  # the same for every seed
    return np.divide(mean, counts, out=np.full_like(mean, np.nan), where=counts > 0)


def plot_confusion_difference(frame: pd.DataFrame, title: str, path: Path) -> bool:
    """Draw the difference of two setups' confusion matrices: blue where the first does better, red where worse.

    It does better where it is right more often, on the diagonal, and where it takes a class for another less often.

    Returns:
        Whether there was anything to draw.
    """
    names = list(dict.fromkeys(frame["true"]))
    points = frame["difference"].to_numpy(dtype=float).reshape(len(names), len(names)) * 100
    if not np.isfinite(points).any():
        return False
    reach = max(float(np.nanmax(np.abs(points))), 1.0)
    size = min(3.2 + 0.5 * len(names), 12)
    with picture(path, title, size + 1.4, size + 0.4, matrix=True) as axes:
        better = np.where(np.eye(len(names), dtype=bool), points, -points)
        image = axes.imshow(better, cmap="RdBu", vmin=-reach, vmax=reach)
        tell_cells(image, lambda row, column: _shares_said(frame.iloc[row * len(names) + column]))
        axes.grid(False)
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="the first is worse, or better, by so many points")
        axes.set(xlabel="predicted", ylabel="true")
        step = 1 + (len(names) - 1) // 40
        ticks, shown = range(0, len(names), step), [short(name, 20) for name in names[::step]]
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(ticks, shown, **(slanted if 0.09 * max(map(len, shown)) * len(shown) > size - 1.2 else {}))
        axes.set_yticks(ticks, shown)
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            tell_names(labels, names[::step])
        if len(names) <= MOST_ANNOTATED_CLASSES:
            _annotate(axes, points, np.abs(points) > 0.6 * reach, "+.1f")
    return True


def _shares_said(row: pd.Series) -> str:
    """Return what a cell of the difference of two confusion matrices says."""
    return (
        f"{row['true']} predicted as {row['predicted']}: {row['first_share']:.1%} by {row['first']}, "
        f"{row['second_share']:.1%} by {row['second']}"
    )


def agreement_data(setups: Sequence[Setup]) -> pd.DataFrame:
    """Return on what share of the test examples each two setups predict the same, as the mean over pairs of seeds.

    Columns: `first`, `second`, `agreement`. A setup's agreement with itself is that of its different seeds;
    with one seed it has none (nan).

    Args:
        setups: Setups of one test set, in the order wanted.
    """
    num_examples = len(setups[0].runs[0].labels)
    counts = np.array([len(setup.runs) for setup in setups])
    found = np.zeros((len(setups), len(setups)))
    predicted, answers = _answers(setups)
    for label in range(answers):
        # How many seeds of each setup predict this class, float64 (setups, n).
        votes = np.stack([(own == label).sum(axis=0, dtype=np.float64) for own in predicted])
        found += votes @ votes.T
    pairs = np.outer(counts, counts).astype(np.float64)
    itself = np.diag_indices(len(setups))
    found[itself] -= counts * num_examples  # each seed agrees with itself, which is no pair
    pairs[itself] -= counts
    shares = np.divide(found, pairs * num_examples, out=np.full_like(found, np.nan), where=pairs > 0)
    names = np.array([setup.name for setup in setups], dtype=object)
    return pd.DataFrame(
        {
            "first": np.repeat(names, len(names)),
            "second": np.tile(names, len(names)),
            "agreement": shares.ravel(),
        }
    )


def _answers(setups: Sequence[Setup]) -> tuple[list[NDArray[np.int64]], int]:
    """Return each setup's answers by number, int64 (seeds, n), and how many there are: classes, or different sets."""
    predicted = [setup.predicted for setup in setups]
    if not setups[0].runs[0].has_sets:
        return predicted, len(setups[0].runs[0].label_names)
    rows = np.concatenate([own.reshape(-1, own.shape[-1]) for own in predicted])
    different, numbers = np.unique(np.packbits(rows, axis=1), axis=0, return_inverse=True)
    ends = np.cumsum([own.shape[0] * own.shape[1] for own in predicted])[:-1]
    parts = np.split(numbers.reshape(-1), ends)
    return [part.reshape(own.shape[:2]) for part, own in zip(parts, predicted, strict=True)], len(different)


def plot_agreement(frame: pd.DataFrame, title: str, path: Path) -> bool:
    """Draw how far setups agree, as a matrix.

    Returns:
        Whether there was anything to draw: it takes two setups.
    """
    names = list(dict.fromkeys(frame["first"]))
    if len(names) < 2:
        return False
    shares = frame["agreement"].to_numpy(dtype=float).reshape(len(names), len(names))[:MOST_SETUPS, :MOST_SETUPS]
    shown = names[:MOST_SETUPS]
    if len(shown) < len(names):
        title = f"{title} ({len(shown)} of {len(names)} setups)"
    size = min(2.2 + 0.36 * len(shown), 10.5)
    labels = [f"{wrapped(name, 44)}  {number}" for number, name in enumerate(shown, 1)]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    lowest = np.floor(np.nanmin(shares) * 10) / 10
    with picture(path, title, size + 1.6 + 0.085 * longest, size + 0.4, matrix=True) as axes:
        image = axes.imshow(shares * 100, cmap="Blues", vmin=100 * min(lowest, 0.9), vmax=100)
        tell_cells(image, lambda row, column: _agreement_said(shown[row], shown[column], shares[row, column]))
        axes.grid(False)
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="same prediction, % of test examples")
        axes.set_yticks(range(len(shown)), labels)
        axes.set_xticks(range(len(shown)), [str(number) for number in range(1, len(shown) + 1)])
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            tell_names(ticks, shown)
        if len(shown) <= MOST_ANNOTATED_SETUPS:
            dark = shares > (min(lowest, 0.9) + 1) / 2 + 0.05
            _annotate(axes, shares * 100, dark, ".0f")
    return True


def _agreement_said(first: str, second: str, share: float) -> str:
    """Return what a cell of the agreement says."""
    who = f"seeds of {first}" if first == second else f"{first} and {second}"
    return f"{who}: the same on {share:.1%} of the test examples" if np.isfinite(share) else f"{who}: one seed"


def _annotate(axes: Axes, values: Floats, dark: NDArray[np.bool_], form: str) -> None:
    """Write each value into its cell, white where the cell is dark."""
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{value:{form}}".replace("-", "−") if abs(value) >= 0.05 else "0"
            colour = ON_DARK if dark[row, column] else ON_LIGHT
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
