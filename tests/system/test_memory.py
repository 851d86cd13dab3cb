import gc
import weakref

import numpy as np
import pytest

from textclf.system import memory


@pytest.mark.parametrize("kernel", [True, False], ids=["high-water mark", "samples"])
def test_the_peak_is_seen_though_it_was_given_back(kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    elif not memory._reset_high_water_mark():
        pytest.skip("no high-water mark on this system")
    with memory.watch_memory() as peak:
        block = np.ones(25_000_000)  # 200 MB
        for _ in range(20):
            block += 1
        del block
    assert 190e6 < peak.memory_bytes < 320e6
    with memory.watch_memory() as later:
        pass
    assert later.memory_bytes < 50e6  # what went before does not count


def test_cycles_are_released():
    class Node:
        pass

    gc.disable()
    try:
        node = Node()
        node.itself = node
        seen = weakref.ref(node)
        del node
        assert seen() is not None
        memory.release_memory()
        assert seen() is None
    finally:
        gc.enable()
