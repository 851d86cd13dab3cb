"""Tables of a comparison: scores, costs, pairs, languages, and what it would take to tell pairs apart."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from textclf.compare.comparison import Comparison
from textclf.compare.options import Claim
from textclf.compare.outlook import Outlook
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.scores import accuracy_levels
from textclf.compare.setups import Setup
from textclf.compare.summary import PRICE, SetupRow, pareto_front
from textclf.compare.verdicts import format_difference, format_interval
from textclf.documents.document import Cell, Column, Link, Table
from textclf.documents.wording import (
    MISSING,
    decimals,
    in_milliseconds,
    in_seconds,
    interval,
    megabytes,
    money,
    p_value,
    percent,
    ratio_percent,
    signed,
    spread,
    thousands,
    times,
)
from textclf.evaluation.metric_names import METRICS, higher_is_better, is_in_points, metric_label
from textclf.tracking.record import PAGE_FILE, currency_of

WEIGHTS, TRAINED = "num_parameters", "num_trainable_parameters"
MOST_PAIRS = 100
"""Pairs in the report; the others are in `pairs.csv`."""
SHOWN = ("accuracy", "macro_f1", "micro_f1", "subset_accuracy", "hamming_loss", "log_loss", "roc_auc")
"""Metrics in the table of setups, after the one that verdicts are about."""


def outlook_table(outlooks: Sequence[Outlook]) -> Table:
    """Return what it would take to tell several pairs apart."""
    columns = (
        Column("first"),
        Column("second"),
        Column("seen", numeric=True, hint="the difference, first minus second"),
        Column("takes", hint="to show as small a difference 8 times in 10"),
        Column("at most", numeric=True, hint="the far end of the 95 % interval of the difference"),
        Column("takes ", hint="to show as large a one"),
        Column(
            "folds show", numeric=True, hint="what 5 folds drawn 3 times of all labelled examples would show, about"
        ),
    )
    rows = []
    for one in outlooks:
        metric = one.pair.metric
        rows.append(
            (
                one.pair.first,
                one.pair.second,
                Cell(format_difference(one.seen.gap, metric), one.seen.gap),
                one.ways(one.seen),
                Cell(format_difference(one.largest.gap, metric), one.largest.gap),
                one.ways(one.largest),
                Cell(format_difference(one.folds_gap, metric), one.folds_gap) if one.labelled else Cell(MISSING),
            )
        )
    return Table(columns, tuple(rows), "What it would take to tell these apart")


def scores_table(comparison: Comparison, folder: Path | None = None) -> Table:
    """Return the table of the setups' scores, the best first.

    Args:
        comparison: The setups.
        folder: Where it is written, so that setups can lead to the reports of their runs; none leads nowhere.
    """
    metric = comparison.metric
    held = [name for name in (*SHOWN, *METRICS) if any(name in row.levels for row in comparison.rows)]
    others = [name for name in dict.fromkeys(held) if name != metric and name in SHOWN]
    over = "folds" if comparison.test.folds else "seeds"
    columns = [
        Column("setup"),
        Column("seeds", numeric=True),
        Column(f"{metric_label(metric)}, mean ± sd", numeric=True, hint=f"mean and standard deviation over {over}"),
        Column(
            "95 % interval",
            numeric=True,
            hint="over trainings and examples"
            if comparison.test.folds
            else "over seeds and test examples; with one seed, over test examples",
        ),
        *(Column(metric_label(name), numeric=True, hint=f"mean ± sd over {over}") for name in others),
    ]
    rows = []
    for row in comparison.rows:
        level = row.levels.get(metric)
        rows.append(
            (
                Cell(
                    row.name + _collapsed(row),
                    strong=row is comparison.best and not row.collapsed,
                    links=_report_of(comparison.setup(row.name), row.name + _collapsed(row), folder),
                ),
                Cell(str(row.num_seeds), row.num_seeds) if row.draws_seed else Cell("any"),
                _level(row, metric),
                Cell(MISSING) if level is None else Cell(interval(level.low, level.high), level.low),
                *(_level(row, name) for name in others),
            )
        )
    tested = f", tested in {comparison.test.folds}" if comparison.test.folds else ""
    return Table(tuple(columns), tuple(rows), f"Test scores on {len(comparison.test.labels):,} examples{tested}")


def _report_of(setup: Setup, shown: str, folder: Path | None) -> tuple[Link, ...]:
    """Return the way from a folder to the report of a setup's run, the best on validation; empty without one."""
    report = setup.chosen_run.folder / PAGE_FILE
    if folder is None or not report.is_file():
        return ()
    return (Link(shown, Path(os.path.relpath(report, folder)).as_posix()),)


def _collapsed(row: SetupRow) -> str:
    """Return how many of a setup's runs give one answer to every text; nothing where none does."""
    if not row.collapsed:
        return ""
    return " (collapsed)" if row.num_seeds == 1 else f" (collapsed: {len(row.collapsed)} of {row.num_seeds})"


def costs_table(comparison: Comparison) -> Table:
    """Return the table of the setups' costs; sizes and speeds are also given as times the cheapest's."""
    metric, reference = comparison.metric, comparison.reference
    smallest = _cheapest(comparison, WEIGHTS, min)
    fastest = _cheapest(comparison, "test_examples_per_second", max)
    label = metric_label(metric)
    fronts = {
        cost: set(pareto_front(comparison.rows, metric, cost)) for cost in ("train_seconds", "latency_median_seconds")
    }
    is_kept = is_in_points(metric) and higher_is_better(metric)
    priced = [run.record for setup in comparison.test.setups for run in setup.runs if PRICE in run.record.costs]
    has_prices = any(PRICE in row.costs for row in comparison.rows)
    currency = currency_of(priced[0]) if has_prices else ""
    fronts[PRICE] = set(pareto_front(comparison.rows, metric, PRICE))
    or_paid = ", or costs as little (M)" if has_prices else ""
    partly = any(row.costs.get(TRAINED, row.costs.get(WEIGHTS)) != row.costs.get(WEIGHTS) for row in comparison.rows)
    columns = [
        Column("setup"),
        *([Column(f"{label} kept", numeric=True, hint=f"share of {reference.name}'s")] if is_kept else []),
        Column("parameters", numeric=True),
        *([Column("as many", numeric=True, hint=f"as {smallest.name}'s, the fewest")] if smallest else []),
        *([Column("trained", numeric=True, hint="parameters that training changed")] if partly else []),
        Column("on disk", numeric=True),
        Column("training", numeric=True, hint="median over seeds, without validation"),
        Column("peak memory", numeric=True, hint="of training and testing, beyond the libraries; on a GPU, the GPU's"),
        Column("predicted/s", numeric=True, hint="test examples per second, all at once"),
        *([Column("slower", numeric=True, hint=f"than {fastest.name}, the fastest, all at once")] if fastest else []),
        Column("one text", numeric=True, hint="time to predict a single example: median and 95th percentile"),
        *(
            [
                Column(
                    f"1,000 texts, {currency}",
                    numeric=True,
                    hint="price of predicting them: of a service's tokens, or of the machine's time",
                )
            ]
            if has_prices
            else []
        ),
        Column(
            "unbeaten", hint=f"no other setup is better and trains (T) or answers a single text (P) as fast{or_paid}"
        ),
    ]
    rows = []
    for row in comparison.rows:
        unbeaten = [
            letter
            for letter, cost in (("T", "train_seconds"), ("P", "latency_median_seconds"), ("M", PRICE))
            if row.name in fronts[cost]
        ]
        cells: list[str | Cell] = [row.name]
        if is_kept:
            cells.append(_cost(_divided(_mean(row, metric), _mean(reference, metric)), percent))
        parameters, speed = row.costs.get(WEIGHTS), row.costs.get("test_examples_per_second")
        memory = row.costs.get("peak_gpu_memory_bytes") or row.costs.get("peak_memory_bytes")
        median, high = (row.costs.get(f"latency_{which}_seconds") for which in ("median", "p95"))
        cells += [
            _cost(parameters, thousands),
            *([_cost(_divided(parameters, smallest.costs[WEIGHTS]), times)] if smallest else []),
            *([_cost(row.costs.get(TRAINED), thousands)] if partly else []),
            _cost(row.costs.get("size_bytes"), megabytes),
            _cost(row.costs.get("train_seconds"), in_seconds),
            _cost(memory, megabytes),
            _cost(speed, thousands),
            *([_cost(_divided(fastest.costs["test_examples_per_second"], speed), times)] if fastest else []),
            Cell(MISSING) if median is None else Cell(f"{in_milliseconds(median)}, {in_milliseconds(high)}", median),
            *([_cost(row.costs.get(PRICE), money)] if has_prices else []),
            " ".join(unbeaten),
        ]
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows), "Costs of each setup")


def _cheapest(comparison: Comparison, cost: str, best: Callable[..., SetupRow]) -> SetupRow | None:
    """Return the setup with the least or most of a cost, of those that read texts; none where none is known."""
    able = [row for row in comparison.rows if row.costs.get(cost) and not comparison.setup(row.name).is_idle]
    return best(able, key=lambda row: row.costs[cost]) if len(able) > 1 else None


def languages_table(comparison: Comparison) -> Table | None:
    """Return the setups' share of right predictions in each language; nothing where languages are not known."""
    languages = comparison.test.setups[0].runs[0].languages
    if languages is None:
        return None
    names, counts = np.unique(languages, return_counts=True)
    columns = [Column("setup"), Column("trained on")]
    columns += [Column(f"{name} ({count:,})", numeric=True) for name, count in zip(names, counts, strict=True)]
    found = {name: accuracy_levels(comparison.test, languages == name) for name in names}
    rows = []
    for row in comparison.rows:
        trained = comparison.setup(row.name).options.get("dataset.train_languages") or ["all"]
        cells: list[str | Cell] = [row.name, ", ".join(map(str, trained))]
        for name in names:
            level = found[name][row.name]
            shown = f"{decimals(level.mean)} ({interval(level.low, level.high)})"
            cells.append(Cell(shown, level.mean, strong=str(name) in trained))
        rows.append(tuple(cells))
    what = "Subset accuracy" if comparison.test.has_sets else "Accuracy"
    caption = f"{what} by language, with 95 % intervals; languages that a setup was trained on stand out"
    return Table(tuple(columns), tuple(rows), caption)


def pairs_table(
    pairs: Sequence[Pair], margin: float, over: str = "seeds", more: Mapping[Column, Sequence[Cell]] | None = None
) -> Table:
    """Return a table of pairs, those of the best setups first.

    Args:
        pairs: The pairs.
        margin: The margin of equivalence.
        over: What the runs of a setup are called.
        more: Further columns, with a cell for each pair.
    """
    metric, folds = pairs[0].metric, bool(pairs[0].folds)
    unit = " in points" if is_in_points(metric) else ""
    columns = (
        Column("first"),
        Column("second"),
        Column("verdict on the first"),
        Column(f"difference{unit}", numeric=True, hint="first minus second"),
        Column("95 % interval", numeric=True, hint="of this pair alone"),
        Column("p", numeric=True, hint="of all pairs together, corrected by Holm"),
        Column("p alone", numeric=True),
        Column(
            "p equivalent",
            numeric=True,
            hint=f"that they differ by {format_difference(margin, metric)}",
        ),
        Column(
            "P(first > second)",
            numeric=True,
            hint="over folds" if folds else f"over pairs of {over}; with one {over[:-1]} each, over test examples",
        ),
        Column("detectable", numeric=True, hint="smallest true difference found 8 times in 10"),
        Column(f"due to {'trainings' if folds else over}", numeric=True, hint="share of the uncertainty"),
        Column("claim"),
        *(more or {}),
    )
    scale, digits = (100, 1) if is_in_points(metric) else (1, 3)
    rows = tuple(
        (
            pair.first,
            pair.second,
            Cell(pair.verdict.value, strong=pair.verdict is not Verdict.CANNOT_TELL),
            Cell(signed(pair.difference * scale, digits), pair.difference),
            Cell(format_interval(pair.low, pair.high, metric), pair.low),
            _p_cell(pair.p_corrected),
            _p_cell(pair.p_value),
            _p_cell(pair.p_equivalent),
            Cell(MISSING) if math.isnan(pair.superiority) else Cell(decimals(pair.superiority, 2), pair.superiority),
            Cell(decimals(pair.smallest_detectable * scale, digits), pair.smallest_detectable),
            Cell(ratio_percent(pair.seed_share), pair.seed_share) if pair.claim is Claim.setup else Cell(MISSING),
            pair.claim.value,
            *(cells[number] for cells in (more or {}).values()),
        )
        for number, pair in enumerate(pairs[:MOST_PAIRS])
    )
    return Table(columns, rows, f"Pairs by {metric_label(metric)}")


def _level(row: SetupRow, metric: str) -> Cell:
    level = row.levels.get(metric)
    if level is None:
        return Cell(MISSING)
    return Cell(spread(level.mean, level.deviation), level.mean)


def _mean(row: SetupRow, metric: str) -> float | None:
    level = row.levels.get(metric)
    return None if level is None else level.mean


def _divided(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _cost(value: float | None, write: Callable[[float], str]) -> Cell:
    return Cell(MISSING) if value is None else Cell(write(value), value)


def _p_cell(p: float) -> Cell:
    return Cell(p_value(p), p)
