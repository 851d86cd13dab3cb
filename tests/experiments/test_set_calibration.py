"""The simulation of tests of sets of labels: its page is what its script gives."""

import re
from pathlib import Path

import numpy as np

from experiments.set_calibration import LABELS, Cell, drawn, grid, report, simulate

PAGE = Path(__file__).parents[2] / "experiments" / "results" / "set_calibration.md"


def test_the_page_has_the_rates_of_the_script():
    text = PAGE.read_text("utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    heads, rows = lines[0], lines[2:]
    assert len(rows) == len(list(grid()))
    (repetitions,) = re.findall(r"--repetitions (\d+)`", text)
    cell = Cell("common", 200, "deterministic", 0.0)
    rates = simulate(cell, int(repetitions))
    expected = ["common", "200", "deterministic", "0", *(f"{rates[test][0]:.3f}" for test in heads[4:])]
    assert expected in rows
    assert max(float(share) for row in rows for share in row[4:]) < 0.06  # what the page says of the worst cell
    assert report({cell: rates}, int(repetitions), 60).splitlines()[0] == text.splitlines()[0]


def test_learners_are_as_good_as_each_other_and_labels_as_rare_as_said():
    truth, (first, second) = drawn(Cell("rare", 20_000, "different", 0.3), np.random.default_rng(0))
    assert np.allclose(truth.mean(axis=0), LABELS["rare"], atol=0.01)
    right = [(given == truth).mean() for given in (first, second)]
    assert abs(right[0] - right[1]) < 0.02
    assert not np.array_equal(first, second)
    _, (_, steady) = drawn(Cell("common", 50, "deterministic", 0.0), np.random.default_rng(0))
    assert (steady == steady[0]).all()
