import time

import numpy as np
import pytest

from tests.conftest import make_data
from textclf.evaluation import evaluate

pytestmark = pytest.mark.measured


class Slow:
    """Takes a second for the first example, and then 1 ms each."""

    billed = None

    def __init__(self):
        self.calls = []

    def probabilities(self, texts, pairs=None):
        self.calls.append((list(texts), pairs))
        time.sleep(0.3 if len(self.calls) == 1 else 0.001)
        return np.full((len(texts), 2), 0.5)


def test_single_examples_are_timed_after_a_warm_up():
    slow = Slow()
    found = evaluate.latency(slow, make_data())
    assert all(len(texts) == 1 and pairs is None for texts, pairs in slow.calls)
    assert len(slow.calls) == evaluate.WARM_UP + evaluate.SINGLES
    assert 0.001 <= found["latency_median_seconds"] <= found["latency_p95_seconds"] < 0.2  # the first does not count
    assert set(texts[0] for texts, _ in slow.calls) <= set(make_data().validation["text"])


def test_pairs_are_given_as_pairs():
    slow = Slow()
    evaluate.latency(slow, make_data(pairs=True))
    assert all(len(pairs) == 1 for _, pairs in slow.calls)


def test_a_slow_model_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(evaluate, "SINGLES_SECONDS", 0.0)
    slow = Slow()
    evaluate.latency(slow, make_data())
    assert len(slow.calls) == evaluate.WARM_UP + evaluate.FEWEST_SINGLES


def test_what_takes_an_instant_is_repeated_and_what_takes_long_is_not():
    calls = []
    result, seconds = evaluate.timed(lambda: calls.append(0) or len(calls))
    assert (result, len(calls)) == (evaluate.MOST_REPEATS, evaluate.MOST_REPEATS)
    assert seconds < 0.01
    slow = []
    evaluate.timed(lambda: slow.append(time.sleep(evaluate.REPEAT_SECONDS)))
    assert len(slow) == 1
