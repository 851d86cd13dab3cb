"""The study of setups against themselves, on a few trainings of the bundled headlines."""

import sys

import numpy as np
import pytest

from experiments import null_pairs
from experiments.null_pairs import Trainings, rates


def made(seed_spread, seeds=20, rows=12, partitions=3, n=400):
    """Return trainings of a made-up setup, some better than others."""
    rng = np.random.default_rng(0)
    level = 0.8 + seed_spread * rng.standard_normal((seeds, 1))
    parts = np.stack([rng.permutation(n) % 5 for _ in range(partitions)])
    crossed = 0.8 + seed_spread * rng.standard_normal((rows, partitions, 5))
    chance = np.take_along_axis(crossed, np.broadcast_to(parts, (rows, partitions, n)), axis=2)
    return Trainings("d", "m", rng.random((seeds, n)) < level, rng.random(chance.shape) < chance, parts)


def test_a_test_blind_to_seeds_is_seen_to_be_wrong_and_the_others_are_not(monkeypatch):
    monkeypatch.setattr(null_pairs, "GROUPS", 80)
    found = {(test, given): share for test, given, share, _ in rates(made(0.08), np.random.default_rng(0))}
    assert found["McNemar, one seed each", "own split"] > 0.3
    assert found["two-way", "own split, 5 seeds each"] < 0.1
    assert max(share for (test, _), share in found.items() if test == "folds") < 0.12


def test_a_run_on_real_text_writes_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(null_pairs, "GROUPS", 10)
    page = tmp_path / "page.md"
    options = ["--model", "sgd", "--seeds", "6", "--partitions", "1", "--folds", "2", "--write", str(page)]
    monkeypatch.setattr(sys, "argv", ["null_pairs.py", "headlines", *options])
    null_pairs.main()
    text = page.read_text()
    assert "6 seeds on its own split of 152 test examples" in text
    assert "2 folds, 1 partition, 3 seeds each" in text


def test_seeds_change_what_is_learned():
    trainings = null_pairs.train_all("headlines", "tree", 2, 1, 2)
    assert (trainings.split[0] != trainings.split[1]).any()
    assert (trainings.crossed[0] != trainings.crossed[1]).any()
    with pytest.raises(IndexError):
        trainings.crossed[6]
