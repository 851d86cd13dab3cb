"""Learning curves of setups that were trained on several numbers of examples, and what twice the labels would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from textclf.compare.comparison import Comparison
from textclf.compare.setups import SIZE_OPTIONS, Setup
from textclf.compare.statistics import FEWEST_SIZES, OF_CONFUSIONS, OF_SETS, Forecast, forecast
from textclf.compare.verdicts import format_difference, format_interval
from textclf.documents.wording import decimals, interval
from textclf.evaluation.metric_names import higher_is_better, metric_label

AHEAD = 2
"""How many times the largest number of training examples is foretold."""


def lines_of(comparison: Comparison) -> dict[str, list[Setup]]:
    """Return the setups that differ in nothing but the number of training examples, smallest first, by what they share.

    A setup that was trained on one number alone makes a line of one.
    """
    lines: dict[tuple[tuple[str, str], ...], list[Setup]] = defaultdict(list)
    names: dict[tuple[tuple[str, str], ...], str] = {}
    for setup in comparison.test.setups:
        key = tuple(sorted((k, str(value)) for k, value in setup.options.items() if k not in SIZE_OPTIONS))
        lines[key].append(setup)
        names[key] = " ".join(word for word in setup.name.split(" ") if not word.startswith("train="))
    return {names[key]: sorted(setups, key=lambda setup: setup.train_examples) for key, setups in lines.items()}


def forecasts(comparison: Comparison) -> dict[str, Forecast]:
    """Return what each line foretells of twice its largest number of training examples, as an error: 1 - score.

    Lines of fewer than `FEWEST_SIZES` sizes foretell nothing, nor do metrics that are no function of the predictions
    or of which less is better, nor cross-validations.
    """
    metric = comparison.metric
    foretold = OF_SETS if comparison.test.has_sets else OF_CONFUSIONS
    if metric not in foretold or not higher_is_better(metric) or comparison.test.folds:
        return {}
    able = {setup.name for setup in comparison.test.setups if metric in comparison.by_name[setup.name].levels}
    found = {}
    for name, setups in lines_of(comparison).items():
        line = [setup for setup in setups if setup.name in able]
        sizes = [setup.train_examples for setup in line]
        if len(sizes) >= FEWEST_SIZES and len(set(sizes)) == len(sizes) and min(sizes) > 0:
            found[name] = _forecast(comparison, line, sizes, metric)
    return found


def _forecast(comparison: Comparison, line: Sequence[Setup], sizes: Sequence[int], metric: str) -> Forecast:
    """Return what one line foretells."""
    drawn = comparison.scores.draws[metric]
    scores = comparison.scores.of_setups(metric)
    places = {setup.name: place for place, setup in enumerate(comparison.test.setups)}
    by_seed = [scores.by_seed[places[setup.name]] for setup in line]
    counts = [len(setup.runs) for setup in line]
    return forecast(
        sizes,
        [1 - own.mean() for own in by_seed],
        np.stack([1 - np.mean([drawn[id(run)] for run in setup.runs], axis=0) for setup in line], axis=1),
        [own.std(ddof=1) / np.sqrt(len(own)) if count > 1 else 0.0 for own, count in zip(by_seed, counts, strict=True)],
        counts,
        AHEAD * max(sizes),
    )


def forecast_sentence(name: str, found: Forecast, metric: str) -> str:
    """Return what a line foretells, in a sentence."""
    gain = format_difference(found.gain, metric)
    ends = format_interval(found.gain_low, found.gain_high, metric)
    return (
        f"{name}: {found.train_examples:,} training examples, twice as many, would give about "
        f"{decimals(1 - found.mean)} {metric_label(metric)} (95 % {interval(1 - found.high, 1 - found.low)}), "
        f"{gain} more than now ({ends})."
    )
