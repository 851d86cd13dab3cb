"""The tables of a comparison: scores, costs, pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from textclf.compare.comparison import Comparison
from textclf.compare.options import Claim
from textclf.compare.pairs import Pair, Verdict
from textclf.compare.scores import accuracy_levels
from textclf.compare.summary import SystemRow, pareto_front
from textclf.compare.verdicts import IN_POINTS, amount, ends, p_text, percent, times, words
from textclf.documents.document import Cell, Column, Table
from textclf.evaluation.metric_names import METRICS

MOST_PAIRS = 100
"""Pairs in the report; the others are in `pairs.csv`."""
SHOWN = ("accuracy", "macro_f1", "log_loss", "roc_auc")
"""Metrics in the table of systems, after the one that verdicts are about."""


def scores_table(comparison: Comparison) -> Table:
    """Return the table of the systems' scores, the best first."""
    metric = comparison.metric
    held = [name for name in (*SHOWN, *METRICS) if any(name in row.levels for row in comparison.rows)]
    others = [name for name in dict.fromkeys(held) if name != metric and name in SHOWN]
    columns = [
        Column("system"),
        Column("seeds", numeric=True),
        Column(f"{words(metric)}, mean ± sd", numeric=True, hint="mean and standard deviation over seeds"),
        Column("95 % interval", numeric=True, hint="over seeds and test examples; of one seed, over test examples"),
        *(Column(words(name), numeric=True, hint="mean ± sd over seeds") for name in others),
    ]
    rows = []
    for row in comparison.rows:
        level = row.levels.get(metric)
        rows.append(
            (
                Cell(row.name + _collapsed(row), strong=row is comparison.rows[0]),
                Cell(str(row.num_seeds), row.num_seeds),
                _level(row, metric),
                Cell("–") if level is None else Cell(f"{level.low:.3f} to {level.high:.3f}", level.low),
                *(_level(row, name) for name in others),
            )
        )
    return Table(tuple(columns), tuple(rows), f"Test scores on {len(comparison.test.labels):,} examples")


def _collapsed(row: SystemRow) -> str:
    """Return which part of a system's runs gives one answer to every text; nothing where none does."""
    if not row.collapsed:
        return ""
    return " (collapsed)" if row.num_seeds == 1 else f" (collapsed: {len(row.collapsed)} of {row.num_seeds})"


def costs_table(comparison: Comparison) -> Table:
    """Return the table of what the systems cost, in relation to the reference where that says something."""
    metric, reference = comparison.metric, comparison.reference
    better = METRICS[metric].higher_is_better
    fronts = {
        cost: set(pareto_front(comparison.rows, metric, cost, better))
        for cost in ("train_seconds", "latency_median_seconds")
    }
    columns = [
        Column("system"),
        *([Column(f"{words(metric)} kept", numeric=True, hint=f"share of {reference.name}'s")] * (metric in IN_POINTS)),
        Column("parameters", numeric=True),
        Column("of them", numeric=True, hint=f"share of {reference.name}'s parameters"),
        Column("on disk", numeric=True),
        Column("training", numeric=True, hint="median over seeds, without validation"),
        Column("trained/s", numeric=True, hint="training examples per second"),
        Column("peak memory", numeric=True, hint="of training and testing, beyond the libraries; on a GPU, the GPU's"),
        Column("predicted/s", numeric=True, hint="test examples per second, all at once"),
        Column("speed", numeric=True, hint=f"in relation to {reference.name}, all at once"),
        Column("one text", numeric=True, hint="time to predict a single example: median, and 95 % within"),
        Column("unbeaten", hint="no other system is better and trains (T) or answers a single text (P) as fast"),
    ]
    rows = []
    for row in comparison.rows:
        unbeaten = [
            letter
            for letter, cost in (("T", "train_seconds"), ("P", "latency_median_seconds"))
            if row.name in fronts[cost]
        ]
        cells: list[str | Cell] = [row.name]
        if metric in IN_POINTS:
            cells.append(_share(_mean(row, metric), _mean(reference, metric), digits=1))
        parameters, speed = row.costs.get("num_parameters"), row.costs.get("test_examples_per_second")
        memory = row.costs.get("peak_gpu_memory_bytes") or row.costs.get("peak_memory_bytes")
        median, high = (row.costs.get(f"latency_{which}_seconds") for which in ("median", "p95"))
        cells += [
            _cost(parameters, lambda value: f"{value:,.0f}"),
            _share(parameters, reference.costs.get("num_parameters")),
            _cost(row.costs.get("size_bytes"), _megabytes),
            _cost(row.costs.get("train_seconds"), _seconds),
            _cost(row.costs.get("train_examples_per_second"), lambda value: f"{value:,.0f}"),
            _cost(memory, _megabytes),
            _cost(speed, lambda value: f"{value:,.0f}"),
            _cost(_divided(speed, reference.costs.get("test_examples_per_second")), times),
            Cell("–") if median is None else Cell(f"{_milliseconds(median)}, {_milliseconds(high)}", median),
            " ".join(unbeaten),
        ]
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows), "What each system costs")


def languages_table(comparison: Comparison) -> Table | None:
    """Return the systems' accuracy on the examples of each language; nothing where languages are not known."""
    languages = comparison.test.systems[0].runs[0].languages
    if languages is None:
        return None
    names, counts = np.unique(languages, return_counts=True)
    columns = [Column("system"), Column("trained on")]
    columns += [Column(f"{name} ({count:,})", numeric=True) for name, count in zip(names, counts, strict=True)]
    found = {name: accuracy_levels(comparison.test, languages == name) for name in names}
    rows = []
    for row in comparison.rows:
        trained = comparison.system(row.name).options.get("dataset.train_languages") or ["all"]
        cells: list[str | Cell] = [row.name, ", ".join(map(str, trained))]
        for name in names:
            level = found[name][row.name]
            said = f"{level.mean:.3f} ({level.low:.3f} to {level.high:.3f})"
            cells.append(Cell(said, level.mean, strong=str(name) in trained))
        rows.append(tuple(cells))
    caption = "Accuracy by language, with 95 % intervals; languages that a system was trained on stand out"
    return Table(tuple(columns), tuple(rows), caption)


def pairs_table(comparison: Comparison, pairs: Sequence[Pair]) -> Table:
    """Return a table of pairs, those of the best systems first."""
    metric = pairs[0].metric
    unit = " in points" if metric in IN_POINTS else ""
    columns = (
        Column("first"),
        Column("second"),
        Column("verdict on the first"),
        Column(f"difference{unit}", numeric=True, hint="first less second"),
        Column("95 % interval", numeric=True, hint="of this pair alone"),
        Column("p", numeric=True, hint=f"by Holm, corrected for {len(pairs)} pairs"),
        Column("p alone", numeric=True),
        Column("p equivalent", numeric=True, hint=f"that they differ by {amount(comparison.options.margin, metric)}"),
        Column("P(first > second)", numeric=True, hint="over pairs of seeds; of one seed each, over test examples"),
        Column("detectable", numeric=True, hint="smallest true difference found 8 times in 10"),
        Column("due to seeds", numeric=True, hint="share of the uncertainty"),
        Column("claim"),
    )
    scale, digits = (100, 1) if metric in IN_POINTS else (1, 3)
    rows = tuple(
        (
            pair.first,
            pair.second,
            Cell(pair.verdict.value, strong=pair.verdict is not Verdict.CANNOT_TELL),
            Cell(f"{pair.difference * scale:+.{digits}f}".replace("-", "−"), pair.difference),
            Cell(ends(pair.low, pair.high, metric), pair.low),
            _p(pair.p_corrected),
            _p(pair.p_value),
            _p(pair.p_equivalent),
            Cell("–") if math.isnan(pair.superiority) else Cell(f"{pair.superiority:.2f}", pair.superiority),
            Cell(f"{pair.smallest_detectable * scale:.{digits}f}", pair.smallest_detectable),
            Cell(percent(pair.seed_share), pair.seed_share) if pair.claim is Claim.recipe else Cell("–"),
            pair.claim.value,
        )
        for pair in pairs[:MOST_PAIRS]
    )
    return Table(columns, rows, f"Pairs by {words(metric)}")


def _level(row: SystemRow, metric: str) -> Cell:
    level = row.levels.get(metric)
    if level is None:
        return Cell("–")
    spread = "" if math.isnan(level.deviation) else f" ± {level.deviation:.3f}"
    return Cell(f"{_number(level.mean)}{spread}", level.mean)


def _number(value: float) -> str:
    return f"{value:.3f}"


def _mean(row: SystemRow, metric: str) -> float | None:
    level = row.levels.get(metric)
    return None if level is None else level.mean


def _divided(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _share(value: float | None, whole: float | None, digits: int = 0) -> Cell:
    share = _divided(value, whole)
    if share is None:
        return Cell("–")
    return Cell(f"{share * 100:.1f} %" if digits else percent(share), share)


def _cost(value: float | None, said: Callable[[float], str]) -> Cell:
    return Cell("–") if value is None else Cell(said(value), value)


def _p(value: float) -> Cell:
    return Cell(p_text(value).removeprefix("p = ").removeprefix("p "), value)


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB" if value >= 10e6 else f"{value / 1e6:.1f} MB"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:.1f} ms"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value >= 0.1 else f"{value:.2f} s"
