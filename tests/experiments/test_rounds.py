"""What the benchmarks compute from what they measure."""

import time

import numpy as np
import pytest
import torch

from experiments.benchmarks.arithmetic import Shape, ceiling, forward_flops, training_flops
from experiments.benchmarks.memory import in_own_process
from experiments.benchmarks.rounds import (
    Timing,
    Way,
    accuracy_gap,
    alternate,
    exponent,
    rates,
    slow_periods,
    times_as_fast,
)


def timing(seconds, processor_seconds=1.0, probe=1e9, **facts):
    return Timing(seconds, processor_seconds, probe, facts)


def test_a_ratio_is_taken_within_each_round():
    timings = {"ours": [timing(1, 3), timing(2, 2), timing(4, 2)], "theirs": [timing(6, 3), timing(6, 8), timing(4, 4)]}
    found = times_as_fast(timings, "ours", "theirs")
    assert (found.median, found.low, found.high) == (3.0, 1.0, 6.0)  # 6/1, 6/2, 4/4; of the medians it would be 6/2
    assert found.text() == "3.00 (1.00–6.00)"
    assert times_as_fast(timings, "theirs", "ours").median == pytest.approx(1 / 3)
    by_processor = times_as_fast(timings, "ours", "theirs", processor_time=True)
    assert (by_processor.median, by_processor.low, by_processor.high) == (2.0, 1.0, 4.0)
    assert rates(timings, "ours", 100).median == 50


def test_slow_periods_are_told_by_the_probe():
    timings = {"a": [timing(1, probe=10e9), timing(1, probe=7e9)], "b": [timing(1, probe=10e9), timing(1, probe=9e9)]}
    slow, of, probe = slow_periods(timings)
    assert (slow, of) == (1, 4)
    assert probe.median == 9.5e9


def test_every_other_round_is_reversed_and_only_work_is_timed(monkeypatch):
    monkeypatch.setattr("experiments.benchmarks.rounds.gc.collect", lambda: 0)
    done = []

    def way(name):
        def judge(result):
            time.sleep(0.05)
            return {"seed": result}

        return Way(name, lambda seed: done.append((name, seed)) or seed, lambda seed: time.sleep(0.05) or seed, judge)

    timings = alternate([way("a"), way("b")], [7, 8, 9], lambda: 1.0, say=lambda line: None)
    assert done == [("a", 7), ("b", 7), ("b", 8), ("a", 8), ("a", 9), ("b", 9)]
    assert [one.facts["seed"] for one in timings["b"]] == [7, 8, 9]
    assert max(one.seconds for one in timings["a"]) < 0.04


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found(power):
    sizes = [1000, 4000, 16_000, 64_000]
    assert exponent(sizes, [3e-4 * size**power for size in sizes]) == pytest.approx(power)


def test_flops_are_those_worked_out_by_hand():
    # One layer, 4 hidden, 8 intermediate, a text of 3 tokens: four products with 4×4 weights, 4·2·4·4·3 = 384; those
    # with 4×8 and 8×4, 2·2·4·8·3 = 384; attention's two products, 2·2·3·3·4 = 144; pooler and head of two classes,
    # 2·4·(4 + 2) = 48.
    shape = Shape(layers=1, hidden=4, intermediate=8, num_labels=2)
    assert forward_flops(shape, [3]) == 384 + 384 + 144 + 48
    assert forward_flops(shape, [3, 3]) == 2 * 960
    assert training_flops(shape, [3]) == 3 * 960
    minilm = Shape(layers=6, hidden=384, intermediate=1536, num_labels=4)
    assert training_flops(minilm, [53]) == pytest.approx(3.45e9, rel=0.02)


def test_the_ceiling_is_within_what_a_processor_can_do(monkeypatch):
    monkeypatch.setattr("experiments.benchmarks.arithmetic.LEAST_SECONDS", 0.001)
    rate = ceiling(Shape(1, 64, 128, 2), torch.float32, "cpu", training=True, tokens=64)
    assert 1e8 < rate < 1e15


def test_accuracies_are_compared_in_points_with_an_interval():
    rng = np.random.default_rng(0)
    base = [rng.random(2000) < 0.9 for _ in range(3)]
    worse = [right & (rng.random(2000) > 0.05) for right in base]
    same = accuracy_gap(base, [right.copy() for right in base])
    assert same.points == 0
    assert same.low < 0 < same.high
    lost = accuracy_gap(worse, base)
    assert lost.points == pytest.approx(100 * (np.mean(worse) - np.mean(base)))
    assert lost.high < 0
    assert not lost.shows_no_loss
    assert accuracy_gap(base, worse).shows_no_loss


def test_the_peak_of_a_process_is_its_own():
    ballast = np.ones(40_000_000)  # 320 MB here, which a new process must not be told to have
    found = in_own_process("memory", "peak_bytes")
    assert ballast.sum() > 0
    assert 5e6 < found.peak_bytes < 200e6
    assert found.given == pytest.approx(found.peak_bytes, rel=0.1)


def test_a_process_that_takes_too_much_is_stopped(monkeypatch):
    monkeypatch.setattr("experiments.benchmarks.memory.POLL_SECONDS", 0.01)
    assert in_own_process("memory", "peak_bytes", limit_bytes=1e6).stopped


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no_such_function"):
        in_own_process("memory", "no_such_function")
