"""Results of texts that are asked for in parts of a pool."""

import time

import numpy as np
import pytest

from textclf.system import text_cache
from textclf.system.text_cache import TextCache

POOL = [f"text {number}" for number in range(20)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(text_cache.constants, "HF_HOME", str(tmp_path))
    return TextCache(
        name="lengths",
        variable="TEXTCLF_LENGTH_CACHE_MB",
        memory_bytes=10_000,
        fewest_texts=2,
        file_seconds=0.0,
        arrays=lambda lengths: {"lengths": lengths},
        about=lambda lengths: {},
        result=lambda arrays, about, num_texts: arrays["lengths"],
        chosen=lambda lengths, rows: lengths[rows],
    )


@pytest.fixture
def made():
    """The texts that were really worked on."""
    return []


@pytest.fixture
def ask(cache, made):
    def make(texts, pairs):
        made.extend(texts)
        time.sleep(0.2)
        return np.array([int(text.split()[1]) for text in texts])

    return lambda texts, how="how": cache.remembered(lambda: [how], texts, make)


def test_a_pool_is_worked_on_once(cache, made, ask):
    with cache.remembering(), cache.pooled([*POOL, *POOL]):
        np.testing.assert_array_equal(ask(POOL[5:8]), [5, 6, 7])
        np.testing.assert_array_equal(ask(POOL[::-1]), range(19, -1, -1))
        np.testing.assert_array_equal(ask([POOL[3]] * 2), [3, 3])
        assert made == POOL
        ask(POOL, how="other")
        assert made == POOL * 2


def test_a_part_counts_as_its_share_of_the_work(cache, ask):
    with cache.remembering(), cache.pooled(POOL):
        for part in (POOL[:5], POOL[5:15]):  # the first has all of it made, the second none
            begun, saved = time.perf_counter(), cache.seconds_saved
            ask(part)
            taken = time.perf_counter() - begun + cache.seconds_saved - saved
            assert taken == pytest.approx(0.2 * len(part) / 20, abs=0.1)


def test_texts_beside_the_pool_are_worked_on_alone(cache, made, ask):
    with cache.remembering(), cache.pooled(POOL):
        np.testing.assert_array_equal(ask(["text 3", "text 90"]), [3, 90])
        assert made == ["text 3", "text 90"]
        ask(["text 4"])
        assert made[2:] == ["text 4"]
    with cache.remembering():
        ask(POOL[:4])
        assert made[3:] == POOL[:4]
