"""Differences of two setups' F1 in each label of sets of labels, corrected for the number of labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from textclf.compare.pairs import Pair
from textclf.compare.runs import FinishedRun
from textclf.compare.setups import Setup, SharedTest
from textclf.compare.statistics import Scores, differences, fold_scores, holm, label_f1_values, scores_of_means
from textclf.documents.document import Block, Cell, Column, Details, Table
from textclf.documents.wording import MISSING, decimals, interval, p_value, signed

COLUMNS = ["first", "second", "label", "test_examples", "first_f1", "second_f1", "difference", "low", "high"]
MOST_OPEN = 12
"""Labels up to which the table stands open."""


def label_difference_data(test: SharedTest, first: Setup, second: Setup) -> pd.DataFrame:
    """Return by how much the first setup's F1 exceeds the second's in each label, as the mean over seeds.

    The test is the one of the whole metric: over seeds and test examples, or over folds.

    Columns: `first`, `second`, `label`, `test_examples` (with this label), `first_f1`, `second_f1`, `difference`,
    `low`, `high` (95 % interval of each label alone), `p_value` and `p_corrected` (by Holm over all labels). Where both
    give a label to the same examples, nothing is known of the difference's error: it has no interval, and p is 1.
    Labels that some run neither has in test nor gives have no F1 and are left out.
    """
    values = [_values(setup) for setup in (first, second)]
    found = []
    for label, name in enumerate(test.label_names):
        own = [setup[..., label] for setup in values]
        if not all(np.isfinite(setup).all() for setup in own):
            continue
        scores = _scores(own, test.partitions)
        estimate = differences(scores, 0, 1)
        low, high = (float(end[0]) for end in estimate.interval())
        gap, p = float(estimate.value[0]), float(estimate.p_values()[0])
        if len(np.unique(np.concatenate([setup.reshape(-1, len(test.labels)) for setup in own]), axis=0)) == 1:
            low, high, p = float("nan"), float("nan"), 1.0
        count = int(test.labels[:, label].sum())
        found.append((first.name, second.name, name, count, *map(float, scores.means), gap, low, high, p))
    frame = pd.DataFrame(found, columns=[*COLUMNS, "p_value"])
    return frame.assign(p_corrected=holm(frame["p_value"].to_numpy(np.float64)))


def _values(setup: Setup) -> NDArray[np.float64]:
    """Return each example's value in each label's F1, float64 (seeds, repeats, n, L)."""
    runs = [[run] for run in setup.sample] if setup.runs[0].partitions is None else setup.passes
    return np.array([[_of_run(run) for run in same] for same in runs])


def _of_run(run: FinishedRun) -> NDArray[np.float64]:
    return label_f1_values(run.labels, run.predicted)


def _scores(values: list[NDArray[np.float64]], partitions: NDArray[np.int64] | None) -> Scores:
    if partitions is None:
        return scores_of_means([setup[:, 0] for setup in values])
    return fold_scores(values, partitions)


def label_difference_blocks(frame: pd.DataFrame, pair: Pair) -> list[Block]:
    """Return the table of the labels of two setups, the largest difference first; many labels are folded away."""
    if frame.empty:
        return []
    columns = (
        Column("label"),
        Column("examples", numeric=True, hint="that have the label in test"),
        Column(f"F1 of {pair.first}", numeric=True),
        Column(f"F1 of {pair.second}", numeric=True),
        Column("difference in points", numeric=True, hint="first minus second"),
        Column("95 % interval", numeric=True, hint="of this label alone"),
        Column("p", numeric=True, hint="of all labels together, corrected by Holm"),
    )
    ordered = frame.sort_values("difference", key=lambda gaps: -gaps.abs(), kind="stable")
    rows = tuple(
        (
            Cell(str(row["label"]), strong=bool(row["p_corrected"] < 0.05)),
            Cell(f"{row['test_examples']:,}", row["test_examples"]),
            Cell(decimals(row["first_f1"]), row["first_f1"]),
            Cell(decimals(row["second_f1"]), row["second_f1"]),
            Cell(signed(row["difference"] * 100, 1), row["difference"]),
            _interval(row["low"], row["high"]),
            Cell(p_value(row["p_corrected"]), row["p_corrected"]),
        )
        for row in ordered.to_dict("records")
    )
    table = Table(
        columns, rows, f"F1 by label of {pair.first} and {pair.second}; labels in which they differ stand out"
    )
    return [table] if len(rows) <= MOST_OPEN else [Details(f"F1 of all {len(rows):,} labels", (table,))]


def _interval(low: float, high: float) -> Cell:
    return Cell(MISSING) if np.isnan(low) else Cell(interval(low * 100, high * 100, 1), low)
