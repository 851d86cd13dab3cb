"""Draws the pictures of an audit: classes of each split, lengths and what is cut."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textclf.audit.audit import Audit
from textclf.data.dataset import SPLITS
from textclf.documents.document import Picture
from textclf.documents.plotting import figure, short
from textclf.documents.wording import rounded_percent

MOST_CLASSES = 30
"""Classes that are drawn; of more, the largest and the smallest half each."""
BINS = 60
"""Most bars of a histogram."""
STEPS = [factor * 10**power for power in range(12) for factor in (1, 2, 5)]
"""Widths of a histogram's bars."""
TAIL = 99.5
"""Percentile at which the axis of lengths ends."""
ROOM = 1.6
"""How far right of the tail the cut may lie to be drawn."""


def draw(audit: Audit, folder: Path) -> dict[str, Picture]:
    """Draw all pictures of an audit into a folder, and return them by what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"classes": _draw_classes(audit, folder / "classes.png")}
    tokens = audit.lengths.tokens
    if tokens is not None:
        pictures["tokens"] = _draw_lengths(
            audit, tokens.lengths, audit.corpus.split_of[tokens.rows], "tokens", audit.lengths.max_length, folder
        )
    pictures["words"] = _draw_lengths(audit, audit.lengths.words, audit.corpus.split_of, "words", None, folder)
    return pictures


def _draw_classes(audit: Audit, path: Path) -> Picture:
    """Draw each class's share of each split."""
    counts, names = audit.class_counts, audit.data.label_names
    order = np.arange(len(names))
    said = ""
    if len(names) > MOST_CLASSES:
        by_size = np.argsort(-counts[:, 0], kind="stable")
        half = MOST_CLASSES // 2
        order = np.concatenate([by_size[:half], by_size[-half:]])
        said = f" The {half} largest and the {half} smallest of {len(names)} classes are shown."
    elif len(names) > 6:
        order = np.argsort(-counts[:, 0], kind="stable")
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    height = 0.26
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font has not
        with figure(path, 7.0, 1.5 + max(0.34 * len(order), 0.55 * min(len(order), 6))) as axes:
            places = np.arange(len(order))
            for i, split in enumerate(SPLITS):
                size = int(counts[:, i].sum())
                axes.barh(places + (i - 1) * height, shares[order, i], height, label=f"{split} ({size:,})")
            axes.set_yticks(places, [f"{short(names[label], 30)}" for label in order])
            axes.set_ylim(len(order) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
            axes.set(title=f"Classes of {short(audit.data.name, 50)}", xlabel="share of the split")
            drawing = axes.get_figure(root=True)
            assert drawing is not None
            drawing.legend(loc="outside lower center", ncols=3)
    return Picture(path, f"Share of each class in each split.{said}", f"Classes of {audit.data.name} by split")


def _draw_lengths(
    audit: Audit, lengths: NDArray[np.int64], split_of: NDArray[np.int64], unit: str, limit: int | None, folder: Path
) -> Picture:
    """Draw a histogram of lengths, one line a split, with the place where texts are cut."""
    path = folder / f"{unit}.png"
    end = max(float(np.percentile(lengths, TAIL)), 5.0)
    shown = limit is not None and limit <= ROOM * end
    right = max(end, 1.08 * limit) if shown and limit is not None else end
    beyond = float((lengths > right).mean())
    step = next(step for step in STEPS if step * BINS >= right)
    edges = np.arange(0, right + step, step) - 0.5
    with figure(path, 7.0, 3.9) as axes:
        for i, split in enumerate(SPLITS):
            own = lengths[split_of == i]
            heights = np.histogram(own, edges)[0] / max(len(own), 1)
            axes.stairs(heights, edges, linewidth=1.6, label=split, fill=False)
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        long = float((lengths > limit).mean()) if limit is not None else 0.0
        if shown and limit is not None:
            axes.axvline(limit, color="black", linewidth=1.2, linestyle="--", label=f"cut at {limit:,} tokens")
            axes.axvspan(limit, edges[-1], color="#000000", alpha=0.06, linewidth=0)
        width = f" (bars of {step:,})" if step > 1 else ""
        axes.set(title=f"Length of the texts in {unit}", xlabel=f"{unit} of a text{width}", ylabel="share of the split")
        axes.legend()
    caption = f"Texts by length in {unit}."
    if limit is not None:
        caption += f" {rounded_percent(long)} are longer than the {limit:,} tokens that the model reads."
    if beyond:
        caption += f" The longest {rounded_percent(beyond)} lie beyond the right edge (up to {int(lengths.max()):,})."
    return Picture(path, caption, f"Histogram of lengths in {unit}")
